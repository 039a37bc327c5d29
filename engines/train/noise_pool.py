"""The noise pool NP of DIP-Watermark, Sec. 4.3: what a photo goes through before its watermark is read.

The paper's two, differentiable JPEG at quality 50 and Gaussian noise of variance 0.003, one drawn for a
batch. Ours on top: a new alignment of every face, because a photo found in the wild is detected and cut again;
and, in the last stage of a training, files as they really are: the codec itself, down to quality 20. The
differentiable one is milder than the codec of its quality, and marks that it spares die in real files.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.io import decode_jpeg, encode_jpeg

from engines import distort

QUALITY, VARIANCE = 50, 0.003
WORST = 20  # the lowest quality of a real file
TURN, ZOOM, SHIFT = math.radians(1.5), 0.015, 0.8  # degrees, share, pixels: one sigma of what a detector is off by


def realign(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """(N, 3, S, S) -> the same faces as another detection would cut them: turned, scaled and moved a little."""
    n, side = len(pixels), pixels.shape[-1]
    turn, zoom, dx, dy = torch.randn(4, n, generator=generator).clamp(-2.5, 2.5)
    scale = 1 + ZOOM * zoom
    cos, sin = scale * (TURN * turn).cos(), scale * (TURN * turn).sin()
    shift = torch.stack([dx, dy], 1) * SHIFT * 2 / side
    matrix = torch.stack([cos, -sin, shift[:, 0], sin, cos, shift[:, 1]], 1).view(n, 2, 3).to(pixels)
    grid = F.affine_grid(matrix, list(pixels.shape), align_corners=False)
    return F.grid_sample(pixels, grid, padding_mode="border", align_corners=False)


def real_file(pixels: Tensor, quality: int) -> Tensor:
    """(N, 3, S, S) in [0, 1] through the JPEG codec; the gradient is that of the differentiable one."""
    soft = distort.jpeg(pixels, quality)
    whole = (pixels.detach() * 255).round().clamp(0, 255).to(torch.uint8).cpu()
    hard = torch.stack([decode_jpeg(encode_jpeg(one, quality=quality)) for one in whole]).to(pixels) / 255
    return soft + (hard - soft).detach()


def noise_pool(pixels: Tensor, generator: torch.Generator, files: bool = False) -> Tensor:
    """(N, 3, S, S) in [0, 1] -> the same shape after one draw of the pool; differentiable.

    `files`: JPEG is the real codec, at a quality from WORST to the paper's. The generator lives on the CPU; the
    same state gives the same draw.
    """
    dice = torch.rand(2, generator=generator)
    if dice[0] < 0.5:
        pixels = realign(pixels, generator)
    if dice[1] < 0.4:
        if files:
            return real_file(pixels, int(torch.randint(WORST, QUALITY + 1, (), generator=generator)))
        return distort.jpeg(pixels, QUALITY)
    if dice[1] < 0.8:
        draw = torch.randn(pixels.shape, generator=generator).to(pixels)
        return (pixels + VARIANCE**0.5 * draw).clamp(0, 1)
    return pixels
