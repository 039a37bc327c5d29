"""A run of `bench run` on real faces: its rows, a crash in the middle, and workers that change nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from bench_runs import ROWS, run, write

from app.__main__ import main
from app.bench.run import session
from app.bench.run.local import Local
from app.bench.run.loop import Done, Inline
from app.bench.run.session import prepare
from app.bench.run.sources import Folder
from app.bench.run.spec import SpecError, load, read
from app.bench.run.store import JOURNAL
from app.bench.run.store import ROWS as ROWS_FILE
from app.bench.run.work import Work

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def threads():
    """Workers take one thread of torch each: the rest of the suite gets its own back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def spec(folder):
    return write(folder)


@pytest.fixture(scope="module")
def whole(threads, folder, spec):
    """The rows of a run without any accident, and the bytes of their file."""
    table = run(spec, folder / "whole")
    return table, (folder / "whole" / ROWS_FILE).read_bytes()


def test_every_row_is_there_and_a_broken_photo_is_rows_with_its_reason(whole):
    rows = whole[0].to_pandas()
    assert len(rows) == ROWS and rows["key"].is_unique
    failed = rows[rows["reason"].notna()]
    assert set(failed["photo"]) == {"broken.png"} and len(failed) == ROWS / 3
    assert set(failed["reason"]) == {"This PNG file is damaged or cut short: download or export it again."}
    good = rows[rows["reason"].isna()]
    assert good[good["kind"] == "recogniser"][["to_self", "to_target", "threshold"]].notna().all(axis=None)
    assert good[good["kind"] == "file"]["found"].all()
    assert dict(zip(rows["photo"], rows["label_tint"], strict=True)) == {
        "a.png": "light",
        "b.png": "dark",
        "broken.png": "dark",
    }


def test_rows_say_who_was_attacked_and_with_what(whole):
    rows = whole[0].to_pandas().query("kind == 'recogniser'")
    roles = {(row.setting, row.by): row.role for row in rows.itertuples()}
    assert roles["FGSM", "compact-vgg"] == "surrogate" and roles["FGSM", "compact-inception"] == "judge"
    assert roles["Unprotected", "compact-vgg"] == "judge"
    pgd = json.loads(rows[rows["setting"] == "PGD"]["params"].iloc[0])
    assert pgd["steps"] == 2 and pgd["epsilon"] == 12.0  # the defaults too


def test_the_figures_are_those_of_a_protected_file(whole, folder, runtime):
    """The same photo by hand: protect, export, decode, score."""
    from app import gallery
    from app.making import Request, protected_file
    from app.panel import Panel, members
    from app.scoring import Scorer, find_person

    person = find_person(runtime, "a.png", (folder / "photos" / "a.png").read_bytes())
    targets = (gallery.person(runtime, "Grace Hopper"),)
    panel = Panel(("compact-vgg",), ("compact-inception",))
    file = protected_file(runtime, Request(person, "fgsm", {}, targets, panel=panel))
    scorer = Scorer(runtime, members(runtime, panel)[0], person, targets)
    rows = whole[0].to_pandas().query("photo == 'a.png' and setting == 'FGSM' and distortion == 'none'")
    by = rows[rows["kind"] == "recogniser"].set_index("by")
    for score in scorer.file(file, person.face):
        assert by.loc[score.recogniser, "to_self"] == pytest.approx(score.to_self, abs=1e-5)
        assert by.loc[score.recogniser, "matches_target"] == score.matches_target
    bare = whole[0].to_pandas().query("photo == 'a.png' and setting == 'Unprotected' and distortion == 'none'")
    assert bare[bare["kind"] == "recogniser"]["to_self"].to_numpy() == pytest.approx([1.0, 1.0])


def test_photos_that_the_data_cannot_give_are_rows_with_their_reason(whole, spec, tmp_path, monkeypatch):
    read = Folder.read

    def torn(self, index):
        if self.rows[index].name != "a.png":
            raise RuntimeError("the disk is tired")
        return read(self, index)

    monkeypatch.setattr(Folder, "read", torn)
    rows = run(spec, tmp_path).to_pandas()
    assert len(rows) == ROWS and rows["key"].is_unique
    failed = rows[rows["reason"].notna()]
    assert set(failed["photo"]) == {"b.png", "broken.png"} and len(failed) == ROWS * 2 / 3
    assert set(failed["reason"]) == {"The file could not be read from the data: RuntimeError: the disk is tired"}
    good = whole[0].to_pandas()
    assert rows[rows["photo"] == "a.png"].equals(good[good["photo"] == "a.png"])


def test_rows_of_another_version_of_the_code_are_kept_and_told(spec, tmp_path, capsys, monkeypatch):
    command = ["bench", "run", str(spec), "--out", str(tmp_path / "out"), "--workers", "0"]
    says = "made by another version of this code"
    for version, told in (("one", False), ("one", False), ("two", True), ("two", True)):
        monkeypatch.setattr(session, "code", lambda version=version: version)
        assert main(command) == 0 and (says in capsys.readouterr().err) == told
    assert json.loads((tmp_path / "out" / session.RUN).read_text())["code"] == ["one", "two"]
    monkeypatch.undo()
    assert len(session.code()) == 64 and session.code() == session.code()


def test_a_run_that_is_killed_goes_on_and_computes_nothing_twice(whole, spec, folder):
    out, journal = folder / "killed", folder / "killed" / JOURNAL
    command = [sys.executable, "-m", "app", "bench", "run", str(spec), "--out", str(out), "--workers", "0"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not (journal.is_file() and journal.stat().st_size):
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    lines = journal.read_bytes()
    there = {json.loads(line)["key"] for line in lines[: lines.rfind(b"\n")].splitlines()}
    assert 0 < len(there) < ROWS

    class Counting(Work):
        def __call__(self, item):
            computed.extend(want.key for want in item.wants)
            return super().__call__(item)

    computed: list[str] = []
    table = run(spec, out, lambda setup: Inline(Counting, setup))
    assert not there & set(computed) and len(there) + len(computed) == ROWS
    assert table.equals(whole[0]) and (out / ROWS_FILE).read_bytes() == whole[1]


def test_what_is_there_already_needs_no_worker(whole, spec, folder):
    def none(setup):
        raise AssertionError("a worker was made")

    assert run(spec, folder / "whole", none).equals(whole[0])


def test_one_worker_and_two_give_the_same_rows_to_the_bit_though_one_is_killed(whole, spec, folder):
    assert run(spec, folder / "one", lambda setup: Local(1, Work, setup)).equals(whole[0])
    made: list[Local] = []
    killed: list[int] = []

    def two(setup):
        made.append(Local(2, Work, setup))
        return made[0]

    def kill(event):
        if isinstance(event, Done) and not killed:
            killed.append(made[0].pids[-1])
            os.kill(killed[0], signal.SIGKILL)

    assert run(spec, folder / "two", two, kill).equals(whole[0])
    assert killed
    for name in ("one", "two"):
        assert (folder / name / ROWS_FILE).read_bytes() == whole[1]


MISTAKES = {
    "method": ({"methods": [{"id": "nothing"}]}, "`methods.0` .*no method called 'nothing'"),
    "setting": ({"methods": [{"id": "fgsm", "params": {"gama": 1}}]}, "`methods.0` .*no setting called 'gama'"),
    "value": ({"methods": [{"id": "pgd", "params": {"steps": [2, 0]}}]}, "`methods.0` .*must be"),
    "judge": ({"attacked": ["compact-inception"]}, "held-out judge"),
    "recogniser": ({"held_out": ["nobody"]}, "no recogniser called 'nobody'"),
    "distortion": ({"distortions": ["smudge3"]}, "no distortion 'smudge3'"),
    "forger": ({"forgers": ["nobody"]}, "no forger called 'nobody'"),
    "target": ({"targets": {"names": ["Nobody"]}}, "`targets.names` knows no 'Nobody'"),
    "twice": ({"methods": [{"id": "fgsm"}, {"id": "fgsm"}]}, "Two settings are called 'FGSM'"),
}


@pytest.mark.parametrize("change, says", MISTAKES.values(), ids=MISTAKES)
def test_what_is_not_here_is_told_before_anything_runs(spec, change, says):
    given = load(spec).model_dump(mode="json") | {"methods": [{"id": "fgsm"}]} | change
    with pytest.raises(SpecError, match=says):
        prepare(read(given))


def test_a_grid_is_every_point_of_its_axes_and_seeds(spec):
    given = load(spec).model_dump(mode="json") | {"seeds": [0, 1], "unprotected": False}
    given["methods"] = [{"id": "pgd", "params": {"steps": 2, "epsilon": [4.0, 8.0]}}]
    settings = prepare(read(given)).plan.settings
    assert [s.name for s in settings] == [f"PGD (epsilon {e}, seed {s})" for e in (4, 8) for s in (0, 1)]
    assert {s.params["steps"] for s in settings} == {2}
