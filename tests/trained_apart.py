"""Small trainings, for one process or several: `python -m tests.trained_apart FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from engines.train import forgers, half, processes
from engines.train.supervised import Supervised, Task
from tests.noisy_faces import noisy_faces

SHORT = forgers.Recipe(steps=2, batch=4, real=8, warm=1, width=8, size=64)


def supervised(folder: Path) -> None:
    """A network learns which of four noises it sees."""
    pixels = torch.rand(40, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    targets = torch.arange(40) % 4
    task = Task("noises", 40, lambda index, rng: (pixels[index], targets[index]), F.cross_entropy, lambda net: {})
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 5), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 144, 4))
    Supervised(task, net, folder / "supervised", 3, 8).run()


def forger(folder: Path) -> None:
    """StarGAN by its recipe, in float32 whatever the processor: bfloat16 rounds by more than is compared."""
    half.quick = lambda kind: False  # type: ignore[assignment]
    faces = noisy_faces()
    forgers.Training("stargan", SHORT, faces, folder / "forger").run(faces, every=1)


def main() -> None:
    """Train, and try a batch that cannot be divided."""
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    supervised(folder)
    forger(folder)
    try:
        processes.part(np.arange(7))
    except ValueError as error:
        processes.say(str(error))


if __name__ == "__main__":
    main()
