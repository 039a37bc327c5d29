"""Naturalness set against what the engines measured: the Pareto front, and the parameter it recommends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from app.study.intervals import FEWEST_BOOTSTRAP, LEVEL, Estimate, bootstrap
from app.study.naturalness import Naturalness, naturalness
from app.study.pareto import choose, front

SCALES = {
    "acr": "MOS (ACR)",
    "dsis": "MOS (DSIS)",
    "pairs": "Bradley-Terry score",
    "detection": "share of wrong answers",
}
LOWER_IS_BETTER = ("cosine", "similarity", "lpips", "mmd")
HIGHER_IS_BETTER = ("ssim", "psnr", "distance")


@dataclass(frozen=True)
class Point:
    """One condition in the plane: naturalness up, the measure (mean over its pictures) across."""

    condition: str
    method: str
    parameters: tuple[tuple[str, Any], ...]
    naturalness: Estimate
    measure: float
    on_front: bool
    front_share: float | None  # of resamples in which it lies on the front


@dataclass(frozen=True)
class Recommendation:
    """A parameter value of one method. `low` and `high` from resampled raters, `support`: the share of resamples that
    recommend this very value. None where there are too few raters; `note` says so."""

    method: str
    condition: str
    parameter: str
    value: float
    low: float | None
    high: float | None
    support: float | None
    rule: str
    note: str = ""


@dataclass(frozen=True)
class Joined:
    """One measure against one scale of naturalness, a key of `SCALES`."""

    scale: str
    measure: str
    lower_is_better: bool
    points: tuple[Point, ...]
    recommendations: tuple[Recommendation, ...]
    raters: int


def lower_is_better(measure: str) -> bool | None:
    """Which way a measure is good for privacy or fidelity; None for a name that says nothing."""
    name = measure.lower()
    if any(word in name for word in LOWER_IS_BETTER):
        return True
    return False if any(word in name for word in HIGHER_IS_BETTER) else None


def direction(measure: str, directions: Mapping[str, bool] | None = None) -> bool | None:
    """Whether lower is better: what `directions` says, else the name; None where neither does."""
    return (directions or {}).get(measure, lower_is_better(measure))


def measures_of(stimuli: pd.DataFrame) -> list[str]:
    """All measures of the test pictures, by name."""
    return sorted({name for cell in stimuli.loc[stimuli["role"] == "test", "measures"] for name in cell})


def joined(
    votes: pd.DataFrame,
    stimuli: pd.DataFrame,
    seed: int = 0,
    resamples: int = 1000,
    level: float = LEVEL,
    limits: Mapping[str, float] | None = None,
    directions: Mapping[str, bool] | None = None,
) -> tuple[Joined, ...]:
    """Every measure of the test pictures against every scale of naturalness that the votes hold.

    limits: measure -> the value to reach, such as a judge's threshold, for the recommendation. directions:
    measure -> whether lower is better, for names that do not say it; others are left out.
    Only raters are resampled: the intervals speak of other raters, with these pictures and measures.
    """
    tests = stimuli[stimuli["role"] == "test"]
    found = []
    for scale in SCALES:
        scored = naturalness(votes, stimuli, scale, seed, resamples)
        for measure in measures_of(stimuli) if scored is not None else ():
            down = direction(measure, directions)
            if down is not None and scored is not None:
                rows = _rows(tests, scored, measure)
                if len(rows) > 1:
                    found.append(_joined(rows, scored, measure, down, level, (limits or {}).get(measure)))
    return tuple(found)


@dataclass(frozen=True)
class Row:
    """A condition with a measure and a score; `at` is its column in the scores."""

    condition: str
    method: str
    parameters: dict[str, Any]
    measure: float
    at: int


def _rows(tests: pd.DataFrame, scored: Naturalness, measure: str) -> list[Row]:
    rows = []
    for condition, own in tests.groupby("condition"):
        values = [float(cell[measure]) for cell in own["measures"] if _number(cell.get(measure))]
        if values and condition in scored.conditions:
            first = own.iloc[0]
            at = scored.conditions.index(str(condition))
            rows.append(Row(str(condition), first["method"], first["parameters"], float(np.mean(values)), at))
    return rows


def _joined(
    rows: Sequence[Row], scored: Naturalness, measure: str, down: bool, level: float, limit: float | None
) -> Joined:
    at = [row.at for row in rows]
    good = np.array([row.measure for row in rows]) * (-1 if down else 1)
    values, draws = scored.values[at], scored.draws[:, at]
    on = front(values, good)
    enough = scored.raters >= FEWEST_BOOTSTRAP
    shares = front(draws, good).mean(axis=0)
    points = tuple(
        Point(
            row.condition,
            row.method,
            tuple(row.parameters.items()),
            bootstrap(float(values[k]), draws[:, k], scored.raters, level),
            row.measure,
            bool(on[k]),
            float(shares[k]) if enough else None,
        )
        for k, row in enumerate(rows)
    )
    better = None if limit is None else limit * (-1 if down else 1)
    advice = []
    for method in sorted({row.method for row in rows}):
        own = [k for k, row in enumerate(rows) if row.method == method]
        advice += _recommend([rows[k] for k in own], values[own], draws[:, own], good[own], better, enough, level)
    return Joined(scored.scale, measure, down, points, tuple(advice), scored.raters)


def _recommend(
    rows: Sequence[Row],
    values: np.ndarray,
    draws: np.ndarray,
    good: np.ndarray,
    limit: float | None,
    enough: bool,
    level: float,
) -> list[Recommendation]:
    """One line for each numeric parameter that varies over the conditions of one method; at least three of them."""
    names = sorted({name for row in rows for name in row.parameters})
    varying = [n for n in names if all(_number(row.parameters.get(n)) for row in rows)]
    varying = [n for n in varying if len({row.parameters[n] for row in rows}) > 1]
    if len(rows) < 3 or not varying:
        return []
    best, drawn = int(choose(values, good, limit)), choose(draws, good, limit)
    rule = "closest to the ideal corner" if limit is None else "most natural of those that reach the limit"
    note = "" if enough else f"too few raters for an interval: at least {FEWEST_BOOTSTRAP} are needed"
    if limit is not None and not (good >= limit).any():
        note = "; ".join(filter(None, ["no condition reaches the limit: this one comes closest", note]))
    found = []
    for name in varying:
        steps = np.array([float(row.parameters[name]) for row in rows])
        low, high = np.quantile(steps[drawn], [(1 - level) / 2, (1 + level) / 2], method="closest_observation")
        support = float((steps[drawn] == steps[best]).mean())
        row, value = rows[best], float(steps[best])
        line = Recommendation(row.method, row.condition, name, value, float(low), float(high), support, rule, note)
        found.append(line if enough else replace(line, low=None, high=None, support=None))
    return found


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and bool(np.isfinite(value))
