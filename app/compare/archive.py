"""Everything of a comparison in one ZIP: the files, their provenance, the figures as CSV, tables, the figure."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Mapping, Sequence

from app.compare import tables
from app.compare.columns import COLUMNS
from app.compare.job import Line

STILL_MATCH = "held-out judges that still match"


def name_of(line: Line, photo: int) -> str:
    """A file's name without its ending: letters, digits and dashes."""
    plain = re.sub(r"[^a-z0-9.]+", "-", f"{line.entry.method} {line.entry.name}".lower()).strip("-")
    return f"{plain}-photo{photo + 1}"


def archive(lines: Sequence[Line], figures: Mapping[str, bytes]) -> bytes:
    """The ZIP, with the files of the figure by format (`figure.drawn`). No uploaded file's name is in it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for line in lines:
            for cell in line.cells:
                if cell.result is not None:
                    stem, ending = name_of(line, cell.photo), cell.result.name.rsplit(".", 1)[-1]
                    packed.writestr(f"files/{stem}.{ending}", cell.result.file)
                    packed.writestr(f"files/{stem}.json", json.dumps(cell.result.as_dict(), indent=1))
        packed.writestr("figures.csv", _csv(lines))
        packed.writestr("table.tex", tables.latex(lines))
        packed.writestr("table.md", tables.markdown(lines))
        for format, data in figures.items():
            packed.writestr(f"figure.{format}", data)
    return file.getvalue()


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
