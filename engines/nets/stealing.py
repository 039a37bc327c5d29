"""The stealing models SM of IPMN (Sec. 3.3, 4.4.1; Table 10): CNet, Res9, Res16 and UNet.

Each imitates the whole service from its answers, Eq. 9: x_p and x_r, both (N, 3, S, S) in [0, 1], S a multiple of
8 -> x_sm, the same shape. The paper names the kinds and gives no layers; these are ours. All draw a *change* of
x_p, since what they imitate leaves most of that picture as it is.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from engines.nets.ceilnet import Residual
from engines.nets.ipmn_unet import UNet, conv, last
from engines.nets.layout import channels_last


class Thief(nn.Module):
    """x_sm = x_p + what `main` draws of both pictures, bounded to [0, 1]."""

    def __init__(self, main: nn.Module):
        super().__init__()
        self.main = main
        channels_last(self)

    def forward(self, protected: Tensor, replacing: Tensor) -> Tensor:
        drawn = self.main(torch.cat([protected, replacing], 1))
        return (protected + drawn.float()).clamp(0, 1)


def cnet(width: int = 32, layers: int = 6) -> Thief:
    """ "CNet": convolutions at full size."""
    inner = [conv(width, width) for _ in range(layers - 2)]
    return Thief(nn.Sequential(conv(6, width), *inner, last(width)))


def residual(blocks: int, width: int = 16) -> Thief:
    """ "Res9" and "Res16": an autoencoder that halves twice, with so many residual blocks in its middle."""
    down = [conv(6, width), conv(width, 2 * width, 2), conv(2 * width, 4 * width, 2)]
    up: list[nn.Module] = []
    for size in (4 * width, 2 * width):
        up += [nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False), conv(size, size // 2)]
    return Thief(nn.Sequential(*down, *[Residual(4 * width) for _ in range(blocks)], *up, last(width)))


THIEVES: dict[str, Callable[[int], Thief]] = {
    "cnet": lambda width: cnet(2 * width),
    "res9": lambda width: residual(9, width),
    "res16": lambda width: residual(16, width),
    "unet": lambda width: Thief(UNet(6, (width, 2 * width, 4 * width, 6 * width))),
}


def thief(kind: str, width: int = 16) -> Thief:
    """An untrained stealing model; ValueError names the kinds."""
    if kind not in THIEVES:
        raise ValueError(f"There is no stealing model called {kind!r}: choose from {', '.join(THIEVES)}.")
    return THIEVES[kind](width)
