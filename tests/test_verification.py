"""Verification figures on constructed scores whose answers are known."""

import numpy as np
import pytest

from engines.verification import (
    best_threshold,
    bootstrap_tar,
    bootstrap_threshold,
    tar_at,
    ten_fold_accuracy,
    threshold_at_far,
)


def test_accuracy_of_separated_scores_is_one():
    same = np.tile([True, False], 50)
    scores = np.where(same, 0.8, 0.1) + np.linspace(0, 0.05, 100)
    assert ten_fold_accuracy(scores, same, np.arange(100) // 10) == (1.0, 0.0)


def test_threshold_comes_from_the_other_folds():
    # Fold 0 lies 10 higher than the rest: only a threshold that had seen fold 0 could part its pairs.
    same = np.tile([True, False], 50)
    folds = np.arange(100) // 10
    scores = np.where(same, 1.0, 0.0) + np.where(folds == 0, 10.0, 0.0)
    mean, error = ten_fold_accuracy(scores, same, folds)
    assert mean == pytest.approx((0.5 + 9 * 1.0) / 10)
    assert error == pytest.approx(np.std([0.5] + [1.0] * 9, ddof=1) / np.sqrt(10))


def test_best_threshold_makes_the_fewest_errors():
    scores = np.array([0.9, 0.8, 0.4, 0.35, 0.3, 0.1])
    same = np.array([True, True, False, True, False, False])
    limit = best_threshold(scores, same)
    assert np.mean((scores >= limit) == same) == pytest.approx(5 / 6)


def test_best_threshold_may_accept_nothing_or_everything():
    scores = np.array([0.1, 0.5, 0.9])
    assert best_threshold(scores, np.array([False] * 3)) > 0.9
    assert best_threshold(scores, np.array([True] * 3)) <= 0.1


@pytest.mark.parametrize("far, accepted", [(0.01, 10), (0.001, 1), (0.1, 100)])
def test_threshold_at_far_accepts_exactly_that_share(far, accepted):
    impostors = np.random.default_rng(1).permutation(np.arange(1000) / 1000)
    limit = threshold_at_far(impostors, far)
    assert np.sum(impostors >= limit) == accepted
    assert limit == pytest.approx(1 - (accepted + 0.5) / 1000)


def test_threshold_needs_enough_impostors():
    with pytest.raises(ValueError, match="at least 1000 impostor pairs"):
        threshold_at_far(np.arange(999.0), 0.001)


def test_tar_counts_genuine_pairs_at_or_above():
    assert tar_at(np.array([0.2, 0.3, 0.4, 0.5]), 0.3) == 0.75


def test_bootstrap_interval_holds_the_threshold_and_narrows_with_data():
    rng = np.random.default_rng(3)
    few, many = rng.normal(size=500), rng.normal(size=50_000)
    low, high = bootstrap_threshold(few, 0.01, rounds=200)
    assert low <= threshold_at_far(few, 0.01) <= high
    narrow = bootstrap_threshold(many, 0.01, rounds=50)
    assert narrow[1] - narrow[0] < (high - low) / 2
    assert narrow[0] < 2.326 < narrow[1]  # the normal distribution's 99 % point
    assert bootstrap_threshold(few, 0.01, rounds=200) == (low, high)  # seeded


def test_ties_never_push_false_acceptance_over_the_rate():
    impostors = np.array([0.9, 0.5, 0.5, 0.5] + [0.1] * 96)
    limit = threshold_at_far(impostors, 0.02)  # two may pass, but the second, third and fourth are equal
    assert np.sum(impostors >= limit) == 1
    assert threshold_at_far(np.full(100, 0.5), 0.01) > 0.5


def test_best_threshold_does_not_part_equal_scores():
    scores = np.array([0.9, 0.5, 0.5, 0.5, 0.1])
    same = np.array([True, True, False, False, False])
    limit = best_threshold(scores, same)
    assert np.mean((scores >= limit) == same) == pytest.approx(4 / 5)


def test_bootstrap_tar_holds_the_measured_tar():
    rng = np.random.default_rng(5)
    genuine, impostors = rng.normal(3, 1, 1000), rng.normal(size=1000)
    low, high = bootstrap_tar(genuine, impostors, 0.01, rounds=200)
    assert 0 <= low < tar_at(genuine, threshold_at_far(impostors, 0.01)) < high <= 1
