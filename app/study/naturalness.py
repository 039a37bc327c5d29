"""One number a condition for how natural it looks, with resampled raters, whatever the protocol was."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from app.study.bradley_terry import best_scores, connected
from app.study.detection import judged
from app.study.intervals import rater_weights
from app.study.pairs import count_wins, resampled_scores
from app.study.scores import rated, rater_means

STREAM = 4


@dataclass(frozen=True)
class Naturalness:
    """Scores per condition (K,) and of the resamples (B, K), NaN where a resample has no vote for it."""

    scale: str
    conditions: tuple[str, ...]
    values: np.ndarray
    draws: np.ndarray
    raters: int


def naturalness(
    votes: pd.DataFrame, stimuli: pd.DataFrame, scale: str, seed: int = 0, resamples: int = 1000
) -> Naturalness | None:
    """The scores of "acr", "dsis" (MOS), "pairs" (Bradley-Terry) or "detection" (share of wrong answers: 0.5 is a
    picture that nobody can tell from the original), with resampled raters; None without votes for them."""
    if scale == "pairs":
        counted = count_wins(votes, stimuli)
        whole = counted.halves.sum(axis=0)
        if len(counted.names) < 2 or not connected(whole + whole.T):
            return None
        draws, _ = resampled_scores(counted, resamples, seed)
        return Naturalness(scale, counted.names, best_scores(whole), draws, len(counted.raters))
    rows = rated(votes, stimuli, scale) if scale != "detection" else judged(votes, stimuli, scale)
    if rows.empty:
        return None
    if scale == "detection":
        rows = rows.assign(score=(rows["signal"] != rows["yes"]).astype(float))
    means = rater_means(rows)
    table = means.to_numpy(dtype=float)
    weights = rater_weights(len(table), resamples, seed, STREAM)
    given = weights @ (~np.isnan(table)).astype(float)
    draws = np.where(given > 0, weights @ np.nan_to_num(table) / np.maximum(given, 1e-9), np.nan)
    return Naturalness(scale, tuple(means.columns), np.nanmean(table, axis=0), draws, len(table))
