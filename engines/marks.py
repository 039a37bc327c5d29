"""A model's watermark as a picture: text drawn on black, how like two watermarks are, whether one is blank.

Black stands for nothing, and the blank image x_clean of IPMN is all black: a white one would be as like to dark text
on white, by NC, as a good extraction is.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

NC = 0.95  # above it a watermark counts as extracted (IPMN, Sec. 4)
TILE = 128  # pixels a side, as trained: larger frames carry it several times
BLANK = 0.1  # root mean square below which an extraction counts as blank; ours, the paper gives none
LONGEST = 40  # characters


class MarkError(ValueError):
    """A watermark that cannot be used, as one sentence that says what to do."""


def text_mark(text: str, size: int = 128, colour: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Tensor:
    """Text, as large as fits, in the middle of a black square: (1, 3, size, size) in [0, 1].

    Long text goes over several lines. Raises MarkError for none, for more than LONGEST characters, and for a colour
    too dark to read.
    """
    words = text.split()
    if not words:
        raise MarkError("The watermark needs some text: enter a name or a number.")
    if len(" ".join(words)) > LONGEST:
        raise MarkError(f"The watermark holds at most {LONGEST} characters: shorten the text.")
    if max(colour) < 0.4:
        raise MarkError("The watermark is drawn on black: choose a brighter colour.")
    picture = Image.new("L", (size, size))
    _drawn(picture, [*_wrapped(words)])
    shape = torch.from_numpy(np.array(picture)).float() / 255
    return shape[None, None] * torch.tensor(colour).view(1, 3, 1, 1)


def _wrapped(words: list[str], width: int = 9) -> list[str]:
    """Lines of about `width` characters."""
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _drawn(picture: Image.Image, lines: list[str]) -> None:
    draw, text, room = ImageDraw.Draw(picture), "\n".join(lines), 0.9 * picture.width
    low, high = 5.0, float(picture.width)
    while high - low > 0.5:  # the largest size that fits
        middle = (low + high) / 2
        box = draw.multiline_textbbox((0, 0), text, font=ImageFont.load_default(middle), spacing=2, stroke_width=1)
        low, high = (middle, high) if max(box[2] - box[0], box[3] - box[1]) <= room else (low, middle)
    half = picture.width / 2
    font = ImageFont.load_default(low)
    draw.multiline_text((half, half), text, 255, font, "mm", 2, "center", stroke_width=1)


def flower(size: int) -> Tensor:
    """A picture as the paper's flower is one: coloured petals, a bright middle; (1, 3, size, size) in [0, 1]."""
    grid = torch.linspace(-1, 1, size)
    y, x = torch.meshgrid(grid, grid, indexing="ij")
    radius, angle = (x * x + y * y).sqrt(), torch.atan2(y, x)
    edge = 0.55 + 0.3 * torch.cos(8 * angle)
    petals = ((edge - radius) * size / 4).clamp(0, 1)
    turn = angle[None] + torch.tensor([0.0, 2.1, 4.2])[:, None, None]
    colours = (0.5 + 0.5 * torch.cos(turn)) * (1 - 0.4 * radius)
    middle = ((0.18 - radius) * size / 4).clamp(0, 1)
    drawn = torch.where(middle > 0, torch.maximum(colours, middle.expand_as(colours)), colours * petals)
    return drawn[None].clamp(0, 1)


def tiled(mark: Tensor, side: int) -> Tensor:
    """A watermark (1, 3, T, T) as a frame of `side` pixels carries it: (1, 3, side, side).

    Side by side, from the upper left corner; smaller frames carry one that is shrunk to them.
    """
    tile = min(mark.shape[-1], side)
    if tile < mark.shape[-1]:
        mark = F.interpolate(mark, (tile, tile), mode="bilinear", antialias=True, align_corners=False)
    times = -(-side // tile)
    return mark.repeat(1, 1, times, times)[..., :side, :side]


def folded(found: Tensor, tile: int = TILE) -> Tensor:
    """What R reads in frames (N, 3, S, S), the mean of all tiles: (N, 3, T, T), T at most S."""
    side = found.shape[-1]
    tile = min(tile, side)
    more = -side % tile
    rows = (found, torch.ones_like(found))
    total, seen = (
        F.pad(part, (0, more, 0, more)).unflatten(-1, (-1, tile)).unflatten(2, (-1, tile)).sum((2, 4))
        for part in rows
    )
    return total / seen


def nc(found: Tensor, watermark: Tensor) -> Tensor:
    """Normalised correlation of watermarks (N, 3, H, W), after bounding to [0, 1]: (N,) in [0, 1]; 0 if one is black.

    <w', w> / (|w'| |w|), without taking means off. A bright watermark is therefore like any bright picture.
    """
    a, b = found.clamp(0, 1).flatten(1).double(), watermark.clamp(0, 1).flatten(1).double()
    return ((a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1)).clamp_min(1e-9)).float()


def extracted(found: Tensor, watermark: Tensor) -> Tensor:
    """Whether each watermark was extracted, NC > 0.95: (N,) booleans, whose mean is SR_E."""
    return nc(found, watermark) > NC


def blank(found: Tensor) -> Tensor:
    """Whether each extraction (N, 3, H, W) is blank, as of an unmarked picture: (N,) booleans."""
    return found.clamp(0, 1).flatten(1).square().mean(1).sqrt() < BLANK
