"""The watermark of a model as its owner gives it: a few words, or a picture of their own."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from app.photo import Photo
from engines.marks import TILE, MarkError, text_mark

USUAL = "Larvatus"
DARKEST = 0.05  # root mean square below which a picture says nothing on black


def watermark_of(words: str, picture: Photo | None = None) -> Tensor:
    """(1, 3, 128, 128) in [0, 1]: the picture, whole, on black, or else the words. Raises MarkError."""
    if picture is None:
        return text_mark(words, TILE)
    pixels = picture.pixels.float() / 255
    scale = TILE / max(pixels.shape[-2:])
    size = [max(1, round(scale * side)) for side in pixels.shape[-2:]]
    small = F.interpolate(pixels, size, mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)
    if float(small.square().mean().sqrt()) < DARKEST:
        raise MarkError("The watermark's picture is black, and black stands for none: choose a brighter picture.")
    mark = torch.zeros(1, 3, TILE, TILE)
    top, left = ((TILE - side) // 2 for side in size)
    mark[..., top : top + size[0], left : left + size[1]] = small
    return mark
