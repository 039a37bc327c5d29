"""The bench of ErasableMask on two faces, with networks of random weights: who is compared with what."""

from __future__ import annotations

import pytest
import torch

from app import gallery
from app.bench import erasable_mask, mask_scene
from app.bench.fid import distance, inception
from app.bench.mask_scene import CHANGES, Bench, Faces
from app.bench.pixels import processed
from engines.face import CELEBA128, align
from engines.nets.erasable_mask import ATTRIBUTES
from engines.train import kept
from engines.train.adv_faces import AdvFaces
from engines.train.datasets import DataError


@pytest.fixture
def bench(runtime, astronaut, hopper, mask, monkeypatch):
    class Blind(torch.nn.Module):
        def forward(self, pixels):
            return pixels.mean((1, 2, 3))[:, None].expand(-1, 40)

    monkeypatch.setattr(mask_scene, "masks", lambda id, device: mask)
    monkeypatch.setattr(mask_scene.manipulate, "classifier", lambda id: Blind())
    monkeypatch.setattr(mask_scene.manipulate, "attributes", lambda pixels: torch.zeros(len(pixels), 40))
    pixels = torch.cat([align(one.photo.pixels, one.landmarks, CELEBA128).pixels for one in (astronaut, hopper)])
    own = torch.zeros(2, len(ATTRIBUTES))
    own[0, 0] = 1
    judge = runtime.recogniser("compact-inception")
    limits = {"compact-inception": 0.1}
    return Bench(runtime, Faces(pixels, own, own.roll(1, 0)), gallery.HOPPER, [judge], limits)


def test_the_clean_are_themselves_and_hopper_is_the_target(bench):
    (first, *changed) = erasable_mask.rows_of(bench, "Clean", lambda pixels, own, wanted: pixels, bench.faces.pixels)
    assert first["ASR compact-inception"] == 0.5 and first["L1"] < 0.002 and first["SSIM"] > 0.99
    assert first["attributes"] == pytest.approx(1 - 1 / len(ATTRIBUTES) / 2), "seen as nothing: one of 26 is missed"
    assert first["changed attributes"] == 0.5, "one was to go, which it does here, and one to come"
    assert [row["change"] for row in changed] == list(CHANGES) and "ESR compact-inception" not in first
    assert bench.freed(bench.faces.pixels) == {"ESR compact-inception": 0.5, "known compact-inception": 1.0}


def test_only_the_mask_is_erased_and_every_way_makes_pictures(bench, runtime):
    ways = bench.ways([runtime.recogniser("compact-vgg")])
    assert list(ways)[:2] == ["Clean", "Attributes modified"] and list(ways)[-1] == erasable_mask.OURS
    edited = bench.each(ways["Attributes modified"])
    for name in ("FGSM", "PGD"):
        moved = (bench.each(ways[name]) - bench.faces.pixels).abs().max()
        assert 3 / 255 < moved <= 4 / 255 + 0.5 / 255 + 1e-6
    (first, *changed) = erasable_mask.rows_of(bench, erasable_mask.OURS, ways[erasable_mask.OURS], edited)
    assert {"ESR compact-inception", "known compact-inception", "erased SSIM"} <= set(first)
    assert all("ESR compact-inception" in row for row in changed)


def test_the_sweep_holds_each_pair_and_ends_at_the_edited_face(bench, monkeypatch):
    monkeypatch.setattr(erasable_mask, "BETAS", (0.5, 1.0))
    monkeypatch.setattr(erasable_mask, "GAMMAS", (0.0, 0.1))
    rows = erasable_mask.swept(bench)
    assert [(row["β"], row["γ"]) for row in rows] == [(0.5, 0.0), (0.5, 0.1), (1.0, 0.0), (1.0, 0.1)]
    assert rows[2]["SSIM"] > 0.9999 > rows[0]["SSIM"]
    figure = erasable_mask.surface(rows)
    assert len(figure.data) == 2 and figure.data[0].z[1][0] == rows[2]["ASR"]


def test_changes_keep_the_size_and_are_the_same_each_time(bench):
    for name, change in CHANGES.items():
        once, again = (processed(bench.faces.pixels, change) for _ in range(2))
        assert once.shape == bench.faces.pixels.shape and torch.equal(once, again), name
        assert not torch.equal(once, bench.faces.pixels), name


def test_fid_is_the_frechet_distance_of_features_and_needs_its_network(tmp_path):
    class Means(torch.nn.Module):
        num_features = 3

        def forward(self, pixels):
            return pixels.double().mean((2, 3)) / 255

    torch.manual_seed(0)
    real = torch.rand(60, 3, 4, 4)
    moved = (real + 0.25).clamp(0, 1)
    a, b = (((part * 255).round() / 255).double().mean((2, 3)) for part in (real, moved))
    spread = torch.linalg.eigvals(a.T.cov() @ b.T.cov()).sqrt().real.sum()
    expected = (a.mean(0) - b.mean(0)).square().sum() + a.T.cov().trace() + b.T.cov().trace() - 2 * spread
    found = distance(Means())
    assert found(moved, real) == pytest.approx(float(expected), rel=1e-4) and abs(found(real, real)) < 1e-6
    with pytest.raises(ValueError, match="pip install torch-fidelity|There is no file nowhere.pth"):
        inception(tmp_path / "nowhere.pth")


def test_adv_faces_is_a_row_where_a_training_is_given(bench, runtime, tmp_path):
    with pytest.raises(DataError, match="no training of AdvFaces"):
        bench.ways([runtime.recogniser("compact-vgg")], tmp_path)
    net = AdvFaces((4, 6, 8, 8))
    kept.write(tmp_path, {}, net.state_dict(), {"recipe": {"widths": (4, 6, 8, 8)}})
    made = bench.each(bench.ways([runtime.recogniser("compact-vgg")], tmp_path)["AdvFaces, in its style"])
    assert made.shape == bench.faces.pixels.shape and not torch.equal(made, bench.faces.pixels)
