"""The recipe of the attribute classifier, trained on CelebA's faces and on no forger.

    python -m engines.train.attributes --data DIR --out FOLDER

Started again with the same --out it goes on after the last whole epoch.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.face import sample
from engines.nets.attributes import NAMES, AttributeNet
from engines.train import processes
from engines.train.celeba import Celeba
from engines.train.datasets import DataError
from engines.train.supervised import Supervised, Task

SIZE, PART = 128, 100


def moved(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    """Faces (N, 3, S, S), each mirrored or not, turned, scaled, shifted, and lit a little differently."""
    return torch.cat([_moved(one[None], rng) for one in pixels]).clamp(0, 1)


def _moved(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    pixels = pixels.flip(-1) if rng.random() < 0.5 else pixels
    centre, angle, scale = (pixels.shape[-1] - 1) / 2, rng.normal(0, 0.06), np.exp(rng.normal(0, 0.05))
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shift = centre - turn @ [centre, centre] + rng.normal(0, 3, 2)
    matrix = torch.tensor(np.column_stack([turn, shift]), dtype=torch.float32)
    light, colour = rng.normal(0, 0.05), torch.tensor(rng.normal(1, 0.05, (1, 3, 1, 1)), dtype=torch.float32)
    return sample(pixels, matrix, (pixels.shape[-2], pixels.shape[-1])) * colour + light


def task(train: Celeba, test: Celeba, id: str = "attributes") -> Task:
    """Binary cross-entropy over the forty attributes; measured on people never trained on."""
    targets = torch.from_numpy(train.labels(NAMES).astype(np.float32))

    def batch(index: np.ndarray, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        return moved(train.pixels(index, SIZE), rng), targets[index]

    return Task(id, len(train), batch, F.binary_cross_entropy_with_logits, lambda net: accuracy(net, test)[0])


def accuracy(net: nn.Module, faces: Celeba) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """Means over the attributes of the share that is right and of the mean of both classes; both by attribute."""
    device = next(net.parameters()).device
    parts = [np.arange(start, min(start + PART, len(faces))) for start in range(0, len(faces), PART)]
    found = torch.cat([net(faces.pixels(part, SIZE).to(device)).float().cpu() > 0 for part in parts]).numpy()
    truth = faces.labels(NAMES)
    each = {}
    for k, name in enumerate(NAMES):
        right, yes = found[:, k] == truth[:, k], truth[:, k]
        each[name] = (float(right.mean()), float(np.mean([right[yes].mean(), right[~yes].mean()])))
    whole, balanced = (round(float(np.mean([pair[i] for pair in each.values()])), 4) for i in range(2))
    return {"accuracy": whole, "balanced": balanced}, each


def main(
    build: Callable[[], nn.Module] = AttributeNet, id: str = "attributes", epochs: int = 14, seed: int = 0
) -> None:
    """Train a network for NAMES: the classifier that is bundled, or another."""
    parser = argparse.ArgumentParser(description="Train a classifier of attributes.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--seed", type=int, default=seed)
    parser.add_argument("--device", default=processes.device())
    args = parser.parse_args()
    try:
        train, test = (Celeba.read(args.data, split) for split in ("train", "test"))
    except DataError as error:
        raise SystemExit(str(error)) from None
    torch.manual_seed(args.seed)
    Supervised(task(train, test, id), build(), args.out, args.epochs, seed=args.seed, device=args.device).run()


if __name__ == "__main__":
    main()
