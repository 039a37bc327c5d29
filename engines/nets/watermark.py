"""The watermarks that DIP-Watermark is compared with, in their style and at a width for two cores.

HiDDeN (Zhu et al., ECCV 2018): Conv-BN-ReLU blocks at full resolution, the message repeated over the picture,
a decoder that ends in global average pooling. Repeated as one number at every pixel, as in the paper, it can only
tint what is flat, and little was learned in 800 steps; here each bit repeats a learned texture.
FakeTagger (Wang et al., ACM MM 2021): a U-Net that takes the message, spread by a linear layer, at its
bottleneck, and a strided decoder. Neither knows of targets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.nets.dip import BITS, BOUND, TARGETS, DipDecoder, DipEncoder, conv, grow


def block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Conv-BN-ReLU, 3 x 3."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.BatchNorm2d(outputs), nn.ReLU())


class HiddenEncoder(nn.Module):
    """Carrier (N, 3, S, S) in [0, 1], S a multiple of 8, and bits (N, L) -> marked; `target` is not read."""

    def __init__(self, bits: int = BITS, width: int = 32, blocks: int = 3, tile: int = 8):
        super().__init__()
        self.texture = nn.Parameter(torch.randn(1, bits, tile, tile))
        self.carrier = nn.Sequential(block(3, width), *[block(width, width) for _ in range(blocks - 1)])
        self.fuse = nn.Sequential(block(width + bits + 3, width), nn.Conv2d(width, 3, 1))

    def forward(self, pixels: Tensor, bits: Tensor, target: Tensor | None = None) -> Tensor:
        scaled = 2 * pixels - 1
        times = [side // tile for side, tile in zip(pixels.shape[-2:], self.texture.shape[-2:], strict=True)]
        repeated = bits[:, :, None, None] * self.texture.repeat(1, 1, *times)
        drawn = self.fuse(torch.cat([self.carrier(scaled), repeated, scaled], 1))
        return (pixels + BOUND * torch.tanh(drawn.float() / BOUND)).clamp(0, 1)


class HiddenDecoder(nn.Module):
    """(N, 3, S, S) in [0, 1] -> logits (N, L), by the mean over all places."""

    def __init__(self, bits: int = BITS, width: int = 32, blocks: int = 5):
        super().__init__()
        self.maps = nn.Sequential(
            block(3, width), *[block(width, width) for _ in range(blocks - 2)], block(width, bits)
        )
        self.bits = nn.Sequential(nn.BatchNorm1d(bits), nn.Linear(bits, bits))

    def forward(self, pixels: Tensor) -> Tensor:
        return self.bits(self.maps(2 * pixels - 1).mean((2, 3)))


class FakeTaggerEncoder(nn.Module):
    """Carrier (N, 3, 112, 112) in [0, 1] and bits (N, L) -> marked, the same shape; `target` is not read."""

    def __init__(self, bits: int = BITS, width: int = 24):
        super().__init__()
        self.width = width
        self.down = nn.ModuleList([conv(3, width), conv(width, 2 * width, 2), conv(2 * width, 3 * width, 2)])
        self.bottom = conv(3 * width, 4 * width, 2)
        self.spread = nn.Linear(bits, width * 49)
        self.mixed = conv(5 * width, 4 * width)
        self.up = nn.ModuleList([grow(4 * width, 3 * width), grow(6 * width, 2 * width), grow(4 * width, width)])
        self.last = nn.Conv2d(2 * width, 3, 3, padding=1)

    def forward(self, pixels: Tensor, bits: Tensor, target: Tensor | None = None) -> Tensor:
        maps, kept = 2 * pixels - 1, []
        for down in self.down:
            maps = down(maps)
            kept.append(maps)
        maps = self.bottom(maps)
        message = F.interpolate(self.spread(2 * bits - 1).view(-1, self.width, 7, 7), size=maps.shape[-2:])
        maps = self.mixed(torch.cat([maps, message], 1))
        for up, skip in zip(self.up, reversed(kept), strict=True):
            maps = torch.cat([up(maps), skip], 1)
        return (pixels + BOUND * torch.tanh(self.last(maps).float() / BOUND)).clamp(0, 1)


class FakeTaggerDecoder(nn.Module):
    """(N, 3, 112, 112) in [0, 1] -> logits (N, L)."""

    def __init__(self, bits: int = BITS, width: int = 24):
        super().__init__()
        sizes = [3, width, 2 * width, 3 * width, 4 * width]
        layers = [block(a, b, 2) for a, b in zip(sizes, sizes[1:], strict=False)]
        self.maps, self.bits = nn.Sequential(*layers), nn.Linear(4 * width * 49, bits)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.bits(self.maps(2 * pixels - 1).flatten(1))


@dataclass(frozen=True)
class Network:
    """An encoder and a decoder, untrained; `targets`: how many target identities the encoder takes (0: none)."""

    build: Callable[[], tuple[nn.Module, nn.Module]]
    targets: int = 0


NETWORKS = {
    "dip": Network(lambda: (DipEncoder(), DipDecoder()), len(TARGETS)),
    "hidden": Network(lambda: (HiddenEncoder(), HiddenDecoder())),
    "fake-tagger": Network(lambda: (FakeTaggerEncoder(), FakeTaggerDecoder())),
}
