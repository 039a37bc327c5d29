"""The recipe of the face parser, trained on masks of CelebAMask-HQ and measured on 100 others.

    python -m engines.train.parser --data DIR --out FOLDER

`--data` holds celebamask160-*.parquet. Faces are found and cut out as CELEBA128 has them, so that the parser
sees what forgers see. Started again with the same --out it goes on after the last whole epoch.
"""

from __future__ import annotations

import argparse
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from engines.detect import Detector
from engines.face import CELEBA128, invert, sample, similarity
from engines.nets.parser import CLASSES, FACE, Parser
from engines.train import processes
from engines.train.datasets import DataError, parquet_reader
from engines.train.supervised import Supervised, Task

HELD_OUT = 100  # the last of the set
SIDES = [(CLASSES.index(f"left_{name}"), CLASSES.index(f"right_{name}")) for name in ("eye", "brow", "ear")]


@dataclass(frozen=True)
class Masks:
    """Photos (1, 3, 160, 160) uint8, class numbers (1, 1, 160, 160) uint8, and where CELEBA128 cuts: (2, 3)."""

    photos: list[Tensor]
    parts: list[Tensor]
    to_crop: list[Tensor]

    @classmethod
    def read(cls, folder: Path, detector: Detector) -> Masks:
        """Every face of `celebamask160-*.parquet` in which a face is found; DataError where there is none."""
        shards = sorted(Path(folder).glob("celebamask160-*.parquet"))
        if not shards:
            raise DataError(
                f"There is no celebamask160-*.parquet in {Path(folder).name}: name its folder with --data."
            )
        found = cls([], [], [])
        for row in (row for shard in shards for row in parquet_reader().read_table(shard).to_pylist()):
            photo = _decoded(row["image"]["bytes"], "RGB")
            faces = detector.faces(photo)
            if faces:
                found.photos.append(photo)
                found.parts.append(_decoded(row["mask"]["bytes"], None))
                found.to_crop.append(similarity(torch.tensor(faces[0].landmarks), CELEBA128.tensor()))
        return found

    def cut(self, i: int, jitter: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """A face (1, 3, 128, 128) in [0, 1] and its class numbers (1, 128, 128), the crop changed by a (2, 3)."""
        to_photo, size = invert(self.to_crop[i]), (CELEBA128.size, CELEBA128.size)
        if jitter is not None:
            whole = torch.cat([to_photo, torch.tensor([[0.0, 0.0, 1.0]])])
            to_photo = (whole @ torch.cat([jitter, torch.tensor([[0.0, 0.0, 1.0]])]))[:2]
        parts = sample(self.parts[i].float(), to_photo, size, mode="nearest")
        return sample(self.photos[i].float() / 255, to_photo, size), parts[:, 0].long()


def _decoded(data: bytes, mode: str | None) -> Tensor:
    with Image.open(io.BytesIO(data)) as file:
        array = np.array(file.convert(mode) if mode else file)
    return torch.from_numpy(array if array.ndim == 3 else array[..., None]).permute(2, 0, 1)[None]


def jitter(rng: np.random.Generator) -> Tensor:
    """A random turn, scale and shift about the crop's middle: (2, 3)."""
    centre, angle, scale = (CELEBA128.size - 1) / 2, rng.normal(0, 0.15), np.exp(rng.normal(0, 0.12))
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shift = centre - turn @ [centre, centre] + rng.normal(0, 5, 2)
    return torch.tensor(np.column_stack([turn, shift]), dtype=torch.float32)


def mirrored(pixels: Tensor, parts: Tensor) -> tuple[Tensor, Tensor]:
    """A face and its classes seen in a mirror, where left parts become right ones."""
    swap = torch.arange(len(CLASSES))
    for left, right in SIDES:
        swap[left], swap[right] = right, left
    return pixels.flip(-1), swap[parts.flip(-1)]


def loss(logits: Tensor, parts: Tensor) -> Tensor:
    """Cross-entropy over the pixels, and the soft Dice loss of the facial classes over the batch (FACE).

    Eyes and brows are a hundredth of the pixels: cross-entropy alone came to a mean overlap of 0.67 in 60 epochs.
    """
    places = [CLASSES.index(name) for name in FACE]
    found, real = logits.softmax(1), F.one_hot(parts, len(CLASSES)).movedim(-1, 1)
    both, sizes = (one.sum((0, 2, 3))[places] for one in (found * real, found + real))
    return F.cross_entropy(logits, parts) + 1 - ((2 * both + 1) / (sizes + 1)).mean()


def task(masks: Masks) -> Task:
    """Learnt by `loss`; measured on the held-out faces."""
    count = len(masks.photos) - HELD_OUT

    def one(i: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        pixels, parts = masks.cut(i, jitter(rng))
        if rng.random() < 0.5:
            pixels, parts = mirrored(pixels, parts)
        colour = torch.tensor(rng.normal(1, 0.1, (1, 3, 1, 1)), dtype=torch.float32)
        return (pixels * colour + rng.normal(0, 0.1)).clamp(0, 1), parts

    def batch(index: np.ndarray, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        pixels, parts = zip(*(one(int(i), rng) for i in index), strict=True)
        return torch.cat(pixels), torch.cat(parts)

    return Task("parser", count, batch, loss, lambda net: {"iou_face": overlap(net, masks)["face"]})


def overlap(net: nn.Module, masks: Masks) -> dict[str, float]:
    """Intersection over union of each class on the held-out faces, and its mean over the facial classes (FACE)."""
    device, count = next(net.parameters()).device, len(CLASSES)
    table = torch.zeros(count, count)
    for i in range(len(masks.photos) - HELD_OUT, len(masks.photos)):
        pixels, parts = masks.cut(i)
        found = net(pixels.to(device)).argmax(1).cpu()
        table += torch.bincount((parts * count + found).flatten(), minlength=count**2).view(count, count)
    both = table.diagonal()
    union = table.sum(0) + table.sum(1) - both
    found = {name: round(float(both[k] / union[k].clamp_min(1)), 4) for k, name in enumerate(CLASSES)}
    return {"face": round(sum(found[name] for name in FACE) / len(FACE), 4), **found}


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(description="Train the face parser.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=80)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default=processes.device())
    args = parser.parse_args()
    try:
        masks = Masks.read(args.data, Detector())
    except DataError as error:
        raise SystemExit(str(error)) from None
    torch.manual_seed(args.seed)
    Supervised(task(masks), Parser(), args.out, args.epochs, size=16, seed=args.seed, device=args.device).run()


if __name__ == "__main__":
    main()
