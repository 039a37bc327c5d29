"""What a spec may say, where its photos come from, who plays which part; every mistake is one sentence."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from bench_runs import LABELS, portrait

from app.bench.run.cast import cast
from app.bench.run.distortions import canonical, distortion
from app.bench.run.sources import Row, labelled, open_source
from app.bench.run.spec import Photos, SpecError, load, read

PHOTOS = {"photos": {"folder": "photos"}}
MISTAKES = {
    "unknown key": ({"photo": {}}, "unknown key `photo`: choose from title, photos"),
    "unknown inner key": (
        {"photos": {"folder": "a", "limits": 3}},
        "unknown key `photos.limits`: choose from folder",
    ),
    "missing": ({}, "lacks the key `photos`"),
    "no source": ({"photos": {}}, "`photos` .*give exactly one of folder, parquet and dataset"),
    "two sources": ({"photos": {"folder": "a", "parquet": "b"}}, "give exactly one of"),
    "not a number": ({"photos": {"folder": "a", "limit": "many"}}, "`photos.limit` .*integer"),
    "too small": ({"photos": {"folder": "a", "limit": 0}}, "`photos.limit` .*greater than or equal to 1"),
    "far": (PHOTOS | {"far": 0.5}, "`far` .*known at 0.01 and 0.001: choose"),
    "person": (PHOTOS | {"against": "another photo"}, "against needs `photos.person`"),
    "gallery": (PHOTOS | {"gallery": {}}, "needs `photos.person`"),
    "nothing to do": (PHOTOS | {"unprotected": False}, r"add a \[\[methods\]\] table"),
    "method's id": (PHOTOS | {"methods": [{"params": {}}]}, "lacks the key `methods.0.id`"),
}


@pytest.mark.parametrize("given, says", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_sentence_that_names_the_key(given, says):
    with pytest.raises(SpecError, match=says) as error:
        read(given, "bench.toml")
    assert str(error.value).count("\n") == 0 and str(error.value).endswith(".")


def test_a_file_that_is_missing_or_no_toml(tmp_path):
    with pytest.raises(SpecError, match="no text file nothing.toml"):
        load(tmp_path / "nothing.toml")
    (tmp_path / "bad.toml").write_text("photos = [")
    with pytest.raises(SpecError, match="bad.toml is not TOML"):
        load(tmp_path / "bad.toml")


def test_the_spec_of_the_documentation_can_be_read():
    text = (Path(__file__).resolve().parents[1] / "docs" / "bench.md").read_text()
    spec = read(tomllib.loads(text.split("```toml\n")[1].split("```")[0]))
    assert spec.photos.limit == 100 and [grid.id for grid in spec.methods] == ["tip-im", "mt-dim", "dip-watermark"]


def test_paths_are_those_beside_the_spec(tmp_path):
    (tmp_path / "spec.toml").write_text('[photos]\nparquet = "faces-*.parquet"\n[targets]\nfiles = ["t.png"]\n')
    spec = load(tmp_path / "spec.toml")
    assert spec.photos.parquet == str(tmp_path / "faces-*.parquet")
    assert spec.targets.files == (tmp_path / "t.png",)


def test_a_folder_with_labels(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("b.png", "a.png", "sub/c.jpg"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "labels.csv").write_text(LABELS)
    source = open_source(Photos(folder=tmp_path, labels=("tint", "folder"), person="who"))
    assert [row.name for row in source.rows] == ["a.png", "b.png", "sub/c.jpg"]
    assert source.rows[1].labels == {"tint": "dark", "folder": "", "who": "Collins"}
    assert source.rows[2].labels == {"tint": None, "folder": "sub", "who": None}
    assert source.read(2) == b"sub/c.jpg"
    with pytest.raises(SpecError, match="no column 'age': choose from file, folder, tint, who"):
        open_source(Photos(folder=tmp_path, labels=("age",)))
    everything = labelled(Photos(folder=tmp_path, labels=("*",), person="who"))
    assert everything.labels == ("tint", "folder") and labelled(Photos(folder=tmp_path)).labels == ()
    with pytest.raises(SpecError, match="no photo in"):
        (tmp_path / "none").mkdir()
        open_source(Photos(folder=tmp_path / "none"))


def test_a_column_of_numbers_is_one_but_who_it_is_never(tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.png").write_bytes(b"")
    table = "file,age,height,who,note\na.png,31,1.5,7,nan\nb.png,,2,8,3\nc.png,44,,9,4\n"
    (tmp_path / "labels.csv").write_text(table)
    rows = open_source(Photos(folder=tmp_path, labels=("age", "height", "note"), person="who")).rows
    assert [row.labels["age"] for row in rows] == [31, None, 44] and isinstance(rows[0].labels["age"], int)
    assert [row.labels["height"] for row in rows] == [1.5, 2, None]
    assert [row.labels["who"] for row in rows] == ["7", "8", "9"]
    assert [row.labels["note"] for row in rows] == ["nan", "3", "4"]


@pytest.fixture
def shards(tmp_path):
    """Two Parquet files in the project's own layout, several row groups each."""
    for shard in range(2):
        names = [f"{shard}-{i}.jpg" for i in range(5)]
        images = [{"bytes": name.encode(), "path": name} for name in names]
        images[-1] = {"bytes": None, "path": None}
        columns = {"file": names, "image": images, "Male": [i % 2 == 0 for i in range(5)], "age": range(5)}
        parquet.write_table(pa.table(columns), tmp_path / f"faces-{shard}.parquet", row_group_size=2)
    return str(tmp_path / "faces-*.parquet")


def test_parquet_with_pictures_inside(shards, tmp_path):
    source = open_source(Photos(parquet=shards, labels=("Male", "age")))
    assert len(source.rows) == 10 and source.rows[7] == Row("1-2.jpg", {"Male": True, "age": 2})
    assert [source.read(i) for i in (0, 3, 8, 5)] == [b"0-0.jpg", b"0-3.jpg", b"1-3.jpg", b"1-0.jpg"]
    assert source.read(4) == b""  # an empty cell fails as a photo, not as a run
    assert labelled(Photos(parquet=shards, labels=("*",))).labels == ("Male", "age")
    with pytest.raises(SpecError, match="column Male holds no files"):
        open_source(Photos(parquet=shards, image="Male"))
    with pytest.raises(SpecError, match="no Parquet file nothing"):
        open_source(Photos(parquet=str(tmp_path / "nothing.parquet")))


def test_a_dataset_needs_its_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(SpecError, match="needs the library datasets: pip install -r requirements-cluster.txt"):
        open_source(Photos(dataset="faces"))


def test_a_dataset_on_the_disk(tmp_path):
    import datasets

    made = datasets.Dataset.from_dict({"image": [portrait(255, 64), portrait(99, 64)], "age": [30, 40]})
    made.cast_column("image", datasets.Image()).save_to_disk(tmp_path / "faces")
    source = open_source(Photos(dataset=str(tmp_path / "faces"), labels=("age",)))
    assert source.rows[1] == Row("row 1", {"age": 40}) and source.read(1) == portrait(99, 64)
    assert labelled(Photos(dataset=str(tmp_path / "faces"), labels=("*",))).labels == ("age",)


PEOPLE = [Row(f"{name}{i}", {"who": name}) for name in "abcdefgh" for i in range(3)]


def spec(**more):
    photos = {"folder": "x", "person": "who", "per_person": 1, "shuffle": 1, **more.pop("photos", {})}
    return read({"photos": photos, **more})


def test_the_parts_are_drawn_and_do_not_overlap():
    asked = spec(photos={"limit": 3}, targets={"people": 2}, gallery={"distractors": 2})
    parts = cast(asked, PEOPLE)
    who = [PEOPLE[i].labels["who"] for i in range(len(PEOPLE))]
    probes, targets = {who[i] for i in parts.probes}, {who[i] for i in parts.targets}
    assert len(probes) == 3 and len(targets) == 2 and not probes & targets
    assert not set(parts.gallery) & {*parts.probes, *parts.targets}
    assert len(parts.gallery) == 2 * (3 + 2) + 2  # the others of five people, and one of each distractor
    assert parts == cast(asked, PEOPLE) != cast(spec(photos={"limit": 3, "shuffle": 2}), PEOPLE)


def test_another_photo_of_the_same_person():
    parts = cast(spec(against="another photo"), PEOPLE)
    assert len(parts.probes) == 8
    assert all(PEOPLE[i].labels == PEOPLE[j].labels and i != j for i, j in parts.references.items())


def test_too_few_people():
    with pytest.raises(SpecError, match="`targets.people` is 9, but only 8"):
        cast(spec(targets={"people": 9}), PEOPLE)
    with pytest.raises(SpecError, match="`gallery.distractors` is 1, but only 0"):
        cast(spec(gallery={"distractors": 1}), PEOPLE)


@pytest.mark.parametrize(
    "text, id",
    [("jpeg30", "jpeg30"), ("noise 0.0030", "noise0.003"), ("resize-half", "resize0.5"), ("none", "none")],
)
def test_distortions_by_name_and_strength(text, id):
    assert canonical(text) == id


@pytest.mark.parametrize("text", ["jpeg", "jpeg30.5", "blur4", "crop1.5", "smudge3", "noise..3"])
def test_a_distortion_that_is_none(text):
    with pytest.raises(SpecError):
        canonical(text)


def test_every_survival_distortion_is_the_same_here(astronaut):
    from engines.distort import SURVIVAL

    pixels = astronaut.photo.pixels[..., 100:164, 150:214]
    for known in SURVIVAL:
        assert (distortion(known.id).apply(pixels) == known.apply(pixels)).all(), known.id
    for id in ("median5", "rotate30", "crop0.875"):
        assert distortion(id).apply(pixels).shape == pixels.shape
