"""The face parser: a small U-Net that names the part of the face, or what lies around it, at each pixel."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_CLASSES = (
    "background skin nose eye_glasses left_eye right_eye left_brow right_brow left_ear right_ear mouth upper_lip "
    "lower_lip hair hat earring necklace neck cloth"
)
CLASSES = tuple(_CLASSES.split())
"""CelebAMask-HQ's, in its order; left and right are the person's."""
COMPONENTS = ("nose", "left_eye", "right_eye", "left_brow", "right_brow", "mouth", "upper_lip", "lower_lip")
"""ID-Guard's binary mask (Sec. III-B1): eyes, nose, mouth and eyebrows."""
FACE = (*COMPONENTS, "skin", "eye_glasses")
"""ID-Guard's face of Eq. 16."""


class Pair(nn.Sequential):
    """Two 3 x 3 convolutions, each with BatchNorm and ReLU: (N, A, H, W) -> (N, B, H, W)."""

    def __init__(self, inputs: int, outputs: int):
        layers: list[nn.Module] = []
        for size in (inputs, outputs):
            layers += [nn.Conv2d(size, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
        super().__init__(*layers)


class Parser(nn.Module):
    """U-Net (Ronneberger et al., 2015): (N, 3, S, S) in [0, 1], S a multiple of 16 -> logits (N, 19, S, S)."""

    def __init__(self, widths: tuple[int, ...] = (16, 32, 64, 96, 128)):
        super().__init__()
        self.down = nn.ModuleList(Pair(a, b) for a, b in pairwise((3, *widths)))
        self.up = nn.ModuleList(Pair(a + b, b) for a, b in pairwise(widths[::-1]))
        self.last = nn.Conv2d(widths[0], len(CLASSES), 1)

    def forward(self, pixels: Tensor) -> Tensor:
        maps, kept = 2 * pixels - 1, []
        for i, block in enumerate(self.down):
            maps = block(F.max_pool2d(maps, 2) if i else maps)
            kept.append(maps)
        for block, skip in zip(self.up, kept[-2::-1], strict=True):
            maps = F.interpolate(maps, size=skip.shape[-2:], mode="bilinear", align_corners=False)
            maps = block(torch.cat([maps, skip], 1))
        return self.last(maps)


def mask(parts: Tensor, names: tuple[str, ...]) -> Tensor:
    """Class numbers (N, S, S) -> 1 where one of `names` is, else 0: (N, 1, S, S) float."""
    places = torch.tensor([CLASSES.index(name) for name in names], device=parts.device)
    return torch.isin(parts, places)[:, None].float()
