"""A small Inception-ResNet (Szegedy et al., 2017; the family of FaceNet): parallel filters, added back scaled."""

from __future__ import annotations

import torch
from torch import Tensor, nn

Kernel = int | tuple[int, int]


def _conv(i: int, o: int, kernel: Kernel, stride: int = 1) -> nn.Sequential:
    k = (kernel, kernel) if isinstance(kernel, int) else kernel
    layer = nn.Conv2d(i, o, k, stride, (k[0] // 2, k[1] // 2), bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(o), nn.ReLU())


class InceptionResidual(nn.Module):
    """x + scale * 1x1(cat(branches)), then ReLU. Each branch is a chain of kernels of `width` maps."""

    def __init__(self, channels: int, width: int, branches: tuple[tuple[Kernel, ...], ...], scale: float = 0.2):
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(_conv(channels if k == 0 else width, width, kernel) for k, kernel in enumerate(chain)))
            for chain in branches
        )
        self.up, self.scale = nn.Conv2d(width * len(branches), channels, 1), scale

    def forward(self, x: Tensor) -> Tensor:
        return (x + self.scale * self.up(torch.cat([branch(x) for branch in self.branches], 1))).relu()


class Reduction(nn.Module):
    """Half the side, more channels: a max-pool, a strided 3x3, and a 1x1-3x3-strided-3x3 chain, side by side."""

    def __init__(self, i: int, o: int):
        super().__init__()
        half = (o - i) // 2
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.short = _conv(i, half, 3, 2)
        self.long = nn.Sequential(_conv(i, half, 1), _conv(half, half, 3), _conv(half, o - i - half, 3, 2))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.pool(x), self.short(x), self.long(x)], 1)


class InceptionFeatures(nn.Module):
    """(N, 3, 112, 112) in [-1, 1] -> (N, `channels`, 7, 7)."""

    channels = 320

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(_conv(3, 24, 3, 2), _conv(24, 32, 3), _conv(32, 64, 3, 2))
        a: tuple[tuple[Kernel, ...], ...] = ((1,), (1, 3), (1, 3, 3))
        b: tuple[tuple[Kernel, ...], ...] = ((1,), (1, (1, 7), (7, 1)))
        c: tuple[tuple[Kernel, ...], ...] = ((1,), (1, (1, 3), (3, 1)))
        self.at28 = nn.Sequential(InceptionResidual(64, 16, a), InceptionResidual(64, 16, a))
        self.at14 = nn.Sequential(Reduction(64, 160), *(InceptionResidual(160, 48, b) for _ in range(3)))
        self.at7 = nn.Sequential(Reduction(160, 320), *(InceptionResidual(320, 80, c) for _ in range(2)))

    def forward(self, x: Tensor) -> Tensor:
        return self.at7(self.at14(self.at28(self.stem(x))))
