"""CelebA faces with their forty attributes, as forgers and attribute classifiers are trained on them."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from engines.train.datasets import DataError, parquet_reader

BESIDE = ("file", "identity", "partition", "image", "landmarks")  # the columns that are no attribute


@dataclass(frozen=True)
class Celeba:
    """`pictures`: N encoded faces, the 178 x 178 centre of the aligned release; `attributes`: (N, 40) booleans."""

    files: tuple[str, ...]
    pictures: tuple[bytes, ...]
    names: tuple[str, ...]
    attributes: np.ndarray

    @classmethod
    def read(cls, folder: Path, split: str, limit: int | None = None) -> Celeba:
        """The first `limit` faces of `celeba160-SPLIT-*.parquet` (all without it); DataError where there is none."""
        shards = sorted(Path(folder).glob(f"celeba160-{split}-*.parquet"))
        if not shards:
            raise DataError(f"There is no celeba160-{split}-*.parquet in {Path(folder).name}: name it with --data.")
        tables = [parquet_reader().read_table(shard) for shard in shards]
        names = tuple(name for name in tables[0].column_names if name not in BESIDE)
        files = [name for table in tables for name in table["file"].to_pylist()]
        pictures = [row["bytes"] for table in tables for row in table["image"].to_pylist()]
        columns = [np.concatenate([table[name].to_numpy() for table in tables]) for name in names]
        attributes = np.stack(columns, 1).astype(bool)
        return cls(tuple(files[:limit]), tuple(pictures[:limit]), names, attributes[:limit])

    def __len__(self) -> int:
        return len(self.files)

    def labels(self, names: tuple[str, ...]) -> np.ndarray:
        """(N, len(names)) booleans, the columns in the order of `names`."""
        return self.attributes[:, [self.names.index(name) for name in names]]

    def pixels(self, index: np.ndarray, size: int) -> Tensor:
        """Faces by their numbers, (n, 3, size, size) float32 in [0, 1]."""
        return torch.stack([self._picture(int(i), size) for i in index]).float() / 255

    def _picture(self, i: int, size: int) -> Tensor:
        with Image.open(io.BytesIO(self.pictures[i])) as file:
            picture = file.convert("RGB").resize((size, size), Image.Resampling.LANCZOS)
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1)
