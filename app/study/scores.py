"""MOS and DMOS from five-point scores: ACR, ACR with hidden reference, DSIS."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from app.study.intervals import LEVEL, Estimate, t_mean
from app.study.tables import main_votes


@dataclass(frozen=True)
class ConditionScore:
    """One condition: MOS, and for ACR with a hidden reference the DMOS. `counts`: answers 1 to 5."""

    condition: str
    mos: Estimate
    dmos: Estimate | None
    votes: int
    counts: tuple[int, int, int, int, int]


@dataclass(frozen=True)
class StimulusScore:
    """One picture's MOS over the raters who saw it."""

    stimulus: str
    photo: str
    condition: str
    mos: Estimate


@dataclass(frozen=True)
class Swap:
    """How many answers would have to change for `second` to reach `top`; None where there are not two."""

    top: str
    second: str
    votes: int | None
    of: int


@dataclass(frozen=True)
class Scores:
    """All conditions of one five-point protocol, best first."""

    protocol: str
    conditions: tuple[ConditionScore, ...]
    stimuli: tuple[StimulusScore, ...]
    swap: Swap | None
    without_reference: int  # answers that no hidden reference of the same rater and photo could be set against
    notes: tuple[str, ...] = ()


def rated(votes: pd.DataFrame, stimuli: pd.DataFrame, protocol: str) -> pd.DataFrame:
    """The answers that count, one a row: rater, photo, stimulus, condition, role, score (float).

    ACR rates the one picture shown; DSIS rates the second, whose reference is the first.
    """
    own = main_votes(votes, protocol)
    shown = own["second"] if protocol == "dsis" else own["first"]
    table = pd.DataFrame({"rater": own["rater"], "stimulus": shown, "score": own["answer"].astype(float)})
    return table.merge(stimuli[["stimulus", "photo", "condition", "role"]], on="stimulus", how="left")


def rater_means(table: pd.DataFrame, value: str = "score") -> pd.DataFrame:
    """Each rater's mean per condition: rows raters, columns conditions, NaN where a rater has none."""
    return table.groupby(["rater", "condition"])[value].mean().unstack("condition").sort_index().sort_index(axis=1)


def differential(table: pd.DataFrame, crushed: bool = False) -> pd.DataFrame:
    """ACR-HR differential scores, `table` with a column `dv`: DV = V(test) - V(hidden reference) + 5 (ITU-T P.910).

    Reference of the same rater and photo; rows without one have NaN. `crushed` applies P.910's
    crushing function 7 DV / (2 + DV) to values above 5, where a rater liked the test better.
    """
    hidden = table[table["role"] == "reference"].groupby(["rater", "photo"])["score"].mean()
    base = table.set_index(["rater", "photo"]).index.map(hidden.to_dict())
    dv = table["score"] - np.asarray(base, dtype=float) + 5
    if crushed:
        dv = dv.where(dv <= 5, 7 * dv / (2 + dv))
    return table.assign(dv=dv)


def scores(
    votes: pd.DataFrame, stimuli: pd.DataFrame, protocol: str, level: float = LEVEL, crushed: bool = False
) -> Scores | None:
    """MOS per condition and per picture, with t intervals over raters; None where the protocol has no answers.

    A rater's answers to one condition are averaged first, so that the interval's n is raters: it speaks of
    other raters, with these same photos. DMOS where there is a hidden reference (`differential`).
    """
    table = rated(votes, stimuli, protocol)
    if table.empty:
        return None
    means, differences, missing = rater_means(table), None, 0
    if protocol == "acr" and (table["role"] == "reference").any():
        with_dv = differential(table[table["role"] != "catch"], crushed)
        missing = int(with_dv["dv"].isna().sum())
        differences = rater_means(with_dv.dropna(subset=["dv"]), "dv")
    rows = [_condition(name, table, means, differences, level) for name in means.columns]
    rows.sort(key=lambda row: (-(row.mos.value or 0.0), row.condition))
    notes = []
    if missing:
        notes.append(f"{missing} answers have no hidden reference by the same rater, and are left out of the DMOS.")
    pictures = tuple(_stimulus(str(key), group, level) for key, group in table.groupby("stimulus"))
    return Scores(protocol, tuple(rows), pictures, swap(table), missing, tuple(notes))


def _condition(
    name: str, table: pd.DataFrame, means: pd.DataFrame, differences: pd.DataFrame | None, level: float
) -> ConditionScore:
    own = table[table["condition"] == name]
    counts = [int((own["score"] == value).sum()) for value in (1, 2, 3, 4, 5)]
    dmos = None
    if differences is not None and name in differences and not (own["role"] == "reference").all():
        dmos = t_mean(differences[name].to_numpy(), level)
    a, b, c, d, e = counts
    return ConditionScore(name, t_mean(means[name].to_numpy(), level), dmos, len(own), (a, b, c, d, e))


def _stimulus(key: str, group: pd.DataFrame, level: float) -> StimulusScore:
    first, by_rater = group.iloc[0], group.groupby("rater")["score"].mean()
    return StimulusScore(key, first["photo"], first["condition"], t_mean(by_rater.to_numpy(), level))


def swap(table: pd.DataFrame) -> Swap | None:
    """The fewest answers whose change levels the best two test conditions; exact, since a MOS is linear in its votes.

    An answer of the top one may fall to 1, one of the second may rise to 5; the largest steps are taken first.
    """
    tests = table[table["role"] == "test"]
    means = rater_means(tests)
    if means.shape[1] < 2:
        return None
    order = sorted(means.columns, key=lambda name: (-float(means[name].mean()), name))
    gap = float(means[order[0]].mean() - means[order[1]].mean())
    steps: list[float] = []
    for name, end in ((order[0], 1.0), (order[1], 5.0)):
        own = tests[tests["condition"] == name]
        share = own.groupby("rater")["score"].transform("size") * own["rater"].nunique()
        steps += [float(step) for step in (own["score"] - end).abs() / share]
    reached = np.cumsum(sorted(steps, reverse=True))
    enough = np.flatnonzero(reached >= gap - 1e-12)
    count = 0 if gap <= 1e-12 else int(enough[0]) + 1 if len(enough) else None
    return Swap(order[0], order[1], count, len(steps))
