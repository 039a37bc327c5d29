"""Rows that outlive a crash: a journal that only grows, made into Parquet when a run begins and when it ends.

`rows.parquet` holds the rows of the plan in its order, with the data's labels; `earlier.parquet`, where there is
one, rows that earlier plans left in the same folder and this one does not ask for. Nothing measured is thrown away.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json
import pyarrow.parquet as parquet
from filelock import FileLock, Timeout

from app.bench.run.plan import Plan

ROWS, EARLIER, JOURNAL, LOCK = "rows.parquet", "earlier.parquet", "rows.jsonl", ".lock"
LABEL = "label_"  # before the name of a column that comes from the data
COLUMNS = {
    pa.string(): "key photo photo_sha256 person method setting params attacked distortion kind by role edit reason",
    pa.int64(): "seed rank_self rank_target",
    pa.bool_(): "found matches_self matches_target erased_matches_self erased_matches_target identity_read "
    "extracted_masked extracted_recovered defended",
    pa.float64(): "threshold to_self to_target erased_to_self erased_to_target psnr ssim l1 mse mmd lpips bits "
    "restored_psnr restored_ssim nc_masked nc_recovered l2_face id_similarity kept",
}
SCHEMA = pa.schema([(name, kind) for kind, names in COLUMNS.items() for name in names.split()])


class StoreError(ValueError):
    """A folder of results that cannot be used, as one sentence that says what to do."""


class Store:
    """The rows of one folder, which one run at a time may write to. Use it in a `with` statement.

    `again` drops failed rows, so that they are computed once more.
    """

    def __init__(self, folder: Path, again: bool = False):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(folder / LOCK)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise StoreError(f"Another run writes to {folder.name}: wait for it, or give another --out.") from None
        try:
            self._table = self._gathered(again)
            self.known = set(self._table["key"].to_pylist())
            self._write(self._table, ROWS)
            (folder / EARLIER).unlink(missing_ok=True)
            self._journal = (folder / JOURNAL).open("w", encoding="utf-8")  # all that was in it is in ROWS now
        except BaseException:
            self._lock.release()
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self._journal.close()
        self._lock.release()

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        """Append an item's rows; when this returns they are on the disk."""
        for row in rows:
            if row["key"] not in self.known:
                self.known.add(row["key"])
                self._journal.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
        self._journal.flush()
        os.fsync(self._journal.fileno())

    def finish(self, plan: Plan) -> pa.Table:
        """Write `rows.parquet` of what is there of the plan, in its order, and give it back."""
        self._journal.flush()
        everything = pa.concat_tables([self._table, _read_journal(self.folder / JOURNAL)])
        place = {key: index for index, key in enumerate(everything["key"].to_pylist())}
        there = [(place[key], probe, said) for key, probe, said in plan.in_order() if key in place]
        own = everything.take(pa.array([row for row, _, _ in there], pa.int64()))
        for name in there[0][2] if there else ():  # as this plan says it, whatever an earlier one said
            column = pa.array([said[name] for _, _, said in there], pa.string())
            own = own.set_column(own.schema.get_field_index(name), name, column)
        for name in dict.fromkeys(name for probe in plan.probes for name in probe.labels):
            own = own.append_column(LABEL + name, pa.array([probe.labels[name] for _, probe, _ in there]))
        rest = everything.filter(pc.invert(pc.is_in(everything["key"], own["key"])))
        if len(rest):
            self._write(rest, EARLIER)
        self._write(own, ROWS)
        self._journal.seek(0)
        self._journal.truncate()
        self._table = pa.concat_tables([own.select(SCHEMA.names), rest])
        return own

    def _gathered(self, again: bool) -> pa.Table:
        """All rows that the folder holds, each key once."""
        parts = [_read_parquet(self.folder / name) for name in (ROWS, EARLIER)]
        table = pa.concat_tables([*parts, _read_journal(self.folder / JOURNAL)])
        first = {key: index for index, key in reversed(list(enumerate(table["key"].to_pylist())))}
        table = table.take(pa.array(sorted(first.values()), pa.int64()))
        return table.filter(pc.is_null(table["reason"])) if again else table

    def _write(self, table: pa.Table, name: str) -> None:
        """Whole or not at all: a crash leaves the file of before."""
        partial = self.folder / f"{name}.part"
        parquet.write_table(table, partial)
        with open(partial, "rb") as file:
            os.fsync(file.fileno())
        partial.replace(self.folder / name)


def _read_parquet(path: Path) -> pa.Table:
    """The columns of SCHEMA; a file of another version may lack some."""
    if not path.is_file():
        return SCHEMA.empty_table()
    try:
        table = parquet.read_table(path)
    except (OSError, pa.ArrowException):
        raise StoreError(f"{path.name} is damaged: move it away, and its rows are computed again.") from None
    if "key" not in table.column_names:
        raise StoreError(f"{path.name} holds no rows of a bench run: give another --out.")
    columns = [
        table[field.name].cast(field.type) if field.name in table.column_names else pa.nulls(len(table), field.type)
        for field in SCHEMA
    ]
    return pa.table(columns, schema=SCHEMA)


def _read_journal(path: Path) -> pa.Table:
    """The whole lines; one that a crash cut short is left out."""
    data = path.read_bytes() if path.is_file() else b""
    whole = data[: data.rfind(b"\n") + 1]
    if not whole:
        return SCHEMA.empty_table()
    options = pa.json.ParseOptions(explicit_schema=SCHEMA, unexpected_field_behavior="ignore")
    blocks = pa.json.ReadOptions(block_size=max(1 << 20, max(map(len, whole.splitlines())) + 1))
    try:
        return pa.json.read_json(pa.BufferReader(whole), blocks, options).select(SCHEMA.names)
    except pa.ArrowInvalid:
        raise StoreError(f"{path.name} is damaged: move it away, and its rows are computed again.") from None
