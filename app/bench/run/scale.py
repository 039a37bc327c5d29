"""`bench scale`: rows a second with one worker and with more, and what is lost between them: `make bench-scale`."""

from __future__ import annotations

import time
from argparse import Namespace
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from app import gallery, photo
from app.bench.run.command import backend_of
from app.bench.run.loop import Done, Event, Ready
from app.bench.run.progress import Progress
from app.bench.run.session import compute, prepare
from app.bench.run.spec import read
from app.bench.run.store import Store

SPEC: dict[str, Any] = {
    "title": "Scale",
    "photos": {"folder": "photos"},
    "methods": [{"id": "tip-im", "params": {"steps": 20}}],
    "targets": {"names": ["Grace Hopper"]},
    "distortions": ["jpeg30"],
}


@dataclass
class Clock:
    """When workers were ready and items done: the pace counts from the moment that the last worker is ready."""

    ready: list[float] = field(default_factory=list)
    done: list[tuple[float, int]] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        """Takes note of an event."""
        if isinstance(event, Ready):
            self.ready.append(time.perf_counter())
        elif isinstance(event, Done):
            self.done.append((time.perf_counter(), len(event.rows)))

    @property
    def pace(self) -> float:
        """Rows a second."""
        start, end = max(self.ready), self.done[-1][0]
        return sum(rows for moment, rows in self.done if moment > start) / (end - start)


def make_photos(folder: Path, count: int) -> None:
    """So many different photos: the built-in portrait, a little darker each time."""
    folder.mkdir()
    pixels = photo.load(gallery.portrait(gallery.COLLINS)).pixels
    for i in range(count):
        (folder / f"{i:04d}.png").write_bytes(photo.encode(pixels.clamp(max=255 - i)))


def measure(args: Any) -> dict[str, Any]:
    """A row for each number of workers."""
    rows: list[dict[str, Any]] = []
    with TemporaryDirectory() as folder:
        make_photos(Path(folder) / "photos", args.photos)
        for workers in args.counts:
            pace, count = _pace(Path(folder), workers, args)
            one = rows[0]["rows/s"] / rows[0]["workers"] if rows else pace / workers
            rows.append(
                {"workers": workers, "rows": count, "rows/s": pace, "efficiency": f"{pace / workers / one:.0%}"}
            )
    return {
        "rows": rows,
        "provenance": {"command": "make bench-scale", "photos": args.photos, "backend": args.backend},
    }


def _pace(folder: Path, workers: int, args: Any) -> tuple[float, int]:
    prepared, clock = prepare(read(SPEC, folder=folder)), Clock()
    options = Namespace(workers=workers, backend=args.backend, address=args.address)
    with Store(folder / f"{workers}") as store:
        progress = Progress(len(prepared.plan), 0)
        compute(prepared, store, backend_of(options), progress, clock)
    return clock.pace, len(prepared.plan)


def add_parser(names: Any) -> None:
    """`bench scale`."""
    parser = names.add_parser("scale", help="rows a second of `bench run` with one worker and with more")
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 2], metavar="N", help="numbers of workers")
    parser.add_argument("--photos", type=int, default=24)
    parser.add_argument("--backend", choices=("local", "ray"), default="local")
    parser.add_argument("--address", metavar="ADDRESS", help="of a Ray cluster that runs already")
    parser.set_defaults(func=measure)
