"""The Haar wavelet transform DWT and its inverse IWT, as IPMN splits its pictures (Yang et al., Sec. 3.2.3).

Orthonormal: energy is kept, and white noise stays white noise of the same variance.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def dwt(pixels: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, 4 C, H / 2, W / 2): all low-frequency subbands, then horizontal, vertical, diagonal.

    Raises ValueError for an odd side.
    """
    if pixels.shape[-2] % 2 or pixels.shape[-1] % 2:
        raise ValueError(f"The wavelet transform needs even sides, not {tuple(pixels.shape[-2:])}: resize first.")
    a, b = pixels[..., ::2, ::2], pixels[..., ::2, 1::2]
    c, d = pixels[..., 1::2, ::2], pixels[..., 1::2, 1::2]
    return torch.cat([a + b + c + d, a - b + c - d, a + b - c - d, a - b - c + d], 1) / 2


def iwt(subbands: Tensor) -> Tensor:
    """What `dwt` was given: (N, 4 C, H, W) -> (N, C, 2 H, 2 W). ValueError unless the channels come in fours."""
    if subbands.shape[1] % 4:
        raise ValueError(f"Four subbands a channel make a picture: {subbands.shape[1]} channels are not fours.")
    low, across, down, both = subbands.chunk(4, 1)
    corners = (low + across + down + both, low - across + down - both, low + across - down - both)
    quads = torch.stack([*corners, low - across - down + both], 2) / 2
    return F.pixel_shuffle(quads.flatten(1, 2), 2)
