"""What a training shows of a face: another crop, colour, a worse file. Never another label."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.io import decode_jpeg, encode_jpeg


def crop(pixels: Tensor, generator: torch.Generator, size: int = 112) -> Tensor:
    """(N, 3, S, S) in [0, 1] -> (N, 3, size, size): turned by 4°, scaled by 5 %, moved by 2.5 pixels (1 sigma)."""
    n, side = len(pixels), pixels.shape[-1]
    turn, zoom, dx, dy = torch.randn(4, n, generator=generator)
    angle = turn.clamp(-2.5, 2.5) * math.radians(4)
    scale = (1 + 0.05 * zoom.clamp(-2, 2)) * size / side
    cos, sin = angle.cos() * scale, angle.sin() * scale
    shift = torch.stack([dx, dy], 1).clamp(-2.5, 2.5) * 2.5 * 2 / side
    matrix = torch.stack([cos, -sin, shift[:, 0], sin, cos, shift[:, 1]], 1).view(n, 2, 3).to(pixels.device)
    grid = F.affine_grid(matrix, [n, 3, size, size], align_corners=False)
    return F.grid_sample(pixels, grid, padding_mode="border", align_corners=False)


def colour(pixels: Tensor, generator: torch.Generator, strength: float = 0.25) -> Tensor:
    """Brightness, contrast and saturation changed by up to `strength`; one face in twenty turns grey."""
    n = len(pixels)
    factors = 1 + strength * (2 * torch.rand(3, n, 1, 1, 1, generator=generator) - 1)
    bright, contrast, saturation = factors.to(pixels.device)
    turns_grey = (torch.rand(n, generator=generator) < 0.05).view(-1, 1, 1, 1).to(pixels.device)
    saturation = torch.where(turns_grey, 0.0, saturation)
    grey = pixels.mean(1, keepdim=True)
    pixels = grey + saturation * (pixels - grey)
    mean = pixels.mean((1, 2, 3), keepdim=True)
    return (bright * (mean + contrast * (pixels - mean))).clamp(0, 1)


def worse_file(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Three faces in ten through JPEG at quality 25 to 90, one in five shrunk to 35 to 100 % of its size."""
    dice, quality, shrink = torch.rand(3, len(pixels), generator=generator)
    out = pixels.clone()
    for i in range(len(pixels)):
        if dice[i] < 0.2:
            small = max(32, int(pixels.shape[-1] * (0.35 + 0.65 * float(shrink[i]))))
            low = F.interpolate(out[i : i + 1], size=small, mode="area")
            out[i : i + 1] = F.interpolate(low, size=pixels.shape[-1], mode="bilinear", align_corners=False)
        if 0.1 < dice[i] < 0.4:
            data = encode_jpeg((out[i].cpu() * 255).round().to(torch.uint8), quality=int(25 + 65 * float(quality[i])))
            out[i] = (decode_jpeg(data).float() / 255).to(out.device)
    return out


def augment(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """(N, 3, 128, 128) uint8 -> (N, 3, 112, 112) float32 in [0, 1]; deterministic under the generator's seed."""
    return worse_file(colour(crop(pixels.float() / 255, generator), generator), generator)
