"""Naturalness against protection: a point for each line of the board, and the Pareto front of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

import numpy as np
import plotly.graph_objects as go

from app import lpips
from app.compare.job import Line
from app.plots import COLOURS, GRID, INK, SYMBOLS, styled
from app.study.pareto import front

NATURAL = ("SSIM", "MS-SSIM", "PSNR", "LPIPS")
LESS = {"LPIPS"}  # the less, the more natural


def natural() -> list[str]:
    """The measures of looks that can be had here."""
    return [name for name in NATURAL if name != "LPIPS" or lpips.there()]


def points(lines: Sequence[Line], natural: str) -> list[tuple[Line, float, float]]:
    """Each line that has both: its naturalness, and its protection, 1 minus the judges' mean cosine."""
    return [
        (line, line.figures[natural], 1 - line.figures["judge cosine"])
        for line in lines
        if natural in line.figures and "judge cosine" in line.figures
    ]


def tradeoff(lines: Sequence[Line], natural: str = "SSIM", names: dict[str, str] | None = None) -> go.Figure:
    """One marker a line, a colour and a shape a method; the front as a line. `names` by title, for a blind board."""
    found, made = points(lines, natural), go.Figure()
    names = names or {}
    methods = dict.fromkeys(line.entry.method for line, _, _ in found)
    looks = dict(zip(methods, zip(cycle(COLOURS), cycle(SYMBOLS), strict=False), strict=False))
    if found:
        way = -1 if natural in LESS else 1
        on = front(np.array([way * x for _, x, _ in found]), np.array([y for _, _, y in found]))
        best = sorted((x, y) for (_, x, y), there in zip(found, on, strict=True) if there)
        made.add_scatter(
            x=[x for x, _ in best],
            y=[y for _, y in best],
            mode="lines",
            line={"color": INK, "dash": "dot", "width": 1},
            name="Pareto front: nothing is better in both",
            hoverinfo="skip",
        )
    for line, x, y in found:
        colour, symbol = looks[line.entry.method]
        title = names.get(line.entry.title, line.entry.title)
        if names:
            colour, symbol = INK, "circle"
        made.add_scatter(
            x=[x],
            y=[y],
            mode="markers+text",
            text=[title],
            textposition="top center",
            textfont={"size": 10},
            marker={"size": 11, "color": colour, "symbol": symbol},
            customdata=[title],  # by which the page finds the line's picture
            showlegend=False,
            hovertemplate=f"{title}<br>{natural} %{{x:.3f}}<br>1 − judge cosine %{{y:.3f}}<extra></extra>",
        )
    made = styled(
        made, f"{natural} ({'less' if natural in LESS else 'more'} is more natural)", "1 − judge cosine", 380, 1
    )
    made.update_xaxes(rangemode="normal", range=padded([x for _, x, _ in found], 0.25), gridcolor=GRID)
    return made.update_yaxes(range=padded([y for _, _, y in found], 0.12))


def padded(values: Sequence[float], share: float) -> list[float] | None:
    """An axis around values with room for their names; None without any."""
    if not values:
        return None
    room = share * (max(values) - min(values)) or 0.05
    return [min(values) - room, max(values) + room]
