"""Readers of face data sets in the project's parquet layout: `image{bytes}`, `landmarks`, `identity`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor


class DataError(ValueError):
    """Data that is not there or not as expected, as one sentence."""


@dataclass(frozen=True)
class LfwFace:
    """One LFW photo: `file`, `identity`, `pixels` (1, 3, 160, 160) uint8, `landmarks` (5, 2) or None."""

    file: str
    identity: str
    pixels: Tensor
    landmarks: Tensor | None


@dataclass(frozen=True)
class Pair:
    """A pair of LFW's protocol: two file names, whether they show one person, and the fold 0 to 9."""

    first: str
    second: str
    same: bool
    fold: int


def lfw_faces(folder: Path) -> Iterator[LfwFace]:
    """Every LFW face of `lfw160-*.parquet` in a folder; DataError when there is none."""
    parquet = parquet_reader()
    shards = sorted(Path(folder).glob("lfw160-*.parquet")) if Path(folder).is_dir() else []
    if not shards:
        raise DataError(f"There is no lfw160-*.parquet in {Path(folder).name}: name its folder with --data.")
    for shard in shards:
        for batch in parquet.ParquetFile(shard).iter_batches(500):
            for row in batch.to_pylist():
                yield _lfw_face(row)


def parquet_reader() -> Any:
    """pyarrow's reader: a development requirement, as only measuring and training read such files."""
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        raise DataError("Reading parquet needs pyarrow: pip install -r requirements-dev.txt.") from None
    return parquet


def _lfw_face(row: dict) -> LfwFace:
    points = row["landmarks"]
    landmarks = None if points is None else torch.tensor(points, dtype=torch.float32).view(5, 2)
    return LfwFace(row["file"], row["identity"], _decode(row["image"]["bytes"]), landmarks)


def lfw_pairs(path: Path) -> list[Pair]:
    """The 6,000 pairs of LFW's `pairs.txt`: 10 folds of 300 same and 300 different; DataError otherwise."""
    try:
        lines = [line.split() for line in _lines(path)]
        folds, each = int(lines[0][0]), int(lines[0][1])
        found = [_pair(words, i // (2 * each)) for i, words in enumerate(lines[1:])]
    except (IndexError, ValueError):
        raise DataError(f"{Path(path).name} is not in the format of LFW's pairs.txt.") from None
    if len(found) != 2 * folds * each:
        raise DataError(f"{Path(path).name} holds {len(found)} pairs instead of {2 * folds * each}.")
    return found


def pairs(path: Path) -> list[Pair]:
    """Pairs of LFW's `pairs.txt`, or of a CSV file with the header `first,second,same` (1 or 0) and maybe `fold`.

    DataError where the file is missing or neither.
    """
    lines = _lines(path)
    if not lines or "," not in lines[0]:
        return lfw_pairs(path)
    rows = csv.DictReader(lines)
    if not {"first", "second", "same"} <= set(rows.fieldnames or ()):
        raise DataError(f"{Path(path).name} needs the columns first, second and same.")
    found: list[Pair] = []
    try:
        for row in rows:
            if not (row["first"] and row["second"]):
                raise ValueError
            fold = int(row.get("fold") or len(found) % 10)
            found.append(Pair(row["first"], row["second"], {"1": True, "0": False}[row["same"]], fold))
    except (KeyError, TypeError, ValueError):
        text = (
            f"Row {len(found) + 1} of {Path(path).name} is wrong: give two files, same as 1 or 0, fold as a number."
        )
        raise DataError(text) from None
    return found


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in Path(path).read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError):
        raise DataError(f"There is no text file {Path(path).name}: give the pairs file with --pairs.") from None


def named_faces(folder: Path, names: set[str]) -> Iterator[LfwFace]:
    """The photos of `names`, from `lfw160-*.parquet` or from picture files of those names under `folder`.

    A picture file comes without landmarks. DataError where one is missing.
    """
    left = set(names)
    if any(Path(folder).glob("lfw160-*.parquet")):
        found: Iterator[LfwFace] = (face for face in lfw_faces(folder) if face.file in names)
    else:
        paths = ((name, Path(folder) / name) for name in sorted(names))
        found = (LfwFace(name, "", _picture(path), None) for name, path in paths if path.is_file())
    for face in found:
        left.discard(face.file)
        yield face
    if left:
        raise DataError(f"{len(left)} photos of the pairs file are not in the data, for example {min(left)}.")


def _picture(path: Path) -> Tensor:
    try:
        return _decode(path.read_bytes())
    except (OSError, SyntaxError, Image.DecompressionBombError):
        raise DataError(f"{path.name} is not a whole picture: replace it, or take its pairs out.") from None


def _pair(words: list[str], fold: int) -> Pair:
    if len(words) == 3:
        return Pair(lfw_file(words[0], words[1]), lfw_file(words[0], words[2]), True, fold)
    return Pair(lfw_file(words[0], words[1]), lfw_file(words[2], words[3]), False, fold)


def lfw_file(name: str, number: str) -> str:
    """LFW's file name of a person's photo."""
    return f"{name}_{int(number):04d}.jpg"


@dataclass(frozen=True)
class CelebaFace:
    """One CelebA face: `file`, `identity`, `pixels` (1, 3, 160, 160) uint8, `landmarks` (5, 2)."""

    file: str
    identity: int
    pixels: Tensor
    landmarks: Tensor


def celeba_faces(folder: Path, split: str) -> Iterator[CelebaFace]:
    """Every face of `celeba160-SPLIT-*.parquet` that has landmarks; DataError when there is no such file."""
    parquet = parquet_reader()
    shards = sorted(Path(folder).glob(f"celeba160-{split}-*.parquet"))
    if not shards:
        raise DataError(f"There is no celeba160-{split}-*.parquet in {Path(folder).name}: name it with --data.")
    for shard in shards:
        columns = ["file", "identity", "image", "landmarks"]
        for batch in parquet.ParquetFile(shard).iter_batches(500, columns=columns):
            for row in batch.to_pylist():
                if row["landmarks"] is not None:
                    points = torch.tensor(row["landmarks"], dtype=torch.float32).view(5, 2)
                    yield CelebaFace(row["file"], row["identity"], _decode(row["image"]["bytes"]), points)


def _decode(data: bytes) -> Tensor:
    """Encoded picture -> (1, 3, H, W) uint8."""
    return torch.from_numpy(np.array(Image.open(io.BytesIO(data)).convert("RGB"))).permute(2, 0, 1)[None]
