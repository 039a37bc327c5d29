"""Killed at random moments, no acknowledged answer may be missing: `python -m app.study.crash --kills 20`.

A child process rates with several threads and says every acknowledgement aloud; it is killed (SIGKILL) at a random
moment, again and again, on the same database. What it said must be there, and the database must be sound. This
shows that a killed process loses nothing; that a power cut does not is the business of synchronous=FULL and the disk.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from sqlmodel import select

from app.study import rehearsal
from app.study.database import Database
from app.study.model import Answer
from app.study.store import Store

ROOT = Path(__file__).resolve().parents[2]
THREADS = 4
LATEST = 0.5  # seconds from the first acknowledgement to the kill, at most


def run(url: str, kills: int, seed: int | None = None) -> dict[str, Any]:
    """Kill a rating process `kills` times; what was acknowledged, stored and lost."""
    dice = random.Random(seed)
    store = Store(url)
    study = rehearsal.study(store, 20, 4, trials=100, training=0, catch=0, repeats=0)
    acknowledged: dict[str, str] = {}
    silent = 0
    for _ in range(kills):
        said = _kill_once(url, study, dice.uniform(0, LATEST))
        silent += not said
        acknowledged.update(said)
    with store.database.read() as session:
        kept = dict(session.exec(select(Answer.trial_id, Answer.value).where(Answer.study_id == study)).all())
    sound = _is_sound(store.database)
    store.close_database()
    return {
        "kills": kills,
        "acknowledged": len(acknowledged),
        "stored": len(kept),  # may be a few more: safe, but killed before it could say so
        "lost": sum(kept.get(trial) != value for trial, value in acknowledged.items()),
        "kills_before_any_answer": silent,
        "sound": sound,
    }


def _kill_once(url: str, study: str, after: float) -> dict[str, str]:
    command = [sys.executable, "-m", "app.study.crash", "--child", study, "--url", url]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    first = child.stdout.readline()
    time.sleep(after)
    child.kill()
    rest = child.stdout.read()
    child.wait()
    whole = [line for line in (first + rest).splitlines(keepends=True) if line.endswith("\n")]
    return dict(json.loads(line) for line in whole)


def _is_sound(database: Database) -> bool:
    if not database.is_sqlite:
        return True  # PostgreSQL was not killed: only its client was
    with database.look() as connection:
        return connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"


def _child(url: str, study: str) -> None:
    """Rate until killed."""
    store, voice = Store(url), threading.Lock()

    def rate(number: int) -> None:
        dice = np.random.default_rng(number)
        for _ in itertools.count():
            rater = store.enrol(study, "1").rater
            while screen := store.next_trial(rater):
                value = rehearsal.answer(screen.protocol, dice)
                store.record(rater, screen.trial, value, str(screen.index), 1.0)
                with voice:
                    print(json.dumps([screen.trial, json.dumps(value)]), flush=True)

    for number in range(THREADS):
        threading.Thread(target=rate, args=(number,)).start()


def main(arguments: list[str] | None = None) -> int:
    """The command: 0 where nothing was lost."""
    parser = argparse.ArgumentParser(prog="python -m app.study.crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--url", default="", help="a database to use; a temporary SQLite file if none is named")
    parser.add_argument("--child", default="", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.child:
        _child(chosen.url, chosen.child)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        found = run(chosen.url or f"sqlite:///{folder}/crash.sqlite", chosen.kills)
    print(json.dumps(found))
    return 0 if found["sound"] and not found["lost"] and found["acknowledged"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
