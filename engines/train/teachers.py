"""The teachers of the bundled recognisers, all fed the same ArcFace-aligned 112x112 crop.

SFace comes with its package; the two MobileFaceNets are safetensors files in a folder of the
user's. Each gives 128 numbers a face.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from engines.nets.mobilefacenet import MobileFaceNetPReLU, MobileFaceNetReLU6
from engines.recognise import load
from engines.train.datasets import DataError

TEACHERS = ("sface", "mobilefacenet-casia-112x96", "mobilefacenet-ms1m-112x112")
WIDTH = 128  # numbers in each teacher's embedding
Embed = Callable[[Tensor], Tensor]


def teachers(folder: Path) -> dict[str, Embed]:
    """Every teacher: crops (N, 3, 112, 112) in [0, 1] -> unit rows (N, 128). DataError where a file is missing."""
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    casia = _read(folder, TEACHERS[1], MobileFaceNetPReLU())
    ms1m = _read(folder, TEACHERS[2], MobileFaceNetReLU6())
    return {
        TEACHERS[0]: load("sface").embed,
        TEACHERS[1]: lambda x: F.normalize(casia((x[..., 8:104] * 255 - 127.5) / 128), dim=1),
        TEACHERS[2]: lambda x: F.normalize(ms1m((x - mean) / std), dim=1),
    }


def _read(folder: Path, name: str, net: nn.Module) -> nn.Module:
    path = Path(folder) / f"{name}.safetensors"
    if not path.is_file():
        raise DataError(f"There is no {path.name} in the teachers' folder: name the folder with --teachers.")
    net.load_state_dict(load_file(path))
    return net.eval().requires_grad_(False)
