"""Krippendorff's alpha: how far raters agree beyond chance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from crowdkit.metrics.data import alpha_krippendorff

from app.study.errors import StudyError
from app.study.intervals import LEVEL, Estimate
from app.study.tables import main_votes

LEVELS = ("nominal", "ordinal", "interval")
STREAM = 2
FEWEST_UNITS = 6


@dataclass(frozen=True)
class Agreement:
    """Alpha of one protocol at one level of measurement; `units` were answered by two raters or more."""

    protocol: str
    level: str
    alpha: Estimate  # n: units
    raters: int
    units: int


def alpha(answers: pd.DataFrame, level: str) -> float:
    """Krippendorff's alpha by crowd-kit: 1 - D_observed / D_expected (Krippendorff 2011, "Computing
    Krippendorff's Alpha-Reliability").

    answers: columns task, worker, label; a worker labels a task once, not every worker every task. Labels are
    numbers for "ordinal" and "interval". crowd-kit takes any distance; those here are Krippendorff's squared
    difference functions. Raises StudyError where no task has two labels, or all labels are the same.
    """
    paired = answers[answers.groupby("task")["label"].transform("size") > 1]
    if paired.empty:
        raise StudyError("Too few votes: no picture was answered by two raters.")
    if paired["label"].nunique() < 2:
        raise StudyError("All answers are the same, so that agreement beyond chance cannot be told.")
    table = differences(paired["label"].value_counts().to_dict(), level)
    return float(alpha_krippendorff(paired[["task", "worker", "label"]], lambda a, b: table[a, b]))


def differences(counts: dict, level: str) -> dict[tuple, float]:
    """Krippendorff's squared difference of every two labels; `counts`: how often each label occurs (n_c).

    nominal: 0 or 1. interval: (c - k)². ordinal: (sum of n_g for g from c to k, less (n_c + n_k) / 2)².
    """
    square: dict[str, Callable] = {
        "nominal": lambda c, k: float(c != k),
        "interval": lambda c, k: float(c - k) ** 2,
        "ordinal": lambda c, k: _between(counts, *sorted((c, k))) ** 2,
    }
    if level not in square:
        raise StudyError(f"{level!r} is no level of measurement: use one of {', '.join(LEVELS)}.")
    return {(c, k): square[level](c, k) for c in counts for k in counts}


def _between(counts: dict, low: float, high: float) -> float:
    return float(sum(n for g, n in counts.items() if low <= g <= high) - (counts[low] + counts[high]) / 2)


def agreement(
    votes: pd.DataFrame, protocol: str, seed: int = 0, resamples: int = 1000, confidence: float = LEVEL
) -> tuple[Agreement, ...]:
    """Alpha of one protocol at each level of measurement that its answers have; () where there are none.

    Scores: nominal, ordinal and interval, a unit is a picture. Pairs, detection, verification: nominal, a unit
    is a pair of pictures whichever side each stood on, the label is the picture chosen. Artefacts: none.
    """
    answers = units(votes, protocol)
    if answers.empty:
        return ()
    levels = LEVELS if protocol in ("acr", "dsis") else LEVELS[:1]
    sizes = answers.groupby("task").size()
    counted = int((sizes > 1).sum())
    rows = []
    for level in levels:
        try:
            value = alpha(answers, level)
            estimate = _interval(answers, level, value, seed, resamples, confidence)
        except ValueError as error:
            estimate = Estimate(None, None, None, counted, str(error))
        rows.append(Agreement(protocol, level, estimate, answers["worker"].nunique(), counted))
    return tuple(rows)


def units(votes: pd.DataFrame, protocol: str) -> pd.DataFrame:
    """The answers that count as task, worker, label; the first where a rater answered a unit twice."""
    own = main_votes(votes, protocol)
    if protocol == "artefacts" or own.empty:
        return pd.DataFrame({"task": [], "worker": [], "label": []})
    task = [" | ".join(sorted(pair)) for pair in zip(own["first"], own["second"], strict=True)]
    sides = zip(own["answer"], own["first"], own["second"], strict=True)
    if protocol in ("pairs", "detection"):
        label = [{"first": first, "second": second}.get(word, word) for word, first, second in sides]
    else:
        label = own["answer"].tolist()
    table = pd.DataFrame({"task": task, "worker": own["rater"].to_numpy(), "label": label})
    return table.drop_duplicates(["task", "worker"], ignore_index=True)


def coincidences(answers: pd.DataFrame) -> tuple[np.ndarray, list]:
    """Per unit the coincidence matrix o_ck, (units, C, C), and the labels: the pairs of labels of two raters,
    each unit's divided by its number of labels less one (Krippendorff 2011, step B)."""
    counts = pd.crosstab(answers["task"], answers["label"])
    n = counts.to_numpy(dtype=float)
    n = n[n.sum(axis=1) > 1]
    pairs = n[:, :, None] * n[:, None, :] - np.einsum("uc,cd->ucd", n, np.eye(n.shape[1]))
    return pairs / (n.sum(axis=1) - 1)[:, None, None], list(counts.columns)


def alpha_of(matrix: np.ndarray, labels: list, level: str) -> float:
    """Alpha from one summed coincidence matrix (C, C): 1 - (n - 1) sum o d² / sum n_c n_k d²; NaN if all agree."""
    totals = matrix.sum(axis=1)
    kept = [k for k, total in enumerate(totals) if total > 0]
    table = differences({labels[k]: totals[k] for k in kept}, level)
    square = np.array([[table[labels[a], labels[b]] for b in kept] for a in kept])
    expected = float(totals[kept] @ square @ totals[kept])
    seen = float((matrix[np.ix_(kept, kept)] * square).sum())
    return 1 - (totals.sum() - 1) * seen / expected if expected > 0 else float("nan")


def _interval(
    answers: pd.DataFrame, level: str, value: float, seed: int, resamples: int, confidence: float
) -> Estimate:
    """Percentile interval with units drawn again (Zapf et al. 2016, BMC Medical Research Methodology 16:93)."""
    matrices, labels = coincidences(answers)
    count = len(matrices)
    if count < FEWEST_UNITS:
        note = f"too few pictures for an interval: {count}, at least {FEWEST_UNITS} are needed"
        return Estimate(value, None, None, count, note)
    rng = np.random.default_rng([seed, STREAM, LEVELS.index(level)])
    weights = rng.multinomial(count, np.full(count, 1 / count), size=min(resamples, 1000))
    draws = np.array([alpha_of(m, labels, level) for m in np.tensordot(weights, matrices, axes=1)])
    draws = draws[np.isfinite(draws)]
    if len(draws) < 100:
        return Estimate(value, None, None, count, "too few resamples differ for an interval")
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(value, float(low), float(high), count)
