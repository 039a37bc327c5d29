"""What makes an attack fast on a GPU leaves every verdict as it was; tried on the processor."""

from __future__ import annotations

import pytest
import torch

from engines import iterate, rough
from engines.face import retarget
from engines.method import Scene, run
from engines.methods import METHODS
from engines.nets.layout import channels_last
from engines.recognise import load

CPU, GPU = torch.device("cpu"), torch.device("cuda")
JUDGES = ("compact-vgg", "compact-edgenext")


def coarse(device):
    return torch.autocast(device.type, torch.bfloat16)


@pytest.fixture
def faces(astronaut, hopper):
    """Two people in PGD's template, (1, 3, S, S) each."""
    return tuple(person.crop(METHODS["pgd"]).pixels for person in (astronaut, hopper))


def protected(faces, member):
    """What PGD makes of the first face, led to the second."""
    return [*run(METHODS["pgd"], faces[0], {"steps": 6, "epsilon": 12.0}, Scene([member], faces[1]))][-1].pixels


@torch.no_grad()
def scores(pixels, faces, ids):
    """Cosines to one's own face and to the target's, a row a recogniser, less its thresholds at FAR 1 %."""
    rows = []
    for id in ids:
        member = load(id)
        row, own, target = (
            member.embed(retarget(p, METHODS["pgd"].template, member.template)) for p in (pixels, *faces)
        )
        rows.append([float((row * other).sum()) - member.thresholds[0.01] for other in (own, target)])
    return torch.tensor(rows)


def test_bfloat16_gradients_change_no_verdict(faces, monkeypatch):
    member = load("compact-ir-se")
    exact = protected(faces, member)
    monkeypatch.setattr(iterate, "autocast", coarse)
    rougher = protected(faces, member)
    assert not torch.equal(rougher, exact), "bfloat16 was used"
    ids = ("compact-ir-se", *JUDGES)
    before, one, other = (scores(pixels, faces, ids) for pixels in (faces[0], exact, rougher))
    assert torch.equal(one > 0, other > 0) and (one - other).abs().max() < 0.1, (one, other)
    assert not torch.equal(before > 0, one > 0), "the attack changes a verdict, so there is one to lose"


@pytest.mark.parametrize("id", ["sface", "dlib-resnet", "compact-ir-se", *JUDGES])
def test_channels_last_changes_no_verdict(faces, id):
    member = load(id)
    one = scores(faces[0], faces, [id])
    pixels = retarget(faces[0], METHODS["pgd"].template, member.template)
    row = member.embed(pixels)
    channels_last(member._net)
    assert torch.allclose(member.embed(pixels), row, atol=1e-5)
    assert abs(float(one.min())) > 1e-4, "so small a change decides nothing here"


def test_only_a_gpu_that_has_bfloat16_is_asked_for_it(monkeypatch):
    asked = []
    monkeypatch.setattr(rough.torch, "autocast", lambda kind, dtype, enabled: asked.append((kind, enabled)))
    for able in (True, False):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, able=able: able)
        rough.autocast(GPU)
    rough.autocast(CPU)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    monkeypatch.setenv("LARVATUS_BF16", "0")
    rough.autocast(GPU)
    assert asked == [("cuda", True), ("cuda", False), ("cpu", False), ("cuda", False)]


def test_a_compiled_attack_ends_where_the_plain_one_does(faces, monkeypatch):
    """By the backend "eager", which needs no compiler of the machine's own: what is compiled is the same."""
    member = load("compact-ir-se")
    plain = protected(faces, member)
    monkeypatch.setenv("LARVATUS_COMPILE", "eager")
    assert rough.embedder(member) != member.embed
    assert torch.equal(protected(faces, member), plain)
    torch.compiler.reset()
