"""`bench dip-watermark`: its rows on two faces, by hand where they can be, and the paper's published means."""

from __future__ import annotations

import argparse

import pytest
import torch

from app import gallery, weights_watermark
from app.bench import dip_scene
from app.bench import dip_watermark as bench
from app.bench.pixels import eight_bit, processed
from engines.checkpoints import CheckpointError
from engines.face import HEAD160, align
from engines.identity import encode
from engines.train.datasets import LfwFace


@pytest.fixture(scope="module")
def two(runtime):
    """The built-in portraits as LFW's windows of 160 pixels."""
    faces = []
    for name in (gallery.HOPPER, gallery.COLLINS):
        person = gallery.person(runtime, name)
        crop = align(person.photo.pixels, person.landmarks, HEAD160)
        points = person.landmarks @ crop.to_crop[:, :2].T + crop.to_crop[:, 2]
        pixels = (crop.pixels * 255).round().byte()
        faces.append(LfwFace(f"{name}.jpg", name, pixels, points))
    return tuple(faces)


@pytest.fixture(scope="module")
def found(two):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dip_scene, "sample", lambda folder, count, seed: two[:count])
        patch.setattr(bench, "lfw_faces", lambda folder: iter(two))
        return bench.tables("nowhere", 2, 0, ["compact-edgenext"], ["fgsm"], 2)


def test_the_rows_are_those_of_the_tables(found):
    rows = found["rows"]
    assert [row["method"] for row in rows if row["table"] == "2"] == [
        name for name in ("unmarked", "DIP-Watermark", "FGSM") for _ in range(2)
    ]
    changes = ["jpeg30", "resize-half", "blur3", "noise0.003", "file, detected again"]
    assert [row["change"] for row in rows if row["table"] == "4"] == changes * 2
    assert rows[-1] == {"table": "false positives", "method": "unmarked", "faces": 2, "found": 0}
    made = found["provenance"]
    assert made["faces"] == 2 and [card["id"] for card in made["checkpoints"]] == [
        "dip-watermark",
        "compact-edgenext",
    ]


def test_unmarked_faces_carry_nothing_and_are_themselves(found):
    row = next(row for row in found["rows"] if row["method"] == "unmarked" and row["judge"] == "mean")
    assert row["bits"] is None and row["dodging"] == 0 and row["SSIM"] == pytest.approx(1)


def test_marked_faces_are_read_and_led(found):
    rows = {
        row["change"]: row for row in found["rows"] if row["method"] == "DIP-Watermark" and row["judge"] == "mean"
    }
    unmarked = next(row for row in found["rows"] if row["method"] == "unmarked" and row["judge"] == "mean")
    assert rows["none"]["bits"] > 0.96 and rows["none"]["identities"] == 1 and rows["none"]["SSIM"] > 0.8
    assert rows["none"]["cos"] > unmarked["cos"] + 0.1
    assert rows["file, detected again"]["bits"] > 0.8  # small faces: 160 pixels hold the whole head
    assert rows["none"]["paper ASR"] == pytest.approx(0.538, abs=1e-3) and rows["jpeg30"]["paper bits"] > 0.97


def test_fgsm_is_as_visible_as_the_mark(found):
    means = {row["method"]: row for row in found["rows"] if row.get("judge") == "mean" and row["change"] == "none"}
    assert means["FGSM"]["SSIM"] == pytest.approx(means["DIP-Watermark"]["SSIM"], abs=0.02)
    assert means["FGSM"]["bits"] is None


def test_the_papers_figures_are_its_means():
    """Table 2, LFW: the mean of the black-box row is 0.54 (DIP-Watermark) and 0.44 (PGD)."""
    means = {name: bench.mean(row) for name, row in bench.PAPER_ASR.items()}
    assert means["DIP-Watermark"] == pytest.approx(0.5385) and means["PGD"] == pytest.approx(0.4403, abs=1e-4)
    assert all(len(row) == 6 for row in (*bench.PAPER_ASR.values(), *bench.PAPER_BITS.values()))


def test_bits_and_identities_are_counted_by_hand(two, monkeypatch):
    monkeypatch.setattr(dip_scene, "sample", lambda folder, count, seed: two)
    scene = bench.Bench("nowhere", 2, 0, [])
    assert [tuple(row.tolist()) for row in scene.bits] == [encode(n, bench.KEY) for n in scene.numbers]
    logits = scene.bits.float() * 2 - 1
    logits[1, :3] *= -1  # three misread bits: one too many for the code
    marked = bench.Marked("x", scene.pixels, lambda pixels: logits, 0.0)
    assert scene.read(marked, scene.pixels) == {"bits": pytest.approx(0.97), "identities": 0.5}
    eight = processed(scene.pixels, lambda photo: photo)
    assert torch.allclose(eight, eight_bit(scene.pixels), atol=1e-6)


def test_the_figures_of_the_card_are_the_rows(found):
    figures = weights_watermark.figures_of(found, "DIP-Watermark")
    mean = next(row for row in found["rows"] if row["method"] == "DIP-Watermark" and row["judge"] == "mean")
    assert figures["bits after"]["none"] == round(mean["bits"], 4) and figures["ASR"] == round(mean["ASR"], 4)
    assert figures["data"] == "LFW, 2 faces" and figures["false positives, of 2 unmarked faces"] == 0
    assert list(figures["bits after"]) == [
        "none",
        "jpeg30",
        "resize-half",
        "blur3",
        "noise0.003",
        "file, detected again",
    ]
    assert weights_watermark.figures_of(found, "HiDDeN") == {}


def test_a_baseline_whose_network_is_not_here_is_left_out_or_named_at_once(two, monkeypatch):
    asked = []
    monkeypatch.setattr(bench, "tables", lambda *args: asked.append(args[4]) or {"rows": []})
    monkeypatch.setattr(bench, "WATERMARKS", {**bench.WATERMARKS, "nobody": "Nobody"})
    parser = argparse.ArgumentParser()
    bench.add_parser(parser.add_subparsers())
    plain = parser.parse_args(["dip-watermark", "--data", "nowhere"])
    plain.func(plain)
    assert "nobody" not in asked[0] and {"pgd", "fgsm", "fake-tagger"} <= set(asked[0])
    named = parser.parse_args(["dip-watermark", "--data", "nowhere", "--only", "nobody"])
    with pytest.raises(CheckpointError, match="no checkpoint called 'nobody'"):
        named.func(named)
    assert len(asked) == 1
