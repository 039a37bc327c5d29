"""Photos as the arrays that people are shown: the head's window, and the change made visible."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from app.scoring import Person


def head_window(person: Person) -> tuple[int, int, int, int]:
    """The square (x0, y0, x1, y1) around the whole head, inside the photo."""
    x0, y0, x1, y1 = person.face.box
    half = 0.95 * max(x1 - x0, y1 - y0)
    cx, cy = (x0 + x1) / 2, (y0 + y1) / 2
    left, top = max(0, round(cx - half)), max(0, round(cy - half))
    return left, top, min(person.photo.width, round(cx + half)), min(person.photo.height, round(cy + half))


def eight_bit(pixels: Tensor) -> Tensor:
    """Float pixels in [0, 1] as uint8, rounded, on the CPU."""
    return (pixels.clamp(0, 1) * 255).round().byte().cpu()


def to_array(pixels: Tensor) -> np.ndarray:
    """uint8 (1, 3, H, W) -> (H, W, 3)."""
    return pixels[0].permute(1, 2, 0).contiguous().numpy()


def window_of(pixels: Tensor, window: tuple[int, int, int, int]) -> np.ndarray:
    """The window of a uint8 photo (1, 3, H, W) as (h, w, 3)."""
    x0, y0, x1, y1 = window
    return to_array(pixels[..., y0:y1, x0:x1])


def amplified(before: Tensor, after: Tensor, factor: int = 8) -> np.ndarray:
    """The change between two uint8 photos, times `factor`, around mid-grey."""
    change = to_array(after).astype(np.int16) - to_array(before)
    return np.clip(128 + factor * change, 0, 255).astype(np.uint8)
