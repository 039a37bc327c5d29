"""ErasableMask in use: its settings, the masks of a file, protecting and erasing."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from engines.checkpoints import CheckpointError, checkpoint
from engines.method import MethodError, Scene, run
from engines.methods import erasable_mask
from engines.methods.erasable_mask import ErasableMask, ErasableMaskParams, mask_of
from engines.nets import erasable_mask as nets
from engines.nets.erasable_mask import ATTRIBUTES
from engines.params import ParamError

WIDTHS = (4, 6, 8, 8)


def file() -> dict[str, torch.Tensor]:
    """A bundled file of random weights: one generator, two masks."""
    torch.manual_seed(0)
    state: dict[str, torch.Tensor] = {}
    for target in ("hopper", "collins"):
        for name, value in nets.ErasableMask(WIDTHS).state_dict().items():
            state[name if name.startswith("generator.") else f"{target}.{name}"] = value
    return state


@pytest.fixture
def method(monkeypatch) -> ErasableMask:
    """With masks of random weights, and a photo that shows a woman with bangs."""
    made = {target: mask_of(file(), target).eval().requires_grad_(False) for target in ("hopper", "collins")}
    card = dataclasses.replace(checkpoint("sface"), id="erasable-mask", trained_against=("compact-vgg",))
    odds = torch.tensor([float(name == "Bangs") for name in erasable_mask.NAMES])
    monkeypatch.setattr(erasable_mask, "masks", lambda id, device: made)
    monkeypatch.setattr(erasable_mask, "checkpoint", lambda id: card)
    monkeypatch.setattr(erasable_mask.manipulate, "attributes", lambda pixels, device: odds.expand(len(pixels), -1))
    return ErasableMask()


def made(method: ErasableMask, pixels: torch.Tensor, **params) -> torch.Tensor:
    *_, last = run(method, pixels, params, Scene())
    return last.pixels


def test_each_setting_changes_the_picture_and_the_photos_own_attributes_are_the_default(method):
    pixels = torch.rand(2, 3, 128, 128)
    usual = made(method, pixels)
    assert usual.shape == pixels.shape and usual.min() >= 0 and usual.max() <= 1
    assert method.suggests(pixels[:1]) == {"attributes": ("Bangs",)}
    torch.testing.assert_close(made(method, pixels, attributes=("Bangs",)), usual)
    changes = (
        {"beta": 0.7},
        {"gamma": 0.2},
        {"attributes": ()},
        {"attributes": ("Young",)},
        {"target": "Eileen Collins"},
    )
    pictures = [usual, *(made(method, pixels, **change) for change in changes)]
    assert all(not torch.equal(a, b) for i, a in enumerate(pictures) for b in pictures[:i])


def test_attributes_come_as_a_list_or_as_text_and_a_wrong_one_is_named_with_the_right_ones():
    assert ErasableMaskParams.read({"attributes": "Bangs, Young"}).attributes == ("Bangs", "Young")
    assert ErasableMaskParams.read({"attributes": ["Bald"]}).attributes == ("Bald",)
    assert ErasableMaskParams.read({"attributes": ""}).attributes == ()
    assert ErasableMaskParams.read({}).attributes is None
    with pytest.raises(ParamError, match=r"Attributes \(attributes\) must be some of Bald, .*, Young\."):
        ErasableMaskParams.read({"attributes": "Bangs, Tall"})
    knob = next(knob for knob in ErasableMaskParams.knobs() if knob.name == "attributes")
    assert knob.several and knob.choices == ATTRIBUTES and knob.kind is str
    assert not next(knob for knob in ErasableMaskParams.knobs() if knob.name == "target").several


def test_erasing_runs_the_targets_own_restorer(method):
    pixels = torch.rand(1, 3, 128, 128)
    ours, other = (method.erase(pixels, name) for name in ("Grace Hopper", "Eileen Collins"))
    assert ours.shape == pixels.shape and not torch.equal(ours, other)
    with pytest.raises(MethodError, match=r"crops \(N, 3, 128, 128\), not \(1, 3, 64, 64\)"):
        method.erase(torch.rand(1, 3, 64, 64), "Grace Hopper")
    with pytest.raises(MethodError, match="no restorer made for 'Nobody': choose from Grace Hopper, Eileen Collins"):
        method.erase(pixels, "Nobody")


def test_a_file_without_a_targets_mask_or_of_something_else_is_refused():
    state = file()
    with pytest.raises(CheckpointError, match="no mask towards virtual"):
        mask_of(state, "virtual")
    with pytest.raises(CheckpointError, match="no mask towards hopper"):
        mask_of({"weight": torch.zeros(1)}, "hopper")
    with pytest.raises(CheckpointError):
        mask_of({name: value for name, value in state.items() if "restorer.decoder" not in name}, "hopper")


def test_it_says_whom_it_was_trained_against_and_what_it_does_not_promise(method):
    assert method.attacked_in_training == ("compact-vgg",) and "Eileen" not in method.caveat.format(target="Hopper")
    assert method.aim(ErasableMaskParams()) == "Grace Hopper" and method.budget(ErasableMaskParams(), None) is None
