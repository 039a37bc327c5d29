"""Can raters tell: d' and the share of right answers, for "which one was altered?" and "same person?"."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special, stats

from app.study.intervals import LEVEL, Estimate, bootstrap, clopper_pearson, rater_weights, t_mean
from app.study.tables import main_votes

STREAM = 3
CHANCE = 0.5
MODELS = {
    "detection": "2AFC: d' = (z(H) - z(F)) / sqrt(2)",
    "verification": "same/different, differencing model",
}
FEWEST = 5  # trials of each of the two sorts; below, the log-linear correction makes up most of d'


@dataclass(frozen=True)
class Sensitivity:
    """One condition. H: "first" said where the first was altered, or "different" where they differ; F: elsewhere.

    `correct`: right answers with the exact interval (votes taken as independent). `by_rater`: mean of the
    raters' own shares with a t interval, the one to trust where raters differ. `p_chance`: exact two-sided
    binomial test against 0.5. `bias`: -(z(H) + z(F)) / 2, above 0 when H's word is said too seldom.
    """

    condition: str
    correct: Estimate
    by_rater: Estimate
    p_chance: float | None
    d_prime: Estimate
    bias: float | None
    hits: int
    signals: int
    false_alarms: int
    noises: int
    raters: int


@dataclass(frozen=True)
class Detection:
    """All conditions of one protocol, the least detectable first, and all of them together under "all"."""

    protocol: str
    model: str
    chance: float
    conditions: tuple[Sensitivity, ...]
    overall: Sensitivity


def log_linear(count: np.ndarray, total: np.ndarray) -> np.ndarray:
    """(count + 0.5) / (total + 1): a rate that is never 0 or 1 (Hautus 1995, the log-linear correction)."""
    return (np.asarray(count, dtype=float) + 0.5) / (np.asarray(total, dtype=float) + 1)


def d_prime_2afc(hit: np.ndarray, false_alarm: np.ndarray) -> np.ndarray:
    """d' of two-alternative forced choice, (z(H) - z(F)) / sqrt(2), free of side bias (Macmillan and Creelman
    2005, chapter 7). Without bias it is sqrt(2) z(share of right answers)."""
    return np.asarray((special.ndtri(hit) - special.ndtri(false_alarm)) / 2**0.5)


def d_prime_same_different(hit: np.ndarray, false_alarm: np.ndarray) -> np.ndarray:
    """d' of same/different under the differencing model (Macmillan and Creelman 2005, chapter 9).

    The rater says "different" when two impressions lie more than k apart: F = 2 Phi(-k / sqrt(2)) and
    H = Phi((d' - k) / sqrt(2)) + Phi((-d' - k) / sqrt(2)). The model for many different photos ("roving"). It has no
    negative d': 0 where H <= F. Solved by bisection, elementwise, up to d' = 20.
    """
    hit, false_alarm = np.broadcast_arrays(np.asarray(hit, dtype=float), np.asarray(false_alarm, dtype=float))
    k = -(2**0.5) * special.ndtri(false_alarm / 2)
    low, high = np.zeros(hit.shape), np.full(hit.shape, 20.0)
    for _ in range(70):
        middle = (low + high) / 2
        reached = special.ndtr((middle - k) / 2**0.5) + special.ndtr((-middle - k) / 2**0.5)
        low, high = np.where(reached < hit, middle, low), np.where(reached < hit, high, middle)
    return np.asarray(np.where(hit <= false_alarm, 0.0, (low + high) / 2))


FORMULAS: dict[str, Callable] = {"detection": d_prime_2afc, "verification": d_prime_same_different}


def detection(
    votes: pd.DataFrame,
    stimuli: pd.DataFrame,
    protocol: str,
    seed: int = 0,
    resamples: int = 1000,
    level: float = LEVEL,
) -> Detection | None:
    """The result of "detection" or "verification"; None without answers. d' from votes of all raters together,
    with a bootstrap interval over raters."""
    table = judged(votes, stimuli, protocol)
    if table.empty:
        return None
    rows = [
        _sensitivity(str(name), own, protocol, seed, resamples, level) for name, own in table.groupby("condition")
    ]
    rows.sort(key=lambda row: (row.correct.value or 0.0, row.condition))
    overall = _sensitivity("all", table, protocol, seed, resamples, level)
    return Detection(protocol, MODELS[protocol], CHANCE, tuple(rows), overall)


def judged(votes: pd.DataFrame, stimuli: pd.DataFrame, protocol: str) -> pd.DataFrame:
    """The answers that count, one a row: rater, condition, signal (bool), yes (bool).

    Detection: signal is "the first was altered", the condition that of the altered picture. Verification:
    signal is "different people", the condition that of the picture under test.
    """
    own = main_votes(votes, protocol)
    own = own[own["truth"] != ""]
    role = dict(zip(stimuli["stimulus"], stimuli["role"], strict=True))
    named = dict(zip(stimuli["stimulus"], stimuli["condition"], strict=True))
    word = "first" if protocol == "detection" else "different"
    condition = []
    for first, second, truth in zip(own["first"], own["second"], own["truth"], strict=True):
        if protocol == "detection":
            shown = first if truth == "first" else second
        else:
            shown = second if role.get(first) == "reference" and second else first
        condition.append(named.get(shown, ""))
    return pd.DataFrame(
        {
            "rater": own["rater"].to_numpy(),
            "condition": condition,
            "signal": (own["truth"] == word).to_numpy(),
            "yes": (own["answer"] == word).to_numpy(),
        }
    )


def _sensitivity(name: str, own: pd.DataFrame, protocol: str, seed: int, resamples: int, level: float) -> Sensitivity:
    right = own["signal"] == own["yes"]
    parts = pd.DataFrame(
        {
            "hits": own["signal"] & own["yes"],
            "signals": own["signal"],
            "false_alarms": ~own["signal"] & own["yes"],
            "noises": ~own["signal"],
        }
    )
    counts = parts.groupby(own["rater"]).sum().to_numpy(dtype=float)
    hits, signals, false_alarms, noises = (int(total) for total in counts.sum(axis=0))
    d_prime, bias = _d_prime(counts, protocol, seed, resamples, level)
    chance = stats.binomtest(int(right.sum()), len(own), CHANCE).pvalue if len(own) else None
    return Sensitivity(
        condition=name,
        correct=clopper_pearson(int(right.sum()), len(own), level),
        by_rater=t_mean(right.groupby(own["rater"]).mean().to_numpy(), level),
        p_chance=None if chance is None else float(chance),
        d_prime=d_prime,
        bias=bias,
        hits=hits,
        signals=signals,
        false_alarms=false_alarms,
        noises=noises,
        raters=len(counts),
    )


def _d_prime(
    counts: np.ndarray, protocol: str, seed: int, resamples: int, level: float
) -> tuple[Estimate, float | None]:
    """d' and bias from (raters, 4) counts: hits, signals, false alarms, noises."""
    raters, totals = len(counts), counts.sum(axis=0)
    if min(totals[1], totals[3]) < FEWEST:
        sorts = ("altered left", "altered right") if protocol == "detection" else ("different", "same")
        seen = f"{totals[1]:.0f} {sorts[0]}, {totals[3]:.0f} {sorts[1]}"
        note = f"too few trials for d': {seen}; at least {FEWEST} of each are needed"
        return Estimate(None, None, None, raters, note), None
    h, f = log_linear(totals[0], totals[1]), log_linear(totals[2], totals[3])
    value = float(FORMULAS[protocol](h, f))
    drawn = rater_weights(raters, resamples, seed, STREAM) @ counts
    draws = FORMULAS[protocol](log_linear(drawn[:, 0], drawn[:, 1]), log_linear(drawn[:, 2], drawn[:, 3]))
    draws = draws[np.minimum(drawn[:, 1], drawn[:, 3]) > 0]
    return bootstrap(value, draws, raters, level), float(-(special.ndtri(h) + special.ndtri(f)) / 2)
