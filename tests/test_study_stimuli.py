"""Pictures from folders and ZIPs that nobody trusts."""

from __future__ import annotations

import io
import json
import re
import struct
import zipfile

import numpy as np
import pytest
from PIL import Image

from app.photo import load
from app.study import archive, manifest, stimuli
from app.study.anchors import ANCHORS
from app.study.canonical import sha256
from app.study.errors import StudyError
from app.study.incoming import Incoming, condition_of
from app.study.store import Store

HEADER = "file,photo,role,method,parameters,measure_ssim\n"
ROWS = HEADER + 'a.png,ann,reference,,,\nb.jpg,ann,test,tip-im,"{""gamma"": 0.5, ""epsilon"": 8}",0.91\n'


def picture(kind="PNG", size=(64, 48), seed=0):
    smooth = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(smooth).resize(size, Image.Resampling.BICUBIC).save(file, kind)
    return file.getvalue()


def files(**change):
    usual = {"manifest.csv": ROWS.encode(), "a.png": picture(), "b.jpg": picture("JPEG")}
    return {name: data for name, data in {**usual, **change}.items() if data is not None}


def packed(members, **options):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, **options) as made:
        for name, data in members.items():
            made.writestr(name, data)
    return file.getvalue()


def written(folder, members):
    for name, data in members.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def refusal(members):
    with pytest.raises(StudyError) as caught:
        stimuli.import_zip(members if isinstance(members, bytes) else packed(members))
    said = str(caught.value)
    assert said.endswith(".") and "\n" not in said and "Traceback" not in said
    return said


def test_a_zip_and_a_folder_give_the_same_pictures(tmp_path):
    found = stimuli.import_zip(packed(files()))
    again = stimuli.import_folder(written(tmp_path / "study", files()))
    sent = stimuli.import_files({f"study/{name}": data for name, data in files().items()})
    assert [one.sha256 for one in sent] == [one.sha256 for one in found]
    assert [(one.sha256, one.condition) for one in found] == [(one.sha256, one.condition) for one in again]
    roles = {one.condition: one.source.role for one in found}
    assert roles == {"reference": "reference", **dict.fromkeys(map("anchor: {}".format, ANCHORS), "anchor"),
                     "tip-im, epsilon 8, gamma 0.5": "test"}  # fmt: skip
    test = next(one for one in found if one.source.role == "test")
    assert test.source.measures == {"ssim": 0.91} and test.source.parameters == {"gamma": 0.5, "epsilon": 8}
    provenance = test.source.provenance
    assert provenance["file_sha256"] == sha256(files()["b.jpg"]) and provenance["format"] == "JPEG"
    for one in found:
        assert (one.width, one.height) == (64, 48) and sha256(one.png) == one.sha256
        assert (load(one.png).width, load(one.png).source_format) == (64, "PNG")
    assert len({one.sha256 for one in found}) == len(found)


def test_it_goes_into_a_store_once(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/a.sqlite")
    study = store.create({"title": "T", "protocol": "detection", "trials": 1, "repeats": 0}).id
    store.add(study, stimuli.import_zip(packed(files())))
    digest = store.open(study)
    row = next(one for one in store.stimuli(study) if one.role == "test")
    assert row.person == "ann" and row.provenance["file"] == "b.jpg" and len(digest) == 64
    assert store.next_trial(store.enrol(study, "1").rater).first.width == 64
    store.close_database()


def test_json_manifests_folders_in_zips_and_the_column_reference():
    rows = [
        {"file": "b.jpg", "photo": "ann", "method": "dip", "reference": "a.png", "measures": {"psnr": 31}},
        {"file": "c.png", "photo": "ann", "condition": "mine", "reference": "a.png", "person": "Ann"},
    ]
    pictures = {"set/a.png": picture(), "set/b.jpg": picture("JPEG"), "set/c.png": picture(seed=2)}
    clutter = {"__MACOSX/set/._a.png": b"?", "set/.DS_Store": b"?"}
    for whole in (rows, {"stimuli": rows}):
        members = {"set/manifest.json": json.dumps(whole).encode(), **pictures, **clutter}
        found = stimuli.import_zip(packed(members), anchors=())
        assert [one.condition for one in found] == ["dip", "reference", "mine"]
        assert found[0].source.measures == {"psnr": 31}


def test_other_ways_to_write_csv():
    for written_as in ("\ufeff" + ROWS, ROWS.replace("\n", "\r\n")):
        assert len(stimuli.import_zip(packed(files(**{"manifest.csv": written_as.encode()})), ())) == 2
    semicolons = "file;photo;role;method\na.png;ann;reference;\nb.jpg;ann;test;dip\n"
    assert len(stimuli.import_zip(packed(files(**{"manifest.csv": semicolons.encode()})), ())) == 2


@pytest.mark.parametrize("change, said", [
    ({"manifest.csv": None}, "no manifest"),
    ({"manifest.json": b"[]"}, "several manifests"),
    ({"manifest.csv": HEADER.encode()}, "no pictures"),
    ({"manifest.csv": b"\xff\xfe\x00"}, "UTF-8"),
    ({"manifest.csv": ROWS.replace("measure_ssim", "ssim").encode()}, "unknown column “ssim”"),
    ({"manifest.csv": ROWS.encode() + b"c.png,ann\n"}, "cells"),
    ({"manifest.csv": ROWS.encode() + b'c.png,"ann\n'}, "quotation|cells"),
    ({"manifest.csv": ROWS.replace("0.91", "high").encode()}, "no number"),
    ({"manifest.csv": ROWS.replace("0.91", "nan").encode()}, "finite"),
    ({"manifest.csv": ROWS.replace('"{""gamma"": 0.5, ""epsilon"": 8}"', "8").encode()}, "JSON object"),
    ({"manifest.csv": ROWS.replace(",reference,", ",boss,").encode()}, "no role"),
    ({"manifest.csv": ROWS.replace("b.jpg,ann", "b.jpg,").encode()}, "which photo"),
    ({"manifest.csv": ROWS.replace("b.jpg,ann", ",ann").encode()}, "names no file"),
    ({"manifest.csv": ROWS.replace("tip-im", "").encode()}, "no method"),
    ({"b.jpg": None}, "not there"),
    ({"b.jpg": b"<html></html>"}, "cannot be used"),
    ({"b.jpg": picture("GIF")}, "a GIF"),
    ({"b.jpg": picture("JPEG")[:200]}, "damaged"),
    ({"b.jpg": b""}, "empty"),
    ({"b.jpg": picture("JPEG", (5000, 40))}, "at most 4096"),
    ({"manifest.csv": ROWS.replace("b.jpg", "../b.jpg").encode()}, "out of the folder"),
    ({"manifest.csv": ROWS.replace("b.jpg", "/etc/passwd").encode()}, "out of the folder"),
    ({"manifest.csv": ROWS.replace("b.jpg", "C:\\b.jpg").encode()}, "out of the folder"),
    ({"../b.jpg": b"x"}, "out of the folder"),
    ({"/b.jpg": b"x"}, "out of the folder"),
])  # fmt: skip
def test_each_fault_has_its_sentence(change, said):
    assert re.search(said, refusal(files(**change)))


@pytest.mark.parametrize("written_as, said", [
    ("{", "read as JSON"), ("[1]", "list of objects"), ("{}", "list of objects"), ("[" * 100_000, "read as JSON"),
])  # fmt: skip
def test_faults_of_json_manifests(written_as, said):
    assert said in refusal({"manifest.json": written_as.encode()})


def test_bombs_are_refused_before_they_are_unpacked(monkeypatch):
    assert "far more than pictures" in refusal(files(**{"bomb.png": bytes(20 * 1024**2)}))
    assert "larger than 25 MB" in refusal(files(**{"bomb.png": bytes(26 * 1024**2)}))
    monkeypatch.setattr(archive, "MOST_BYTES", 1000)
    assert "far more than pictures" in refusal(files())
    monkeypatch.setattr(archive, "MOST_FILES", 2)
    monkeypatch.setattr(archive, "MOST_BYTES", 10**9)
    assert "more than 2 files" in refusal(files())
    monkeypatch.setattr(archive, "MOST_ZIP_BYTES", 10)
    assert "ZIP file is larger" in refusal(files())


def test_a_zip_that_lies_about_sizes_is_stopped_at_the_limit(monkeypatch):
    """The directory claims a few bytes; what comes out is bounded all the same."""
    monkeypatch.setattr(archive, "MOST_BYTES_EACH", 100_000)
    noise = np.random.default_rng(0).bytes(300_000)
    whole = bytearray(packed({"manifest.csv": ROWS.encode(), "a.png": picture(), "b.jpg": noise}))
    for mark, at in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        place = whole.rfind(mark) if mark == b"PK\x01\x02" else whole.rfind(mark, 0, whole.find(b"PK\x01\x02"))
        assert struct.unpack_from("<I", whole, place + at)[0] == len(noise)
        struct.pack_into("<I", whole, place + at, 50)
    assert "damaged" in refusal(bytes(whole)) or "25 MB" in refusal(bytes(whole))


def test_locked_linked_doubled_and_broken_zips():
    assert "not a ZIP" in refusal(b"hello")
    assert "not a ZIP" in refusal(packed(files())[:-30])
    locked = bytearray(packed(files()))
    locked[locked.find(b"PK\x01\x02") + 8] |= 1
    assert "password" in refusal(bytes(locked))
    link = zipfile.ZipInfo("b.jpg")
    link.external_attr = 0o120777 << 16
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr(link, "/etc/passwd")
    assert "a link" in refusal(file.getvalue())
    damaged = bytearray(packed(files()))
    at = damaged.find(b"b.jpg") + 60
    damaged[at : at + 20] = bytes(20)
    assert "damaged" in refusal(bytes(damaged))
    with pytest.warns(UserWarning):
        twice = io.BytesIO()
        with zipfile.ZipFile(twice, "w") as made:
            made.writestr("a.png", b"1")
            made.writestr("a.png", b"2")
    assert "twice" in refusal(twice.getvalue())


def test_zips_that_a_fuzzer_made_up():
    """A local header before the file's start, a file without a name, a name that breaks the line."""
    moved = bytearray(packed(files()))
    end = moved.rfind(b"PK\5\6")
    moved[end + 16 : end + 20] = (int.from_bytes(moved[end + 16 : end + 20], "little") + 24).to_bytes(4, "little")
    assert "damaged" in refusal(bytes(moved)) or "not a ZIP" in refusal(bytes(moved))
    nameless = bytearray(packed({"a.png": b"x"}))
    at = nameless.find(b"PK\1\2") + 28
    nameless[at : at + 6] = b"\0\0\0\0\5\0"  # the five letters of the name count as a comment
    assert "without a name" in refusal(bytes(nameless))
    assert "cannot be shown" in refusal(packed({"a\nb.png": b"x"}))


def test_folders_that_reach_outside(tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(picture())
    folder = written(tmp_path / "study", files())
    (folder / "b.jpg").unlink()
    (folder / "b.jpg").symlink_to(secret)
    with pytest.raises(StudyError, match="link out of the folder"):
        stimuli.import_folder(folder)
    with pytest.raises(StudyError, match="no folder"):
        stimuli.import_folder(tmp_path / "none")
    with pytest.raises(StudyError, match="leads out of the folder"):
        stimuli.import_files({"../manifest.csv": b"file,photo"})
    with pytest.raises(StudyError, match="is not in the folder"):
        stimuli.import_files({"manifest.csv": b"file,photo,role\na.png,ann,reference\n"})
    with pytest.raises(StudyError, match="no file"):
        stimuli.import_zip(tmp_path / "none.zip")


def test_a_manifest_has_bounds(monkeypatch):
    monkeypatch.setattr(manifest, "MOST_ROWS", 1)
    assert "more than 1 rows" in refusal(files())
    monkeypatch.setattr(manifest, "MOST_BYTES", 10)
    assert "manifest is larger" in refusal(files())


@pytest.mark.parametrize("kind", ANCHORS)
def test_anchors_are_bad_and_always_the_same(kind):
    pixels = np.asarray(Image.open(io.BytesIO(picture(size=(160, 120)))))
    noisy = np.clip(pixels.astype(int) + np.random.default_rng(1).integers(-40, 41, pixels.shape), 0, 255)
    noisy = noisy.astype(np.uint8)
    bad = ANCHORS[kind](noisy)
    assert bad.shape == noisy.shape and bad.dtype == np.uint8 and (bad == ANCHORS[kind](noisy)).all()
    error = ((bad.astype(float) - noisy) ** 2).mean()
    assert 10 * np.log10(255**2 / error) < 22  # dB: nobody overlooks that
    with pytest.raises(StudyError, match="no anchor"):
        stimuli.import_zip(packed(files()), anchors=("ugly",))


def test_conditions_are_named_after_method_and_parameters():
    assert condition_of("tip-im", {"gamma": 0.5, "epsilon": 8}) == "tip-im, epsilon 8, gamma 0.5"
    assert Incoming(b"", "p", method="dip").label == "dip"
    for change in ({"measures": {"ssim": float("inf")}}, {"parameters": {"a": object()}}, {"photo": "a\nb"}):
        with pytest.raises(StudyError):
            Incoming(b"", **{"photo": "p", "method": "m", **change})
