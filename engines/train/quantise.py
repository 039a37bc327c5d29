"""Training through the 8-bit file: what a PNG keeps of a picture, with a slope for what comes before it."""

from __future__ import annotations

import torch
from torch import Tensor


def rounded(pixels: Tensor) -> Tensor:
    """What an 8-bit file keeps of (N, 3, H, W): bounded to [0, 1], in steps of 1/255. No slope."""
    return (pixels.detach().clamp(0, 1) * 255).round() / 255


def exported(pixels: Tensor) -> Tensor:
    """`rounded`, with the slope of the identity (straight-through; Bengio et al., 2013), beyond [0, 1] too."""
    return pixels + (rounded(pixels) - pixels).detach() if torch.is_grad_enabled() else rounded(pixels)
