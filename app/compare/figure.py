"""The board as a figure for a paper: a row an entry, the faces beside each other, by matplotlib as PNG or PDF."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from app.compare.job import Cell, Line
from app.report import Cam

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 300
INCH = 1.25  # of one face
FORMATS = ("png", "pdf")


@dataclass(frozen=True)
class Look:
    """Whose Grad-CAM all lines show, and the top of their one colour scale."""

    recogniser: str
    title: str
    top: float


def look(lines: Sequence[Line], photo: int) -> Look | None:
    """The first recogniser that is held out in every line on that photo; None where there is none.

    Maps of two recognisers are not on one scale, and methods differ in whom they were made against.
    """
    seen = [cell for line in lines for cell in line.cells if cell.photo == photo and cell.result and cell.result.cams]
    held_out = [_judges(cell) for cell in seen]
    first = seen[0].result.cams if seen and seen[0].result else ()
    shared = next((cam for cam in first if all(cam.recogniser in judges for judges in held_out)), None)
    if shared is None:
        return None
    tops = [cam.top for cell in seen for cam in _cams(cell) if cam.recogniser == shared.recogniser]
    return Look(shared.recogniser, shared.title, max(tops))


def judged(cell: Cell, by: Look | None = None) -> Cam | None:
    """Grad-CAM by the recogniser of a look, or else by the first held-out judge."""
    ids = {by.recogniser} if by else _judges(cell)
    return next((cam for cam in _cams(cell) if cam.recogniser in ids), None)


def _cams(cell: Cell) -> tuple[Cam, ...]:
    return cell.result.cams if cell.result else ()


def _judges(cell: Cell) -> set[str]:
    return {score.recogniser for score in cell.result.scores if score.role == "judge"} if cell.result else set()


def pictures(cell: Cell, by: Look | None = None) -> dict[str, np.ndarray]:
    """What is shown of a cell, uint8 (h, w, 3) by caption: the head before, protected, the change, and what is made.

    After the first three come Grad-CAM before and after, as `by` says or else by the first held-out judge on a scale
    of its own, and, where the method has them, a forgery of the protected face or what comes back from it.
    """
    result = cell.result
    if result is None:
        return {}
    x0, y0, x1, y1 = result.window
    found = {
        "Original": result.before[y0:y1, x0:x1],
        "Protected": result.after[y0:y1, x0:x1],
        "Difference × 8": result.difference[y0:y1, x0:x1],
    }
    if (cam := judged(cell, by)) is not None:
        shown = cam.overlaid(by.top if by else None)
        found |= dict(zip(("Grad-CAM before", "Grad-CAM after"), shown, strict=True))
    if result.wall is not None and result.wall.tiles:
        found["Forged"] = result.wall.tiles[0].protected
    if result.hidden is not None:
        found["Restored"] = dict(result.hidden.pictures)["Restored"]
    elif cell.restored is not None:
        found["Restored"] = cell.restored
    return found


def figure(lines: Sequence[Line], photo: int = 0, names: Sequence[str] = ()) -> Figure:
    """One row a line, of the photo of that number; `names` stand for the entries' own (for a blind figure)."""
    from matplotlib.figure import Figure  # half a second at a start

    shown = [(line, cell) for line in lines for cell in line.cells if cell.photo == photo and cell.result is not None]
    rows = [pictures(cell, look(lines, photo)) for _, cell in shown]
    captions = list(dict.fromkeys(name for row in rows for name in row))
    titles = names or [line.entry.title for line, _ in shown]
    made = Figure(figsize=(INCH * len(captions) + 1.2, INCH * len(rows) + 0.3), dpi=DPI)
    grid = made.subplots(len(rows), len(captions), squeeze=False)
    for r, (row, title) in enumerate(zip(rows, titles, strict=True)):
        for c, caption in enumerate(captions):
            _face(grid[r][c], row.get(caption), caption if r == 0 else "", title if c == 0 else "")
    made.subplots_adjust(left=1.2 / made.get_figwidth(), right=1, top=1 - 0.3 / made.get_figheight(), bottom=0)
    made.subplots_adjust(wspace=0.03, hspace=0.03)
    return made


def _face(axes: object, picture: np.ndarray | None, above: str, beside: str) -> None:
    axes.set_xticks([])  # type: ignore[attr-defined]
    axes.set_yticks([])  # type: ignore[attr-defined]
    axes.set_frame_on(False)  # type: ignore[attr-defined]
    if picture is not None:
        axes.imshow(picture, interpolation="bicubic")  # type: ignore[attr-defined]
    if above:
        axes.set_title(above, fontsize=8, pad=3)  # type: ignore[attr-defined]
    if beside:
        words = beside.replace(", ", ",\n")
        axes.set_ylabel(words, fontsize=8, rotation=0, ha="right", va="center", labelpad=4)  # type: ignore[attr-defined]


def drawn(lines: Sequence[Line], photo: int = 0) -> dict[str, bytes]:
    """The figure as a file of each of FORMATS, of the first photo where that one has no result; {} where none has."""
    done = {cell.photo for line in lines for cell in line.cells if cell.result is not None}
    if not done:
        return {}
    made = figure(lines, photo if photo in done else min(done))
    return {format: encoded(made, format) for format in FORMATS}


def encoded(made: Figure, format: str) -> bytes:
    """The figure as "png" at 300 dots an inch, or as "pdf". Raises ValueError for anything else."""
    if format not in FORMATS:
        raise ValueError(f"A figure is written as {' or '.join(FORMATS)}, not {format!r}.")
    from matplotlib import rc_context

    file = io.BytesIO()
    with rc_context({"pdf.fonttype": 42}):  # publishers refuse the Type 3 fonts that are usual here
        made.savefig(file, format=format, dpi=DPI, metadata={"Creator": "Larvatus"} if format == "pdf" else None)
    return file.getvalue()
