"""Face verification figures: LFW's 10-fold accuracy, thresholds at a false-acceptance rate, TAR at FAR."""

from __future__ import annotations

import numpy as np


def ten_fold_accuracy(scores: np.ndarray, same: np.ndarray, folds: np.ndarray) -> tuple[float, float]:
    """LFW's protocol (Huang et al., 2007): the best threshold of nine folds, measured on the tenth.

    `scores` (N,) similarities, `same` (N,) bool, `folds` (N,) fold numbers. Returns the mean over
    folds and its standard error, 0 to 1.
    """
    results = []
    for fold in np.unique(folds):
        held = folds == fold
        limit = best_threshold(scores[~held], same[~held])
        results.append(float(np.mean((scores[held] >= limit) == same[held])))
    return float(np.mean(results)), float(np.std(results, ddof=1) / np.sqrt(len(results)))


def best_threshold(scores: np.ndarray, same: np.ndarray) -> float:
    """The threshold with the most correct verdicts (score >= threshold means "same")."""
    order = np.argsort(-scores, kind="stable")
    hits = np.concatenate([[0], np.cumsum(np.where(same[order], 1, -1))])
    ranked = scores[order]
    inside = np.concatenate([[False], ranked[:-1] == ranked[1:], [False]])  # no threshold parts equal scores
    count = int(np.argmax(np.where(inside, -len(ranked) - 1, hits)))  # accept the `count` highest
    if count == 0:
        return float(np.nextafter(ranked[0], np.inf))
    return float(ranked[count - 1] if count == len(ranked) else (ranked[count - 1] + ranked[count]) / 2)


def threshold_at_far(impostors: np.ndarray, far: float) -> float:
    """A similarity threshold that accepts at most a share `far` of the impostor pairs.

    Of the thresholds that accept the most pairs allowed, the middle one: half-way between the
    last score accepted and the first refused.
    Raises ValueError when there are too few pairs to tell (fewer than 1 / far).
    """
    if len(impostors) * far < 1:
        raise ValueError(f"A false-acceptance rate of {far} needs at least {round(1 / far)} impostor pairs.")
    ranked = np.sort(impostors)[::-1]
    allowed = int(np.floor(len(ranked) * far + 1e-9))
    if allowed >= len(ranked):
        return float(ranked[-1])
    # Equal scores are accepted or refused together: only those above the first refused one count.
    accepted = int(np.sum(ranked > ranked[allowed]))
    if accepted == 0:
        return float(np.nextafter(ranked[0], np.inf))
    return float((ranked[accepted - 1] + ranked[accepted]) / 2)


def tar_at(genuine: np.ndarray, threshold: float) -> float:
    """The share of genuine pairs accepted at a threshold, 0 to 1."""
    return float(np.mean(genuine >= threshold))


def bootstrap_threshold(impostors: np.ndarray, far: float, rounds: int = 1000, seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of `threshold_at_far` (Efron and Tibshirani, 1993, ch. 13)."""
    rng = np.random.default_rng(seed)
    drawn = [threshold_at_far(rng.choice(impostors, len(impostors)), far) for _ in range(rounds)]
    return _interval(drawn)


def bootstrap_tar(
    genuine: np.ndarray, impostors: np.ndarray, far: float, rounds: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """The 95 % bootstrap interval of TAR at FAR: both kinds of pairs, hence the threshold, drawn anew."""
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(rounds):
        limit = threshold_at_far(rng.choice(impostors, len(impostors)), far)
        drawn.append(tar_at(rng.choice(genuine, len(genuine)), limit))
    return _interval(drawn)


def _interval(drawn: list[float]) -> tuple[float, float]:
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)
