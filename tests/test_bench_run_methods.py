"""What `bench run` measures beyond recognisers' scores: ranks, marks, erasing, restoring, forgeries."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from bench_runs import portrait, run
from PIL import Image

from app import gallery
from app.bench.run.spec import read


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def measured(tmp_path):
    """Rows of Eileen Collins, by a spec's keys."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(portrait(255))

    def measure(**more):
        given = {"photos": {"folder": "photos"}, "attacked": ["compact-vgg"], "held_out": ["compact-inception"]}
        table = run(read(given | {"unprotected": False} | more, folder=tmp_path), tmp_path / "out")
        rows = table.to_pandas()
        assert rows["reason"].isna().all(), rows["reason"].dropna().iloc[0]
        return rows.set_index(["distortion", "kind", "by"]).sort_index()

    return measure


def test_ranks_in_a_gallery_and_another_photo_to_compare_with(tmp_path):
    photos = tmp_path / "photos"
    for name in ("collins", "hopper"):
        (photos / name).mkdir(parents=True)
    (photos / "collins" / "1.png").write_bytes(portrait(255))
    (photos / "collins" / "2.png").write_bytes(portrait(160))
    hopper = Image.open(io.BytesIO(gallery.portrait(gallery.HOPPER))).resize((256, 300))
    hopper.save(photos / "hopper" / "1.png")
    hopper.point(lambda value: min(value, 160)).save(photos / "hopper" / "2.png")
    given = {"photos": {"folder": "photos", "person": "folder", "per_person": 1}, "against": "another photo"}
    given |= {"targets": {"people": 1}, "gallery": {}, "methods": [{"id": "fgsm"}]}
    given |= {"attacked": ["compact-vgg"], "held_out": ["compact-inception"]}
    rows = run(read(given, folder=tmp_path), tmp_path / "out").to_pandas()
    assert rows["photo_sha256"].nunique() == 1 and rows["reason"].isna().all()
    seen = rows[rows["kind"] == "recogniser"].set_index(["setting", "by"])
    bare = seen.loc["Unprotected"]
    assert set(bare["rank_self"]) == {1} and set(bare["rank_target"]) == {2}  # of the two photos that are left
    assert (bare["to_self"] < 0.9999).all() and bare["matches_self"].all()
    fooled = seen.loc[("FGSM", "compact-vgg")]
    assert fooled["to_target"] > bare.loc["compact-vgg", "to_target"]


def test_a_mark_is_read_from_the_file_and_after_a_distortion(measured):
    rows = measured(methods=[{"id": "dip-watermark"}], distortions=["noise0.02", "median15"])
    files = rows.xs("file", level="kind").droplevel("by")
    assert files.loc["none", "bits"] >= 0.95 and files.loc["none", "identity_read"]
    assert files.loc["noise0.02", "bits"] < files.loc["none", "bits"]
    gone = files.loc["median15"]
    assert not gone["found"] and np.isnan(gone["bits"]) and not gone["identity_read"]
    assert not rows.loc["median15", "recogniser", "compact-inception"]["matches_self"]
    assert set(rows.xs("compact-vgg", level="by")["role"]) == {"surrogate"}  # it was trained against that one


def test_a_mask_is_erased_and_scored_again(measured, mask):
    rows = measured(methods=[{"id": "erasable-mask"}], distortions=["jpeg50"])
    for change in ("none", "jpeg50"):
        seen = rows.loc[change, "recogniser", "compact-inception"]
        assert -1 <= seen["erased_to_self"] <= 1 and -1 <= seen["erased_to_target"] <= 1
        assert seen["erased_matches_target"] in (True, False)
        assert rows.loc[change, "file", ""]["restored_ssim"] <= 1


def test_a_hidden_face_comes_back_and_its_watermark_is_compared(measured, hider):
    rows = measured(methods=[{"id": "ipmn"}], targets={"names": ["Grace Hopper"]})
    file = rows.loc["none", "file", ""]
    assert file["restored_psnr"] > 5 and 0 <= file["nc_masked"] <= 1 and file["extracted_masked"] in (True, False)
    assert 0 <= file["nc_recovered"] <= 1


def test_forgers_make_each_of_their_edits(measured, forgers):
    edits = ["blond hair", "age", "glasses"]
    rows = measured(unprotected=True, forgers=list(forgers), edits=edits)
    made = rows.xs("forger", level="kind").reset_index()
    assert sorted(zip(made["by"], made["edit"], strict=True)) == [
        ("hisd", "blond hair"),
        ("hisd", "glasses"),
        ("stargan", "age"),
        ("stargan", "blond hair"),
    ]
    assert (made["l2_face"] == 0).all() and not made["defended"].any()  # the file is the photo
