"""An estimate with its interval, and the three ways to get one: Student's t, Clopper-Pearson, rater bootstrap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from app.study.errors import StudyError

LEVEL = 0.95
FEWEST_T = 3  # raters; below, a t interval of a 5-point scale says nothing
FEWEST_BOOTSTRAP = 6  # raters; below, resampling has too few different outcomes for 95 %


@dataclass(frozen=True)
class Estimate:
    """A figure and its interval. `low` and `high` are None where there is none, and `note` says why."""

    value: float | None
    low: float | None
    high: float | None
    n: int  # independent units behind the interval: raters, or votes for Clopper-Pearson
    note: str = ""

    def contains(self, truth: float) -> bool | None:
        """Whether the interval holds `truth`; None where there is no interval."""
        return None if self.low is None or self.high is None else bool(self.low <= truth <= self.high)


def t_mean(values: np.ndarray, level: float = LEVEL) -> Estimate:
    """The mean of one value a rater, shape (raters,), with Student's t interval (ITU-T P.910; BT.500, 95 %).

    NaN stands for a rater without a value. Equal values give no interval: a width of zero would be a fake one.
    """
    values = np.asarray(values, dtype=float)
    values = values[~np.isnan(values)]
    n = len(values)
    if n == 0:
        return Estimate(None, None, None, 0, "no votes")
    mean = float(values.mean())
    if n < FEWEST_T:
        return Estimate(mean, None, None, n, f"too few raters for an interval: {n}, at least {FEWEST_T} are needed")
    deviation = float(values.std(ddof=1))
    if deviation <= 1e-12 * max(1.0, abs(mean)):
        return Estimate(mean, None, None, n, "no interval: all raters gave the same")
    half = float(stats.t.ppf(0.5 + level / 2, n - 1)) * deviation / n**0.5
    return Estimate(mean, mean - half, mean + half, n)


def clopper_pearson(count: int, total: int, level: float = LEVEL) -> Estimate:
    """`count` of `total` as a share with the exact interval (Clopper and Pearson 1934).

    Exact where the votes are independent of one another; votes of one rater may not be.
    """
    if not 0 <= count <= total:
        raise StudyError(f"{count} of {total} is no share: the first number must lie between 0 and the second.")
    if total == 0:
        return Estimate(None, None, None, 0, "no votes")
    tail = (1 - level) / 2
    low = float(stats.beta.ppf(tail, count, total - count + 1)) if count else 0.0
    high = float(stats.beta.ppf(1 - tail, count + 1, total - count)) if count < total else 1.0
    return Estimate(count / total, low, high, total)


def rater_weights(raters: int, resamples: int, seed: int, stream: int) -> np.ndarray:
    """How often each rater is drawn in each resample, int (resamples, raters): whole raters, with replacement.

    `stream` keeps the parts of an analysis independent of one another under one seed.
    """
    rng = np.random.default_rng([seed, stream])
    return rng.multinomial(raters, np.full(raters, 1 / raters), size=resamples)


def bootstrap(value: float | None, draws: np.ndarray, raters: int, level: float = LEVEL) -> Estimate:
    """Percentile interval of `draws`, shape (resamples,), widened for few raters.

    A plain percentile interval is too narrow by sqrt((n-1)/n) and by using the normal for t; the "expanded
    percentile interval" (Hesterberg 2015, The American Statistician 69:371, section 4.1) corrects both.
    """
    if value is None:
        return Estimate(None, None, None, raters, "no votes")
    if raters < FEWEST_BOOTSTRAP:
        note = f"too few raters for an interval: {raters}, at least {FEWEST_BOOTSTRAP} are needed"
        return Estimate(value, None, None, raters, note)
    draws = draws[np.isfinite(draws)]
    if len(draws) < 100:
        return Estimate(value, None, None, raters, "too few resamples hold this condition for an interval")
    tail = float(stats.norm.cdf((raters / (raters - 1)) ** 0.5 * stats.t.ppf((1 - level) / 2, raters - 1)))
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Estimate(value, float(low), float(high), raters)
