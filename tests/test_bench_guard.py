"""The bench of ID-Guard on two faces, with forgers and generators of random weights: who is compared with what."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from app.bench import forger_limits, guard_scene, id_guard
from app.bench.guard_scene import INPAINTERS, Bench, Faces, repaired
from engines import manipulate
from engines.checkpoints import CheckpointError
from engines.face import CELEBA128, align
from engines.nets.id_guard import PerturbationGenerator
from engines.nets.parser import CLASSES
from engines.train import kept


@pytest.fixture
def bench(runtime, astronaut, hopper, guard, forgers, monkeypatch):
    shown = torch.full((2, 128, 128), CLASSES.index("skin"))
    shown[:, 60:70, 40:90] = CLASSES.index("nose")
    monkeypatch.setattr(guard_scene, "parts", lambda pixels: shown[: len(pixels)])
    people = (astronaut, hopper)
    pixels = torch.cat([align(one.photo.pixels, one.landmarks, CELEBA128).pixels for one in people])
    members = [manipulate.forger(id) for id in forgers]
    judge = runtime.recogniser(id_guard.JUDGE)
    return Bench(Faces("two", pixels, torch.zeros(2, 5)), members, judge, [runtime.recogniser("compact-edgenext")])


def test_the_unprotected_are_the_zero_of_every_column(bench):
    rows = list(id_guard.rows_of(bench, bench.cut_off(2), "unprotected", bench.faces.pixels, 0.1, 0))
    plain = [row for row in rows if row["change"] in ("none", id_guard.OFF)]
    assert [row["forger"] for row in plain] == ["stargan", "hisd", "mean"] * 2
    for row in plain:
        assert row["L2"] == 0 and row["ID sim"] == pytest.approx(1, abs=1e-5) and row["DSR"] == 0
    changed = [row for row in rows if row not in plain]
    assert {row["change"] for row in changed} == set(id_guard.CHANGES) and all(row["L2"] > 0 for row in changed)
    assert plain[-1]["seconds"] == 0.1 and 0 <= plain[0]["misled compact-edgenext"] <= 1


def test_only_the_first_faces_meet_changes(bench):
    def rows(scene):
        pixels = scene.faces.pixels.flip(-1)
        found = list(id_guard.rows_of(scene, scene.cut_off(1), "mirrored", pixels, 0.1, 0))
        return {(row["change"], row["forger"]): row["L2"] for row in found}

    first = Faces("one", bench.faces.pixels[:1], bench.faces.labels[:1])
    both, one = rows(bench), rows(Bench(first, bench.forgers, bench.judge, bench.others))
    for place, value in both.items():
        assert (value == pytest.approx(one[place], abs=1e-6)) == (place[0] != "none"), place


def test_faces_cut_half_a_pixel_off_are_the_mean_of_four_neighbours(bench):
    pixels, moved = bench.faces.pixels, bench.cut_off(2).faces.pixels
    mean = (pixels[..., :-1, :-1] + pixels[..., 1:, :-1] + pixels[..., :-1, 1:] + pixels[..., 1:, 1:]) / 4
    assert (moved[..., :-1, :-1] - mean).abs().max() <= 0.5 / 255 + 1e-6


def test_every_face_gets_the_next_edit(bench):
    asked = []
    forger = bench.forgers[0]
    real = forger.forge
    forger.forge = lambda pixels, edit, labels: asked.append((edit, len(pixels))) or real(pixels, edit, labels)
    bench.forged(forger, bench.faces.pixels)
    assert asked == [(edit, 1) for edit in forger.edits[:2]]


def test_protections_stay_in_the_ball(bench):
    ways = guard_scene.protections()
    assert list(ways) == ["unprotected", "Disrupting", "ID-Guard (S-I)", "ID-Guard (S-II)", "ID-Guard (P-Pert)"]
    for name, protect in ways.items():
        moved = (bench.protected(protect) - bench.faces.pixels).abs().max()
        assert moved <= 0.025 + 0.5 / 255 + 1e-6 and (moved > 0.004) == (name != "unprotected")


def test_baselines_are_read_from_their_trainings(bench, tmp_path):
    torch.manual_seed(0)
    for name in ("PG", "IAP"):
        kept.write(tmp_path / name, {}, PerturbationGenerator(128, 4, 1).state_dict(), {"done": 5, "seconds": 1})
    with pytest.raises(CheckpointError, match="no whole training in CMUA"):
        guard_scene.protections(tmp_path)
    mark = torch.full((1, 3, 128, 128), 0.04)
    kept.write(tmp_path / "CMUA", {}, {"prior": mark}, {"done": 5, "seconds": 1})
    ways = guard_scene.protections(tmp_path)
    assert list(ways)[2:5] == ["PG", "IAP", "CMUA"]
    pixels = bench.faces.pixels
    assert torch.allclose(bench.protected(ways["CMUA"]), (pixels + 0.02).clamp(0, 1), atol=0.51 / 255)
    assert (bench.protected(ways["PG"]) - pixels).abs().max() <= 0.025 + 0.5 / 255 + 1e-6


@pytest.mark.parametrize("inpaint", INPAINTERS.values())
def test_inpainting_fills_the_hole_and_nothing_else(inpaint):
    picture = torch.from_numpy(np.linspace(0, 1, 32)[None, None, None].repeat(3, 1).repeat(32, 2)).float()
    hole = torch.zeros(1, 1, 32, 32)
    hole[..., 12:18, 12:18] = 1
    damaged = torch.where(hole.bool(), torch.ones_like(picture), picture)
    done = repaired(damaged, hole, inpaint)
    outside = ~hole.bool().expand_as(done)
    assert torch.equal(done[outside], ((picture * 255).round() / 255)[outside])
    assert (done - picture).abs().max() < 0.1 < (damaged - picture).abs().max()


def test_an_unknown_method_is_named(guard, forgers):
    class Args:
        only, baselines = ["ID-Guard (S-9)"], None

    with pytest.raises(ValueError, match="choose from unprotected, Disrupting"):
        id_guard._run(Args())


def test_limits_are_reached_inside_the_ball_and_the_parts_make_the_whole(bench, monkeypatch):
    monkeypatch.setattr(forger_limits, "parts", lambda pixels: torch.full((2, 128, 128), CLASSES.index("skin")))
    attack = forger_limits.Attack(2 * bench.faces.pixels - 1, bench.faces.labels, bench.judge, 2, 0)
    rows = list(forger_limits.rows_of(attack, ("stargan", "hisd"), 1))
    assert [row["forger"] for row in rows] == ["stargan", "hisd"] and rows[0]["edit"] == bench.forgers[0].edits[0]
    for row in rows:
        assert 0 < row["least"] <= row["L2"] and 0 <= row["DSR"] <= 1 and 0 < row["coarse share"] < 1
    delta = torch.rand(1, 3, 16, 16) - 0.5
    fine = delta - forger_limits.coarse(delta)
    assert torch.allclose(fine + forger_limits.coarse(delta), delta)
    flat = torch.full((1, 3, 16, 16), 0.3)
    assert torch.allclose(forger_limits.coarse(flat), flat), "a tint is coarse altogether"
    again = list(forger_limits.rows_of(attack, ("stargan",), 1))
    assert again == rows[:1], "the same seed, the same attack"
