"""Where photos come from: a folder, Parquet with pictures inside, or a data set of the library `datasets`."""

from __future__ import annotations

import csv
import glob
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from math import isfinite
from pathlib import Path
from typing import Any, Protocol

from app.bench.run.spec import Photos, SpecError

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".avif"}
LABELS = "labels.csv"
KEPT = 2  # row groups of Parquet in memory: photos are read in order, each with another of its person
ALL = "*"  # in place of labels: every column
FOLDER = "folder"  # a column that every folder of photos has: the name of the folder that a photo lies in


@dataclass(frozen=True)
class Row:
    """One photo: its name, and the values of the columns that were asked for."""

    name: str
    labels: dict[str, Any]


class Source(Protocol):
    """Rows in a fixed order, whose pictures are read one by one."""

    @property
    def rows(self) -> Sequence[Row]:
        """Every photo."""
        ...

    @property
    def known(self) -> Sequence[str]:
        """The columns of plain values that photos could be sliced by."""
        ...

    def read(self, index: int) -> bytes:
        """The file of a photo, as it is stored; an empty one where there is none. Raises what the reading raises."""
        ...


def open_source(photos: Photos) -> Source:
    """The source that a spec names. Raises SpecError, one sentence."""
    if photos.folder is not None:
        return Folder(photos)
    return Parquet(photos) if photos.parquet is not None else Dataset(photos)


def labelled(photos: Photos) -> Photos:
    """Labels of `*` as the names of all columns but the picture's, its name's and the person's. Raises SpecError."""
    if ALL not in photos.labels:
        return photos
    taken = {photos.image, photos.file, photos.person}
    known = open_source(photos.model_copy(update={"labels": (), "person": ""})).known
    return photos.model_copy(update={"labels": tuple(name for name in known if name not in taken)})


class Folder:
    """Picture files in a folder and below, by name."""

    def __init__(self, photos: Photos):
        assert photos.folder is not None
        self._folder = photos.folder
        found = sorted(path for path in self._folder.rglob("*") if path.suffix.lower() in SUFFIXES)
        if not found:
            raise SpecError(f"There is no photo in {self._folder.name}: name a folder with `photos.folder`.")
        names = [path.relative_to(self._folder).as_posix() for path in found]
        table = self._labels(photos) if set(photos.columns) - {FOLDER} else {}
        self.rows: list[Row] = []
        for name in names:
            known = {**table.get(name, {}), FOLDER: Path(name).parent.name}
            self.rows.append(Row(name, {column: known.get(column) for column in photos.columns}))

    def _lines(self) -> list[dict[str, str]]:
        try:
            return list(csv.DictReader((self._folder / LABELS).read_text().splitlines()))
        except (OSError, UnicodeDecodeError):
            raise SpecError(f"`photos.labels` of a folder needs {LABELS} in it, with a column `file`.") from None

    @property
    def known(self) -> Sequence[str]:
        """See Source."""
        lines = self._lines() if (self._folder / LABELS).is_file() else []
        return tuple(dict.fromkeys((*(lines[0] if lines else ()), FOLDER)))

    def _labels(self, photos: Photos) -> dict[str, dict[str, Any]]:
        lines = self._lines()
        _check_columns(("file", *photos.columns), {FOLDER, *(lines[0] if lines else ())}, LABELS)
        values = {name: [line[name] or None for line in lines] for name in photos.columns if name != FOLDER}
        values = {name: found if name == photos.person else _numbers(found) for name, found in values.items()}
        return {line["file"]: {name: values[name][at] for name in values} for at, line in enumerate(lines)}

    def read(self, index: int) -> bytes:
        """See Source."""
        return (self._folder / self.rows[index].name).read_bytes()


class Parquet:
    """Rows of Parquet files whose image column holds the encoded file, alone or as `bytes` of a struct."""

    def __init__(self, photos: Photos):
        import pyarrow.parquet as parquet

        assert photos.parquet is not None
        paths = sorted(glob.glob(photos.parquet))
        if not paths:
            pattern = Path(photos.parquet).name
            raise SpecError(f"There is no Parquet file {pattern}: name one, or a pattern, with `photos.parquet`.")
        try:
            self._files = [parquet.ParquetFile(path) for path in paths]
        except (OSError, ValueError):
            raise SpecError(f"{Path(paths[0]).name} is not a whole Parquet file: replace it.") from None
        self._image, schema = photos.image, self._files[0].schema_arrow
        _check_columns((photos.image, *photos.columns), set(schema.names), Path(paths[0]).name)
        if not _holds_files(schema.field(photos.image).type):
            raise SpecError(f"The column {photos.image} holds no files: name the pictures' with `photos.image`.")
        self.known = tuple(field.name for field in schema if _plain(field.type))
        beside = [name for name in dict.fromkeys((photos.file, *photos.columns)) if name in schema.names]
        values = [row for file in self._files for row in _table(file, beside)]
        self.rows = [_row(photos, value, number) for number, value in enumerate(values)]
        groups = [(f, g) for f, file in enumerate(self._files) for g in range(file.num_row_groups)]
        sizes = [self._files[f].metadata.row_group(g).num_rows for f, g in groups]
        self._groups, self._starts = groups, [0, *accumulate(sizes)][:-1]
        self._group = lru_cache(maxsize=KEPT)(self._read_group)

    def read(self, index: int) -> bytes:
        """See Source."""
        group = bisect_right(self._starts, index) - 1
        return _bytes(self._group(group)[index - self._starts[group]].as_py())

    def _read_group(self, group: int) -> Any:
        file, number = self._groups[group]
        return self._files[file].read_row_group(number, columns=[self._image])[self._image]


class Dataset:
    """A data set of the library `datasets`: a folder written by `save_to_disk`, or a name on the Hub."""

    def __init__(self, photos: Photos):
        try:
            import datasets
        except ImportError:
            advice = "pip install -r requirements-cluster.txt"
            raise SpecError(f"`photos.dataset` needs the library datasets: {advice}.") from None
        assert photos.dataset is not None
        found = self._loaded(datasets, photos)
        _check_columns((photos.image, *photos.columns), set(found.column_names), photos.dataset)
        self._pictures = found.cast_column(photos.image, datasets.Image(decode=False))
        self._image = photos.image
        self.known = tuple(field.name for field in found.features.arrow_schema if _plain(field.type))
        beside = [name for name in dict.fromkeys((photos.file, *photos.columns)) if name in found.column_names]
        values = found.select_columns(beside) if beside else [{}] * len(found)
        self.rows = [_row(photos, value, number) for number, value in enumerate(values)]

    @staticmethod
    def _loaded(datasets: Any, photos: Photos) -> Any:
        where = Path(photos.dataset or "")
        try:
            found = datasets.load_from_disk(str(where)) if where.is_dir() else None
            found = datasets.load_dataset(photos.dataset, split=photos.split) if found is None else found
        except Exception as error:  # the library raises its own, the Hub's and the network's
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise SpecError(f"`photos.dataset` {where.name} cannot be opened: {reason}") from None
        if not hasattr(found, "keys"):
            return found
        if photos.split not in found:
            raise SpecError(f"{where.name} has no split {photos.split!r}: set `photos.split` to {', '.join(found)}.")
        return found[photos.split]

    def read(self, index: int) -> bytes:
        """See Source."""
        return _bytes(self._pictures[index][self._image])


def _row(photos: Photos, values: dict[str, Any], number: int) -> Row:
    """A photo without a name is called by its place."""
    name = values.get(photos.file)
    return Row(f"row {number}" if name is None else str(name), {column: values[column] for column in photos.columns})


def _table(file: Any, columns: list[str]) -> list[dict[str, Any]]:
    return file.read(columns=columns).to_pylist() if columns else [{}] * file.metadata.num_rows


def _numbers(column: list[str | None]) -> list[Any]:
    """A column of texts as numbers where all that is there are finite numbers: ages are sliced in quarters then."""
    try:
        found = [None if text is None else float(text) for text in column]
    except ValueError:
        return list(column)
    if not all(value is None or isfinite(value) for value in found):
        return list(column)
    return [int(value) if value is not None and value.is_integer() else value for value in found]


def _plain(kind: Any) -> bool:
    import pyarrow.types as types

    return not (types.is_nested(kind) or types.is_binary(kind) or types.is_large_binary(kind))


def _holds_files(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return any(kind.field(i).name == "bytes" for i in range(kind.num_fields))
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _bytes(value: Any) -> bytes:
    """The file in a cell: bytes, or a struct of `bytes` and `path`; an empty one where nothing is there."""
    if isinstance(value, dict):
        path = value.get("path")
        value = value.get("bytes") or (Path(path).read_bytes() if path and Path(path).is_file() else None)
    return value if isinstance(value, bytes) else b""


def _check_columns(wanted: Sequence[str], there: set[str], where: str) -> None:
    """SpecError names a column that is missing."""
    for column in wanted:
        if column not in there:
            raise SpecError(f"{where} has no column {column!r}: choose from {', '.join(sorted(there))}.")
