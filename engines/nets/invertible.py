"""The invertible network that puts a mask on and takes it off again (Yang et al., IPMN, Eq. 3 to 8).

It works on Haar subbands, (N, 12, S / 2, S / 2) of each picture. Both directions share every weight, and compute
scale and shift from the very same operand, so that the way back is exact up to float32's rounding; Eq. 7 is read so.
α is a sigmoid about its middle, as in HiNet (Jing et al., ICCV 2021), which the paper builds on: a block scales by
exp(-CLAMP) to exp(CLAMP), and starts as the identity.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.nets.layout import channels_last
from engines.nets.wavelet import dwt, iwt

CLAMP = 2.0
SUBBANDS = 12  # of an RGB picture


class Dense(nn.Module):
    """Dense: convolutions that each see what all before them gave: (N, C, H, W) -> the same; at first 0."""

    def __init__(self, growth: int = 32, channels: int = SUBBANDS, layers: int = 5):
        super().__init__()
        inner = [nn.Conv2d(channels + i * growth, growth, 3, 1, 1) for i in range(layers - 1)]
        final = nn.Conv2d(channels + (layers - 1) * growth, channels, 3, 1, 1)
        self.layers = nn.ModuleList([*inner, final])
        for layer in inner:
            nn.init.kaiming_normal_(layer.weight, a=0.2)
        nn.init.zeros_(final.weight)
        nn.init.zeros_(final.bias)  # type: ignore[arg-type]
        channels_last(self)

    def forward(self, maps: Tensor) -> Tensor:
        seen = maps
        for layer in self.layers[:-1]:
            seen = torch.cat([seen, F.leaky_relu(layer(seen), 0.2)], 1)
        return self.layers[-1](seen).float()


class Block(nn.Module):
    """One embedding block, which backwards is the recovery block; both take and give (carrier, secret)."""

    def __init__(self, growth: int = 32, layers: int = 5):
        super().__init__()
        self.add, self.scale, self.shift = (Dense(growth, layers=layers) for _ in range(3))

    def _factor(self, carrier: Tensor) -> Tensor:
        """α(Dense(x_wm)): what exp is taken of, within ± CLAMP."""
        return CLAMP * (2 * torch.sigmoid(self.scale(carrier)) - 1)

    def forward(self, carrier: Tensor, secret: Tensor) -> tuple[Tensor, Tensor]:
        """Eq. 3 and 4: x_wm and x_p of the next block."""
        carrier = carrier + self.add(secret)
        return carrier, secret * self._factor(carrier).exp() + self.shift(carrier)

    def inverse(self, carrier: Tensor, secret: Tensor) -> tuple[Tensor, Tensor]:
        """Eq. 7 and 8: x_wmf and N of the block before."""
        secret = (secret - self.shift(carrier)) * (-self._factor(carrier)).exp()
        return carrier - self.add(secret), secret


class Invertible(nn.Module):
    """The putting-on and putting-off mask networks: K blocks; pixels (N, 3, S, S), S even, not bounded."""

    def __init__(self, blocks: int = 16, growth: int = 32, layers: int = 5):
        super().__init__()
        self.blocks = nn.ModuleList(Block(growth, layers) for _ in range(blocks))

    def forward(self, protected: Tensor, carrier: Tensor) -> tuple[Tensor, Tensor]:
        """Eq. 5: x_p and x_wm -> x_wmf and the lost matrix M."""
        secret, carried = _subbands(protected), _subbands(carrier)
        for block in self.blocks:
            carried, secret = block(carried, secret)
        return iwt(carried), iwt(secret)

    def inverse(self, masked: Tensor, lost: Tensor) -> tuple[Tensor, Tensor]:
        """Eq. 6: x_wmf and the random matrix N (or M itself) -> x'_p and x'_wm."""
        carried, secret = _subbands(masked), _subbands(lost)
        for block in reversed(self.blocks):
            carried, secret = block.inverse(carried, secret)  # type: ignore[operator]
        return iwt(secret), iwt(carried)


def _subbands(pixels: Tensor) -> Tensor:
    return dwt(pixels.float()).contiguous(memory_format=torch.channels_last)
