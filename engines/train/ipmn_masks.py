"""The faces of IPMN's training: x_p, the face x_r put in its place, and the mask x_m of both (Eq. 1).

    python -m engines.train.ipmn_masks --data DIR --split train --count 4000 --out FILE

The paper's mask generator is DiffFace; here masks are made beforehand by the geometric swap (`engines/swap.py`),
which like DiffFace keeps what lies around the face of x_p. Without such a file the mask is the whole picture of x_r.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from engines.face import FaceError
from engines.swap import SIDE, found, swapped
from engines.swap_points import Points, mismatch
from engines.train.celeba import Celeba
from engines.train.datasets import DataError

CANDIDATES = 24


class Faces(NamedTuple):
    """x_p, x_m and x_r, each (n, 3, S, S) float32 in [0, 1]."""

    protected: Tensor
    mask: Tensor
    replacing: Tensor


class Source(Protocol):
    """Where a training's faces come from: so many, by their numbers."""

    def __len__(self) -> int: ...

    def take(self, index: np.ndarray, size: int) -> Faces:
        """Some of them, of `size` pixels a side."""
        ...


@dataclass(frozen=True)
class Whole:
    """The mask is another person's whole picture: x_m = x_r. `partner` (N,) says whose."""

    faces: Celeba
    partner: np.ndarray

    @classmethod
    def of(cls, faces: Celeba, seed: int = 0) -> Whole:
        """Partners by chance: each face is one other's."""
        order = np.random.default_rng(seed).permutation(len(faces))
        partner = np.empty(len(faces), dtype=int)
        partner[order] = np.roll(order, 1)
        return cls(faces, partner)

    def __len__(self) -> int:
        return len(self.faces)

    def take(self, index: np.ndarray, size: int) -> Faces:
        """x_p, x_r and x_r again."""
        protected, replacing = (self.faces.pixels(rows, size) for rows in (index, self.partner[index]))
        return Faces(protected, replacing, replacing)


@dataclass(frozen=True)
class Swapped:
    """Masks made beforehand: `protected` and `replacing` (n,) are numbers of faces, `masks` (n, 3, S, S) uint8."""

    faces: Celeba
    protected: np.ndarray
    replacing: np.ndarray
    masks: Tensor

    @classmethod
    def read(cls, file: Path, faces: Celeba) -> Swapped:
        """What `main` wrote; DataError where it is no such file, or was made of other faces."""
        try:
            kept = load_file(file)
            protected, replacing = (kept[name].numpy() for name in ("protected", "replacing"))
            masks, last = kept["masks"], int(max(protected.max(), replacing.max()))
        except (SafetensorError, OSError, KeyError, ValueError):
            raise DataError(f"{Path(file).name} holds no swapped faces: run engines.train.ipmn_masks.") from None
        if last >= len(faces):
            raise DataError(f"{Path(file).name} was made of other faces: run engines.train.ipmn_masks on these.")
        return cls(faces, protected, replacing, masks)

    def __len__(self) -> int:
        return len(self.protected)

    def take(self, index: np.ndarray, size: int) -> Faces:
        """The swaps of these numbers; DataError for another size than they were made at."""
        if self.masks.shape[-1] != size:
            own = self.masks.shape[-1]
            raise DataError(f"The swapped faces have {own} pixels a side, not {size}: train at that.")
        protected, replacing = (self.faces.pixels(rows[index], size) for rows in (self.protected, self.replacing))
        return Faces(protected, self.masks[torch.from_numpy(index)].float() / 255, replacing)


def made(faces: Celeba, count: int, seed: int = 0, look: Callable[[Tensor], Points] = found) -> dict[str, Tensor]:
    """Tensors of a file that `Swapped` reads: `count` masks at most, of so many faces by chance.

    Each face is given, of CANDIDATES others of its sex, the one that looks most the same way. Faces that cannot be
    made out are left out. DataError where nothing is left.
    """
    rng, male = np.random.default_rng(seed), faces.labels(("Male",))[:, 0]
    chosen = rng.permutation(len(faces))[:count]
    seen = {int(i): places for i in chosen if (places := _seen(faces, int(i), look))}
    kept, masks = [], []
    for one in seen:
        others = [i for i in seen if i != one and male[i] == male[one]]
        candidates = rng.permutation(np.array(others, dtype=int))[:CANDIDATES].tolist()
        ranked = sorted((_turned(seen[one], seen[i]), i) for i in candidates)
        if not ranked:
            continue
        two = ranked[0][1]
        x_p, x_r = faces.pixels(np.array([one, two]), SIDE).split(1)
        with suppress(FaceError):
            masks.append((swapped(x_p, x_r, seen[one], seen[two]) * 255).round().byte())
            kept.append((one, two))
    if not kept:
        raise DataError("No face of the data could be swapped: give pictures of faces with --data.")
    protected, replacing = (torch.tensor(rows) for rows in zip(*kept, strict=True))
    return {"protected": protected, "replacing": replacing, "masks": torch.cat(masks).contiguous()}


def _turned(ours: Points, other: Points) -> float:
    """How differently two faces look, the second of which may be mirrored."""
    return min(mismatch(ours, other), mismatch(ours, other.mirrored()))


def _seen(faces: Celeba, i: int, look: Callable[[Tensor], Points]) -> Points | None:
    try:
        return look(faces.pixels(np.array([i]), SIDE))
    except FaceError:
        return None


def main() -> None:
    """Make the file."""
    parser = argparse.ArgumentParser(description="Swap CelebA faces for the training of IPMN.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", choices=("train", "test"), default="train")
    parser.add_argument("--count", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    try:
        tensors = made(Celeba.read(args.data, args.split), args.count, args.seed)
    except DataError as error:
        raise SystemExit(str(error)) from None
    args.out.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, args.out)
    print(f"{len(tensors['masks'])} swapped faces in {args.out}")


if __name__ == "__main__":
    main()
