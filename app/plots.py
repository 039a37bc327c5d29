"""Plotly figures from report rows. No gradio, no streamlit."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

import plotly.graph_objects as go

from app.report import Curve, PanelRow

# Readable on white and on near-black alike; told apart by dash and marker too.
COLOURS = ("#6366f1", "#d97706", "#0891b2", "#be185d", "#65a30d", "#7c3aed")
INK, GRID = "#8793a5", "rgba(135,147,165,0.25)"
LOW, HIGH = -0.4, 1.0  # the scale of every cosine that is shown
WORDS = {"judge": "held-out judge"}


def label(title: str, role: str) -> str:
    """A recogniser's name in a legend."""
    return f"{title} ({WORDS.get(role, 'attacked')})"


def score_curves(curves: Sequence[Curve], panel: Sequence[PanelRow], steps: int | None = None) -> go.Figure:
    """Cosines over steps: to the person solid, to the nearest target dotted, each threshold a dashed line.

    `panel` in the order of the scoreboard; `steps` fixes the axis while the curves still grow.
    """
    figure = go.Figure()
    for colour, member in zip(cycle(COLOURS), panel, strict=False):
        id, threshold = member.recogniser, member.threshold
        rows = [(curve.step, *curve.cosines[id]) for curve in curves if id in curve.cosines]
        name = label(member.title, member.role)
        _line(figure, [(step, own) for step, own, _ in rows], f"{name}: you", colour, "solid")
        targets = [(step, to) for step, _, to in rows if to is not None]
        if targets:
            _line(figure, targets, f"{name}: target", colour, "dot")
        if threshold is None:
            continue
        figure.add_hline(
            y=threshold,
            line={"color": colour, "width": 1, "dash": "dash"},
            annotation={
                "text": f"threshold {threshold:.2f}",
                "font": {"color": colour, "size": 11},
                "xanchor": "right",
                "yanchor": "bottom",
            },
        )
    last = steps or max((curve.step for curve in curves), default=1)
    return styled(figure, "Step", "Cosine (1: the same face)").update_xaxes(range=[0, last * 1.02])


def _line(figure: go.Figure, points: list[tuple[int, float]], name: str, colour: str, dash: str) -> None:
    steps, values = zip(*points, strict=True) if points else ((), ())
    figure.add_scatter(
        x=steps,
        y=values,
        name=name,
        mode="lines+markers",
        marker={"size": 5},
        line={"color": colour, "dash": dash, "width": 2},
        hovertemplate="step %{x}: %{y:.2f}<extra>" + name + "</extra>",
    )


def styled(figure: go.Figure, x: str, y: str, height: int = 350) -> go.Figure:
    """The look that all figures share: transparent, quiet grid, legend below, cosines on one scale."""
    axis = {"gridcolor": GRID, "zeroline": False, "linecolor": GRID, "fixedrange": True}
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 46, "r": 12, "t": 10, "b": 96},
        autosize=True,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": INK, "size": 12, "family": "system-ui, sans-serif"},
        legend={"orientation": "h", "y": -0.24, "yanchor": "top", "x": 0, "font": {"size": 11}},
        hovermode="closest",
        xaxis={**axis, "title": {"text": x, "standoff": 6}, "rangemode": "tozero"},
        yaxis={**axis, "title": {"text": y}, "range": [LOW, HIGH + 0.05]},
    )
    return figure
