"""A table as CSV, Parquet or JSON, and back, without losing a bit."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from app.study.errors import StudyError

LONG = {"stimulus": "str", "name": "str", "value": "object"}
# What a spreadsheet takes for a formula or skips before one (OWASP, "CSV Injection"), full-width signs included.
FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
QUOTE = "'"


def neutral(text: str) -> str:
    """`text` as a cell that no spreadsheet runs: an apostrophe before what could start a formula.

    Text that starts with an apostrophe gets one more, so that `plain` always finds the way back. Leading spaces
    are looked through, since some programs trim them.
    """
    return QUOTE + text if text.startswith(QUOTE) or text.lstrip(" \u00a0\ufeff").startswith(FORMULA) else text


def plain(cell: str) -> str:
    """The text that `neutral` was given."""
    return cell[1:] if cell.startswith(QUOTE) else cell


def to_csv(table: pd.DataFrame, columns: dict[str, str]) -> bytes:
    """UTF-8, all cells quoted. Numbers as Python writes them, which reads back exactly; objects as JSON."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(columns)
    for row in _rows(table, columns):
        cells = (
            cell if kind in ("int64", "float64") else neutral(cell)
            for cell, kind in zip(row, columns.values(), strict=True)
        )
        writer.writerow([repr(cell) if isinstance(cell, float) else cell for cell in cells])
    return out.getvalue().encode("utf-8-sig")  # the mark tells spreadsheets that it is UTF-8


def from_csv(data: bytes, columns: dict[str, str]) -> pd.DataFrame:
    """The table of `to_csv`. Raises StudyError."""
    csv.field_size_limit(2**27)
    try:
        rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True))
        found = {name: [row[k] for row in rows[1:]] for k, name in enumerate(rows[0])}
        return pd.DataFrame({name: _column([plain(c) for c in found[name]], kind) for name, kind in columns.items()})
    except (ValueError, KeyError, IndexError, csv.Error, RecursionError) as error:
        raise StudyError(f"This CSV cannot be read ({error}): use the file of the export unchanged.") from None


def to_json(table: pd.DataFrame, columns: dict[str, str]) -> bytes:
    """A list of records; objects stay objects."""
    records = [
        {name: _native(cell) for name, cell in zip(columns, row, strict=True)} for row in _cells(table, columns)
    ]
    return _dump(records, indent=1).encode()


def from_json(data: bytes, columns: dict[str, str]) -> pd.DataFrame:
    """The table of `to_json`. Raises StudyError."""
    try:
        records = json.loads(data)
        return pd.DataFrame({name: pd.Series([r[name] for r in records], dtype="object") for name in columns})
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StudyError(f"This JSON cannot be read ({error}): use the file of the export unchanged.") from None


def to_parquet(table: pd.DataFrame, columns: dict[str, str]) -> bytes:
    """Typed columns; objects as JSON text, since their shape differs from row to row."""
    types = {"int64": pa.int64(), "float64": pa.float64()}
    rows = list(zip(*_rows(table, columns), strict=True)) or [()] * len(columns)
    arrays = [
        pa.array(list(cells), types.get(kind, pa.string()))
        for cells, kind in zip(rows, columns.values(), strict=True)
    ]
    out = io.BytesIO()
    parquet.write_table(pa.table(arrays, names=list(columns)), out)
    return out.getvalue()


def from_parquet(data: bytes, columns: dict[str, str]) -> pd.DataFrame:
    """The table of `to_parquet`. Raises StudyError."""
    try:
        found = parquet.read_table(io.BytesIO(data)).to_pydict()
        return pd.DataFrame({name: _column(found[name], kind) for name, kind in columns.items()})
    except (ValueError, KeyError, TypeError, OSError, pa.ArrowException, RecursionError) as error:
        raise StudyError(f"This Parquet file cannot be read ({error}): use the export's file unchanged.") from None


def long(stimuli: pd.DataFrame, name: str) -> pd.DataFrame:
    """One row a stimulus and entry of the dicts in column `name`: stimulus, name, value."""
    pairs = zip(stimuli["stimulus"], stimuli[name], strict=True)
    rows = [(stimulus, key, value) for stimulus, cell in pairs for key, value in cell.items()]
    return pd.DataFrame(rows, columns=list(LONG)).astype({"value": "object"})


def _cells(table: pd.DataFrame, columns: dict[str, str]) -> Any:
    return zip(*(table[name].tolist() for name in columns), strict=True)


def _rows(table: pd.DataFrame, columns: dict[str, str]) -> list[list[Any]]:
    """Rows of plain cells: str, int, float; objects as JSON text."""
    kinds = list(columns.values())
    return [
        [_dump(cell) if kind == "object" else _native(cell) for cell, kind in zip(row, kinds, strict=True)]
        for row in _cells(table, columns)
    ]


def _column(cells: list[Any], kind: str) -> pd.Series:
    convert: dict[str, Any] = {"object": json.loads, "int64": int, "float64": float, "str": str}
    return pd.Series([convert[kind](cell) for cell in cells], dtype="object" if kind == "object" else kind)


def _native(cell: Any) -> Any:
    return cell.item() if hasattr(cell, "item") else cell


def _dump(value: Any, indent: int | None = None) -> str:
    """Standard JSON; `tables.checked` has made NaN null. Raises StudyError for what JSON cannot hold."""
    try:
        return json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise StudyError(f"This cannot be written as JSON: {error}.") from None
