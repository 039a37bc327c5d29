"""Active sampling of pairs: ask next about the pair whose answer is expected to tell most.

Bradley-Terry scores with a Gaussian prior are fitted to the answers so far by Newton's method; asking about (i, j)
adds w = p (1 - p) of Fisher information along s_i - s_j, which multiplies the determinant of the posterior precision
by 1 + w Var(s_i - s_j) (the matrix determinant lemma): the pair with the largest factor is D-optimal.
"""

from __future__ import annotations

import numpy as np

PRIOR = 1.0  # precision of a score: one standard deviation is a chance of winning of 73 %
STEPS = 20


def posterior(wins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores (n,) and covariance (n, n) from `wins` (n, n), where [i, j] counts i preferred to j, a tie half each."""
    size = len(wins)
    scores, played = np.zeros(size), wins + wins.T
    covariance = np.eye(size) / PRIOR
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(scores[None] - scores[:, None]))
        gradient = (wins - played * chance).sum(1) - PRIOR * scores
        weight = played * chance * (1 - chance)
        covariance = np.linalg.inv(np.diag(weight.sum(1)) - weight + PRIOR * np.eye(size))
        step = covariance @ gradient
        scores = scores + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-6:
            break
    return scores, covariance


def gains(wins: np.ndarray) -> np.ndarray:
    """(n, n): by which factor the precision's determinant is expected to grow; 0 on the diagonal."""
    scores, covariance = posterior(wins)
    chance = 1 / (1 + np.exp(scores[None] - scores[:, None]))
    spread = np.diag(covariance)
    variance = spread[:, None] + spread[None] - 2 * covariance
    found = 1 + chance * (1 - chance) * variance
    np.fill_diagonal(found, 0)
    return np.asarray(found)


def choose(
    wins: np.ndarray, pairs: list[tuple[int, int]], shown: list[int], random: np.random.Generator
) -> int:
    """Which of the candidate `pairs` (condition numbers) to ask about: most gain, then least `shown`, then by lot."""
    gain = gains(wins)
    best = max(gain[pair] for pair in pairs)
    top = [at for at, pair in enumerate(pairs) if gain[pair] > best - 1e-9]
    fewest = min(shown[at] for at in top)
    return int(random.choice([at for at in top if shown[at] == fewest]))
