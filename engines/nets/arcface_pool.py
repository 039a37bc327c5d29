"""The ArcFace network whose embeddings DiffFace's release takes, as SimSwap's release does: an IR that pools first.

A third layout of improved residual networks beside those of `engines/nets/iresnet.py`: a stem without padding, a
maximum over 2 x 2, one PReLU slope for both places of a unit, and channel attention of linear layers. Read from the
code of github.com/hxngiee/DiffFace; depths and attention are told from the tensors, since its file was not seen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.tensors import fill, misfit

MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, which the release feeds it by
REDUCTION = 16


def conv(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """A 3 x 3 convolution without bias."""
    return nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)


class Attention(nn.Module):
    """Squeeze and excitation (Hu et al., 2018) with a PReLU in between."""

    def __init__(self, channels: int):
        super().__init__()
        small = channels // REDUCTION
        self.fc = nn.Sequential(nn.Linear(channels, small), nn.PReLU(), nn.Linear(small, channels), nn.Sigmoid())

    def forward(self, maps: Tensor) -> Tensor:
        return maps * self.fc(maps.mean((2, 3)))[:, :, None, None]


class Unit(nn.Module):
    """BN, conv, BN, PReLU, conv, BN (and attention) beside a shortcut, then the same PReLU on the sum."""

    def __init__(self, inputs: int, outputs: int, stride: int, attends: bool):
        super().__init__()
        self.bn0, self.conv1, self.bn1 = nn.BatchNorm2d(inputs), conv(inputs, inputs), nn.BatchNorm2d(inputs)
        self.prelu = nn.PReLU()
        self.conv2, self.bn2 = conv(inputs, outputs, stride), nn.BatchNorm2d(outputs)
        self.se = Attention(outputs) if attends else None
        self.downsample = None
        if stride != 1 or inputs != outputs:
            project = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(project, nn.BatchNorm2d(outputs))

    def forward(self, maps: Tensor) -> Tensor:
        inner = self.bn2(self.conv2(self.prelu(self.bn1(self.conv1(self.bn0(maps))))))
        inner = inner if self.se is None else self.se(inner)
        return self.prelu(inner + (maps if self.downsample is None else self.downsample(maps)))


class ArcFacePool(nn.Module):
    """(N, 3, 112, 112) in [0, 1] -> rows (N, D)."""

    mean: Tensor
    spread: Tensor

    def __init__(self, depths: tuple[int, ...], widths: tuple[int, ...], attends: bool, dimension: int = 512):
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 3, bias=False)
        self.bn1, self.prelu = nn.BatchNorm2d(widths[0]), nn.PReLU()
        before = widths[0]
        for stage, (depth, width) in enumerate(zip(depths, widths, strict=True), start=1):
            first = Unit(before, width, 1 if stage == 1 else 2, attends)
            setattr(
                self,
                f"layer{stage}",
                nn.Sequential(first, *(Unit(width, width, 1, attends) for _ in range(depth - 1))),
            )
            before = width
        self.bn2 = nn.BatchNorm2d(before)
        self.fc, self.bn3 = nn.Linear(before * 7 * 7, dimension), nn.BatchNorm1d(dimension)
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("spread", torch.tensor(SPREAD).view(3, 1, 1), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        maps = self.prelu(self.bn1(self.conv1((pixels - self.mean) / self.spread)))
        maps = F.max_pool2d(maps, 2)
        for stage in range(1, 5):
            maps = self.get_submodule(f"layer{stage}")(maps)
        return self.bn3(self.fc(self.bn2(maps).flatten(1)))


def from_state(state: Mapping[str, Tensor]) -> ArcFacePool:
    """The network of a state dict; CheckpointError where it is of another."""
    depths = tuple(
        len({found[1] for name in state if (found := re.match(rf"layer{stage}\.(\d+)\.conv1\.", name))})
        for stage in range(1, 5)
    )
    if not all(depths) or "bn3.weight" not in state:
        raise misfit("not DiffFace's ArcFace: it has four stages of units and bn3 behind fc")
    widths = tuple(state[f"layer{stage}.0.conv2.weight"].shape[0] for stage in range(1, 5))
    attends = any(".se." in name for name in state)
    net = ArcFacePool(depths, widths, attends, state["fc.weight"].shape[0])
    fill(net, dict(state))
    return net
