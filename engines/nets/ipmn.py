"""IPMN's networks (Yang et al., JISA 2025, Sec. 3): embedding network H, invertible network f, extractor R.

Pixels are (N, 3, S, S) in [0, 1], S a multiple of 8; so is a watermark w, with black where nothing is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engines.nets.ceilnet import CeilNet
from engines.nets.invertible import Invertible
from engines.nets.ipmn_unet import UNet
from engines.nets.stargan import trunk


@dataclass(frozen=True)
class Sizes:
    """`blocks` is K; `growth` and `layers` are of a dense sub-network; widths of H, R and D; `side` S in pixels."""

    blocks: int = 8
    growth: int = 16
    layers: int = 5
    embedder: tuple[int, ...] = (16, 32, 64, 96)
    extractor: int = 24
    residuals: int = 9
    critic: int = 16
    side: int = 128


SMALL = Sizes()
PAPER = Sizes(16, 32, 5, (64, 128, 256, 512), 64, 9, 64, 256)
"""K, the nine residual blocks and 256 pixels are the paper's, the dense block is HiNet's, the widths are ours."""


class Ipmn(nn.Module):
    """H, f and R of one checkpoint."""

    def __init__(self, sizes: Sizes = SMALL):
        super().__init__()
        self.embedder = UNet(6, sizes.embedder, gain=1.0)
        self.invertible = Invertible(sizes.blocks, sizes.growth, sizes.layers)
        self.extractor = CeilNet(sizes.extractor, sizes.residuals)

    def marked(self, mask: Tensor, watermark: Tensor) -> Tensor:
        """Eq. 2: x_wm, the mask x_m with the watermark w in it, in [0, 1]."""
        return (mask + self.embedder(torch.cat([2 * mask - 1, watermark], 1))).clamp(0, 1)

    def put_on(self, protected: Tensor, carrier: Tensor) -> tuple[Tensor, Tensor]:
        """Eq. 5: x_p hidden in x_wm (or, without IP protection, in x_m) -> x_wmf, which may leave [0, 1], and M."""
        return self.invertible(protected, carrier)

    def take_off(self, masked: Tensor, random: Tensor) -> tuple[Tensor, Tensor]:
        """Eq. 6: x_wmf and N -> x'_p and x'_wm, neither bounded."""
        return self.invertible.inverse(masked, random)

    def extract(self, pixels: Tensor) -> Tensor:
        """R: the watermark that a picture carries, black where it carries none; not bounded."""
        return self.extractor(pixels)


def random_matrix(pixels: Tensor, generator: torch.Generator | None = None, spread: float = 1.0) -> Tensor:
    """N of Eq. 6: white Gaussian noise of the standard deviation `spread`, of the shape of the pixels."""
    draw = torch.randn(pixels.shape, generator=generator, device=generator.device if generator else pixels.device)
    return spread * draw.to(pixels)


class Discriminator(nn.Module):
    """D: (N, 3, S, S) in [0, 1] -> logits of patches, (N, 1, S / 8, S / 8); above 0 it takes them for a mask x_m."""

    def __init__(self, width: int = 16):
        super().__init__()
        self.main, channels = trunk(width, 3)
        self.last = nn.Conv2d(channels, 1, 3, 1, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.last(self.main(2 * pixels - 1)).float()
