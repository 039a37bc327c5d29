"""What the statistics should find for simulated raters: the exact expectations over raters and trials."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import special

from app.study.bradley_terry import fit
from app.study.detection import d_prime_2afc, d_prime_same_different
from app.study.simulated_rater import CRITERION, SHARPNESS, Raters


def expected_grade(score: float, raters: Raters) -> float:
    """The mean answer over raters and trials to a picture of this score on the five-point scale, exactly."""
    wide = (SHARPNESS**2 + raters.spread**2) ** 0.5
    above = special.ndtr((score - np.array([1.5, 2.5, 3.5, 4.5])) / wide)
    return float((1 - raters.lapse) * (1 + above.sum()) + raters.lapse * 3)


def strengths(scores: Sequence[float], raters: Raters) -> np.ndarray:
    """The Bradley-Terry log-strengths (K,), mean 0, that equally many votes on every pair tend to.

    With spread, lapses, ties or side bias they are not `scores` themselves: those shrink the shares of wins.
    """
    score = np.asarray(scores, dtype=float)
    lead = score[:, None] - score[None, :]
    node, weight = np.polynomial.hermite_e.hermegauss(41)  # over raters, whose leads differ by sqrt(2) spread
    wins = np.zeros(lead.shape)
    for z, share in zip(node, weight / weight.sum(), strict=True):
        seen = lead + 2**0.5 * raters.spread * z
        for bias in (raters.side_bias, -raters.side_bias):
            for tie in (raters.tie, -raters.tie):  # half of the ties count as wins
                wins += share * special.expit(seen + bias - tie) / 4
    wins = (1 - raters.lapse) * wins + raters.lapse / 2
    np.fill_diagonal(wins, 0)
    return np.asarray(fit(wins[None], 1e-9)[0])


def first_share(scores: Sequence[float], raters: Raters) -> float:
    """How often the first of two is chosen, every pair of `scores` as often either way round; without ties."""
    above = np.triu_indices(len(scores), 1)
    lead = (np.asarray(scores, dtype=float)[:, None] - np.asarray(scores, dtype=float)[None, :])[above]
    node, weight = np.polynomial.hermite_e.hermegauss(41)
    seen = lead[:, None] + 2**0.5 * raters.spread * node
    share = (special.expit(seen + raters.side_bias) + special.expit(-seen + raters.side_bias)) / 2
    return float((1 - raters.lapse) * (share @ (weight / weight.sum())).mean() + raters.lapse / 2)


def log_pace(trials: int) -> float:
    """Change of ln(seconds) of a simulated rater from the first half of `trials` main trials to the second."""
    pace = np.log(1 + 2 / (np.arange(1, trials + 1) + 2))  # place 0 is the training trial
    late = np.arange(1, trials + 1) > trials / 2
    return float(pace[late].mean() - pace[~late].mean())


def detection_rates(d: float, raters: Raters) -> tuple[float, float]:
    """H and F of "which one was altered?" for raters whose own d' spread around `d`."""
    wide = (2 + raters.spread**2) ** 0.5
    rates = special.ndtr((np.array([d, -d]) + raters.side_bias) / wide)
    h, f = (1 - raters.lapse) * rates + raters.lapse / 2
    return float(h), float(f)


def verification_rates(d: float, raters: Raters) -> tuple[float, float]:
    """H and F of "same person?" by the differencing model."""
    wide = (2 + raters.spread**2) ** 0.5
    h = special.ndtr((d - CRITERION) / wide) + special.ndtr((-d - CRITERION) / wide)
    f = 2 * special.ndtr(-CRITERION / 2**0.5)
    return float((1 - raters.lapse) * h + raters.lapse / 2), float((1 - raters.lapse) * f + raters.lapse / 2)


def d_prime(protocol: str, d: float, raters: Raters) -> float:
    """The d' of all votes together; with spread it lies a little below `d`, the mean of the raters' own."""
    if protocol == "detection":
        return float(d_prime_2afc(*map(np.asarray, detection_rates(d, raters))))
    return float(d_prime_same_different(*map(np.asarray, verification_rates(d, raters))))
