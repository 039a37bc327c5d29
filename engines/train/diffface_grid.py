"""What DiffFace in training makes of people never trained on: the picture beside its log."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engines.diffface import Settings, imagined, swap
from engines.diffface_network import SIDE, DiffFace
from engines.face import FaceError
from engines.facial_guidance import Weights
from engines.train.celeba import Celeba

SHOWN = 6  # swaps
STEPS = 25
ALONE = Settings(STEPS, weights=Weights(identity=0, parsing=0, gaze=0))


def pairs(test: Celeba) -> np.ndarray:
    """Numbers of faces and of those put in their place, (SHOWN, 2): of the same sex, and far apart in the data."""
    male = test.labels(("Male",))[:, 0]
    ours = np.arange(SHOWN) * len(test) // SHOWN
    far = (ours[:, None] + len(test) // 2 + np.arange(len(test))) % len(test)
    same = male[far] == male[ours][:, None]
    return np.column_stack([ours, far[np.arange(SHOWN), same.argmax(1)]])


def grid(net: DiffFace, test: Celeba) -> Tensor:
    """Protected faces, those put in their place, the swaps, and faces from noise alone: (4 · SHOWN, 3, 128, 128).

    All without guidance, so that they show what the network has learnt; in [0, 1]. Where the parser makes out no
    face, the swap is black.
    """
    ours, other = (test.pixels(index, SIDE).to(net.device) for index in pairs(test).T)
    rows = torch.cat([net.listen(face) for face in other.split(1)])
    noise = torch.randn(SHOWN, 3, net.side, net.side, generator=torch.Generator().manual_seed(0)).to(ours)
    swaps = [_swapped(one, two, net) for one, two in zip(ours.split(1), other.split(1), strict=True)]
    made = F.interpolate(imagined(net, rows, noise, STEPS), size=(SIDE, SIDE), mode="bicubic").clamp(0, 1)
    return torch.cat([ours, other, *swaps, made])


def _swapped(one: Tensor, two: Tensor, net: DiffFace) -> Tensor:
    try:
        return swap(one, two, net, settings=ALONE)
    except FaceError:
        return torch.zeros_like(one)
