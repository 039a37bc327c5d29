"""Which part of a face each pixel shows, by the bundled parser."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from kornia.filters import gaussian_blur2d
from torch import Tensor, nn

from engines.checkpoints import load_state
from engines.face import CELEBA128, FaceCrop, retarget
from engines.nets.parser import FACE, Parser, mask
from engines.once import Once, frozen, trained
from engines.tensors import fill


def _parser(id: str, device: str) -> nn.Module:
    net = Parser()
    fill(net, load_state(trained(id, "parser")))
    return frozen(net, device)


parser = Once(_parser)


@torch.no_grad()
def parts(pixels: Tensor) -> Tensor:
    """Faces (N, 3, 128, 128) in [0, 1], cut as CELEBA128 -> the number of each pixel's class: (N, 128, 128)."""
    return parser("parser", str(pixels.device))(pixels).argmax(1)


HEAD = (*FACE, "left_ear", "right_ear", "hair", "hat", "earring", "neck")
GROW, SOFT = 4, 9  # pixels of a 128-pixel crop: how far beyond the head, and how wide the falling edge


@torch.no_grad()
def head(crop: FaceCrop) -> Tensor:
    """Where the head is in a crop of any template: (1, 1, S, S), 1 on it, falling smoothly to 0 around it."""
    seen = retarget(crop.pixels, crop.template, CELEBA128)
    grown = F.max_pool2d(mask(parts(seen), HEAD), 2 * GROW + 1, 1, GROW)
    soft = gaussian_blur2d(grown, (SOFT, SOFT), (SOFT / 4, SOFT / 4))
    return retarget(soft, CELEBA128, crop.template).clamp(0, 1)
