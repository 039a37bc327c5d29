"""What files do to pixels, for benches that work on crops."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def eight_bit(pixels: Tensor) -> Tensor:
    """What a file keeps of pixels in [0, 1]."""
    return (pixels.clamp(0, 1) * 255).round() / 255


def processed(pixels: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Crops (N, 3, S, S) in [0, 1], each as an 8-bit picture of its own through a distortion."""
    whole = (pixels * 255).round().byte()
    return torch.cat([change(one[None]) for one in whole]).float() / 255
