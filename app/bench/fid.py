"""Fréchet inception distance (Heusel et al., NeurIPS 2017), where the Inception network can be had.

torchmetrics computes it and torch-fidelity holds the network; its weights come from a file, since a benchmark
fetches nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

BATCH = 50
Distance = Callable[[Tensor, Tensor], float]  # pictures made and real ones, both (N, 3, S, S) in [0, 1]


def inception(weights: Path) -> Distance:
    """FID by torch-fidelity's Inception; ValueError, a sentence, where it or its weights are missing."""
    if find_spec("torch_fidelity") is None:
        raise ValueError("FID needs torch-fidelity: install it with `pip install torch-fidelity`.")
    if not weights.is_file():
        raise ValueError(f"There is no file {weights.name}: give torch-fidelity's pt_inception-2015-12-05 weights.")
    return distance(2048, str(weights))


def distance(features: int | nn.Module, weights: str | None = None) -> Distance:
    """The distance by torch-fidelity's features of so many channels, or by a module's (N, D) of 8-bit pictures."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    def between(made: Tensor, real: Tensor) -> float:
        found = FrechetInceptionDistance(features, normalize=False, feature_extractor_weights_path=weights)
        for pictures, true in ((real, True), (made, False)):
            for part in pictures.split(BATCH):
                found.update((part * 255).round().to(torch.uint8), real=true)
        return float(found.compute())

    return between
