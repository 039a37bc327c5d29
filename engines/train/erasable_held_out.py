"""How far a training of ErasableMask is: figures on people never trained on, and a grid of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torchvision.utils import save_image

from engines.manipulate import signed, unsigned
from engines.nets.erasable_mask import ATTRIBUTES, BETA, GAMMA, ErasableMask
from engines.train import erasable_losses as losses
from engines.train.celeba import Celeba
from engines.train.erasable_recipe import Recipe
from engines.train.victims import Victim, still

SHOWN = 6


class Subject(Protocol):
    """What is measured: a training of `engines.train.erasable_mask`."""

    average: ErasableMask
    recipe: Recipe
    against: list[Victim]
    folder: Path
    device: str


@torch.no_grad()
def held_out(training: Subject, test: Celeba, faces: int = 48) -> dict[str, float]:
    """At the usual β and γ, by 8-bit files: cosines to the target and of the erased face to the original, L1."""
    net, size = training.average, training.recipe.size
    index = np.arange(faces) * (len(test) // faces)
    pixels = signed(test.pixels(index, size)).to(training.device)
    attributes = torch.from_numpy(test.labels(ATTRIBUTES)[index].astype(np.float32)).to(training.device)
    clean = net.clean(pixels, attributes.roll(1, 0))
    masked = (unsigned(net(clean, BETA, GAMMA)) * 255).round() / 255
    erased, where = unsigned(net.erased(signed(masked))), still()
    rows = [[v.embed(faces, where) for faces in (unsigned(pixels), masked, erased)] for v in training.against]
    found = {
        "to target": [1 - losses.missed(v, masked, where) for v in training.against],
        "erased to target": [1 - losses.missed(v, erased, where) for v in training.against],
        "masked to self": [(own * seen).sum(1).mean() for own, seen, _ in rows],
        "erased to self": [(own * back).sum(1).mean() for own, _, back in rows],
        "l1 edit": [(unsigned(clean.edited) - unsigned(pixels)).abs().mean()],
        "l1 mask": [(masked - unsigned(clean.edited)).abs().mean()],
        "l1 erased": [(erased - unsigned(pixels)).abs().mean()],
    }
    shown = torch.cat([unsigned(pixels), unsigned(clean.edited), masked, erased])
    grid = shown.view(4, faces, 3, size, size)[:, :SHOWN].flatten(0, 1)
    training.folder.mkdir(parents=True, exist_ok=True)
    save_image(grid, training.folder / "grid.png", nrow=SHOWN)
    return {name: round(float(torch.stack(values).mean()), 4) for name, values in found.items()}
