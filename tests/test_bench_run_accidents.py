"""What may befall a run: its spec grows, the data cannot be read, it is stopped and the code changes. No network."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from bench_runs import run

from app.__main__ import main
from app.bench.run import command, session
from app.bench.run.loop import Inline
from app.bench.run.report import OTHER_CODE
from app.bench.run.session import prepare
from app.bench.run.sources import Folder, Parquet
from app.bench.run.spec import SpecError, read
from app.bench.run.store import ROWS
from app.bench.run.work import failed


class Quick:
    """A worker without models, whose figures hang on the key alone."""

    def __init__(self, setup):
        pass

    def __call__(self, item):
        figures = {"to_self": 0.5} if not item.fault else {}
        return [failed(item, want, item.fault or None) | figures for want in item.wants]


def rows_of(given, folder: Path, out: str, work=Quick):
    return run(read(given, folder=folder), folder / out, lambda setup: Inline(work, setup))


@pytest.fixture
def photos(tmp_path):
    """Two photos of each of three people, for a spec whose data are in a folder."""
    for name in "abc":
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(2):
            (tmp_path / "photos" / name / f"{i}.png").write_bytes(f"{name}{i}".encode())
    return {"photos": {"folder": "photos"}, "methods": [{"id": "tip-im", "params": {"gamma": 0.0}}]}


@pytest.fixture
def shards(tmp_path):
    """Twelve photos in six row groups."""
    path = tmp_path / "faces.parquet"
    images = [{"bytes": f"file {i}".encode() * 50, "path": None} for i in range(12)]
    columns = {"file": [f"{i}.png" for i in range(12)], "image": images}
    parquet.write_table(pa.table(columns), path, row_group_size=2, compression="none", use_dictionary=False)
    return {"photos": {"parquet": "faces.parquet"}}


def damage(path: Path, group: int) -> None:
    """Overwrite the head of a row group's pictures."""
    file = parquet.ParquetFile(path)
    column = next(i for i in range(3) if file.schema.column(i).path == "image.bytes")
    place = file.metadata.row_group(group).column(column).data_page_offset
    data = bytearray(path.read_bytes())
    data[place : place + 30] = b"\xff" * 30
    path.write_bytes(data)


@pytest.mark.parametrize(
    "more",
    [
        {"methods": [{"id": "tip-im", "params": {"gamma": [0.0, 1.0]}}]},
        {"seeds": [0, 1]},
        {"photos": {"folder": "photos", "person": "folder"}},
        {"photos": {"folder": "photos", "person": "folder"}, "seeds": [0, 1], "held_out": ["sface", "dlib-resnet"]},
    ],
    ids=["gamma", "seed", "person", "all"],
)
def test_a_spec_that_grew_gives_the_rows_of_a_fresh_run(photos, tmp_path, more):
    small = rows_of(photos, tmp_path, "grown")
    grown = rows_of(photos | more, tmp_path, "grown")
    fresh = rows_of(photos | more, tmp_path, "fresh")
    assert grown.equals(fresh) and not small.equals(grown)
    assert (tmp_path / "grown" / ROWS).read_bytes() == (tmp_path / "fresh" / ROWS).read_bytes()


def test_a_damaged_row_group_is_the_rows_of_its_photos(shards, tmp_path):
    damage(tmp_path / "faces.parquet", 2)
    rows = rows_of(shards, tmp_path, "out").to_pandas()
    lost = rows[rows["reason"].notna()]
    assert set(lost["photo"]) == {"4.png", "5.png"} and rows["photo"].nunique() == 12
    assert rows["key"].is_unique and lost["reason"].str.startswith("The file could not be read from the data: ").all()


def test_row_groups_are_read_once_though_photos_are_drawn(shards, tmp_path, monkeypatch):
    groups, real = [], Parquet._read_group
    monkeypatch.setattr(Parquet, "_read_group", lambda self, group: groups.append(group) or real(self, group))
    shards["photos"] |= {"shuffle": 1, "limit": 9}
    plan = prepare(read(shards, folder=tmp_path)).plan
    drawn = [probe.index for probe in plan.probes]
    assert drawn == sorted(drawn) and len(drawn) == 9 and drawn != list(range(9))
    assert groups == sorted(set(groups))


def test_nothing_is_compared_with_itself_where_the_other_photo_cannot_be_read(photos, tmp_path, monkeypatch):
    torn, real = [], Folder.read

    def tearing(self, index):
        if self.rows[index].name in torn:
            raise PermissionError(13, "Permission denied", "/home/somebody/secret")
        return real(self, index)

    monkeypatch.setattr(Folder, "read", tearing)
    torn.append("a/1.png")
    photos["photos"] |= {"person": "folder", "per_person": 1}
    rows = rows_of(photos | {"against": "another photo"}, tmp_path, "out").to_pandas()
    reason = "The other photo: The file could not be read from the data: Permission denied"
    assert set(rows[rows["photo"] == "a/0.png"]["reason"]) == {reason}
    assert rows[rows["photo"] != "a/0.png"]["reason"].isna().all()
    torn[:] = [f"{name}/0.png" for name in "abc"]
    with pytest.raises(SpecError, match="^.*cannot be a target, .*: The file could not be read .*denied$"):
        prepare(read(photos | {"targets": {"people": 1}}, folder=tmp_path))


def test_an_empty_file_is_a_row_with_its_reason(photos, tmp_path):
    (tmp_path / "photos" / "a" / "0.png").write_bytes(b"")
    rows = rows_of(photos, tmp_path, "out").to_pandas()
    assert set(rows[rows["photo"] == "a/0.png"]["reason"]) == {"The data hold no file of this photo."}


def test_a_run_that_was_stopped_has_said_which_code_made_its_rows(photos, tmp_path, capsys, monkeypatch):
    class Stopped(Quick):
        def __call__(self, item):
            if item.probe.name == "b/0.png":
                raise KeyboardInterrupt
            return super().__call__(item)

    (tmp_path / "spec.toml").write_text('[photos]\nfolder = "photos"\n')
    out = tmp_path / "out"
    arguments = ["bench", "run", str(tmp_path / "spec.toml"), "--out", str(out), "--workers", "0"]
    for work, version in ((Stopped, "one"), (Quick, "two")):
        monkeypatch.setattr(command, "Work", work)
        monkeypatch.setattr(session, "code", lambda version=version: version)
        if work is Stopped:
            with pytest.raises(SystemExit):
                main(arguments)
            assert OTHER_CODE not in capsys.readouterr().err
    assert main(arguments) == 0 and OTHER_CODE in capsys.readouterr().err
    assert json.loads((out / session.RUN).read_text())["code"] == ["one", "two"]
    assert OTHER_CODE in (out / command.REPORT).read_text()
