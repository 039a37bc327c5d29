"""Whom ID-Guard is trained against, and how well a perturbation does against them on people never seen."""

from __future__ import annotations

from collections.abc import Callable
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
from engines.train.weighting import PRIORS

SURROGATES = ("compact-vgg", "compact-vovnet", "compact-ir-se")


@dataclass(frozen=True)
class Opponents:
    """Forgers with their α, recognisers, and who names the parts of a face."""

    forgers: tuple[Forger, ...]
    priors: Tensor
    members: tuple[Recogniser, ...]
    parse: Callable[[Tensor], Tensor]


def bundled(device: str) -> Opponents:
    """The bundled ones; judges take no part. Raises CheckpointError and MethodError."""
    members = tuple(recognise.load(id, device) for id in SURROGATES)
    check_surrogates(members)
    forgers = tuple(manipulate.forger(id, device) for id in FORGERS)
    return Opponents(forgers, torch.tensor([PRIORS[id] for id in FORGERS]), members, parts)


@torch.no_grad()
def success(
    against: Opponents, perturb: Callable[[Tensor], Tensor], test: Celeba, faces: int = 40, device: str = "cpu"
) -> dict[str, float]:
    """DSR against each forger, over its edits, of x + perturb(x) on people never trained on; the surrogates judge."""
    index = np.arange(faces) * (len(test) // faces)
    pixels = signed(test.pixels(index, 128)).to(device)
    labels = torch.from_numpy(test.labels(LABELS)[index].astype(np.float32)).to(device)
    plain, protected = unsigned(pixels), unsigned((pixels + perturb(pixels)).clamp(-1, 1))
    face = mask(against.parse(plain), FACE)
    out = {}
    for forger in against.forgers:
        rates = []
        for edit in forger.edits:
            one, two = (forger.forge(some, edit, labels) for some in (plain, protected))
            rates.append(_rate(one, two, face, against.members))
        out[forger.card.id] = round(float(np.mean(rates)), 4)
    return out


def _rate(one: Tensor, two: Tensor, face: Tensor, members: tuple[Recogniser, ...]) -> float:
    seen = zip(*(idm.identities(members, signed(some)) for some in (one, two)), strict=True)
    similarity = torch.stack([(a * b).sum(1) for a, b in seen]).mean(0)
    return float(defended(l2_face(one, two, face), similarity).float().mean())
