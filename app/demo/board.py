"""The board of a comparison as HTML: a row a method, its faces, its figures, the best of each column marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from app.compare import threats
from app.compare.columns import Column, is_best, ordered, there
from app.compare.figure import pictures
from app.compare.job import Cell, Line
from app.demo import scoreboard

SIDE = 180
ZOOM = (
    "Wheel, pinch or + and − over a face: all faces zoom together; drag to move, double-click to go back. "
    "★ marks the best of a column. A press on a column's head sorts."
)


def letters(lines: Sequence[Line], seed: int) -> dict[str, str]:
    """A letter for each line's title, in an order that says nothing; the same for the same seed."""
    order = np.random.default_rng(seed).permutation(len(lines))
    return {lines[i].entry.title: chr(ord("A") + n) for n, i in enumerate(order.tolist())}


def board(
    lines: Sequence[Line], photo: int = 0, by: str | None = None, names: Mapping[str, str] | None = None
) -> str:
    """The table; `photo` says whose faces are shown, `by` which column sorts; with `names` blind, in their order."""
    if not lines:
        return ""
    columns = there(lines)
    shown = ordered(lines, by)
    if names:
        shown = sorted(shown, key=lambda line: names[line.entry.title])
    rows = "".join(_row(line, lines, columns, photo, names) for line in shown)
    head = "<th>Method</th><th>Still match</th>" + "".join(_head(column, by) for column in columns)
    note = f'<p class="lv-caption">{ZOOM}</p>'
    return f'<table class="lv-table lv-compare"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{note}'


def _head(column: Column, by: str | None) -> str:
    pressed = "true" if column.name == by else "false"
    return (
        f'<th title="{escape(column.help)}"><button data-sort="{escape(column.name)}" aria-pressed="{pressed}">'
        f"{escape(column.title)}{' ▾' if column.name == by else ''}</button></th>"
    )


def _row(
    line: Line, lines: Sequence[Line], columns: Sequence[Column], photo: int, names: Mapping[str, str] | None
) -> str:
    name = f"Method {names[line.entry.title]}" if names else line.entry.title
    cell = next((cell for cell in line.cells if cell.photo == photo), None)
    figures = "".join(_figure(line, lines, column) for column in columns)
    key = escape(names[line.entry.title] if names else line.entry.title)
    shots = f'<td colspan="{2 + len(columns)}">{_faces(cell, name, bool(names))}</td>'
    faces = f'<tr class="lv-shots" data-line="{key}">{shots}</tr>'
    verdict = f'<td data-head="Still match">{escape(line.verdict)}</td>'
    return f"<tr><th>{escape(name)}</th>{verdict}{figures}</tr>{faces}"


def _figure(line: Line, lines: Sequence[Line], column: Column) -> str:
    text = column.written(line.figures.get(column.name))
    best = is_best(line, lines, column)
    shown = f"<b>★ {text}</b>" if best else text
    return f'<td class="lv-num" data-head="{escape(column.title)}">{shown}</td>'


def _faces(cell: Cell | None, name: str, blind: bool) -> str:
    if cell is None:
        return '<span class="lv-quiet">not yet on this photo</span>'
    if cell.result is None:
        return f'<span role="alert">{escape(cell.error)}</span>'
    hidden = {"Forged", "Restored"} if blind else set()  # only some methods have them: they would give names away
    figures = "".join(
        _face(pixels, caption, name) for caption, pixels in pictures(cell).items() if caption not in hidden
    )
    return f'<div class="lv-strip">{figures}</div>'


def _face(pixels: np.ndarray, caption: str, name: str) -> str:
    alt = f"{caption}, {name}"
    picture = scoreboard.picture(pixels, SIDE, alt)
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
        mark = "✓ claims to help" if claim.helps else "✕ says that it does not"
        words = f"<q>{escape(claim.words)}</q> ({escape(claim.where)})"
        rows.append(f"<tr><th>{escape(title)}</th><td><b>{mark}</b><small>{words}</small></td></tr>")
    return f'<table class="lv-table lv-claims"><tbody>{"".join(rows)}</tbody></table>'


def step(line: Line, photo: int) -> str:
    """One step of a sweep: its faces and figures."""
    cell = next((cell for cell in line.cells if cell.photo == photo), None)
    figures = " · ".join(
        f"{column.title} {column.written(line.figures.get(column.name))}" for column in there([line])
    )
    head = f'<p class="lv-head">{escape(line.entry.title)}</p>'
    return f'{head}<p class="lv-quiet">{escape(figures)}</p>{_faces(cell, line.entry.title, False)}'
