"""Plotly figures from report rows. No gradio, no streamlit."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

import plotly.graph_objects as go

from app.channel import Change, Left
from app.report import Curve, PanelRow

# Readable on white and on near-black alike; told apart by dash and marker too.
COLOURS = ("#6366f1", "#d97706", "#0891b2", "#be185d", "#65a30d", "#7c3aed")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star")
INK, GRID = "#8793a5", "rgba(135,147,165,0.25)"
LOW, HIGH = -0.4, 1.0  # the scale of every cosine that is shown
WORDS = {"judge": "held out"}


def label(title: str, role: str) -> str:
    """A recogniser's name in a legend."""
    return f"{title} ({WORDS.get(role, 'attacked')})"


def score_curves(curves: Sequence[Curve], panel: Sequence[PanelRow], steps: int | None = None) -> go.Figure:
    """Cosines over steps: to the person solid, to the nearest target dotted, each threshold a dashed line.

    `panel` in the order of the scoreboard; `steps` fixes the axis while the curves still grow. The legend
    has one line a recogniser, with its threshold: beside the lines, those of a panel would overlap.
    """
    figure = go.Figure()
    for colour, symbol, member in zip(cycle(COLOURS), cycle(SYMBOLS), panel, strict=False):
        id, threshold = member.recogniser, member.threshold
        rows = [(curve.step, *curve.cosines[id]) for curve in curves if id in curve.cosines]
        limit = "no threshold yet" if threshold is None else f"threshold {threshold:.2f}"
        name, look = label(member.title, member.role), {"color": colour, "symbol": symbol}
        _line(figure, [(step, own) for step, own, _ in rows], f"{name}, {limit}", f"{name}: you", look, "solid")
        targets = [(step, to) for step, _, to in rows if to is not None]
        if targets:
            _line(figure, targets, "", f"{name}: target", look, "dot")
        if threshold is not None:
            figure.add_hline(y=threshold, line={"color": colour, "width": 1, "dash": "dash"})
    last = steps or max((curve.step for curve in curves), default=1)
    figure = styled(figure, "Step", "Cosine (1: the same face)", lines=len(panel))
    return figure.update_xaxes(range=[0, last * 1.02])


def _line(
    figure: go.Figure,
    points: Sequence[tuple[float, float]],
    listed: str,
    name: str,
    look: dict[str, str],
    dash: str,
    x: str = "step",
) -> None:
    """A curve; `listed` is its text in the legend, "" to leave it out of there; `x` what its places are."""
    steps, values = zip(*points, strict=True) if points else ((), ())
    figure.add_scatter(
        x=steps,
        y=values,
        name=listed,
        showlegend=bool(listed),
        mode="lines+markers",
        marker={"size": 6, "symbol": look["symbol"]},
        line={"color": look["color"], "dash": dash, "width": 2},
        hovertemplate=x + " %{x}: %{y:.2f}<extra>" + name + "</extra>",
    )


def styled(figure: go.Figure, x: str, y: str, height: int = 300, lines: int = 0) -> go.Figure:
    """The look that all figures share: transparent, quiet grid, cosines on one scale.

    `height` of the plot; the legend's `lines` come below it, one under another.
    """
    axis = {"gridcolor": GRID, "zeroline": False, "linecolor": GRID, "fixedrange": True}
    legend = 19 * lines + 8 if lines else 0
    figure.update_layout(
        template="none",
        height=height + legend,
        margin={"l": 46, "r": 12, "t": 10, "b": 46 + legend},
        autosize=True,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": INK, "size": 12, "family": "system-ui, sans-serif"},
        legend={"yref": "container", "y": 0, "yanchor": "bottom", "x": 0, "xanchor": "left", "font": {"size": 11}},
        showlegend=lines > 0,
        hovermode="closest",
        xaxis={**axis, "title": {"text": x, "standoff": 6}, "rangemode": "tozero"},
        yaxis={**axis, "title": {"text": y}, "range": [LOW, HIGH + 0.05]},
    )
    return figure


def channel_curves(curve: Sequence[Left], panel: Sequence[PanelRow], change: Change, now: Left | None) -> go.Figure:
    """What a change leaves: the share of bits read as written, and each recogniser's cosine to the photo before.

    `now`: what is measured where the slider stands, drawn as larger markers.
    """
    figure = go.Figure()
    bits = [(left.value, left.agreeing / left.total) for left in curve if left.agreeing is not None]
    look = {"color": INK, "symbol": "circle"}
    _line(figure, bits, "Bits read as written (0.5 is chance)", "bits", look, "solid", x=change.label)
    for colour, symbol, member in zip(cycle(COLOURS), cycle(SYMBOLS), panel, strict=False):
        id, look = member.recogniser, {"color": colour, "symbol": symbol}
        rows = [(left.value, value) for left in curve if (value := left.cosines.get(id)) is not None]
        limit = "no threshold yet" if member.threshold is None else f"threshold {member.threshold:.2f}"
        _line(figure, rows, f"{member.title}, {limit}", member.title, look, "dot", x=change.label)
        if now is not None and now.cosines.get(id) is not None:
            _marker(figure, now.value, float(now.cosines[id] or 0), colour, symbol)
    if now is not None and now.agreeing is not None:
        _marker(figure, now.value, now.agreeing / now.total, INK, "circle")
    unit = f"{change.label} ({change.unit})" if change.unit else change.label
    figure = styled(figure, unit, "Share, cosine", lines=1 + len(panel))
    return figure.update_yaxes(range=[0, 1.05])


def _marker(figure: go.Figure, x: float, y: float, colour: str, symbol: str) -> None:
    look = {"size": 13, "symbol": symbol, "color": colour, "line": {"width": 1, "color": INK}}
    figure.add_scatter(x=[x], y=[y], mode="markers", marker=look, showlegend=False, hoverinfo="skip")
