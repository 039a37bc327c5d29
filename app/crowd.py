"""Many visitors at once: `python -m app.crowd --visitors 20 --minutes 5`.

Starts the app in a process of its own. Every visitor is a program with a session of its own that asks for one job
after another, of all kinds; who is told that the queue is full comes back when told to. Beside them somebody opens
the page every second, and reads what /metrics says of the process's memory. Printed as JSON.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from gradio_client import Client, handle_file
from gradio_client.utils import Status
from PIL import Image, ImageOps
from prometheus_client.parser import text_string_to_metric_families

from app import gallery

CANCELS = 10  # jobs that are cancelled before the crowd comes
TARGET = {"targets": [gallery.HOPPER]}
JOBS: dict[str, dict[str, Any]] = {
    "fgsm": {"api_name": "/protect", "method": "fgsm", **TARGET},
    "tip-im": {"api_name": "/protect", "method": "tip-im", "params": {"steps": 3}, **TARGET},
    "dip-watermark": {"api_name": "/protect", "method": "dip-watermark", "identity": "0110" * 6},
    "erasable-mask": {"api_name": "/protect", "method": "erasable-mask"},
    "ipmn": {"api_name": "/protect", "method": "ipmn", **TARGET},
    "reveal": {"api_name": "/reveal"},
    "score": {"api_name": "/score"},
    "erase": {"api_name": "/erase"},
    "forge": {"api_name": "/forge"},
    "survive": {"api_name": "/survive"},
    "compare": {"api_name": "/compare", "entries": ["fgsm:Balanced", "pgd:Balanced"], **TARGET},
}
SECOND = {"score": "against", "survive": "against", "forge": "protected"}  # the parameter for a second photo


@dataclass
class Seen:
    """What all visitors saw: jobs as (visitor, kind, asked, done), seconds told by a full queue, failures, pages."""

    jobs: list[tuple[int, str, float, float]] = field(default_factory=list)
    told: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    pages: list[float] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)


@contextmanager
def served(token: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The app in a process of its own, once it answers: its address and process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    own = {"GRADIO_SERVER_PORT": port, "GRADIO_SERVER_NAME": "127.0.0.1", "LARVATUS_METRICS_TOKEN": token}
    root = Path(__file__).resolve().parents[1]
    process = subprocess.Popen([sys.executable, "app.py"], cwd=root, env={**os.environ, **own})
    address = f"http://127.0.0.1:{port}"
    try:
        _answers(address)
        yield address, process
    finally:
        process.terminate()
        process.wait(20)


def _answers(address: str, patience: float = 120.0) -> None:
    end = time.monotonic() + patience
    while time.monotonic() < end:
        try:
            httpx.get(f"{address}/health", timeout=2).raise_for_status()
            return
        except httpx.HTTPError:
            time.sleep(0.25)
    raise SystemExit(f"The app did not answer within {patience:.0f} s: start it by itself and see why.")


def visit(address: str, number: int, photos: list[Path], end: float, seen: Seen) -> None:
    """One visitor's jobs until the end, by a seed of its own; the first visitors' first jobs are of every kind."""
    chance, kinds = random.Random(number), [list(JOBS)[number % len(JOBS)]]
    with tempfile.TemporaryDirectory() as folder:
        client = Client(address, verbose=False, analytics_enabled=False, download_files=folder)
        while time.monotonic() < end:
            kind = kinds.pop() if kinds else chance.choice(list(JOBS))
            _ask(client, (number, kind), asked(kind, chance.choice(photos)), seen)
        client.close()


def asked(kind: str, photo: Path) -> dict[str, Any]:
    """A job of that kind on a photo, as the client of the API sends it."""
    file = handle_file(photo)
    job = {**JOBS[kind], **({"photos": [file]} if kind == "compare" else {"photo": file})}
    return job | ({SECOND[kind]: handle_file(photo)} if kind in SECOND else {})


def _ask(client: Client, who: tuple[int, str], job: dict[str, Any], seen: Seen) -> None:
    asked = time.monotonic()
    try:
        client.predict(**job)
        seen.jobs.append((*who, asked, time.monotonic()))
    except httpx.HTTPStatusError as error:
        if error.response.status_code != 429:
            seen.failures.append(f"{who[1]}: {error}")
            return
        seen.told.append(int(error.response.headers["retry-after"]))
        time.sleep(min(seen.told[-1], 10))
    except Exception as error:
        seen.failures.append(f"{who[1]}: {error}")


def freed(address: str, photo: Path, times: int) -> list[float]:
    """Seconds from a cancel of the job under way to the start of the one behind it, so many times."""
    long = {**asked("tip-im", photo), "params": {"steps": 200}}
    with tempfile.TemporaryDirectory() as folder:
        one, two = (Client(address, verbose=False, analytics_enabled=False, download_files=folder) for _ in range(2))
        found = []
        for _ in range(times):
            first = one.submit(**long)
            _until(first, Status.PROCESSING)
            second = two.submit(**asked("score", photo))
            time.sleep(1)
            start = time.monotonic()
            first.cancel()
            _until(second, Status.PROCESSING, Status.FINISHED)
            found.append(time.monotonic() - start)
            second.result()
    return found


def _until(job: Any, *states: Status) -> None:
    while job.status().code not in states:
        time.sleep(0.01)


def watch(address: str, token: str, end: float, seen: Seen) -> None:
    """Every second: how long the page takes, and the memory of the process that serves it, in MB."""
    while (now := time.monotonic()) < end:
        try:
            httpx.get(address, timeout=20).raise_for_status()
            seen.pages.append(time.monotonic() - now)
            told = httpx.get(f"{address}/metrics", headers={"Authorization": f"Bearer {token}"}, timeout=20).text
            rows = {s.name: s.value for family in text_string_to_metric_families(told) for s in family.samples}
            seen.memory.append((now, rows["process_resident_memory_bytes"] / 1e6))
        except (httpx.HTTPError, KeyError) as error:
            seen.failures.append(f"page: {error!r}")
        time.sleep(max(0.0, 1 - (time.monotonic() - now)))


def overtaken(jobs: list[tuple[int, str, float, float]], slack: float = 1.0) -> int:
    """How many jobs were done before one that had been asked for more than `slack` seconds earlier."""
    latest = sorted(jobs, key=lambda job: job[3])
    return sum(any(other[2] < job[2] - slack for other in latest[i + 1 :]) for i, job in enumerate(latest))


def warmed(seen: Seen) -> float:
    """When a job of each kind that was done had been done once, and so every network been used."""
    first: dict[str, float] = {}
    for _, kind, _, done in sorted(seen.jobs, key=lambda job: job[3]):
        first.setdefault(kind, done)
    return max(first.values(), default=0.0)


def summary(seen: Seen, visitors: int, minutes: float) -> dict[str, Any]:
    """The figures, seconds and MB."""
    took = sorted(done - asked for _, _, asked, done in seen.jobs)
    each = Counter(number for number, *_ in seen.jobs)
    ready = warmed(seen)
    warm = [mb for at, mb in seen.memory if at <= ready]
    later = [mb for at, mb in seen.memory if at > ready] or warm
    return {
        "visitors": visitors,
        "minutes": minutes,
        "jobs": dict(Counter(kind for _, kind, *_ in seen.jobs)),
        "jobs of a visitor": [min(each[i] for i in range(visitors)), max(each.values(), default=0)],
        "seconds of a job": {"median": round(median(took), 1), "longest": round(took[-1], 1)} if took else {},
        "done out of order": overtaken(seen.jobs),
        "told that the queue is full": len(seen.told),
        "failures": seen.failures,
        "page": {"median": round(median(seen.pages), 3), "longest": round(max(seen.pages), 3)} if seen.pages else {},
        "memory": {"warm": round(max(warm)), "most later": round(max(later)), "end": round(later[-1])}
        if warm
        else {},
    }


def run(visitors: int, minutes: float) -> dict[str, Any]:
    """So many visitors for so long; the figures."""
    seen, token = Seen(), secrets.token_urlsafe()
    with tempfile.TemporaryDirectory() as folder, served(token) as (address, _):
        photos = []
        portrait = Image.open(io.BytesIO(gallery.portrait(gallery.COLLINS)))
        for picture in (portrait, ImageOps.mirror(portrait)):
            photos.append(Path(folder) / f"{len(photos)}.png")
            picture.save(photos[-1])
        slots = freed(address, photos[0], CANCELS)
        end = time.monotonic() + 60 * minutes
        threads = [threading.Thread(target=watch, args=(address, token, end, seen))]
        threads += [threading.Thread(target=visit, args=(address, i, photos, end, seen)) for i in range(visitors)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    cancelled = {"median": round(median(slots), 2), "longest": round(max(slots), 2), "times": len(slots)}
    return {**summary(seen, visitors, minutes), "seconds from cancel to the next job": cancelled}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Send many visitors to the app at once.")
    parser.add_argument("--visitors", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=5.0)
    args = parser.parse_args()
    print(json.dumps(run(args.visitors, args.minutes), indent=1))
