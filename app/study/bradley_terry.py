"""Bradley-Terry and Thurstone scores from a win matrix."""

from __future__ import annotations

import choix
import numpy as np
from scipy import special

from app.study.errors import StudyError

WEAK = 0.01  # precision of the prior that keeps a score finite where a condition won or lost all its votes


def connected(wins: np.ndarray) -> np.ndarray:
    """Whether each win matrix (..., K, K) has a finite maximum-likelihood fit: bool (...).

    It has one if every condition can be reached from every other by "beat" (Ford 1957).
    """
    size = wins.shape[-1]
    reach = ((wins > 0) | np.eye(size, dtype=bool)).astype(np.int64)
    for _ in range(max(1, int(np.ceil(np.log2(max(size, 2)))))):
        reach = (reach @ reach > 0).astype(np.int64)
    return np.asarray((reach > 0).all(axis=(-2, -1)))


def choix_scores(wins: np.ndarray) -> np.ndarray:
    """Maximum-likelihood log-strengths (K,), mean 0, by choix (iterative Luce spectral ranking).

    P(i beats j) = 1 / (1 + exp(s_j - s_i)) (Bradley and Terry 1952); wins[i, j]: how often i beat j, a tie
    half a win for both (`wins` may be fractional). Raises StudyError where no finite fit exists.
    """
    if not connected(wins):
        raise StudyError("A condition won or lost all its votes, so that its Bradley-Terry score is not finite.")
    start = fit(wins[None], 1e-9)[0]  # from the start choix needs two or three rounds
    found = choix.ilsr_pairwise_dense(wins.astype(float), initial_params=start, max_iter=1000, tol=1e-10)
    return np.asarray(found - found.mean())


def fit(wins: np.ndarray, precision: float | np.ndarray, rounds: int = 60) -> np.ndarray:
    """Log-strengths (B, K), mean 0, of many win matrices (B, K, K) at once: Newton's method.

    `precision` (number, or one a matrix): of a normal prior around 0 on each score, > 0. With a tiny one the
    result is the maximum-likelihood fit; choix gives the same, one matrix at a time.
    """
    wins = np.asarray(wins, dtype=float)
    met, won, size = wins + wins.swapaxes(-1, -2), wins.sum(axis=-1), wins.shape[-1]
    prior = np.broadcast_to(np.asarray(precision, dtype=float), wins.shape[:1])[:, None]
    scores = np.zeros(wins.shape[:2])
    for _ in range(rounds):
        share = special.expit(scores[:, :, None] - scores[:, None, :])
        slope = won - (met * share).sum(axis=-1) - prior * scores
        curve = met * share * (1 - share)
        hessian = -curve + np.eye(size) * (curve.sum(axis=-1) + prior)[:, None, :]
        step = np.linalg.solve(hessian, slope[..., None])[..., 0]
        # A step of at most 1 keeps Newton from overshooting where a score is far from its start.
        step /= np.maximum(1.0, np.abs(step).max(axis=-1, keepdims=True))
        scores = scores + step
        if np.abs(step).max() < 1e-11:
            break
    return scores - scores.mean(axis=-1, keepdims=True)


def fits(wins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log-strengths (B, K) of many resamples, and which of them rest on the weak prior: bool (B,)."""
    weak = ~connected(wins)
    return fit(wins, np.where(weak, WEAK, 1e-9)), weak


def best_scores(wins: np.ndarray) -> np.ndarray:
    """Log-strengths (K,), mean 0: choix's where they are finite, else held finite by the weak prior."""
    return choix_scores(wins) if connected(wins) else fits(wins[None])[0][0]


def thurstone(wins: np.ndarray) -> np.ndarray:
    """Thurstone Case V scale values (K,), mean 0, in units of the standard deviation of a difference.

    P(i beats j) = Phi(s_i - s_j); least squares on the probits of the observed shares (Mosteller 1951). Shares
    are (wins + 0.5) / (votes + 1), so that a pair with one winner has a finite probit. Pairs that
    never met are left out.
    """
    size = wins.shape[0]
    met = wins + wins.T
    rows, probits = [], []
    for i in range(size):
        for j in range(i + 1, size):
            if met[i, j] > 0:
                rows.append(np.eye(size)[i] - np.eye(size)[j])
                probits.append(special.ndtri((wins[i, j] + 0.5) / (met[i, j] + 1)))
    found = np.linalg.lstsq(np.array(rows), np.array(probits), rcond=None)[0]
    return np.asarray(found - found.mean())


def votes_to_swap(wins: np.ndarray, ties: np.ndarray, top: int, second: int, most: int = 2000) -> int | None:
    """How many votes, changed, are enough to put `second` level with or above `top`; None where `most` are not.

    wins (K, K): whole votes for row over column; ties (K, K), symmetric: tied votes. In each round the one
    vote is turned, of those that `top` did not lose or `second` did not win, that narrows the gap most, and all
    scores are fitted again. So the number is enough; that no cleverer choice needs fewer is not proven.
    """
    wins, ties = wins.astype(float).copy(), ties.astype(float).copy()
    for changed in range(most + 1):
        scores = fit((wins + ties / 2)[None], 1e-9 if connected(wins + ties / 2) else WEAK)[0]
        if scores[second] >= scores[top] - 1e-9:
            return changed
        moves = _moves(wins, ties, top, second)
        if not moves:
            return None
        tried = np.array([w + t / 2 for w, t in moves])
        after = fits(tried)[0]
        wins, ties = moves[int(np.argmax(after[:, second] - after[:, top]))]
    return None


def _moves(wins: np.ndarray, ties: np.ndarray, top: int, second: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The tables after each change of one vote against `top` or for `second`."""
    others = range(len(wins))
    pairs = {(other, top) for other in others if other != top} | {(second, o) for o in others if o != second}
    found = []
    for gains, loses in sorted(pairs):
        if wins[loses, gains] >= 1:
            changed = wins.copy()
            changed[loses, gains] -= 1
            changed[gains, loses] += 1
            found.append((changed, ties))
        elif ties[loses, gains] >= 1:
            changed, left = wins.copy(), ties.copy()
            changed[gains, loses] += 1
            left[gains, loses] -= 1
            left[loses, gains] -= 1
            found.append((changed, left))
    return found
