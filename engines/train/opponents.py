"""Whom ID-Guard is trained against, and how well a perturbation does against them on people never seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engines import manipulate, recognise
from engines.edits import LABELS
from engines.manipulate import FORGERS, Forger, signed, unsigned
from engines.measure import defended, l2_face
from engines.method import check_surrogates
from engines.nets.parser import FACE, mask
from engines.parse import parts
from engines.recognise import Recogniser
from engines.train import idm
from engines.train.celeba import Celeba
from engines.train.pgd import pgd
from engines.train.weighting import prior_of

Perturb = Callable[[Tensor], Tensor]  # faces (N, 3, S, S) in [-1, 1] -> what is added to them, broadcast
SLIGHT = 3  # steps of the attack by which α is found
SURROGATES = ("compact-vgg", "compact-vovnet", "compact-ir-se")


@dataclass(frozen=True)
class Opponents:
    """Forgers with their α, recognisers, and who names the parts of a face."""

    forgers: tuple[Forger, ...]
    priors: Tensor
    members: tuple[Recogniser, ...]
    parse: Callable[[Tensor], Tensor]


def bundled(device: str, faces: Celeba) -> Opponents:
    """The bundled ones, α measured on `faces`; judges take no part. Raises CheckpointError and MethodError."""
    members = tuple(recognise.load(id, device) for id in SURROGATES)
    check_surrogates(members)
    forgers = tuple(manipulate.forger(id, device) for id in FORGERS)
    return Opponents(forgers, priors(forgers, faces, device), members, parts)


def priors(forgers: Sequence[Forger], faces: Celeba, device: str = "cpu", count: int = 10, seed: int = 0) -> Tensor:
    """α of Eq. 12 (K,): how much less than the easiest each forger's output moves (L2) under the same slight PGD.

    The distance is the root that the losses are, so that α stands for the magnitude of a loss: of squares it would be
    twice as many powers of ten, and the hardest forgers would leave the others next to nothing.
    """
    index = np.random.default_rng(seed).choice(len(faces), count, replace=False)
    pixels, labels = signed(faces.pixels(index, 128)).to(device), _labels(faces, index).to(device)
    moved = []
    for forger in forgers:
        still = signed(manipulate.in_turn(forger, unsigned(pixels), labels))

        def distance(some: Tensor, forger: Forger = forger, still: Tensor = still) -> Tensor:
            return (signed(manipulate.in_turn(forger, unsigned(some), labels)) - still).square().mean()

        delta = pgd(distance, pixels, torch.Generator().manual_seed(seed), steps=SLIGHT)
        moved.append(float(distance(pixels + delta)) ** 0.5)
    return torch.tensor([prior_of(one, max(moved)) for one in moved])


def _labels(faces: Celeba, index: np.ndarray) -> Tensor:
    return torch.from_numpy(faces.labels(LABELS)[index].astype(np.float32))


@torch.no_grad()
def success(
    against: Opponents, ways: Mapping[str, Perturb], test: Celeba, faces: int = 40, device: str = "cpu"
) -> dict[str, float]:
    """DSR of x + way(x) by way and forger, on people never trained on, an edit a face; the surrogates judge."""
    index = np.arange(faces) * (len(test) // faces)
    pixels, labels = signed(test.pixels(index, 128)).to(device), _labels(test, index).to(device)
    protected = {name: unsigned((pixels + perturb(pixels)).clamp(-1, 1)) for name, perturb in ways.items()}
    face = mask(against.parse(unsigned(pixels)), FACE)
    out = {}
    for forger in against.forgers:
        plain = manipulate.in_turn(forger, unsigned(pixels), labels)
        for name, some in protected.items():
            forged = manipulate.in_turn(forger, some, labels)
            out[f"{name} {forger.card.id}"] = round(_rate(plain, forged, face, against.members), 4)
    return out


def _rate(one: Tensor, two: Tensor, face: Tensor, members: tuple[Recogniser, ...]) -> float:
    seen = zip(*(idm.identities(members, signed(some)) for some in (one, two)), strict=True)
    similarity = torch.stack([(a * b).sum(1) for a, b in seen]).mean(0)
    return float(defended(l2_face(one, two, face), similarity).float().mean())
