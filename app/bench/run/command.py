"""`bench run SPEC.toml`: the command line's skin over session.py and report.py."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from app.bench.run.cluster import Cluster, ray_module
from app.bench.run.local import Local
from app.bench.run.loop import Backend, Inline
from app.bench.run.measures import Cell, cells
from app.bench.run.progress import Progress, duration
from app.bench.run.report import OTHER_CODE, html_report
from app.bench.run.session import Prepared, compute, describe, prepare
from app.bench.run.slices import BOTH, slices
from app.bench.run.sources import labelled
from app.bench.run.spec import Spec, SpecError, load
from app.bench.run.store import ROWS, Store
from app.bench.run.work import Setup, Work

REPORT = "report.html"
STOPPED = "larvatus: stopped; what was measured is kept, and the same command goes on from there."


def add_parser(names: Any) -> None:
    """`bench run`."""
    parser = names.add_parser("run", help="photos x methods x parameters, as a spec says: rows and a report")
    parser.add_argument("spec", type=Path, metavar="SPEC.toml", help="what to measure: docs/bench.md")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="rows and report; a run goes on there")
    worker_options(parser)
    parser.add_argument(
        "--slice", nargs="+", default=None, metavar="LABEL", help="columns to slice by, Male+Young for two (all)"
    )
    parser.add_argument("--again", action="store_true", help="compute failed rows once more")
    parser.set_defaults(func=run_bench)


def worker_options(parser: Any) -> None:
    """--backend, --workers, --address."""
    parser.add_argument(
        "--backend", choices=("local", "ray"), default="local", help="processes here, or Ray's actors"
    )
    parser.add_argument("--workers", type=int, metavar="N", help="how many (one a core); 0 works in this process")
    parser.add_argument("--address", metavar="ADDRESS", help="of a Ray cluster that runs already, such as auto")


def backend_of(args: Any) -> Callable[[Setup], Backend]:
    """How the options want workers to be made. Raises SpecError or RayError before anything is computed."""
    if args.workers is not None and args.workers < 0:
        raise SpecError("--workers must be 0 or more.")
    if args.backend == "ray":
        ray_module()
        return lambda setup: Cluster(args.workers or None, Work, setup, args.address)
    if args.address:
        raise SpecError("--address is for --backend ray: add that, or leave the address out.")
    if args.workers == 0:
        return lambda setup: Inline(Work, setup)
    return lambda setup: Local(args.workers or os.cpu_count() or 1, Work, setup)


def run_bench(args: Any) -> dict[str, Any]:
    """Compute what is missing, write rows and report, and give back a summary."""
    spec = load(args.spec)
    spec = spec.model_copy(update={"photos": labelled(spec.photos)})
    labels = tuple(args.slice) if args.slice is not None else spec.photos.labels
    _check_labels(spec, labels)
    backend = backend_of(args)
    prepared = prepare(spec)
    with Store(args.out, args.again) as store:
        progress = Progress(len(prepared.plan), _there(prepared, store))
        if len(describe(prepared, args.out, bool(store.known))["code"]) > 1:
            progress.say(OTHER_CODE)
        try:
            table = compute(prepared, store, backend, progress)
        except KeyboardInterrupt:
            print(STOPPED, file=sys.stderr)
            raise SystemExit(130) from None
        progress.say(f"{progress.line()}, {duration(progress.seconds)}")
        about = describe(prepared, args.out, True, progress.pace)
        rows = table.to_pandas()
        (args.out / REPORT).write_text(html_report(rows, about, labels))
    return summary(rows, about, labels, args.out)


def _check_labels(spec: Spec, labels: Sequence[str]) -> None:
    for label in (part for whole in labels for part in whole.split(BOTH)):
        if label not in spec.photos.labels:
            known = ", ".join(spec.photos.labels) or "none"
            raise SpecError(f"There is no label {label!r} to slice by: `photos.labels` has {known}.")


def _there(prepared: Prepared, store: Store) -> int:
    return sum(key in store.known for key, _, _ in prepared.plan.in_order())


def summary(rows: pd.DataFrame, about: dict[str, Any], labels: Sequence[str], folder: Path) -> dict[str, Any]:
    """A row for each setting, distortion and look, with the means; the slices; where everything lies."""
    found, notes = slices(rows, labels)
    sliced = [
        {"label": one.label, "group": group, **_figure(cell)}
        for one in found
        for line in one.lines
        for group, cell in line.groups.items()
    ]
    return {
        "rows": _wide(cells(rows)),
        "slices": sliced,
        "notes": notes,
        "failed": int(rows["reason"].notna().sum()),
        "report": str(folder / REPORT),
        "data": str(folder / ROWS),
        "provenance": about,
    }


def _wide(found: Sequence[Cell]) -> list[dict[str, Any]]:
    lines: dict[tuple, dict[str, Any]] = {}
    for cell in found:
        key = (cell.setting, cell.distortion, cell.by, cell.edit)
        place = {"method": cell.setting, "after": cell.distortion, "by": cell.by or "the file", "role": cell.role}
        line = lines.setdefault(key, {**place, "edit": cell.edit, "n": 0, "failed": cell.failed})
        line["n"] = max(line["n"], cell.estimate.n)
        line[cell.measure.symbol] = cell.estimate.value
    return list(lines.values())


def _figure(cell: Cell) -> dict[str, Any]:
    e = cell.estimate
    place = {"method": cell.setting, "after": cell.distortion, "by": cell.by, "role": cell.role, "edit": cell.edit}
    return {**place, "figure": cell.measure.symbol, "value": e.value, "low": e.low, "high": e.high, "n": e.n}
