"""The U-Net that draws IPMN's watermark, and that thieves use too (Ronneberger et al., 2015; IPMN Sec. 3.2.2)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.nets.layout import channels_last


def conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """A 3 x 3 convolution and LeakyReLU, started as He et al. do. No normalisation: it would hide a faint mark."""
    layer = nn.Conv2d(inputs, outputs, 3, stride, 1)
    nn.init.kaiming_normal_(layer.weight, a=0.2)
    return nn.Sequential(layer, nn.LeakyReLU(0.2))


def last(inputs: int, outputs: int = 3, gain: float = 0.1) -> nn.Conv2d:
    """A 3 x 3 convolution without anything behind it, whose output starts small."""
    layer = nn.Conv2d(inputs, outputs, 3, 1, 1)
    nn.init.xavier_normal_(layer.weight, gain)
    return layer


class UNet(nn.Module):
    """(N, C, S, S), S a multiple of 2^(n - 1) for n widths -> (N, 3, S, S), not bounded.

    `gain` says how much it draws before it is trained.
    """

    def __init__(self, inputs: int = 6, widths: Sequence[int] = (16, 32, 64, 96), gain: float = 0.1):
        super().__init__()
        strides = (1, *(2 for _ in widths[1:]))
        pairs = zip(pairwise((inputs, *widths)), strides, strict=True)
        self.down = nn.ModuleList(nn.Sequential(conv(a, b, stride), conv(b, b)) for (a, b), stride in pairs)
        self.up = nn.ModuleList(conv(a + b, b) for a, b in pairwise(tuple(widths)[::-1]))
        self.last = last(widths[0], gain=gain)
        channels_last(self)

    def forward(self, maps: Tensor) -> Tensor:
        kept = []
        for block in self.down:
            maps = block(maps)
            kept.append(maps)
        for block, skip in zip(self.up, kept[-2::-1], strict=True):
            maps = F.interpolate(maps, size=skip.shape[-2:], mode="bilinear", align_corners=False)
            maps = block(torch.cat([maps, skip], 1))
        return self.last(maps).float()
