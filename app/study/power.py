"""How many trials: from an expected effect and a number of raters to trials for each rater, and back.

Two kinds of question, always two-sided at level `alpha`:

*Shares* (pairs, detection, verification): a share p of answers against chance p0, by the exact binomial test. Answers
of one rater resemble one another (intraclass correlation rho), so m answers from each of R raters are worth
N = R m / (1 + (m - 1) rho) independent ones (Kish's design effect). Power is the exact probability, under p, of the
test's rejection region for floor(N) answers.

*Means* (ACR, DSIS): the difference d of two conditions' mean scores, by the paired t-test over raters. A rater's own
difference has variance tau^2 + 2 sigma^2 / m, where tau is the standard deviation of true differences between raters
and sigma that of one score around its rater's mean; m is the number of scores a rater gives to each condition.
Power is P(|T| > t(1 - alpha/2, R - 1)) for noncentral t with R - 1 degrees of freedom and noncentrality
d sqrt(R) / sqrt(tau^2 + 2 sigma^2 / m).

Where boxes are drawn there is nothing to test: what is asked there is how closely a share of raters will be known.
"""

from __future__ import annotations

import math

from scipy import optimize, stats

from app.study.errors import StudyError
from app.study.exact import above, binomial_power, fewest

MOST_TRIALS = 2_000  # for each rater, as a design allows
MOST_RATERS = 100_000
POWER = 0.8
ALPHA = 0.05
RHO = 0.05
TAU = 0.3  # points on the five-point scale
SIGMA = 0.7  # points


def power_of_share(
    share: float, raters: int, trials: int, chance: float = 0.5, rho: float = RHO, alpha: float = ALPHA
) -> float:
    """Probability of finding that `share` (0 to 1) differs from `chance`. Raises StudyError."""
    _check_share(share, chance, rho, alpha)
    _check_counts(raters, trials)
    answers = int(raters * trials / (1 + (trials - 1) * rho) + 1e-9)
    return binomial_power(share, answers, chance, alpha)


def trials_for_share(
    share: float,
    raters: int,
    chance: float = 0.5,
    rho: float = RHO,
    alpha: float = ALPHA,
    power: float = POWER,
) -> int:
    """Fewest trials for each rater with at least this power. Raises StudyError where no number of trials suffices.

    Exact binomial power is a saw-tooth in the number of answers; what is returned is the smallest number from which
    on, up to twice as many, it never falls below `power` again (above 500, to within 0.2 %).
    """
    _check_power(power, alpha)
    if share == chance:
        raise StudyError("Without a difference from chance there is nothing to find: expect another share.")
    found = fewest(lambda m: power_of_share(share, raters, m, chance, rho, alpha), power, MOST_TRIALS, steady=True)
    if found is None:
        raise StudyError(
            f"{raters} raters cannot reach a power of {power:.0%} for this effect: ask more raters, since more "
            "trials from the same ones add little."
        )
    return found


def raters_for_share(
    share: float, trials: int, chance: float = 0.5, rho: float = RHO, alpha: float = ALPHA, power: float = POWER
) -> int:
    """Fewest raters for `trials` each, in the same sense. Raises StudyError."""
    _check_power(power, alpha)
    if share == chance:
        raise StudyError("Without a difference from chance there is nothing to find: expect another share.")
    found = fewest(lambda r: power_of_share(share, r, trials, chance, rho, alpha), power, MOST_RATERS, steady=True)
    if found is None:
        raise StudyError(f"Even {MOST_RATERS:,} raters would not do for this effect: expect a larger one.")
    return found


def detectable_share(
    raters: int,
    trials: int,
    chance: float = 0.5,
    rho: float = RHO,
    alpha: float = ALPHA,
    power: float = POWER,
) -> float:
    """The share above chance that would just be found. Raises StudyError where not even 100 % would."""
    _check_power(power, alpha)
    if power_of_share(1.0, raters, trials, chance, rho, alpha) < power:
        raise StudyError("These few answers find no effect at all: ask for more trials or more raters.")
    return float(
        optimize.brentq(
            lambda share: power_of_share(share, raters, trials, chance, rho, alpha) - power, chance, 1.0, xtol=1e-6
        )
    )


def power_of_difference(
    difference: float, raters: int, trials: int, tau: float = TAU, sigma: float = SIGMA, alpha: float = ALPHA
) -> float:
    """Probability of finding a difference of mean scores (points), `trials` scores a condition. Raises StudyError."""
    _check_counts(raters, trials)
    _check_spread(tau, sigma, alpha)
    if raters < 2:
        raise StudyError("A mean with an interval needs at least two raters: ask for more.")
    free = raters - 1
    shift = abs(difference) * math.sqrt(raters) / math.sqrt(tau**2 + 2 * sigma**2 / trials)
    bound = stats.t.ppf(1 - alpha / 2, free)
    return above(bound, free, shift) + above(bound, free, -shift)


def trials_for_difference(
    difference: float,
    raters: int,
    tau: float = TAU,
    sigma: float = SIGMA,
    alpha: float = ALPHA,
    power: float = POWER,
) -> int:
    """Fewest scores by each rater for each condition. Raises StudyError where no number suffices."""
    _check_power(power, alpha)
    found = fewest(lambda m: power_of_difference(difference, raters, m, tau, sigma, alpha), power, MOST_TRIALS)
    if found is None:
        raise StudyError(
            f"{raters} raters cannot reach a power of {power:.0%} for this difference, since raters differ among "
            "themselves: ask more raters."
        )
    return found


def raters_for_difference(
    difference: float,
    trials: int,
    tau: float = TAU,
    sigma: float = SIGMA,
    alpha: float = ALPHA,
    power: float = POWER,
) -> int:
    """Fewest raters, at least 2, who give `trials` scores to each condition. Raises StudyError."""
    _check_power(power, alpha)

    def reached(raters: int) -> float:
        return power_of_difference(difference, max(raters, 2), trials, tau, sigma, alpha)

    found = fewest(reached, power, MOST_RATERS)
    if found is None:
        raise StudyError(f"Even {MOST_RATERS:,} raters would not find this difference: expect a larger one.")
    return max(found, 2)


def detectable_difference(
    raters: int,
    trials: int,
    tau: float = TAU,
    sigma: float = SIGMA,
    alpha: float = ALPHA,
    power: float = POWER,
) -> float:
    """The difference of mean scores (points) that would just be found. Raises StudyError."""
    _check_power(power, alpha)
    spread = math.sqrt(tau**2 + 2 * sigma**2 / max(trials, 1))

    def short(difference: float) -> float:
        return power_of_difference(difference, raters, trials, tau, sigma, alpha) - power

    return float(optimize.brentq(short, 0.0, 100 * spread, xtol=1e-9))


def half_width(raters: int, spread: float, level: float = 0.95) -> float:
    """Half the interval of a mean opinion score, t(R - 1) S / sqrt(R) (P.910, BT.500): `spread` S in points."""
    if raters < 2 or not spread > 0 or not 0 < level < 1:
        raise StudyError("An interval needs two raters, a spread above 0 and a level between 0 and 1: change these.")
    return float(stats.t.ppf((1 + level) / 2, raters - 1) * spread / math.sqrt(raters))


def _check_share(share: float, chance: float, rho: float, alpha: float) -> None:
    if not (0 <= share <= 1 and 0 < chance < 1 and 0 <= rho <= 1 and 0 < alpha < 1):
        raise StudyError("Share, chance, correlation and alpha lie between 0 and 1: change the one that does not.")


def _check_counts(raters: int, trials: int) -> None:
    if raters < 1 or trials < 1:
        raise StudyError("There must be at least one rater and one trial: enter whole numbers from 1.")


def _check_spread(tau: float, sigma: float, alpha: float) -> None:
    if not (tau >= 0 and sigma >= 0 and tau + sigma > 0 and 0 < alpha < 1):
        raise StudyError("The spreads must not be negative nor both 0, and alpha lies between 0 and 1: change these.")


def _check_power(power: float, alpha: float) -> None:
    if not alpha < power < 1:
        raise StudyError("The power must lie between alpha and 1: 0.8 is usual.")


def raters_for_margin(share: float, margin: float, alpha: float = ALPHA) -> int:
    """Fewest raters whose share is known to ± `margin` (0 to 1), by the normal approximation. Raises StudyError."""
    if not (0 < share < 1 and 0 < margin < 0.5 and 0 < alpha < 1):
        raise StudyError("Expect a share between 0 and 100 %, and allow a margin between 0 and 50 points.")
    return math.ceil(share * (1 - share) * (stats.norm.ppf(1 - alpha / 2) / margin) ** 2)
