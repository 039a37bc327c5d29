"""What a forger in training makes of people never trained on: the picture beside its log."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from engines.edits import EDITS, STYLES, wanted
from engines.train.celeba import Celeba

SHOWN = 6  # faces


@torch.no_grad()
def grid(training: Any, test: Celeba) -> Tensor:
    """Six faces, and a row for each edit of them by the averaged generator: (6 · 6, 3, S, S) in [0, 1]."""
    index = np.arange(SHOWN) * (len(test) // SHOWN)
    pixels = 2 * test.pixels(index, training.recipe.size).to(training.device) - 1
    labels = torch.from_numpy(test.labels(training.objective.names)[index].astype(np.float32)).to(training.device)
    edits = STYLES if training.id == "hisd" else EDITS
    rows = [pixels, *(_edited(training, pixels, labels, edit) for edit in edits)]
    return (torch.cat(rows).clamp(-1, 1) + 1) / 2


def _edited(training: Any, pixels: Tensor, labels: Tensor, edit: str) -> Tensor:
    net = training.average
    if training.id == "hisd":
        tag, value = STYLES[edit]
        noise = torch.randn(1, net.sizes.noise, generator=torch.Generator().manual_seed(0))
        return net(pixels, net.mappers[tag](noise.to(pixels), value).expand(len(pixels), -1), tag)
    aim = wanted(labels, edit)
    return net(pixels, aim - labels if net.relative else aim)
