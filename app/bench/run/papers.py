"""The papers' tables: what they print beside what was measured here, told apart in every column and row."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from statistics import mean
from typing import Any

import pandas as pd

from app.bench.run.measures import BY_ID, CELL, Measure, of
from app.bench.run.plan import RECOGNISER
from app.bench.run.published import Published
from app.study.intervals import Estimate

OURS, THEIRS = "measured here", "published"
Texts = tuple[str, ...]
FIXED = "\u00a0"  # a space at which no line breaks


@dataclass(frozen=True)
class Line:
    """One line of a comparison. `ours` and `theirs` by measure id; `theirs` holds the printed black-box figures."""

    names: dict[str, str]  # what the table tells lines apart by, in its words, or in ours
    ours: dict[str, Estimate]
    theirs: dict[str, tuple[Decimal, ...]]


def measures_of(table: Published) -> tuple[Measure, ...]:
    """Our measures of what the table shows, in its order."""
    return tuple(BY_ID[id] for id in dict.fromkeys(table.measures.values()))


def lines(table: Published, rows: pd.DataFrame) -> list[Line]:
    """Our lines with theirs of the same method, change and forger beside them; then those that only we have.

    What only they have stands in their own table.
    """
    printed: dict[tuple[str, ...], dict[str, list[Decimal]]] = {}
    for cell in table.cells():
        found = printed.setdefault(tuple(cell.names[name] for name in table.grouping), {})
        id = table.measure_of(cell)
        if id is not None and cell.value is not None and cell.black_box:
            found.setdefault(id, []).append(cell.value)
    out: list[Line] = []
    used: set[tuple[str, str, str]] = set()
    for key, figures in printed.items():
        names = dict(zip(table.grouping, key, strict=True))
        theirs = {id: tuple(values) for id, values in figures.items()}
        matched = list(_matched(table, names, rows))
        used |= {place for place, _ in matched}
        for (setting, _, _), ours in matched:
            out.append(Line({**names, "method": setting}, ours, theirs))
    return out + list(_only_ours(table, rows, used))


def _matched(
    table: Published, names: dict[str, str], rows: pd.DataFrame
) -> Iterator[tuple[tuple[str, str, str], dict[str, Estimate]]]:
    """Our settings of a printed line, and their estimates: held-out recognisers together, the forger by itself."""
    wanted = dict(table.methods.get(names.get("method", ""), {}))
    id, distortion = wanted.pop("id", None), table.after.get(names.get("after", ""), "none")
    if id is None or ("after" in names and names["after"] not in table.after):
        return
    by = table.forgers.get(names["forger"], "?") if "forger" in names else ""
    wanted |= {name: float(names[name]) for name in names if name == "gamma"}
    if id not in set(rows["method"].unique()):
        return
    part = rows[(rows["method"] == id) & (rows["distortion"] == distortion)]
    for setting, own in part.groupby("setting", sort=False):
        if _agrees(own["params"].iloc[0], wanted) and (found := _estimates(table, own, by)):
            yield (str(setting), distortion, by), found


def _only_ours(table: Published, rows: pd.DataFrame, used: set[tuple[str, str, str]]) -> Iterator[Line]:
    """What the paper has no line for: other methods, other settings."""
    changes = table.changes
    forgers = {v: k for k, v in table.forgers.items()} if "forger" in table.grouping else {"": ""}
    if "gamma" in table.grouping:
        return  # the table is about the settings of one method
    for (setting, distortion), own in rows.groupby(["setting", "distortion"], sort=False):
        if distortion not in changes:
            continue
        for by, forger in forgers.items():
            if (setting, distortion, by) not in used and (found := _estimates(table, own, by)):
                known = {"method": str(setting), "after": changes[distortion], "forger": forger, "data": ""}
                yield Line({name: known.get(name, "") for name in table.grouping}, found, {})


def _estimates(table: Published, rows: pd.DataFrame, by: str) -> dict[str, Estimate]:
    """Our figures: of recognisers the mean over the held-out ones, photo by photo; of forgers the one named."""
    rows = rows[(rows["kind"] != RECOGNISER) | (rows["role"] == "judge")]
    rows = rows[rows["by"] == by] if by else rows
    found = {measure.id: of(measure, rows) for measure in measures_of(table)}
    return {id: one for id, one in found.items() if one.value is not None}


def _agrees(params: str, wanted: dict[str, Any]) -> bool:
    given = json.loads(params)
    return all(given.get(name) == value for name, value in wanted.items())


def comparison(table: Published, beside: Sequence[Line]) -> tuple[Texts, list[Texts], tuple[int, ...]]:
    """The lines as head, rows, and the places of the columns that are published figures."""
    shown = measures_of(table)
    names = sorted(table.grouping, key=lambda name: name != "method")  # the method first
    head = [_title(name) for name in names]
    marked = []
    for measure in shown:
        head.append(f"{measure.symbol}, {OURS}")
        marked.append(len(head))
        head.append(f"{measure.symbol}, {THEIRS}")
    body = []
    for line in beside:
        cells = [line.names[name] for name in names]
        for measure in shown:
            cells.append(own_text(measure, line.ours.get(measure.id), table.unit))
            cells.append(_their_text(line.theirs.get(measure.id, ())))
        counts = sorted({e.n for e in line.ours.values()})
        body.append((*cells, " to ".join(map(str, dict.fromkeys((*counts[:1], *counts[-1:]))))))
    return (*head, "n"), body, tuple(marked)


def in_full(table: Published, rows: pd.DataFrame) -> tuple[Texts, list[Texts]]:
    """What was measured here, one recogniser or forger a row, in the order of the run."""
    shown = measures_of(table)
    head = ("Method", "After", "Seen by", "Role", *(f"{m.symbol}, {OURS}" for m in shown), "n")
    body = []
    for key, part in rows[rows["distortion"].isin(table.changes)].groupby(CELL, sort=False, dropna=False):
        own = dict(zip(CELL, key, strict=True))
        found = {measure.id: of(measure, part) for measure in shown}
        if counts := [e.n for e in found.values() if e.value is not None]:
            texts = (own_text(measure, found[measure.id], table.unit) for measure in shown)
            edit = "" if pd.isna(own["edit"]) else f" ({own['edit']})"
            role = {"judge": "held out", "surrogate": "attacked"}.get(own["role"], "")
            place = (own["setting"], own["distortion"], (own["by"] or "the file") + edit, role)
            body.append((*place, *texts, str(max(counts))))
    return head, body


def as_printed(table: Published) -> tuple[Texts, list[Texts]]:
    """The published table in its own form, after a column that says where each row is from."""
    heads = [""]
    for names in table.across:
        heads = [f"{head} {name}".strip() for head in heads for name in names]
    source = f"{THEIRS}, Table {table.number}"
    return ("Source", *map(_title, table.rows), *heads), [(source, *map(_cell, line)) for line in table.lines]


def _cell(value: str | Decimal) -> str:
    return "" if isinstance(value, Decimal) and value.is_nan() else str(value)


def own_text(measure: Measure, e: Estimate | None, unit: str = "%") -> str:
    """An estimate with its interval, shares in the unit of the table."""
    if e is None or e.value is None:
        return ""
    scale, form = (100, ".1f") if measure.share and unit == "%" else (1, form_of(measure, e.value))
    text = f"{scale * e.value:{form}}"
    if e.low is None or e.high is None:
        return text
    return f"{text}{FIXED}[{scale * e.low:{form}},{FIXED}{scale * e.high:{form}}]"


def form_of(measure: Measure, value: float) -> str:
    """One decimal for dB, three for the rest, four for what is small."""
    return ".1f" if measure.unit == "dB" else ".3f" if measure.share or abs(value) >= 0.1 else ".4f"


def _their_text(values: tuple[Decimal, ...]) -> str:
    if len(values) < 2:
        return str(values[0]) if values else ""
    places = max(-int(value.as_tuple().exponent) for value in values)
    return f"{mean(values):.{places}f} ({len(values)})"


def _title(name: str) -> str:
    known = {"method": "Method", "after": "After", "data": "Published on", "gamma": "γ"}
    return known.get(name, name.capitalize())
