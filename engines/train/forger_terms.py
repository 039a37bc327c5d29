"""What the losses of all forgers share: a batch, named terms, a critic's start, a gradient penalty's parts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from engines.edits import HAIR
from engines.train import processes

Terms = dict[str, Tensor]
MOST = 256  # channels of a critic: the last of 1,024, on 4 x 4 pixels, took a third of StarGAN's step


@dataclass(frozen=True)
class Batch:
    """`pixels` (N, 3, S, S) in [-1, 1]; `labels` (N, L) 0 or 1. HiSD: all have `value` of `tag` and get `aim`."""

    pixels: Tensor
    labels: Tensor
    tag: int = 0
    value: int = 0
    aim: int = 0

    def first(self, count: int) -> Batch:
        """The batch without all but the first faces."""
        return replace(self, pixels=self.pixels[:count], labels=self.labels[:count])


def any_faces(labels: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, int]]:
    """Numbers of faces, and nothing that is asked of all of them; `labels` (N, 5) of LABELS.

    A quarter are any faces, a quarter each of black, blond and brown hair: what a batch shows is what is asked for,
    and among any faces blond hair is one in seven.
    """
    groups = np.column_stack([np.ones(len(labels)), labels[:, : len(HAIR)]]).astype(float)
    share = (groups / np.maximum(groups.sum(0), 1)).sum(1)
    return rng.choice(len(labels), count, replace=False, p=share / share.sum()), {}


def started(critic: nn.Module) -> nn.Module:
    """He et al.'s start: attributes at 2.0 nats a face after 150 steps of 8 faces; with torch's own, at 2.5."""
    for layer in critic.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, a=0.01)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return critic


def total(values: Iterable[Tensor]) -> Tensor:
    """The sum of scalars."""
    return torch.stack(list(values)).sum()


def slope(score: Tensor, pixels: Tensor) -> Tensor:
    """The norm of a score's gradient in each picture, (N,); it can be differentiated again."""
    (found,) = torch.autograd.grad(score.sum(), pixels, create_graph=True)
    return found.flatten(1).norm(dim=1)


def between(real: Tensor, made: Tensor) -> Tensor:
    """A random point on the line between each pair of pictures, for a gradient penalty."""
    share = processes.drawn(torch.rand, len(real), 1, 1, 1, device=real.device)
    return (share * real + (1 - share) * made.detach()).requires_grad_()
