"""The manifest: which file is which photo under which condition, as CSV or JSON beside the pictures.

Columns: file and photo (both needed), role (test, reference, anchor, catch; "test" where empty), method, parameters
(a JSON object), condition, person, reference (the file of the unaltered photo, in place of a row of its own),
measures (a JSON object), and any column measure_NAME. JSON: a list of such objects, or {"stimuli": [...]}.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from app.study.archive import Source, safe_name
from app.study.canonical import sha256
from app.study.errors import StudyError
from app.study.incoming import Incoming

NAMES = ("manifest.csv", "manifest.json")
COLUMNS = {"file", "photo", "role", "method", "parameters", "condition", "person", "reference", "measures"}
MEASURE = "measure_"
MOST_BYTES = 5 * 1024**2
MOST_ROWS = 5_000


def read(source: Source) -> Iterator[Incoming]:
    """The pictures that the manifest names, one at a time. Raises StudyError, naming the row where it can."""
    name, folder = _find(source)
    rows = _rows(name, source.read(name))
    told: set[str] = {str(row.get("photo") or "") for row in rows if row.get("role") == "reference"}
    for number, row in enumerate(rows, 1):
        yield _picture(source, folder, row, number)
        unaltered, photo = row.get("reference"), str(row.get("photo") or "")
        if unaltered and photo not in told:
            told.add(photo)
            about = {"file": unaltered, "photo": photo, "person": row.get("person"), "role": "reference"}
            yield _picture(source, folder, about, number)


def _find(source: Source) -> tuple[str, str]:
    """The manifest's name, and the folder that it lies in ("" or "name/"): file names start there."""
    found = [name for name in source.names() if name.rsplit("/", 1)[-1].lower() in NAMES and name.count("/") <= 1]
    found.sort(key=lambda name: (name.count("/"), name))
    if not found:
        raise StudyError("There is no manifest.csv or manifest.json: add one that lists the pictures.")
    top = [name for name in found if name.count("/") == found[0].count("/")]
    if len(top) > 1:
        raise StudyError(f"There are several manifests ({', '.join(top[:3])}): keep one.")
    folder = found[0].rpartition("/")[0]
    return found[0], folder + "/" if folder else ""


def _rows(name: str, data: bytes) -> list[dict[str, Any]]:
    if len(data) > MOST_BYTES:
        raise StudyError(f"The manifest is larger than {MOST_BYTES // 1024**2} MB: split the study into several.")
    try:
        written = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise StudyError("The manifest is not written in UTF-8: save it again as UTF-8.") from error
    rows = _json_rows(written) if name.lower().endswith(".json") else _csv_rows(written)
    if not rows:
        raise StudyError("The manifest lists no pictures: add a row for each.")
    if len(rows) > MOST_ROWS:
        raise StudyError(f"The manifest has more than {MOST_ROWS:,} rows: split the study into several.")
    for row in rows:
        strange = sorted(key for key in row if key not in COLUMNS and not str(key).startswith(MEASURE))
        if strange:
            known = ", ".join(sorted(COLUMNS))
            raise StudyError(f"The manifest has an unknown column “{strange[0]}”: use {known} or measure_NAME.")
    return rows


def _csv_rows(written: str) -> list[dict[str, Any]]:
    first = written.split("\n", 1)[0]
    try:
        table = list(csv.DictReader(io.StringIO(written), delimiter=max(",;\t", key=first.count), strict=True))
    except csv.Error as error:
        raise StudyError("The manifest cannot be read as CSV: check its quotation marks.") from error
    if any(None in row or None in row.values() for row in table):
        raise StudyError("A row of the manifest has more or fewer cells than the first: quote cells with commas.")
    return [{key.strip(): value for key, value in row.items()} for row in table]


def _json_rows(written: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(written)
    except (ValueError, RecursionError) as error:
        raise StudyError("The manifest cannot be read as JSON: check its commas and brackets.") from error
    rows = found.get("stimuli") if isinstance(found, dict) else found
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise StudyError("The manifest must be a list of objects, one for each picture.")
    return rows


def _picture(source: Source, folder: str, row: dict[str, Any], number: int) -> Incoming:
    def said(name: str) -> str:
        value = row.get(name)
        return "" if value is None else str(value).strip()

    if not said("file"):
        raise StudyError(f"Row {number} of the manifest names no file: fill in “file”.")
    name = safe_name(folder + said("file"))
    data = source.read(name)
    try:
        return Incoming(
            data,
            photo=said("photo"),
            role=said("role") or "test",
            method=said("method"),
            parameters=_object(row.get("parameters"), "parameters"),
            condition=said("condition"),
            person=said("person"),
            measures=_measures(row),
            provenance={"file": said("file"), "file_sha256": sha256(data), "file_bytes": len(data)},
        )
    except StudyError as error:
        raise StudyError(f"Row {number} of the manifest: {error}") from error


def _object(value: Any, name: str) -> dict[str, Any]:
    """A JSON object, from a CSV cell or from JSON itself."""
    if value is None or value == "":
        return {}
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise StudyError(f"“{name}” is no JSON object: write it as {{\"epsilon\": 8}}.")
    return found


def _measures(row: dict[str, Any]) -> dict[str, float]:
    found = _object(row.get("measures"), "measures")
    for key, value in row.items():
        if key.startswith(MEASURE) and value not in (None, ""):
            try:
                found[key.removeprefix(MEASURE)] = float(value)
            except (TypeError, ValueError) as error:
                raise StudyError(f"The measure in “{key}” is no number: correct it or leave it empty.") from error
    return found
