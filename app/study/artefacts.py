"""Where raters saw something wrong: a heat map over the picture from the boxes they drew."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd

from app.study.intervals import LEVEL, Estimate, clopper_pearson, t_mean
from app.study.tables import conditions_of, main_votes

GRID = 32  # cells a side


@dataclass(frozen=True)
class HeatMap:
    """One condition or picture. `share[row][column]`, rows from the top: the share of raters who marked the cell.

    Over several pictures of a condition it is the mean of the raters' own shares, which reads the picture's
    frame as the face's: the study shows aligned faces. `marked`: who marked anything at all, raters as n.
    `labels`: raters who used each label.
    """

    name: str
    share: tuple[tuple[float, ...], ...]
    marked: Estimate
    boxes: Estimate  # drawn per answer, mean over raters
    labels: tuple[tuple[str, int], ...]
    raters: int
    answers: int


@dataclass(frozen=True)
class Artefacts:
    """Heat maps by condition and by picture, on one grid of `grid` x `grid` cells."""

    grid: int
    conditions: tuple[HeatMap, ...]
    stimuli: tuple[HeatMap, ...]


def mask(boxes: list[dict], grid: int = GRID) -> np.ndarray:
    """Which cells have their centre in one of the boxes: bool (grid, grid), rows from the top."""
    centre = (np.arange(grid) + 0.5) / grid
    covered = np.zeros((grid, grid), dtype=bool)
    for box in boxes:
        across = (centre >= box["x0"]) & (centre <= box["x1"])
        down = (centre >= box["y0"]) & (centre <= box["y1"])
        covered |= down[:, None] & across[None, :]
    return covered


def artefacts(votes: pd.DataFrame, stimuli: pd.DataFrame, grid: int = GRID, level: float = LEVEL) -> Artefacts | None:
    """Heat maps of the artefact answers that count; None where there are none. An answer without boxes counts as
    "nothing wrong"."""
    own = main_votes(votes, "artefacts")
    if own.empty:
        return None
    table = pd.DataFrame(
        {
            "rater": own["rater"].to_numpy(),
            "stimulus": own["first"].to_numpy(),
            "condition": conditions_of(own["first"], stimuli).to_numpy(),
            "boxes": own["answer"].to_numpy(),
            "mask": [mask(boxes, grid) for boxes in own["answer"]],
        }
    )
    maps = {
        key: tuple(_map(str(name), group, level) for name, group in table.groupby(key))
        for key in ("condition", "stimulus")
    }
    return Artefacts(grid, maps["condition"], maps["stimulus"])


def _map(name: str, table: pd.DataFrame, level: float) -> HeatMap:
    by_rater = [group for _, group in table.groupby("rater")]
    shares = np.mean([np.mean(np.stack(list(group["mask"])), axis=0) for group in by_rater], axis=0)
    anything = sum(any(len(boxes) > 0 for boxes in group["boxes"]) for group in by_rater)
    drawn = np.array([np.mean([len(boxes) for boxes in group["boxes"]]) for group in by_rater])
    used: Counter[str] = Counter()
    for group in by_rater:
        used.update({box["label"] for boxes in group["boxes"] for box in boxes})
    labels = tuple(sorted(used.items(), key=lambda pair: (-pair[1], pair[0])))
    cells = tuple(tuple(float(cell) for cell in row) for row in shares)
    marked = clopper_pearson(anything, len(by_rater), level)
    return HeatMap(name, cells, marked, t_mean(drawn, level), labels, len(by_rater), len(table))
