"""Who gets which item, and what becomes of the items of a worker that dies. No network, no photo."""

from __future__ import annotations

import os
import signal
from collections import deque
from pathlib import Path

import pytest

from app.bench.run.local import Local
from app.bench.run.loop import Broken, Done, Gone, Ready, WorkerError, run
from app.bench.run.plan import Item, Look, Probe, Setting, Want


def item(name: str, bundle: str = "a") -> Item:
    return Item(Probe(0, bundle, bundle), Setting("none", "U", {}, 0, ()), name, (Want(name, Look("file")),))


BUNDLES = [tuple(item(f"{b}{i}", b) for i in range(3)) for b in "abc"]
NAMES = sorted(one.distortion for bundle in BUNDLES for one in bundle)


def rows(one: Item) -> list[dict]:
    return [{"key": want.key, "reason": None} for want in one.wants]


def given_up(one: Item, reason: str) -> list[dict]:
    return [{"key": want.key, "reason": reason} for want in one.wants]


class Fake:
    """Two workers without processes; `deadly` items kill theirs, each as many times as it says."""

    def __init__(self, deadly: dict[str, int] | None = None, workers: int = 2):
        self.deadly, self.count, self.next = dict(deadly or {}), workers, 0
        self.log: list[tuple[int, str]] = []
        self.waiting: deque = deque()
        self.closed = False

    def start(self):
        for _ in range(self.count):
            self.make()

    def make(self):
        self.waiting.append(Ready(self.next))
        self.next += 1

    def give(self, worker, one):
        self.log.append((worker, one.distortion))
        if self.deadly.get(one.distortion, 0) > 0:
            self.deadly[one.distortion] -= 1
            self.waiting.append(Gone(worker))
        else:
            self.waiting.append(Done(worker, rows(one)))

    def events(self):
        event = self.waiting.popleft()
        if isinstance(event, Gone):
            self.make()
        return (event,)

    def close(self):
        self.closed = True


def done_by(backend, bundles=BUNDLES) -> dict[str, str | None]:
    found: dict[str, str | None] = {}

    def done(one, made):
        assert one.distortion not in found  # once and no more
        found.update({row["key"]: row["reason"] for row in made})

    run(backend, bundles, lambda one: one, done, given_up)
    return found


def test_a_bundle_stays_with_its_worker_and_all_is_done_once():
    backend = Fake()
    assert done_by(backend) == dict.fromkeys(NAMES)
    by_bundle = {name[0]: {worker for worker, other in backend.log if other[0] == name[0]} for name in NAMES}
    assert all(len(workers) == 1 for workers in by_bundle.values()) and backend.closed


def test_a_dead_workers_item_is_tried_once_more_and_the_rest_of_its_bundle_is_done():
    backend = Fake({"b1": 1})
    assert done_by(backend) == dict.fromkeys(NAMES)
    assert [name for _, name in backend.log].count("b1") == 2


def test_an_item_that_kills_twice_becomes_a_failed_row():
    found = done_by(Fake({"b1": 9}))
    assert sorted(found) == NAMES and found.pop("b1").startswith("The worker died on this photo 2 times")
    assert set(found.values()) == {None}


def test_one_worker_that_dies_on_the_last_item_still_ends():
    found = done_by(Fake({"c2": 9}, workers=1))
    assert sorted(found) == NAMES and found["c2"]


def test_workers_that_cannot_start_or_all_die_end_the_run():
    backend = Fake()
    backend.start = lambda: backend.waiting.append(Broken("no such network"))
    with pytest.raises(WorkerError, match="no such network"):
        done_by(backend)
    assert backend.closed
    backend = Fake(workers=1)
    backend.events = lambda: (Gone(0),)
    with pytest.raises(WorkerError, match="5 workers died one after another"):
        done_by(backend)


def test_photos_are_read_when_they_are_given_away_and_not_before():
    backend, read = Fake(workers=1), []

    def loaded(one):
        assert len(read) - len(backend.log) == 0  # nothing is read ahead of what workers do
        read.append(one.distortion)
        return one

    run(backend, iter(BUNDLES), loaded, lambda one, made: None, given_up)
    assert sorted(read) == NAMES


def test_what_is_done_is_kept_before_the_next_photo_is_read():
    kept = []

    def loaded(one):
        if len(kept) == 1:
            raise KeyboardInterrupt
        return one

    with pytest.raises(KeyboardInterrupt):
        run(Fake(workers=1), iter(BUNDLES), loaded, lambda one, made: kept.append(one.distortion), given_up)
    assert kept == ["a0"]


def build(setup):
    """What a process does with an item: its process id in the row; "b1" dies, the first time or always."""

    def work(one):
        mark = Path(setup["folder"]) / one.distortion
        if one.distortion == setup["deadly"] and (setup["always"] or not mark.exists()):
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return [{"key": want.key, "reason": None, "pid": os.getpid()} for want in one.wants]

    if setup.get("broken"):
        raise ValueError("The network is not here: pull it.")
    return work


@pytest.mark.parametrize("always", [False, True], ids=["once", "always"])
def test_real_processes_that_are_killed(tmp_path, always):
    found: list[dict] = []
    backend = Local(2, build, {"folder": str(tmp_path), "deadly": "b1", "always": always})
    run(backend, BUNDLES, lambda one: one, lambda one, made: found.extend(made), given_up)
    assert sorted(row["key"] for row in found) == NAMES
    assert [row["key"] for row in found if row["reason"]] == (["b1"] if always else [])
    assert os.getpid() not in {row.get("pid") for row in found} and not backend.pids


def test_a_process_whose_models_are_missing_says_so():
    with pytest.raises(WorkerError, match="The network is not here: pull it."):
        run(Local(1, build, {"broken": True}), BUNDLES, lambda one: one, lambda one, made: None, given_up)
