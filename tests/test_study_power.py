"""Sample sizes, against statsmodels, SciPy and plain enumeration."""

from __future__ import annotations

import math

import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower
from statsmodels.stats.proportion import samplesize_confint_proportion

from app.study import power
from app.study.errors import StudyError


@pytest.mark.parametrize("difference, raters, trials", [(0.3, 24, 1), (0.2, 40, 3), (0.8, 5, 2)])
def test_power_of_a_difference_is_that_of_the_paired_t_test(difference, raters, trials):
    tau, sigma = 0.4, 0.6
    effect = difference / math.sqrt(tau**2 + 2 * sigma**2 / trials)
    expected = TTestPower().power(effect, raters, 0.05)
    assert power.power_of_difference(difference, raters, trials, tau, sigma) == pytest.approx(expected, abs=1e-9)


def test_power_of_a_share_is_that_of_scipys_exact_test():
    answers, share = 61, 0.66
    rejected = [k for k in range(answers + 1)
                if min(stats.binom.cdf(k, answers, 0.5), stats.binom.sf(k - 1, answers, 0.5)) <= 0.025]  # fmt: skip
    expected = sum(stats.binom.pmf(k, answers, share) for k in rejected)
    assert power.power_of_share(share, answers, 1) == pytest.approx(expected, abs=1e-12)
    assert power.power_of_share(0.5, answers, 1) <= 0.05
    assert all(stats.binomtest(k, answers).pvalue <= 0.05 for k in rejected)


def test_forth_and_back():
    trials = power.trials_for_share(0.62, 20)
    assert power.power_of_share(0.62, 20, trials) >= 0.8
    assert power.detectable_share(20, trials) <= 0.62
    assert min(power.power_of_share(0.62, 20, more) for more in range(trials, 2 * trials)) >= 0.8
    raters = power.raters_for_share(0.62, trials)
    assert power.power_of_share(0.62, raters, trials) >= 0.8 and raters <= 22
    scores = power.trials_for_difference(0.3, 24)
    assert power.power_of_difference(0.3, 24, scores) >= 0.8 > power.power_of_difference(0.3, 24, scores - 1)
    assert power.detectable_difference(24, scores) <= 0.3 < power.detectable_difference(24, scores - 1)
    people = power.raters_for_difference(0.3, 2)
    assert power.power_of_difference(0.3, people, 2) >= 0.8 > power.power_of_difference(0.3, people - 1, 2)


def test_raters_who_agree_with_themselves_are_worth_less():
    assert power.power_of_share(0.6, 20, 20, rho=0.3) < power.power_of_share(0.6, 20, 20, rho=0.0)
    assert power.power_of_share(0.6, 50, 9, rho=1.0) == power.power_of_share(0.6, 50, 1)


def test_large_shifts_do_not_break_the_series():
    assert power.power_of_difference(50.0, 30, 1) == pytest.approx(1.0)
    assert 0.2 < power.power_of_difference(15.0, 2, 1, tau=1.0, sigma=0.1) < 1


def test_the_half_width_of_a_mean():
    assert power.half_width(24, 0.8) == pytest.approx(stats.t.interval(0.95, 23, scale=0.8 / math.sqrt(24))[1])


@pytest.mark.parametrize("ask, said", [
    (lambda: power.trials_for_share(0.52, 5), "more raters"),
    (lambda: power.trials_for_share(0.5, 20), "nothing to find"),
    (lambda: power.raters_for_share(0.5, 20), "nothing to find"),
    (lambda: power.trials_for_difference(0.05, 10), "more raters"),
    (lambda: power.raters_for_difference(0.0, 10), "larger one"),
    (lambda: power.detectable_share(1, 2), "few answers"),
    (lambda: power.power_of_share(1.2, 20, 5), "between 0 and 1"),
    (lambda: power.power_of_share(0.6, 0, 5), "at least one"),
    (lambda: power.power_of_difference(0.3, 1, 5), "two raters"),
    (lambda: power.power_of_difference(0.3, 5, 5, tau=-1), "negative"),
    (lambda: power.trials_for_share(0.6, 20, power=1.0), "power"),
    (lambda: power.half_width(1, 0.5), "two raters"),
])  # fmt: skip
def test_bad_questions_get_a_sentence(ask, said):
    with pytest.raises(StudyError, match=said):
        ask()


@pytest.mark.parametrize("share, margin", [(0.5, 0.15), (0.5, 0.05), (0.1, 0.1)])
def test_raters_for_a_margin_are_the_textbook_s(share, margin):
    assert power.raters_for_margin(share, margin) == math.ceil(samplesize_confint_proportion(share, margin))


@pytest.mark.parametrize("share, margin", [(0, 0.1), (1, 0.1), (0.5, 0), (0.5, 0.5)])
def test_a_margin_that_means_nothing_is_refused(share, margin):
    with pytest.raises(StudyError, match="allow a margin"):
        power.raters_for_margin(share, margin)
