"""IPMN's three mask generators by one protocol: what is offered, what each changes, what a missing one says."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from onnx_graphs import blendswap, inswapper, recogniser

from engines import diffface_network, masking, recognise
from engines.checkpoints import CheckpointError, checkpoint
from engines.diffface_network import KINDS, DiffFace
from engines.face import CELEBA128, align
from engines.frame import frame
from engines.masking import ASKED, DIFFFACE, GEOMETRIC, SWAPPER, masked
from engines.method import MethodError, Scene, run
from engines.methods.ipmn import Ipmn, IpmnParams
from engines.nets.diffusion import DiffusionUNet, Sizes

WORDS = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def photo(astronaut) -> torch.Tensor:
    """A frame of 160 pixels."""
    whole = frame(astronaut.photo.pixels, astronaut.landmarks).pixels
    return torch.nn.functional.interpolate(whole, (160, 160), mode="area")


@pytest.fixture
def other(hopper) -> torch.Tensor:
    return align(hopper.photo.pixels, hopper.landmarks, CELEBA128).pixels


@pytest.fixture
def diffface(monkeypatch) -> str:
    """A small network of random weights among the trained ones; its id."""
    torch.manual_seed(0)
    unet = DiffusionUNet(Sizes(64, 8, (1, 2), 1, (), 8, 128, groups=4))
    card = dataclasses.replace(checkpoint("parser"), id="mine", kind="diffusion")
    net = DiffFace(card, unet, dataclasses.replace(KINDS["diffface-small"]), recognise.load("sface"))
    monkeypatch.setattr(diffface_network, "available", lambda: ("mine",))
    monkeypatch.setattr(diffface_network, "diffface", lambda id, device: net)
    return "mine"


@pytest.fixture
def negative(tmp_path, monkeypatch) -> str:
    """A swapper that turns the face into its negative, as LARVATUS_SWAPPER names it."""
    pytest.importorskip("onnxruntime")
    reader = recogniser(tmp_path / "arcface.onnx")
    asked = f"{inswapper(tmp_path / 'swapper.onnx', 128, -1, 1)}, recogniser={reader}"
    monkeypatch.setenv(ASKED, asked)
    return asked


def choices() -> tuple[str, ...]:
    return next(knob for knob in IpmnParams.knobs() if knob.name == "mask").choices


def test_only_what_is_here_is_offered(monkeypatch):
    monkeypatch.delenv(ASKED, raising=False)
    monkeypatch.setattr(diffface_network, "available", lambda: ())
    assert choices() == (GEOMETRIC,) and [knob.name for knob in IpmnParams.knobs()] == ["mask"]
    monkeypatch.setattr(diffface_network, "available", lambda: ("diffface-small",))
    assert choices() == (GEOMETRIC, DIFFFACE) and [knob.name for knob in IpmnParams.knobs()] == ["mask", "steps"]
    monkeypatch.setenv(ASKED, "swapper.onnx")
    assert choices() == (GEOMETRIC, DIFFFACE, SWAPPER)


def test_what_is_not_here_says_how_to_get_it(photo, other, monkeypatch):
    monkeypatch.delenv(ASKED, raising=False)
    monkeypatch.setattr(diffface_network, "available", lambda: ())
    for name, words in ((DIFFFACE, "engines.train.diffface"), (SWAPPER, "name its file by LARVATUS_SWAPPER")):
        with pytest.raises(MethodError, match=f"{name} is not on this computer: .*{words}.*choose Geometric swap"):
            next(masked(name, photo, other, 2, 0))
        with pytest.raises(MethodError):
            masking.cards(name)
    assert masking.cards(GEOMETRIC) == ()


def test_each_changes_the_face_and_leaves_the_rest(photo, other, diffface, negative):
    for name, pictures in ((GEOMETRIC, 1), (DIFFFACE, 3), (SWAPPER, 1)):
        found = list(masked(name, photo, other, 3, 0))
        assert len(found) == pictures
        for one in found:
            assert one.shape == photo.shape
            torch.testing.assert_close(one * 255, (one * 255).round(), atol=1e-3, rtol=0)
        changed = (found[-1] - photo).abs().amax((0, 1)) > 1.01 / 255
        assert not changed[:4].any() and not changed[-2:].any(), name
        assert changed[80:120, 65:95].float().mean() > 0.8, name


def test_diffface_draws_by_the_seed(photo, other, diffface):
    one, same, different = ([*masked(DIFFFACE, photo, other, 2, seed)][-1] for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, different)


def test_ipmn_shows_the_denoising_and_names_the_network(photo, other, diffface, hider):
    work = run(Ipmn(), photo, {"mask": DIFFFACE, "steps": 3}, Scene(targets=other, watermark=WORDS))
    notes = [(shot.note, shot.step, shot.steps) for shot in work]
    assert notes == [*(("Mask", k, 5) for k in (1, 2, 3)), ("Watermarked mask", 4, 5), ("Masked photo", 5, 5)]
    assert [made["id"] for made in work.provenance.networks] == ["ipmn", "mine"]


def test_a_swapper_s_file_is_in_the_provenance(photo, other, negative, hider):
    work = run(Ipmn(), photo, {"mask": SWAPPER}, Scene(targets=other, watermark=WORDS))
    assert [shot.note for shot in work] == ["Mask", "Watermarked mask", "Masked photo"]
    assert len(work.provenance.networks) == 2 and work.provenance.networks[1]["sha256"]


def test_a_wrong_wish_for_a_swapper_is_a_sentence(photo, other, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    two = blendswap(tmp_path / "two.onnx")
    for asked, words in (
        (f"{two}, cuts=ffhq", "knows recogniser, cut, values, not 'cuts'"),
        (f"{two}, cut=oval", "Nothing is known of 'oval'"),
        (str(inswapper(tmp_path / "one.onnx")), "name the recogniser"),
        (str(tmp_path / "missing.onnx"), "missing.onnx"),
    ):
        monkeypatch.setenv(ASKED, asked)
        with pytest.raises(CheckpointError, match=words):
            next(masked(SWAPPER, photo, other, 1, 0))
