"""Watermarks as IPMN's training draws them: words, shapes, blotches and rosettes on black; for HiDDeN, bits."""

from __future__ import annotations

import string

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor

from engines.marks import text_mark

LETTERS = string.ascii_letters + string.digits
FACTOR = 4  # shapes are drawn so many times as large, for smooth edges


def drawn_marks(count: int, size: int, rng: np.random.Generator) -> Tensor:
    """So many watermarks, (count, 3, size, size) in [0, 1]: two in five are words, the others pictures."""
    kinds = (_words, _words, _shapes, _blotches, _rosettes)
    return torch.cat([kinds[rng.integers(len(kinds))](size, rng) for _ in range(count)])


def drawn_bits(count: int, bits: int, rng: np.random.Generator) -> Tensor:
    """So many messages for HiDDeN, (count, bits) of 0 or 1."""
    return torch.from_numpy(rng.integers(2, size=(count, bits))).float()


def _colour(rng: np.random.Generator) -> tuple[float, float, float]:
    """Bright, one channel full, from white to as pure as colours get."""
    found = rng.uniform(0.0, 1.0, 3)
    pure = (found - found.min()) / (found.max() - found.min())
    return tuple((1 - rng.uniform(0.0, 1.0) * (1 - pure)).tolist())


def _words(size: int, rng: np.random.Generator) -> Tensor:
    words = ["".join(rng.choice(list(LETTERS), rng.integers(2, 9))) for _ in range(rng.integers(1, 5))]
    return text_mark(" ".join(words), size, _colour(rng))


def _shapes(size: int, rng: np.random.Generator) -> Tensor:
    side = FACTOR * size
    picture = Image.new("RGB", (side, side))
    draw = ImageDraw.Draw(picture)
    for _ in range(rng.integers(2, 6)):
        x0, y0 = rng.uniform(0.05, 0.6, 2) * side
        width, height = rng.uniform(0.1, 0.35, 2) * side
        colour = tuple(round(255 * value) for value in _colour(rng))
        kind = (draw.ellipse, draw.rectangle)[rng.integers(2)]
        if rng.random() < 0.5:
            kind((x0, y0, x0 + width, y0 + height), fill=colour)
        else:
            kind((x0, y0, x0 + width, y0 + height), outline=colour, width=side // 24)
    small = picture.resize((size, size), Image.Resampling.BOX)
    return torch.from_numpy(np.array(small)).permute(2, 0, 1)[None].float() / 255


def _smooth(size: int, rng: np.random.Generator) -> Tensor:
    """A smooth picture of many colours, dark ones among them."""
    coarse = torch.from_numpy(rng.uniform(-0.3, 1.3, (1, 3, 6, 6)).astype(np.float32))
    return F.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=False).clamp(0, 1)


def _polar(size: int) -> tuple[Tensor, Tensor]:
    """Distance from the middle, 1 at the nearest edge, and angle of each pixel."""
    grid = torch.linspace(-1, 1, size)
    return (grid[:, None] ** 2 + grid[None, :] ** 2).sqrt(), torch.atan2(grid[:, None], grid[None, :])


def _within(edge: Tensor | float, radius: Tensor) -> Tensor:
    """1 inside of an edge, 0 outside, two pixels of slope."""
    return ((edge - radius) * len(radius) / 4).clamp(0, 1)


def _blotches(size: int, rng: np.random.Generator) -> Tensor:
    """Colours inside a disc, as a logo may be."""
    radius, _ = _polar(size)
    return _smooth(size, rng) * _within(float(rng.uniform(0.5, 0.9)), radius)


def _rosettes(size: int, rng: np.random.Generator) -> Tensor:
    """Petals of many colours about a middle of one, as a flower may be."""
    radius, angle = _polar(size)
    petals, turn = rng.integers(3, 11), float(rng.uniform(0, 2 * np.pi))
    edge = float(rng.uniform(0.4, 0.6)) + float(rng.uniform(0.1, 0.4)) * torch.cos(int(petals) * angle + turn)
    middle = _within(float(rng.uniform(0.1, 0.25)), radius)
    colour = torch.tensor(_colour(rng)).view(1, 3, 1, 1)
    return torch.lerp(_smooth(size, rng) * _within(edge, radius), colour.expand(1, 3, size, size), middle)
