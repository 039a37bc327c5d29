"""Which of two looks more natural: the win matrix, Bradley-Terry scores, and how firm the order is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from app.study.bradley_terry import best_scores, connected, fits, thurstone, votes_to_swap
from app.study.intervals import LEVEL, Estimate, bootstrap, rater_weights
from app.study.tables import conditions_of, main_votes

STREAM = 1  # of the bootstrap's random numbers


@dataclass(frozen=True)
class PairScore:
    """One condition. `score`: Bradley-Terry log-strength, mean 0 over conditions; 1.1 more is 3 : 1 in votes."""

    condition: str
    score: Estimate
    thurstone: float | None  # Case V, in standard deviations of a difference
    wins: float  # a tie is half
    votes: int


@dataclass(frozen=True)
class Pairs:
    """All conditions, best first; `wins[i][j]`: how often condition i of `order` beat j, ties as halves."""

    conditions: tuple[PairScore, ...]
    order: tuple[str, ...]
    wins: tuple[tuple[float, ...], ...]
    votes: int
    ties: int
    raters: int
    thurstone_r: float | None  # Pearson correlation of the two scales
    thurstone_same_order: bool | None
    swap: tuple[str, str] | None  # the best two conditions of role test, the better one first
    swap_votes: int | None  # votes whose change is enough to level those two
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wins:
    """Votes counted: whole wins and ties per rater, float (raters, K, K), over `names` and `raters`."""

    names: tuple[str, ...]
    raters: tuple[str, ...]
    whole: np.ndarray
    ties: np.ndarray

    @property
    def halves(self) -> np.ndarray:
        """Wins per rater with a tie as half a win for both, (raters, K, K)."""
        return self.whole + self.ties / 2


def count_wins(votes: pd.DataFrame, stimuli: pd.DataFrame) -> Wins:
    """Wins and ties of the answers that count; pairs of one condition with itself say nothing and are left out."""
    own = main_votes(votes, "pairs")
    first, second = conditions_of(own["first"], stimuli), conditions_of(own["second"], stimuli)
    use = (first != second) & (first != "") & (second != "")
    own, first, second = own[use], first[use], second[use]
    names = tuple(sorted(set(first) | set(second)))
    raters = tuple(sorted(set(own["rater"])))
    whole, ties = np.zeros((2, len(raters), len(names), len(names)))
    r = own["rater"].map({rater: k for k, rater in enumerate(raters)}).to_numpy(dtype=int)
    place = {name: k for k, name in enumerate(names)}
    i, j = (side.map(place).to_numpy(dtype=int) for side in (first, second))
    answer = own["answer"].to_numpy()
    for word, winner, loser in (("first", i, j), ("second", j, i)):
        np.add.at(whole, (r[answer == word], winner[answer == word], loser[answer == word]), 1.0)
    for a, b in ((i, j), (j, i)):
        np.add.at(ties, (r[answer == "tie"], a[answer == "tie"], b[answer == "tie"]), 1.0)
    return Wins(names, raters, whole, ties)


def resampled_scores(counted: Wins, resamples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Bradley-Terry scores (resamples, K) with whole raters drawn again, and which rest on the weak prior."""
    weights = rater_weights(len(counted.raters), resamples, seed, STREAM)
    return fits(np.tensordot(weights, counted.halves, axes=1))


def pairs(
    votes: pd.DataFrame, stimuli: pd.DataFrame, seed: int = 0, resamples: int = 1000, level: float = LEVEL
) -> Pairs | None:
    """Everything about pairwise votes; None where there are none.

    Intervals by bootstrap over raters (whole raters are drawn), since the votes of one rater hang together.
    Conditions that never met, directly or through others, get no scores.
    """
    counted = count_wins(votes, stimuli)
    if len(counted.names) < 2:
        return None
    wins = counted.halves.sum(axis=0)
    met = wins + wins.T
    number = int(round(met.sum() / 2))
    ties = int(round(counted.ties.sum() / 2))
    notes: list[str] = []
    if not connected(met):
        notes.append("Too few votes: some conditions never met, directly or through others, so there are no scores.")
        blank = Estimate(None, None, None, len(counted.raters), "no scores: the conditions never met")
        estimates, second, r, same, values = [blank] * len(met), None, None, None, np.zeros(len(met))
    else:
        estimates = _estimates(counted, wins, seed, resamples, level, notes)
        second = thurstone(wins)
        values = np.array([e.value for e in estimates], dtype=float)
        r, same = _check(values, second)
    swap, swap_votes = _swap(counted, values, stimuli) if second is not None else (None, None)
    rows = [
        PairScore(
            name, estimates[k], None if second is None else float(second[k]), float(wins[k].sum()), int(met[k].sum())
        )
        for k, name in enumerate(counted.names)
    ]
    rows.sort(key=lambda row: (-(row.score.value or 0.0), row.condition))
    matrix = tuple(tuple(float(cell) for cell in line) for line in wins)
    return Pairs(
        tuple(rows), counted.names, matrix, number, ties, len(counted.raters), r, same, swap, swap_votes, tuple(notes)
    )


def _swap(counted: Wins, values: np.ndarray, stimuli: pd.DataFrame) -> tuple[tuple[str, str] | None, int | None]:
    """The best two conditions of role test, as with MOS, and the votes whose change is enough to level them."""
    tests = set(stimuli.loc[stimuli["role"] == "test", "condition"])
    best = [int(k) for k in np.argsort(-values, kind="stable") if counted.names[k] in tests][:2]
    if len(best) < 2:
        return None, None
    votes = votes_to_swap(counted.whole.sum(axis=0), counted.ties.sum(axis=0), *best)
    return (counted.names[best[0]], counted.names[best[1]]), votes


def _estimates(
    counted: Wins, wins: np.ndarray, seed: int, resamples: int, level: float, notes: list[str]
) -> list[Estimate]:
    """Each condition's score and interval; what rests on the weak prior is said in `notes`."""
    raters = len(counted.raters)
    values = best_scores(wins)
    if not connected(wins):
        notes.append("A condition won or lost all its votes: its score is held finite by a weak prior, N(0, 10²).")
    draws, weak = resampled_scores(counted, resamples, seed)
    if weak.mean() > (1 - level) / 2:
        notes.append(f"In {weak.mean():.0%} of resamples a condition won or lost all its votes: intervals are rough.")
    return [bootstrap(float(values[k]), draws[:, k], raters, level) for k in range(len(values))]


def _check(scores: np.ndarray, second: np.ndarray) -> tuple[float | None, bool]:
    """Correlation of Bradley-Terry with Thurstone, and whether both put the conditions in one order."""
    same = bool((np.argsort(-scores, kind="stable") == np.argsort(-second, kind="stable")).all())
    if len(scores) < 3 or np.ptp(scores) < 1e-9 or np.ptp(second) < 1e-9:
        return None, same
    return float(stats.pearsonr(scores, second).statistic), same
