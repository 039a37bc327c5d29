"""Many visitors at once: `python -m app.crowd --visitors 20 --minutes 5`.

Starts the app in a process of its own. Every visitor is a program with a session of its own that asks for one job
after another, of all kinds; who is told that the queue is full comes back when told to. Beside them somebody opens
the page every second, and reads what /metrics says of the process's memory. Printed as JSON; with
--check it ends with 1 where that is not what the app promises (`faults`).
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from gradio_client import Client, handle_file
from gradio_client.utils import Status
from PIL import Image, ImageOps
from prometheus_client.parser import text_string_to_metric_families

from app import gallery
from app.crowd_figures import CANCELLED, LEFT, Seen, faults, summary, times

CANCELS = 10  # jobs that are cancelled before the crowd comes
DEATHS = 3  # programs that are killed while their job is under way
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
    "stolen": {"api_name": "/stolen"},
    "compare": {"api_name": "/compare", "entries": ["fgsm:Balanced", "pgd:Balanced"], **TARGET},
}
SECOND = {"score": "against", "survive": "against", "forge": "protected"}  # the parameter for a second photo


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


def freed(address: str, photo: Path, often: int) -> list[float]:
    """Seconds from a cancel of the job under way to the start of the one behind it, so often."""
    long = {**asked("tip-im", photo), "params": {"steps": 200}}
    with tempfile.TemporaryDirectory() as folder:
        one, two = (Client(address, verbose=False, analytics_enabled=False, download_files=folder) for _ in range(2))
        found = []
        for _ in range(often):
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


LONG_JOB = """import sys
from gradio_client import Client, handle_file
address, photo, job = sys.argv[1], sys.argv[2], eval(sys.argv[3])
Client(address, verbose=False, analytics_enabled=False).predict(photo=handle_file(photo), **job)
"""


def orphaned(address: str, token: str, photo: Path, often: int) -> list[float]:
    """Seconds from the death of a program whose job is under way to the end of the work on it, so often."""
    job = repr({**JOBS["tip-im"], "params": {"steps": 500}})
    found = []
    for _ in range(often):
        program = subprocess.Popen([sys.executable, "-c", LONG_JOB, address, str(photo), job])
        _wait(lambda: vitals(address, token)["larvatus_working"] > 0)
        time.sleep(1)
        program.kill()
        start = time.monotonic()
        _wait(lambda: vitals(address, token)["larvatus_working"] == 0)
        found.append(time.monotonic() - start)
        program.wait()
    return found


def _wait(done: Callable[[], bool], patience: float = 120.0) -> None:
    end = time.monotonic() + patience
    while not done():
        if time.monotonic() > end:
            raise SystemExit(f"Nothing changed within {patience:.0f} s: the app works on for a program that is dead.")
        time.sleep(0.1)


def _until(job: Any, *states: Status) -> None:
    while job.status().code not in states:
        time.sleep(0.01)


def watch(address: str, token: str, end: float, seen: Seen) -> None:
    """Every second: how long the page takes, and the memory of the process that serves it, in MB."""
    while (now := time.monotonic()) < end:
        try:
            httpx.get(address, timeout=20).raise_for_status()
            seen.pages.append(time.monotonic() - now)
            seen.memory.append((now, vitals(address, token)["process_resident_memory_bytes"] / 1e6))
        except (httpx.HTTPError, KeyError) as error:
            seen.failures.append(f"page: {error!r}")
        time.sleep(max(0.0, 1 - (time.monotonic() - now)))


def vitals(address: str, token: str) -> dict[str, float]:
    """What /metrics says, by name."""
    told = httpx.get(f"{address}/metrics", headers={"Authorization": f"Bearer {token}"}, timeout=20).text
    return {s.name: s.value for family in text_string_to_metric_families(told) for s in family.samples}


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
        deaths = orphaned(address, token, photos[0], DEATHS)
        end = time.monotonic() + 60 * minutes
        threads = [threading.Thread(target=watch, args=(address, token, end, seen))]
        threads += [threading.Thread(target=visit, args=(address, i, photos, end, seen)) for i in range(visitors)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return {**summary(seen, visitors, minutes), CANCELLED: times(slots), LEFT: times(deaths)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Send many visitors to the app at once.")
    parser.add_argument("--visitors", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--check", action="store_true", help="end with 1 where a promise is not kept")
    args = parser.parse_args()
    figures = run(args.visitors, args.minutes)
    print(json.dumps(figures, indent=1))
    if args.check and (wrong := faults(figures)):
        raise SystemExit("Not as promised: " + "; ".join(wrong) + ".")
