"""A training's moving average, which is what gets bundled."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def follow(average: nn.Module, net: nn.Module, keep: float) -> None:
    """Move the average towards the network, keeping `keep` of it; statistics of a batch are taken over whole."""
    for own, new in zip(average.parameters(), net.parameters(), strict=True):
        own.lerp_(new, 1 - keep)
    for kept, now in zip(average.buffers(), net.buffers(), strict=True):
        kept.copy_(now)
