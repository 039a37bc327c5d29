"""The same figures for parts of the data, by any of its columns, so that unequal protection is seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pandas as pd

from app.bench.run.measures import MEASURES, Cell, Measure, cells
from app.bench.run.store import LABEL

MOST = 12  # groups: more are no table that anybody reads
BINS = 4  # of a column of numbers, by its quartiles
OTHER, UNKNOWN = "other", "unknown"
BOTH = "+"  # between two columns that are taken together, as in Male+Young


class SliceError(ValueError):
    """A column that cannot be sliced by, as one sentence."""


@dataclass(frozen=True)
class Line:
    """One figure in every group. `gap`: the largest less the smallest mean, and between which groups."""

    measure: Measure
    setting: str
    distortion: str
    by: str
    role: str | None
    edit: str | None
    groups: dict[str, Cell]

    @property
    def gap(self) -> tuple[float, str, str] | None:
        """(difference, group of the highest, group of the lowest); None with fewer than two groups."""
        known = [(cell.estimate.value, name) for name, cell in self.groups.items() if cell.estimate.value is not None]
        if len(known) < 2:
            return None
        (low, least), (high, most) = min(known), max(known)
        return high - low, most, least

    @property
    def apart(self) -> bool | None:
        """Whether the intervals of those two groups do not overlap; None where one has no interval."""
        if self.gap is None:
            return None
        high, low = (self.groups[name].estimate for name in self.gap[1:])
        return None if high.low is None or low.high is None else high.low > low.high


@dataclass(frozen=True)
class Slice:
    """All figures by one label."""

    label: str
    groups: tuple[str, ...]
    lines: tuple[Line, ...]


def labels_of(rows: pd.DataFrame) -> tuple[str, ...]:
    """The columns that the data brought along."""
    return tuple(name.removeprefix(LABEL) for name in rows.columns if name.startswith(LABEL))


def sliced(rows: pd.DataFrame, label: str) -> Slice:
    """Every figure by a column, or by several with + between them. Raises SliceError."""
    names = _fewer(rows, group_of(rows, label))
    groups = tuple(sorted(names.unique(), key=_order))
    lines: dict[tuple, Line] = {}
    for group in groups:
        for cell in cells(rows[names == group], group):
            key = (cell.measure.id, cell.setting, cell.distortion, cell.by, cell.edit)
            place = (cell.measure, cell.setting, cell.distortion, cell.by, cell.role, cell.edit)
            lines.setdefault(key, Line(*place, {})).groups[group] = cell
    settings = list(dict.fromkeys(rows["setting"]))
    order = {one.id: place for place, one in enumerate(MEASURES)}
    found = sorted(lines.values(), key=lambda line: (order[line.measure.id], settings.index(line.setting)))
    return Slice(label, groups, tuple(found))


def slices(rows: pd.DataFrame, labels: Sequence[str]) -> tuple[list[Slice], list[str]]:
    """A slice a label, and a sentence for each that cannot be sliced by."""
    found, notes = [], []
    for label in labels:
        try:
            found.append(sliced(rows, label))
        except SliceError as error:
            notes.append(str(error))
    return found, notes


def group_of(rows: pd.DataFrame, label: str) -> pd.Series:
    """Each row's group, as text; numbers of many values fall into quarters. Raises SliceError for an unknown one."""
    parts = []
    for name in label.split(BOTH):
        if LABEL + name not in rows.columns:
            known = ", ".join(labels_of(rows)) or "none"
            raise SliceError(f"The rows have no label {name!r}: choose from {known}, or add it to `photos.labels`.")
        parts.append(_groups(rows, LABEL + name))
    joined = parts[0]
    for part in parts[1:]:
        joined = joined + ", " + part
    return joined


def _fewer(rows: pd.DataFrame, names: pd.Series) -> pd.Series:
    """The groups with most photos by name, and all others as one, where there are too many for a table."""
    if names.nunique() <= MOST:
        return names
    photos = names[~rows["photo_sha256"].duplicated()].value_counts()
    kept = sorted(photos.index, key=lambda name: (-photos[name], name))[: MOST - 1]
    return names.where(names.isin(kept), OTHER)


def _groups(rows: pd.DataFrame, column: str) -> pd.Series:
    values = rows[column]
    many = values.nunique() > MOST and pd.api.types.is_numeric_dtype(values)
    if many and not pd.api.types.is_bool_dtype(values):
        photos = rows.drop_duplicates("photo_sha256")[column]  # not the rows: a photo counts once
        edges = photos.quantile([i / BINS for i in range(BINS + 1)]).drop_duplicates().to_list()
        names = [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
        return pd.cut(values, edges, labels=names, include_lowest=True).astype(object).fillna(UNKNOWN)
    yes = {True: "yes", False: "no"}
    return values.map(lambda value: yes.get(value, str(value)) if isinstance(value, bool) else _text(value))


def _text(value: object) -> str:
    if pd.isna(value):  # type: ignore[call-overload]
        return UNKNOWN
    return f"{value:g}" if isinstance(value, float) else str(value)


def _order(name: str) -> tuple:
    """Numbers by size, then texts, all others and the unknown last."""
    try:
        return (0, float(name.split(" to ")[0]), name)
    except ValueError:
        return ({OTHER: 2, UNKNOWN: 3}.get(name, 1), 0.0, name)
