"""The race of PGD and MIM against other libraries: that all three run for the same thing."""

from __future__ import annotations

import builtins

import pytest
import torch

from app.bench import attack_speed
from app.bench.attack_speed import EPSILON, Verifier, raced, scene
from engines.face import ARCFACE112, align
from tests.conftest import tiny


@pytest.fixture
def faces(astronaut, hopper):
    return torch.cat([align(one.photo.pixels, one.landmarks, ARCFACE112).pixels for one in (astronaut, hopper)])


def test_a_classifiers_gradient_leads_the_way_of_the_identity_loss(faces):
    """To the sign, pixel by pixel: what PGD and MIM of a classifier follow."""
    problem, net = scene(faces, faces[1:] * 0.8, tiny(), 0.0)
    pixels = (faces + 0.01).clamp(0, 1).requires_grad_()
    (ours,) = torch.autograd.grad(problem.loss(problem.embed(pixels)).sum(), pixels)
    labels = torch.ones(len(pixels), dtype=torch.long)
    (theirs,) = torch.autograd.grad(torch.nn.functional.cross_entropy(net(pixels), labels, reduction="sum"), pixels)
    clear = ours.abs() > 1e-6 * ours.abs().max()
    assert clear.float().mean() > 0.5 and torch.equal(ours.sign()[clear], theirs.sign()[clear])


def test_the_target_wins_by_its_cosine():
    own, target = torch.eye(4)[:2], torch.eye(4)[2]
    net = Verifier(lambda pixels: pixels, own, target)
    assert net(own).tolist() == [[1.0, 0.0], [1.0, 0.0]]
    assert net(target[None].repeat(2, 1)).argmax(1).tolist() == [1, 1]


def test_a_race_counts_every_face_and_warms_everybody_up(faces, monkeypatch):
    ran: list[tuple[str, int]] = []

    def runner(way):
        def attack(pixels):
            ran.append((way, len(pixels)))
            return (pixels - EPSILON).clamp(0, 1)

        return attack

    monkeypatch.setattr(attack_speed, "ours", lambda problem, pixels: runner("ours")(pixels))
    monkeypatch.setattr(attack_speed, "_libraries", lambda name, net: {"a": runner("a"), "b": runner("b")})
    row = raced("PGD", faces.split(1), faces[1:] * 0.8, tiny())
    assert [way for way, _ in ran] == ["ours", "a", "b", "a", "b", "ours", "b", "ours", "a"]
    assert row["a loss differs"] == row["b loss differs"] == 0 and row["a / ours, time"] > 0
    assert row["ours s a face"] > 0 and row["ours loss"] == row["b loss"]


def test_a_library_that_is_missing_says_how_to_get_it(faces, monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **named):
        if name == "torchattacks":
            raise ModuleNotFoundError(name=name)
        return real(name, *rest, **named)

    monkeypatch.setattr(attack_speed.importlib, "import_module", without)
    with pytest.raises(SystemExit, match="torchattacks is not installed. Run: pip install --no-deps"):
        raced("PGD", faces.split(2), faces[1:] * 0.8, tiny())


@pytest.mark.parametrize("name", ["PGD", "MIM"])
def test_the_libraries_end_at_our_loss(faces, name, monkeypatch):
    pytest.importorskip("torchattacks", reason=f"Only where it is installed: {attack_speed.NEEDED}")
    pytest.importorskip("foolbox", reason=f"Only where it is installed: {attack_speed.NEEDED}")
    monkeypatch.setattr(attack_speed, "STEPS", 5)
    row = raced(name, faces.split(2), faces[1:] * 0.8, tiny())
    assert row["torchattacks loss differs"] < 0.01 and row["foolbox loss differs"] < 0.01
