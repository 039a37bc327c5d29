"""What a training of DIP-Watermark is made of: its plan, its weights, its surrogates and its targets."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.io import ImageReadMode, read_image

from engines import recognise
from engines.method import check_surrogates
from engines.nets.dip import TARGETS
from engines.train.datasets import DataError
from engines.train.dip_objective import Surrogate, Weights

SURROGATES = ("compact-vgg", "compact-vovnet", "compact-ir-se")
WRONG_WEIGHTS = "weights are three numbers from 0 up, such as 100:0.05:0.05"


@dataclass(frozen=True)
class Recipe:
    """What a training is made of. `rate` is Adam's peak, `inner` is η of Eq. 9."""

    steps: int
    watermark: int  # steps of the first stage
    ensemble: int  # steps of the first two stages
    batch: int
    network: str = "dip"
    weights: Weights = Weights()
    meta: bool = True
    surrogates: tuple[str, ...] = SURROGATES
    rate: float = 1e-3
    inner: float = 0.01
    seed: int = 0


CONFIGS = {
    "cpu": Recipe(steps=4200, watermark=700, ensemble=1900, batch=16),
    "gpu": Recipe(steps=40000, watermark=1000, ensemble=5000, batch=32),
}


def surrogate(id: str, targets: Tensor, device: str) -> Surrogate:
    """A bundled recogniser as the objective sees it; refused where it is a judge or untrained."""
    network = recognise.load(id, device)
    check_surrogates([network])

    def embed(pixels: Tensor) -> Tensor:
        return F.normalize(network.raw(pixels).float(), dim=1)

    with torch.no_grad():
        return Surrogate(id, embed, embed(targets.to(device)))


def target_faces(folder: Path) -> Tensor:
    """The targets' aligned faces (K, 3, 112, 112) in [0, 1], in the order of TARGETS. Raises DataError."""
    paths = [Path(folder) / f"{name}.png" for name in TARGETS]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise DataError(f"There is no {missing[0]} in {Path(folder).name}: run `python -m app targets --out FOLDER`.")
    return torch.stack([read_image(str(path), ImageReadMode.RGB) for path in paths]) / 255


def read_weights(text: str) -> Weights:
    """ "100:0.05:0.05" -> λ_adv, λ_inv, λ_wm; argparse's own error for anything else."""
    try:
        adversarial, invisibility, watermark = (float(part) for part in text.split(":"))
    except ValueError:
        raise argparse.ArgumentTypeError(WRONG_WEIGHTS) from None
    if not all(0 <= value < math.inf for value in (adversarial, invisibility, watermark)):
        raise argparse.ArgumentTypeError(WRONG_WEIGHTS)
    return Weights(adversarial, invisibility, watermark)
