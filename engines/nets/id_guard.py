"""ID-Guard's perturbation generator (Sec. III-A3, III-D): a residual network reads a face and a prior perturbation.

Pixels are (N, 3, S, S) in [-1, 1], S a multiple of 4.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from engines.nets.stargan import Residual, layer

EPSILON = 0.05  # of the paper (Sec. IV-A5), in [-1, 1]


class Projected(Function):
    """What is drawn, cut to [-1, 1], as PGD projects. A descent gradient passes unless it leads further out.

    A tanh, tried before, left most of δ at the ball's edge after 300 steps, where it has no slope back.
    """

    @staticmethod
    def forward(ctx: Any, drawn: Tensor) -> Tensor:
        ctx.save_for_backward(drawn)
        return drawn.clamp(-1, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> Tensor:  # type: ignore[override]
        (drawn,) = ctx.saved_tensors
        outward = ((drawn > 1) & (slope < 0)) | ((drawn < -1) & (slope > 0))
        return slope.masked_fill(outward, 0)


class PerturbationGenerator(nn.Module):
    """G(cat(x, δ_p)) -> δ in [-ε, ε], Eq. 14; `prior` is δ_p, (1, 3, S, S), trained with it."""

    def __init__(self, size: int = 128, width: int = 64, blocks: int = 6):
        super().__init__()
        self.prior = nn.Parameter(torch.zeros(1, 3, size, size))
        layers = layer(nn.Conv2d(6, width, 7, 1, 3, bias=False), width)
        for channels in (width, 2 * width):
            layers += layer(nn.Conv2d(channels, 2 * channels, 3, 2, 1, bias=False), 2 * channels)
        layers += [Residual(4 * width) for _ in range(blocks)]
        for channels in (4 * width, 2 * width):
            up = nn.ConvTranspose2d(channels, channels // 2, 3, 2, 1, output_padding=1, bias=False)
            layers += layer(up, channels // 2)
        self.main = nn.Sequential(*layers, nn.Conv2d(width, 3, 7, 1, 3))

    def forward(self, pixels: Tensor, epsilon: float = EPSILON) -> Tensor:
        drawn = self.main(torch.cat([pixels, self.prior.expand(len(pixels), -1, -1, -1)], 1))
        return epsilon * Projected.apply(drawn.float())


class Universal(nn.Module):
    """One perturbation for every face: ID-Guard's prior δ_p used alone (P-Pert), and CMUA's watermark."""

    def __init__(self, size: int = 128):
        super().__init__()
        self.prior = nn.Parameter(torch.zeros(1, 3, size, size))

    def forward(self, pixels: Tensor, epsilon: float = EPSILON) -> Tensor:
        return (self.prior * (epsilon / EPSILON)).expand_as(pixels)
