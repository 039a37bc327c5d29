"""Many raters at once: `python -m app.study.load --raters 50 --answers 5000`.

Every rater is a thread that asks for the next trial, thinks, answers, and sends every tenth answer twice. Afterwards
the database must hold each acknowledged answer once, and nothing else. Printed as JSON: seconds for an answer to be
safe (`record`), from there to the next trial on the screen (`turn`: record and next trial together), and processor
time for an answer (`cpu_ms`: all of it, which does not depend on what else the machine does).
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sqlmodel import select

from app.study import rehearsal
from app.study.canonical import canonical
from app.study.model import Answer
from app.study.store import Store


@dataclass
class Tally:
    """What the raters saw: trial -> answer as acknowledged, times in seconds, errors as text."""

    acknowledged: dict[str, str] = field(default_factory=dict)
    record: list[float] = field(default_factory=list)
    turn: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def run(url: str, raters: int, answers: int, think: float = 0.0, protocol: str = "acr") -> dict[str, Any]:
    """Rate a fresh study at `url`: `raters` threads, `answers` in all; `think`: mean seconds on a screen."""
    each = answers // raters
    store = Store(url)
    photos = max(2, -(-each // 5))  # five conditions with the reference
    study = rehearsal.study(store, photos, 4, trials=each, training=0, catch=0, repeats=0, protocol=protocol)
    tallies = [Tally() for _ in range(raters)]
    jobs = [(store, study, number, think, tally) for number, tally in enumerate(tallies)]
    threads = [threading.Thread(target=_rate, args=job) for job in jobs]
    began, used = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds, used = time.perf_counter() - began, time.process_time() - used
    found = _verdict(store, study, tallies, seconds)
    store.close_database()
    expected = each * raters
    told = {"raters": raters, "expected": expected, "think_seconds": think}
    return {**told, **found, "cpu_ms": round(used / expected * 1e3, 2)}


def _rate(store: Store, study: str, number: int, think: float, tally: Tally) -> None:
    random = np.random.default_rng(number)
    try:
        rater = store.enrol(study, "1").rater
        screen = store.next_trial(rater)
        while screen is not None:
            time.sleep(random.uniform(0.5, 1.5) * think)
            value = rehearsal.answer(screen.protocol, random, screen.labels)
            sent = (rater, screen.trial, value, f"{number}-{screen.index}", 1.0, (390, 844))
            began = time.perf_counter()
            store.record(*sent)
            tally.record.append(time.perf_counter() - began)
            tally.acknowledged[screen.trial] = canonical(value)
            screen = store.next_trial(rater)
            tally.turn.append(time.perf_counter() - began)
            if random.integers(10) == 0 and not store.record(*sent).duplicate:
                tally.errors.append("the same answer counted twice")
    except Exception as error:  # whatever it is, it is a finding
        tally.errors.append(f"{type(error).__name__}: {error}")


def _verdict(store: Store, study: str, tallies: Sequence[Tally], seconds: float) -> dict[str, Any]:
    acknowledged = {trial: value for tally in tallies for trial, value in tally.acknowledged.items()}
    with store.database.read() as session:
        kept = list(session.exec(select(Answer.trial_id, Answer.value).where(Answer.study_id == study)))
    stored = dict(kept)
    record = np.array([value for tally in tallies for value in tally.record])
    turn = np.array([value for tally in tallies for value in tally.turn])
    return {
        "acknowledged": len(acknowledged),
        "stored": len(kept),
        "lost": sum(stored.get(trial) != value for trial, value in acknowledged.items()),
        "unasked": len(set(stored) - set(acknowledged)),
        "doubled": len(kept) - len(stored),
        "errors": [error for tally in tallies for error in tally.errors][:5],
        "seconds": round(seconds, 2),
        "record_ms": _milliseconds(record),
        "turn_ms": _milliseconds(turn),
    }


def _milliseconds(times: np.ndarray) -> dict[str, float]:
    """Median and 95th percentile."""
    if not len(times):
        return {}
    return {"median": round(float(np.median(times)) * 1e3, 1), "p95": round(float(np.quantile(times, 0.95)) * 1e3, 1)}


def main(arguments: list[str] | None = None) -> int:
    """The command: 0 where nothing was lost, doubled or refused."""
    parser = argparse.ArgumentParser(prog="python -m app.study.load", description=__doc__)
    parser.add_argument("--raters", type=int, default=50)
    parser.add_argument("--answers", type=int, default=5000)
    parser.add_argument("--think", type=float, default=0.0, help="mean seconds on a screen; 0 is the hardest")
    parser.add_argument("--url", default="", help="a database to use; a temporary SQLite file if none is named")
    parser.add_argument("--most", type=float, metavar="MS", help="end with 1 where an answer's median is longer")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        url = chosen.url or f"sqlite:///{folder}/load.sqlite"
        found = run(url, chosen.raters, chosen.answers, chosen.think)
    print(json.dumps({**found, "cores": os.cpu_count(), "load_average": round(os.getloadavg()[0], 1)}))
    clean = found["stored"] == found["expected"] and not (found["lost"] or found["doubled"] or found["unasked"])
    slow = chosen.most is not None and found["turn_ms"].get("median", 0.0) > chosen.most
    return 0 if clean and not found["errors"] and not slow else 1


if __name__ == "__main__":
    raise SystemExit(main())
