"""A forger's teacher: a classifier of its own that tells a generator whether its forgery shows what was asked for.

    python -m engines.train.teacher --data DIR --out FOLDER

Never the classifier that measures forgers (`engines.train.attributes`): another network, another seed. Started again
with the same --out it goes on after the last whole epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import timm
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from engines.nets.attributes import NAMES
from engines.tensors import fill
from engines.train import attributes
from engines.train.datasets import DataError

SHIFT = 6  # pixels: a forgery is judged at a random place, so that noise on single pixels does not please
NOISE = 0.04  # of colours from -1 to 1, its standard deviation


class Teacher(nn.Module):
    """RegNetX-200MF: faces (N, 3, 128, 128) in [0, 1], cut as CELEBA128 -> logits (N, 40) in the order of NAMES."""

    def __init__(self) -> None:
        super().__init__()
        self.net = timm.create_model("regnetx_002", num_classes=len(NAMES))

    def forward(self, pixels: Tensor) -> Tensor:
        return self.net(2 * pixels - 1)


def lesson(net: nn.Module, made: Tensor, aims: Tensor, names: Sequence[str]) -> Tensor:
    """The cross-entropy a face, summed over `names`, of forgeries (N, 3, S, S) in [-1, 1] that should show `aims`.

    The teacher sees them moved, mirrored, coarser and noisier by chance: what only it would see is lost on the way.
    """
    across, down = (int(k) for k in torch.randint(-SHIFT, SHIFT + 1, (2,)))
    moved = F.pad(made, (SHIFT,) * 4, mode="reflect").roll((across, down), (3, 2))[..., SHIFT:-SHIFT, SHIFT:-SHIFT]
    moved = moved.flip(-1) if torch.rand(()) < 0.5 else moved
    seen = coarser(moved) + NOISE * torch.randn_like(moved)
    found = net((seen + 1) / 2)[:, [NAMES.index(name) for name in names]].float()
    return F.binary_cross_entropy_with_logits(found, aims, reduction="sum") / len(aims)


def coarser(pixels: Tensor) -> Tensor:
    """The same (N, 3, S, S) through a picture of half to all of its pixels a side, drawn anew each time."""
    size = pixels.shape[-1]
    side = int(torch.randint(size // 2, size + 1, ()))
    small = F.interpolate(pixels, (side, side), mode="bilinear", antialias=True, align_corners=False)
    return F.interpolate(small, (size, size), mode="bilinear", align_corners=False)


def read(folder: Path, device: str) -> Teacher:
    """The trained teacher of a folder, frozen; raises DataError where there is none."""
    file = Path(folder) / "weights.safetensors"
    if not file.is_file():
        raise DataError(f"There is no teacher in {folder}: train one with `python -m engines.train.teacher`.")
    net = Teacher()
    fill(net, {name: value.float() for name, value in load_file(file).items()})
    return net.to(device).requires_grad_(False).eval()


if __name__ == "__main__":
    attributes.main(Teacher, "teacher", epochs=5, seed=1)
