"""d' against its closed form and published values; shares against chance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from app.study.detection import d_prime_2afc, d_prime_same_different, detection, judged, log_linear
from app.study.simulate import simulate
from app.study.simulated_rater import Raters
from app.study.simulated_trials import Condition
from app.study.tables import checked


@pytest.mark.parametrize(
    ("share", "published"), [(0.55, 0.18), (0.65, 0.54), (0.75, 0.95), (0.76, 1.00), (0.92, 1.99)]
)
def test_2afc_without_bias_is_the_published_table(share, published):
    """Hacker and Ratcliff (1979), Table 1, M = 2: sqrt(2) z(share right)."""
    assert round(float(d_prime_2afc(share, 1 - share)), 2) == published


def test_2afc_is_free_of_side_bias():
    for bias in (0.0, 0.5, 1.5):
        hit, false_alarm = stats.norm.cdf(1.3 / 2**0.5 + bias), stats.norm.cdf(-1.3 / 2**0.5 + bias)
        assert d_prime_2afc(hit, false_alarm) == pytest.approx(1.3, abs=1e-12)


@pytest.mark.parametrize("d", [0.3, 1.0, 2.5, 4.0])
@pytest.mark.parametrize("k", [0.5, 1.5, 3.0])
def test_same_different_finds_the_d_that_made_the_rates(d, k):
    """The differencing model forwards, drawn and by formula; then backwards."""
    norm = stats.norm.cdf
    hit = norm((d - k) / 2**0.5) + norm((-d - k) / 2**0.5)
    false_alarm = 2 * norm(-k / 2**0.5)
    assert d_prime_same_different(hit, false_alarm) == pytest.approx(d, abs=1e-9)
    drawn = np.random.default_rng(0).normal(size=(2, 200_000))
    assert np.mean(abs(drawn[0] + d - drawn[1]) > k) == pytest.approx(hit, abs=0.005)


def test_same_different_has_no_negative_d():
    assert d_prime_same_different([0.2, 0.3], [0.4, 0.3]).tolist() == [0.0, 0.0]


def test_the_log_linear_correction_is_hautus_and_never_0_or_1():
    assert log_linear([0, 10, 5], [10, 10, 10]).tolist() == pytest.approx([0.5 / 11, 10.5 / 11, 0.5])


def test_detection_of_a_study_by_hand():
    run = simulate("detection", [Condition("easy", 3.0), Condition("hard", 0.4)], 5, Raters(14), catches=3, seed=4)
    votes, stimuli = checked(run.votes, run.stimuli)
    found = detection(votes, stimuli, "detection", resamples=300)
    assert [row.condition for row in found.conditions] == ["hard", "easy"]
    main = votes[(votes["kind"] == "main") & (votes["first"] + votes["second"]).str.contains("easy@")]
    right = (main["answer"] == main["truth"]).sum()
    easy = found.conditions[1]
    assert easy.correct.n == len(main) == 14 * 5 * 2 and easy.correct.value == right / len(main)
    left = main[main["truth"] == "first"]
    assert (easy.hits, easy.signals) == ((left["answer"] == "first").sum(), len(left))
    h = (easy.hits + 0.5) / (easy.signals + 1)
    f = (easy.false_alarms + 0.5) / (easy.noises + 1)
    z = stats.norm.ppf
    assert easy.d_prime.value == pytest.approx((z(h) - z(f)) / 2**0.5)
    assert easy.d_prime.low < easy.d_prime.value < easy.d_prime.high
    assert easy.p_chance < 1e-6 and found.overall.correct.n == 2 * len(main)


def test_a_condition_that_nobody_can_tell_holds_chance_within():
    run = simulate("detection", [Condition("x", 0.0)], 8, Raters(16, spread=0.0), seed=1)
    row = detection(*checked(run.votes, run.stimuli), "detection").conditions[0]
    assert row.correct.contains(0.5) and row.by_rater.contains(0.5) and row.p_chance > 0.05
    assert row.d_prime.contains(0.0)


def test_verification_takes_the_condition_of_the_picture_under_test():
    run = simulate("verification", [Condition("x", 3.0)], 6, Raters(10), seed=1)
    votes, stimuli = checked(run.votes, run.stimuli)
    table = judged(votes, stimuli, "verification")
    assert set(table["condition"]) == {"x"} and table["signal"].mean() == 0.5
    turned = votes.assign(first=votes["second"], second=votes["first"])
    assert judged(turned, stimuli, "verification").equals(table)
    assert "differencing" in detection(votes, stimuli, "verification").model


def test_one_sort_of_trial_alone_gives_a_share_and_no_d():
    run = simulate("verification", [Condition("x", 3.0)], 6, Raters(10), seed=1)
    only = run.votes[run.votes["truth"] != "different"]
    row = detection(*checked(only, run.stimuli), "verification").conditions[0]
    assert row.d_prime.value is None and "0 different" in row.d_prime.note and row.correct.low is not None
