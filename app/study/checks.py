"""Whether side or order of the trials shows in the answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from app.study.bradley_terry import connected, fits
from app.study.intervals import LEVEL, Estimate, clopper_pearson, t_mean
from app.study.pairs import count_wins
from app.study.tables import conditions_of, main_votes

FEWEST_SIDES = 12  # decided votes of a rater before a side may be called a habit


@dataclass(frozen=True)
class SideBias:
    """How often the first (left) picture was chosen: mean over raters of their own shares, with a t interval.

    `votes` and `p` are a check: the share of all votes with its exact interval, and the exact two-sided binomial test
    against a half. They take votes to be independent, and votes of one rater are not: a habit of a few makes both too
    sure. `raters`: those whose own votes give p < 0.01, with their share of "first".
    """

    protocol: str
    first: Estimate
    votes: Estimate
    p: float | None
    raters: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Learning:
    """Second half of each rater's session less the first half; mean over raters with a t interval.

    `answers`: what `measure` says. `log_seconds`: the natural logarithm of the response time; below 0 is faster.
    """

    protocol: str
    measure: str
    answers: Estimate
    log_seconds: Estimate


@dataclass(frozen=True)
class Checks:
    """Empty where a protocol has nothing to check."""

    sides: tuple[SideBias, ...]
    learning: tuple[Learning, ...]


MEASURES = {
    "pairs": "share of votes for the condition with the higher Bradley-Terry score",
    "acr": "score less the picture's mean, in points",
    "dsis": "score less the picture's mean, in points",
    "detection": "share of right answers",
    "verification": "share of right answers",
    "artefacts": "boxes drawn per picture",
}


def checks(votes: pd.DataFrame, stimuli: pd.DataFrame, level: float = LEVEL) -> Checks:
    """Side bias of the protocols with two sides to choose from, learning of all."""
    present = [name for name in MEASURES if len(main_votes(votes, name))]
    sides = tuple(side_bias(votes, name, level) for name in present if name in ("pairs", "detection"))
    return Checks(sides, tuple(learning(votes, stimuli, name, level) for name in present))


def side_bias(votes: pd.DataFrame, protocol: str, level: float = LEVEL) -> SideBias:
    """The share of "first" among votes that chose a side, against a half, all together and by rater."""
    own = main_votes(votes, protocol)
    own = own[own["answer"].isin(["first", "second"])]
    first = own["answer"] == "first"
    p = float(stats.binomtest(int(first.sum()), len(own)).pvalue) if len(own) else None
    by_rater, habits = first.groupby(own["rater"]), []
    for rater, chosen in by_rater:
        if len(chosen) >= FEWEST_SIDES and stats.binomtest(int(chosen.sum()), len(chosen)).pvalue < 0.01:
            habits.append((str(rater), float(chosen.mean())))
    shares = t_mean(by_rater.mean().to_numpy(dtype=float), level)
    return SideBias(protocol, shares, clopper_pearson(int(first.sum()), len(own), level), p, tuple(habits))


def learning(votes: pd.DataFrame, stimuli: pd.DataFrame, protocol: str, level: float = LEVEL) -> Learning:
    """What changed from the first to the second half of the raters' sessions."""
    own = main_votes(votes, protocol).copy()
    own["value"] = _value(own, votes, stimuli, protocol)
    own["log"] = np.log(own["seconds"].clip(lower=1e-3))
    place = own.groupby("rater")["index"].rank(method="first")
    own["late"] = place > own.groupby("rater")["index"].transform("size") / 2
    halves = own.groupby(["rater", "late"])[["value", "log"]].mean().unstack("late")
    changes = []
    for column in ("value", "log"):
        half = halves[column].reindex(columns=[False, True])
        changes.append(t_mean((half[True] - half[False]).to_numpy(dtype=float), level))
    return Learning(protocol, MEASURES[protocol], changes[0], changes[1])


def _value(own: pd.DataFrame, votes: pd.DataFrame, stimuli: pd.DataFrame, protocol: str) -> pd.Series:
    """One number an answer, NaN where it has none; see `MEASURES`."""
    if protocol in ("acr", "dsis"):
        score = own["answer"].astype(float)
        return score - score.groupby(own["second"] if protocol == "dsis" else own["first"]).transform("mean")
    if protocol in ("detection", "verification"):
        return (own["answer"] == own["truth"]).astype(float).where(own["truth"] != "")
    if protocol == "artefacts":
        return own["answer"].map(len).astype(float)
    return _with_the_favourite(own, votes, stimuli)


def _with_the_favourite(own: pd.DataFrame, votes: pd.DataFrame, stimuli: pd.DataFrame) -> pd.Series:
    counted = count_wins(votes, stimuli)
    wins = counted.halves.sum(axis=0)
    if len(counted.names) < 2 or not connected(wins + wins.T):
        return pd.Series(np.nan, index=own.index)
    score = dict(zip(counted.names, fits(wins[None])[0][0], strict=True))
    first, second = (conditions_of(own[side], stimuli).map(score) for side in ("first", "second"))
    lead = np.sign(first - second) * own["answer"].map({"first": 1, "second": -1, "tie": 0}).astype(float)
    return ((lead + 1) / 2).where(first != second).astype(float)
