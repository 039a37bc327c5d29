"""A run from its spec to its rows: who plays which part, what is left to do, and the workers that do it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from app import gallery as portraits
from app.bench.run import loop
from app.bench.run.cast import Cast, cast
from app.bench.run.identification import gallery
from app.bench.run.loop import Backend, Event
from app.bench.run.plan import Item, Plan, Probe, digest, photo_hash
from app.bench.run.progress import Progress
from app.bench.run.reading import file_of, hashes
from app.bench.run.settings import distortions, looks, recognisers, settings
from app.bench.run.sources import Source, open_source
from app.bench.run.spec import Spec, SpecError
from app.bench.run.store import Store
from app.bench.run.work import Setup, lost
from app.runtime import Runtime
from engines.checkpoints import registry, stamped

DEFAULT_TARGETS = (portraits.HOPPER, portraits.VIRTUAL)
RUN = "run.json"
SOURCES = ("engines", "app")  # what figures depend on, the pages of the demo and the workbench apart
APART = ("app/demo", "app/study", "app/workbench")
UNKNOWN = "unknown"  # the version of rows from before it was kept


@dataclass(frozen=True, eq=False)
class Prepared:
    """All that is known before any model is loaded."""

    spec: Spec
    source: Source
    parts: Cast
    plan: Plan
    targets: tuple[tuple[str, bytes | None], ...]


def prepare(spec: Spec) -> Prepared:
    """Open the data, draw the parts, check everything that the spec names. Raises SpecError, one sentence."""
    known = registry()
    chosen, looked, changes = settings(spec, known), looks(spec, known), distortions(spec)
    source = open_source(spec.photos)
    parts = cast(spec, source.rows)
    targets = _targets(spec, source, parts)
    known_by = hashes(source, (*parts.probes, *parts.references.values(), *parts.gallery))
    probes = tuple(_probe(spec, source, parts, index, known_by) for index in parts.probes)
    shared = {
        "far": spec.far,
        "format": spec.format,
        "quality": spec.quality if spec.format == "JPEG" else None,
        "targets": [name if data is None else photo_hash(data) for name, data in targets],
        "gallery": _gallery_digest(spec, source, parts, known_by),
    }
    return Prepared(spec, source, parts, Plan(probes, chosen, changes, looked, shared), targets)


def _targets(spec: Spec, source: Source, parts: Cast) -> tuple[tuple[str, bytes | None], ...]:
    """Names, and the file of each that is not built in; the usual two where the spec names nobody."""
    for name in spec.targets.names:
        if name not in portraits.NAMES:
            choose = f"choose from {', '.join(portraits.NAMES)}, or use `targets.files`"
            raise SpecError(f"The key `targets.names` knows no {name!r}: {choose}.")
    found: list[tuple[str, bytes | None]] = [(name, None) for name in spec.targets.names]
    try:
        found += [(path.name, path.read_bytes()) for path in spec.targets.files]
    except OSError:
        raise SpecError("A file of the key `targets.files` cannot be read: check the paths.") from None
    for index in parts.targets:
        data, fault = file_of(source, index)
        if fault:
            raise SpecError(f"{source.rows[index].name} cannot be a target, lower `targets.people`: {fault}")
        found.append((str(source.rows[index].labels[spec.photos.person]), data))
    return tuple(found) or tuple((name, None) for name in DEFAULT_TARGETS)


def _probe(spec: Spec, source: Source, parts: Cast, index: int, known_by: Mapping[int, str]) -> Probe:
    row, other = source.rows[index], parts.references.get(index)
    person = row.labels[spec.photos.person] if spec.photos.person else None
    labels = {name: plain(row.labels[name]) for name in spec.photos.labels}
    reference = "" if other is None else known_by[other]
    return Probe(
        index, row.name, known_by[index], "" if person is None else str(person), labels, reference, other
    )


def plain(value: Any) -> Any:
    """A label that a column can hold: a truth, a number, or a text."""
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _gallery_digest(spec: Spec, source: Source, parts: Cast, known_by: Mapping[int, str]) -> str | None:
    """What ranks depend on: who is on which photo, and whose photo is a target."""
    if spec.gallery is None:
        return None
    named = [(str(source.rows[i].labels[spec.photos.person]), known_by[i]) for i in parts.gallery]
    return digest([named, [str(source.rows[i].labels[spec.photos.person]) for i in parts.targets]])


def setup_of(prepared: Prepared, say: Callable[[str], None]) -> Setup:
    """What workers are told, the gallery's embeddings among it: made once, here."""
    spec, source = prepared.spec, prepared.source
    if spec.gallery is None:
        return Setup(spec, prepared.targets)
    say(f"Embedding the gallery: {len(prepared.parts.gallery)} photos.")
    files = (
        (source.rows[index].name, str(source.rows[index].labels[spec.photos.person]), file_of(source, index)[0])
        for index in prepared.parts.gallery
    )
    made, missing = gallery(Runtime(), recognisers(spec), files)
    if missing:
        say(f"{len(missing)} photos of the gallery show no face and were left out, for example {missing[0]}.")
    return Setup(spec, prepared.targets, made)


def compute(
    prepared: Prepared,
    store: Store,
    backend: Callable[[Setup], Backend],
    progress: Progress,
    seen: Callable[[Event], None] = lambda event: None,
) -> pa.Table:
    """Compute the rows that are not there yet, and give back all of the plan's that are. Raises WorkerError."""
    plan, source = prepared.plan, prepared.source

    def loaded(item: Item) -> Item:
        other = item.probe.reference_index
        data, fault = file_of(source, item.probe.index)
        reference, missing = (None, "") if other is None else file_of(source, other)
        return replace(item, data=data, reference=reference, fault=fault or missing and f"The other photo: {missing}")

    def done(item: Item, rows: Sequence[dict[str, Any]]) -> None:
        store.add(rows)
        progress.step(len(rows), sum(row["reason"] is not None for row in rows))

    try:
        left = plan.bundles(store.known)
        if (first := next(left, None)) is not None:
            workers = backend(setup_of(prepared, progress.say))
            loop.run(workers, _chained(first, left), loaded, done, _given_up, seen)
    finally:
        table = store.finish(plan)
    return table


def _chained(first: tuple[Item, ...], rest: Iterable[tuple[Item, ...]]) -> Iterable[tuple[Item, ...]]:
    yield first
    yield from rest


def _given_up(item: Item, reason: str) -> list[dict[str, Any]]:
    return list(lost(item, reason))


@cache
def code() -> str:
    """SHA-256 in hex of the sources that figures depend on, as they are when it is first asked for."""
    root = Path(__file__).resolve().parents[3]
    files = sorted(path for part in SOURCES for path in (root / part).rglob("*.py"))
    own = [path for path in files if not path.relative_to(root).as_posix().startswith(APART)]
    return digest([[path.relative_to(root).as_posix(), photo_hash(path.read_bytes())] for path in own])


def codes(folder: Path) -> list[str]:
    """Those that made the rows which are in the folder, this one last."""
    try:
        earlier = json.loads((folder / RUN).read_text())["code"]
    except (OSError, ValueError, KeyError, TypeError):
        earlier = [UNKNOWN]
    now = code()
    return [*(one for one in earlier if one != now), now]


def describe(prepared: Prepared, folder: Path, rows: bool, pace: float = 0.0) -> dict[str, Any]:
    """What made the rows, as `run.json` keeps it beside them. `rows`: whether there are any yet.

    Called before the first row too, so that a run that is killed has said which code made its rows.
    """
    spec, plan = prepared.spec, prepared.plan
    known = registry()
    cards = [stamped(known[id]) for id in recognisers(spec)]
    found = {
        "title": spec.title,
        "spec": spec.model_dump(mode="json"),
        "photos": len(plan.probes),
        "rows": len(plan),
        "gallery": len(prepared.parts.gallery),
        "recognisers": [{"id": card.id, "title": card.title, "sha256": card.sha256} for card in cards],
        "code": codes(folder) if rows else [code()],
        "rows_per_second": round(pace, 2),
    }
    (folder / RUN).write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    return found
