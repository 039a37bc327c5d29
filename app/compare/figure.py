"""The board as a figure for a paper: a row an entry, the faces beside each other, by matplotlib as PNG or PDF."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from app.compare.job import Cell, Line
from app.report import Cam

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 300
INCH = 1.25  # of one face
FORMATS = ("png", "pdf")


def judged(cell: Cell) -> Cam | None:
    """Grad-CAM by the first held-out judge."""
    if cell.result is None:
        return None
    judges = {score.recogniser for score in cell.result.scores if score.role == "judge"}
    return next((cam for cam in cell.result.cams if cam.recogniser in judges), None)


def scale(lines: Sequence[Line], photo: int) -> float | None:
    """The top of one colour scale for the Grad-CAM of all lines on a photo; None where there is none."""
    cams = [judged(cell) for line in lines for cell in line.cells if cell.photo == photo]
    return max((cam.top for cam in cams if cam), default=None)


def pictures(cell: Cell, top: float | None = None) -> dict[str, np.ndarray]:
    """What is shown of a cell, uint8 (h, w, 3) by caption: the head before, protected, the change, and what is made.

    After the first three come Grad-CAM before and after by the first held-out judge, its colours from 0 to `top`,
    and, where the method has them, a forgery of the protected face or what comes back from it.
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
    if (cam := judged(cell)) is not None:
        found |= dict(zip(("Grad-CAM before", "Grad-CAM after"), cam.overlaid(top), strict=True))
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
    rows = [pictures(cell, scale(lines, photo)) for _, cell in shown]
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
    file = io.BytesIO()
    made.savefig(file, format=format, dpi=DPI, metadata={"Creator": "Larvatus"} if format == "pdf" else None)
    return file.getvalue()
