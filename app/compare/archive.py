"""Everything of a comparison in one ZIP: files, provenance, pictures, figures as CSV, tables, figures, plots."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Sequence

import numpy as np
from PIL import Image

from app.compare import tables
from app.compare.columns import COLUMNS
from app.compare.figure import Look, drawn, look, pictures
from app.compare.job import Cell, Line
from app.compare.tradeoff import points, tradeoff

STILL_MATCH = "held-out judges that still match"


def name_of(line: Line, photo: int) -> str:
    """A file's name without its ending: letters, digits and dashes."""
    return f"{_plain(f'{line.entry.method} {line.entry.name}')}-photo{photo + 1}"


def _plain(words: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", words.lower()).strip("-")


def archive(lines: Sequence[Line], natural: str = "SSIM") -> bytes:
    """The ZIP, with a figure of each photo, the plot by that measure of looks, and no uploaded file's name."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for line in lines:
            for cell in line.cells:
                _cell(packed, name_of(line, cell.photo), cell, look(lines, cell.photo))
        packed.writestr("figures.csv", _csv(lines))
        packed.writestr("table.tex", tables.latex(lines))
        packed.writestr("table.md", tables.markdown(lines))
        for photo in sorted({cell.photo for line in lines for cell in line.cells if cell.result is not None}):
            for format, data in drawn(lines, photo).items():
                packed.writestr(f"figure-photo{photo + 1}.{format}", data)
        if len(points(lines, natural)) > 1:  # with plotly's script inside: it is to open without a network
            packed.writestr("tradeoff.html", tradeoff(lines, natural).to_html(include_plotlyjs=True))
    return file.getvalue()


def _cell(packed: zipfile.ZipFile, stem: str, cell: Cell, by: Look | None) -> None:
    """A cell's file, what is known of it, and every picture that the board shows of it."""
    if cell.result is None:
        return
    packed.writestr(f"files/{stem}.{cell.result.name.rsplit('.', 1)[-1]}", cell.result.file)
    packed.writestr(f"files/{stem}.json", json.dumps(cell.result.as_dict(), indent=1))
    for caption, pixels in pictures(cell, by).items():
        image = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(pixels)).save(image, "PNG")
        packed.writestr(f"pictures/{stem}-{_plain(caption)}.png", image.getvalue(), zipfile.ZIP_STORED)


def _csv(lines: Sequence[Line]) -> str:
    """A row for each entry and photo, also where it failed."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(
        ["method", "settings", "params", "photo", *(column.name for column in COLUMNS), STILL_MATCH, "failed"]
    )
    for line in lines:
        for cell in line.cells:
            values = [cell.figures.get(column.name, "") for column in COLUMNS]
            about = [line.entry.method, line.entry.name, json.dumps(line.entry.params), cell.photo + 1]
            writer.writerow([*about, *values, Line(line.entry, (cell,)).still, cell.error])
    return out.getvalue()
