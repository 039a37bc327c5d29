"""The Pareto front of two axes, and one point chosen on it."""

from __future__ import annotations

import numpy as np


def front(naturalness: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Which points no other point beats: bool (..., K). Both axes (..., K) with more as better; a point is beaten
    by one at least as good on both and better on one. NaN is never on the front."""
    n, g = np.broadcast_arrays(naturalness, good)
    no_worse = (n[..., None, :] >= n[..., :, None]) & (g[..., None, :] >= g[..., :, None])
    better = (n[..., None, :] > n[..., :, None]) | (g[..., None, :] > g[..., :, None])
    return np.asarray(~(no_worse & better).any(axis=-1) & ~np.isnan(n) & ~np.isnan(g))


def choose(naturalness: np.ndarray, good: np.ndarray, limit: float | None) -> np.ndarray:
    """The index (...) of the recommended point; axes (..., K), more is better.

    With a `limit`: the most natural of the points whose `good` reaches it (of equals, the better one); if none
    does, the one closest to it. Without: the point nearest to the ideal corner after both axes are scaled to
    0..1 over the points (compromise programming, Zeleny 1973). It lies on the front either way.
    """
    n, g = np.broadcast_arrays(np.where(np.isnan(naturalness), -np.inf, naturalness), good)
    if limit is not None:
        reached = g >= limit
        ranked = np.where(reached, n + 1e-12 * g, -np.inf)
        return np.asarray(np.where(reached.any(axis=-1), ranked.argmax(axis=-1), g.argmax(axis=-1)))
    finite = np.where(np.isinf(n), np.nan, n)
    far = (1 - _unit(finite)) ** 2 + (1 - _unit(g.astype(float))) ** 2
    return np.asarray(np.where(np.isnan(far), np.inf, far).argmin(axis=-1))


def _unit(values: np.ndarray) -> np.ndarray:
    low = np.nanmin(values, axis=-1, keepdims=True)
    width = np.nanmax(values, axis=-1, keepdims=True) - low
    return np.where(width > 0, (values - low) / np.where(width > 0, width, 1.0), 1.0)
