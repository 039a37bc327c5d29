"""The distributions behind `power`: the exact binomial test, noncentral t, and the search for the fewest."""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy import integrate, stats

FINE = 500  # counts above it are searched in steps of 1 / FINE


def binomial_power(share: float, answers: int, chance: float, alpha: float) -> float:
    """P(rejected | share) of the exact test: rejected where either tail under chance is at most alpha / 2."""
    low = int(stats.binom.ppf(alpha / 2, answers, chance))
    while low >= 0 and stats.binom.cdf(low, answers, chance) > alpha / 2:
        low -= 1
    high = int(stats.binom.isf(alpha / 2, answers, chance))
    while stats.binom.sf(high - 1, answers, chance) > alpha / 2:
        high += 1
    return float(stats.binom.cdf(low, answers, share) + stats.binom.sf(high - 1, answers, share))


def above(bound: float, free: int, shift: float) -> float:
    """P(T > bound) of noncentral t; by integration over chi where SciPy's series gives NaN (large shifts)."""
    series = float(stats.nct.sf(bound, free, shift))
    if math.isfinite(series):
        return series
    width = 12 / math.sqrt(2 * free)  # of T = (Z + shift) / U, where U is chi over the root of its degrees of freedom
    found = integrate.quad(
        lambda u: stats.norm.cdf(shift - bound * u) * stats.chi.pdf(u * math.sqrt(free), free) * math.sqrt(free),
        max(0.0, 1 - width),
        1 + width,
    )
    return float(found[0])


def fewest(reached: Callable[[int], float], power: float, most: int, steady: bool = False) -> int | None:
    """Smallest count up to `most` that reaches the power; `steady`: and keeps it for all counts up to its double."""
    if steady:
        high = 1
        while reached(high) < power:
            if high >= most:
                return None
            high = min(2 * high, most)
        last = min(2 * high, most)
        while last > 0 and reached(last) >= power:
            last -= max(1, last // FINE)
        return last + 1 if last < most else None
    if reached(most) < power:
        return None
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) >= power else (middle, high)
    return high
