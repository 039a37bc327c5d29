"""The board of a comparison as HTML: a row a method, its faces, its figures, the best of each column marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from random import SystemRandom
from string import ascii_uppercase

import numpy as np

from app.compare import threats
from app.compare.columns import STILL, Column, is_best, ordered, there
from app.compare.entries import Entry
from app.compare.figure import Look, look, pictures
from app.compare.job import Cell, Line
from app.demo import scoreboard

SIDE = 512  # pixels of a face at most, so that a zoom shows more of it; half of that on a board of many lines
MANY = 8
STRIPS = 4  # of a cell that are kept as written: on the board, on the step, under a letter
ALL_HAVE = 3  # the first pictures of a cell: other ones only some methods have, which would give names away
NAMELESS = "It failed on this photo; the reason would give its name away."
MARKS = {True: "✓ claims to help", False: "✕ says that it does not", None: "○ tried, but not with the network here"}
ZOOM = (
    "Wheel, pinch or + and − over a face: all faces zoom together; drag to move, double-click to go back. "
    "★ marks the best of a column. A press on a column's head sorts."
)


def letters(entries: Sequence[Entry]) -> dict[str, str]:
    """A letter for each entry's title, drawn by lot: nothing about an entry can be told from its letter."""
    drawn = SystemRandom().sample(ascii_uppercase[: len(entries)], len(entries))
    return {entry.title: letter for entry, letter in zip(entries, drawn, strict=True)}


def board(
    lines: Sequence[Line], photo: int = 0, by: str | None = None, names: Mapping[str, str] | None = None
) -> str:
    """The table; `photo` says whose faces are shown, `by` which column sorts; with `names` blind, as these sort."""
    if not lines:
        return ""
    columns = there(lines)
    shown = ordered(sorted(lines, key=lambda line: names[line.entry.title]) if names else lines, by)
    rows = "".join(_row(line, lines, columns, photo, names) for line in shown)
    head = "<th>Method</th>" + "".join(_head(column, by) for column in columns)
    by_whom = look(lines, photo) if not names else None
    cams = f" Grad-CAM by {escape(by_whom.title)}, one scale of colours for all." if by_whom else ""
    note = f'<p class="lv-caption">{ZOOM}{cams}</p>'
    return f'<table class="lv-table lv-compare"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{note}'


def _head(column: Column, by: str | None) -> str:
    """The best comes first: of what is better the less, the least."""
    way, arrow = ("ascending", " ▴") if column.best < 0 else ("descending", " ▾")
    sorting = column.name == by
    return (
        f'<th title="{escape(column.help)}" aria-sort="{way if sorting else "none"}">'
        f'<button data-sort="{escape(column.name)}">{escape(column.title)}{arrow if sorting else ""}</button></th>'
    )


def _row(
    line: Line, lines: Sequence[Line], columns: Sequence[Column], photo: int, names: Mapping[str, str] | None
) -> str:
    name = f"Method {names[line.entry.title]}" if names else line.entry.title
    cell = next((cell for cell in line.cells if cell.photo == photo), None)
    figures = "".join(_figure(line, lines, column) for column in columns)
    key = escape(names[line.entry.title] if names else line.entry.title)
    strip = _faces(cell, name, look(lines, photo), bool(names), SIDE if len(lines) <= MANY else SIDE // 2)
    shots = f'<td colspan="{1 + len(columns)}">{strip}</td>'
    return f'<tr><th>{escape(name)}</th>{figures}</tr><tr class="lv-shots" data-line="{key}">{shots}</tr>'


def _figure(line: Line, lines: Sequence[Line], column: Column) -> str:
    text = column.written(line.figures.get(column.name))
    shown = f"<b>★ {text}</b>" if is_best(line, lines, column) else text
    counted = f"<small>{line.still} still match</small>" if column is STILL and line.still else ""
    return f'<td class="lv-num" data-head="{escape(column.title)}">{shown}{counted}</td>'


def _faces(cell: Cell | None, name: str, by: Look | None, blind: bool, side: int = SIDE) -> str:
    if cell is None:
        return '<span class="lv-quiet">not yet on this photo</span>'
    if cell.result is None:
        return f'<span role="alert">{escape(NAMELESS if blind else cell.error)}</span>'
    if (key := (name, by, blind, side)) not in cell.strips:
        shown = list(pictures(cell, by).items())[: ALL_HAVE if blind else None]
        faces = "".join(_face(pixels, caption, name, side) for caption, pixels in shown)
        while len(cell.strips) >= STRIPS:
            cell.strips.pop(next(iter(cell.strips)))
        cell.strips[key] = f'<div class="lv-strip">{faces}</div>'
    return cell.strips[key]


def _face(pixels: np.ndarray, caption: str, name: str, side: int) -> str:
    alt = f"{caption}, {name}"
    picture = scoreboard.picture(pixels, side, alt).replace("<img ", '<img draggable="false" loading="lazy" ', 1)
    inner = f'<div class="lv-zoom" tabindex="0" aria-label="{escape(alt)}">{picture}</div>'
    return f"<figure>{inner}<figcaption>{escape(caption)}</figcaption></figure>"


def claims(threat: str) -> str:
    """What each paper says about a threat."""
    rows = []
    for id, claim in threats.claims(threat):
        title = threats.METHODS[id].title
        if claim is None:
            rows.append(f"<tr><th>{escape(title)}</th><td>– {threats.SILENT}</td></tr>")
            continue
        mark = MARKS[claim.helps]
        words = f"<q>{escape(claim.words)}</q> ({escape(claim.where)})"
        rows.append(f"<tr><th>{escape(title)}</th><td><b>{mark}</b><small>{words}</small></td></tr>")
    return f'<table class="lv-table lv-claims"><tbody>{"".join(rows)}</tbody></table>'


def step(line: Line, photo: int, by: Look | None = None) -> str:
    """One step of a sweep: its faces, Grad-CAM as `by` says, and its figures."""
    cell = next((cell for cell in line.cells if cell.photo == photo), None)
    figures = " · ".join(
        f"{column.title} {column.written(line.figures.get(column.name))}" for column in there([line])
    )
    head = f'<p class="lv-head">{escape(line.entry.title)}</p>'
    return f'{head}<p class="lv-quiet">{escape(figures)}</p>{_faces(cell, line.entry.title, by, False)}'
