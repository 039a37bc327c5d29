"""Plotly figures of an analysis. No interface, and no torch: so the look is set here and not taken from app.plots."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import cycle

import plotly.graph_objects as go

from app.study.artefacts import HeatMap
from app.study.detection import Detection
from app.study.intervals import Estimate
from app.study.joined import SCALES, Joined, Point
from app.study.pairs import Pairs
from app.study.scores import Scores

# The same values as app/plots.py has, which are readable on white and on near-black.
COLOURS = ("#6366f1", "#d97706", "#0891b2", "#be185d", "#65a30d", "#7c3aed")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star")
MARKED = ((0.0, "rgba(190,24,93,0)"), (1.0, "rgba(190,24,93,0.9)"))  # what lies under it shows
INK, GRID = "#8793a5", "rgba(135,147,165,0.25)"


def styled(figure: go.Figure, x: str, y: str, height: int = 320, legend: bool = False) -> go.Figure:
    """Transparent, quiet grid, axis titles; the legend above the plot."""
    axis = {"gridcolor": GRID, "zeroline": False, "linecolor": GRID, "automargin": True}
    return figure.update_layout(
        template="none",
        height=height,
        margin={"l": 60, "r": 16, "t": 34 if legend else 12, "b": 48},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": INK, "size": 12, "family": "system-ui, sans-serif"},
        showlegend=legend,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        xaxis={**axis, "title": {"text": x}},
        yaxis={**axis, "title": {"text": y}},
    )


def forest(rows: Sequence[tuple[str, Estimate]], title: str, line: float | None = None) -> go.Figure:
    """Estimates as points with intervals, the first row on top; `line`: a value to compare with, such as chance.

    A row without an interval is an open marker, so that it is not taken for an exact figure. A name may have lines.
    """
    rows = [(escape(name).replace("\n", "<br>"), e) for name, e in rows]
    figure = go.Figure()
    for sure in (True, False):
        own = [(name, e) for name, e in rows if e.value is not None and (e.low is not None) == sure]
        if own:
            figure.add_scatter(
                x=[e.value for _, e in own],
                y=[name for name, _ in own],
                mode="markers",
                name="with interval" if sure else "no interval",
                marker={"color": COLOURS[0], "size": 9, "symbol": "circle" if sure else "circle-open"},
                error_x=_bars(own) if sure else None,
                customdata=[[e.n, escape(e.note or _between(e))] for _, e in own],
                hovertemplate="%{y}: %{x:.2f}, %{customdata[1]}, n = %{customdata[0]}<extra></extra>",
            )
    if line is not None:
        figure.add_vline(x=line, line={"color": INK, "dash": "dash", "width": 1})
    styled(figure, title, "", height=90 + (36 if any("<br>" in name for name, _ in rows) else 28) * max(len(rows), 2))
    order = [name for name, _ in rows][::-1]
    return figure.update_yaxes(categoryorder="array", categoryarray=order, type="category")


def _bars(rows: Sequence[tuple[str, Estimate]]) -> dict:
    up = [(e.high or 0.0) - (e.value or 0.0) for _, e in rows]
    down = [(e.value or 0.0) - (e.low or 0.0) for _, e in rows]
    return {"type": "data", "symmetric": False, "array": up, "arrayminus": down, "color": COLOURS[0], "thickness": 2}


def _between(e: Estimate) -> str:
    return f"{e.low:.2f} to {e.high:.2f}"


def score_figure(scores: Scores, differential: bool = False) -> go.Figure:
    """MOS per condition, or DMOS where there is one."""
    if differential:
        rows = [(row.condition, row.dmos) for row in scores.conditions if row.dmos is not None]
        return forest(rows, "DMOS (5: like the hidden reference)", line=5.0)
    return forest([(row.condition, row.mos) for row in scores.conditions], "MOS (1 bad, 5 excellent)")


def pairs_figure(pairs: Pairs) -> go.Figure:
    """Bradley-Terry scores per condition."""
    return forest(
        [(row.condition, row.score) for row in pairs.conditions], "Bradley-Terry score (log-odds)", line=0.0
    )


def wins_figure(pairs: Pairs) -> go.Figure:
    """The win matrix as shares, best first: the row's condition against the column's; counts where one points."""
    ranked = [row.condition for row in pairs.conditions]
    place = [pairs.order.index(name) for name in ranked]
    wins = [[pairs.wins[i][j] for j in place] for i in place]
    met = [[a + wins[j][i] for j, a in enumerate(row)] for i, row in enumerate(wins)]
    share = [[a / met[i][j] if met[i][j] else None for j, a in enumerate(row)] for i, row in enumerate(wins)]
    words = [[f"{a:g} of {met[i][j]:g}" if met[i][j] else "" for j, a in enumerate(r)] for i, r in enumerate(wins)]
    names = [escape(name) for name in ranked]
    figure = go.Figure(
        go.Heatmap(
            x=names,
            y=names,
            z=share,
            text=words,
            texttemplate="%{z:.0%}",
            zmin=0,
            zmax=1,
            colorscale="RdBu",
            showscale=False,
            hovertemplate="%{y} against %{x}: %{text}<extra></extra>",
        )
    )
    styled(figure, "against", "", height=120 + 34 * len(names))
    return figure.update_yaxes(autorange="reversed", type="category").update_xaxes(type="category")


def detection_figure(found: Detection) -> go.Figure:
    """Share of right answers per condition with the raters' interval, against chance."""
    rows = [(row.condition, row.by_rater) for row in found.conditions]
    return forest(rows, "Share of right answers (dashed: chance)", line=found.chance).update_xaxes(range=[0, 1.02])


def heat_figure(found: HeatMap, picture: str | None = None, top: float = 1.0) -> go.Figure:
    """Where raters marked something, on one scale from 0 to `top`. `picture`: a data: URI to lay underneath."""
    size = len(found.share)
    figure = go.Figure(
        go.Heatmap(
            z=found.share,
            zmin=0,
            zmax=top,
            colorscale=MARKED,
            colorbar={"title": {"text": "raters"}, "tickformat": ".0%", "outlinecolor": GRID},
            hovertemplate="%{z:.0%} of raters<extra></extra>",
        )
    )
    if picture:
        place = {"x": -0.5, "y": -0.5, "sizex": size, "sizey": size, "xref": "x", "yref": "y", "yanchor": "top"}
        figure.add_layout_image(source=picture, sizing="stretch", layer="below", **place)
    styled(figure, "", "", height=360)
    figure.add_shape(type="rect", x0=-0.5, y0=-0.5, x1=size - 0.5, y1=size - 0.5, line={"color": INK, "width": 1})
    figure.update_xaxes(visible=False, constrain="domain", range=[-0.5, size - 0.5])
    return figure.update_yaxes(visible=False, range=[size - 0.5, -0.5], scaleanchor="x")


def pareto_figure(found: Joined) -> go.Figure:
    """Naturalness against one measure; the front as a line, the recommended condition ringed, methods by marker."""
    figure = go.Figure()
    on = sorted((p for p in found.points if p.on_front), key=lambda p: p.measure)
    figure.add_scatter(
        x=[p.measure for p in on],
        y=[p.naturalness.value for p in on],
        mode="lines",
        name="Pareto front",
        line={"color": INK, "dash": "dot"},
        hoverinfo="skip",
    )
    methods = sorted({p.method for p in found.points})
    for method, colour, symbol in zip(methods, cycle(COLOURS), cycle(SYMBOLS), strict=False):
        _method(figure, [p for p in found.points if p.method == method], method, colour, symbol)
    chosen = {r.condition for r in found.recommendations}
    ringed = [p for p in found.points if p.condition in chosen]
    if ringed:
        figure.add_scatter(
            x=[p.measure for p in ringed],
            y=[p.naturalness.value for p in ringed],
            mode="markers",
            name="recommended",
            marker={"size": 20, "symbol": "circle-open", "color": INK, "line": {"width": 2}},
            hoverinfo="skip",
        )
    way = "lower" if found.lower_is_better else "higher"
    return styled(figure, escape(f"{found.measure} ({way} is better)"), SCALES[found.scale], height=420, legend=True)


def _method(figure: go.Figure, points: Sequence[Point], method: str, colour: str, symbol: str) -> None:
    bounded = [(p.condition, p.naturalness) for p in points]
    held = all(e.low is not None for _, e in bounded)
    figure.add_scatter(
        x=[p.measure for p in points],
        y=[p.naturalness.value for p in points],
        mode="markers",
        name=escape(method),
        marker={"size": 10, "symbol": symbol, "color": colour},
        error_y={**_bars(bounded), "color": colour} if held else None,
        customdata=[escape(p.condition) for p in points],
        hovertemplate="%{customdata}: %{y:.2f} at %{x:.3f}<extra></extra>",
    )


def parameter_figure(found: Joined, method: str, parameter: str) -> go.Figure:
    """Naturalness against one parameter of a method, with its recommended value and the interval of that shaded."""
    own = [(value, p) for p in found.points if p.method == method and (value := _value(p, parameter)) is not None]
    own.sort(key=lambda pair: pair[0])
    bounded = [(p.condition, p.naturalness) for _, p in own]
    held = all(e.low is not None for _, e in bounded)
    figure = go.Figure(
        go.Scatter(
            x=[value for value, _ in own],
            y=[p.naturalness.value for _, p in own],
            mode="markers",
            marker={"size": 10, "color": COLOURS[0]},
            error_y=_bars(bounded) if held else None,
            customdata=[escape(p.condition) for _, p in own],
            hovertemplate="%{customdata}: %{y:.2f}<extra></extra>",
        )
    )
    for advice in found.recommendations:
        if (advice.method, advice.parameter) == (method, parameter):
            figure.add_vline(x=advice.value, line={"color": COLOURS[1], "dash": "dash", "width": 2})
            if advice.low is not None and advice.high is not None:
                shade = {"fillcolor": COLOURS[1], "opacity": 0.15, "line_width": 0, "layer": "below"}
                figure.add_vrect(x0=advice.low, x1=advice.high, **shade)
    return styled(figure, escape(f"{parameter} of {method} (dashed: recommended)"), SCALES[found.scale])


def _value(point: Point, parameter: str) -> float | None:
    value = dict(point.parameters).get(parameter)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
