"""The identification scene of TIP-IM Sec. 5.1 on LFW: probes, galleries, targets and distractors."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from engines.face import ARCFACE112, align
from engines.train.datasets import LfwFace, lfw_faces

TARGETS, DISTRACTORS = 10, 500


@dataclass(frozen=True)
class Identification:
    """`probes`: the photos to protect. `gallery`: the probes' and targets' other photos, and distractors.

    `targets`: one photo of each target identity, seen by the methods and not in the gallery.
    """

    probes: tuple[LfwFace, ...]
    targets: tuple[LfwFace, ...]
    gallery: tuple[LfwFace, ...]


def identification(folder: Path, identities: int = 100, seed: int = 0) -> Identification:
    """Draw the scene by `seed`: identities with at least two photos, then targets, then distractors."""
    people: dict[str, list[LfwFace]] = defaultdict(list)
    for face in lfw_faces(folder):
        if face.landmarks is not None:
            people[face.identity].append(face)
    many = sorted(name for name, faces in people.items() if len(faces) >= 2)
    order = random.Random(seed).sample(many, identities + TARGETS)
    protected, aimed = order[:identities], order[identities:]
    others = sorted(set(people) - set(order))
    distractors = random.Random(seed + 1).sample(others, DISTRACTORS)
    gallery = [face for name in order for face in people[name][1:]] + [people[name][0] for name in distractors]
    first = {name: people[name][0] for name in order}
    return Identification(tuple(first[n] for n in protected), tuple(first[n] for n in aimed), tuple(gallery))


def crops(faces: tuple[LfwFace, ...] | list[LfwFace], template=ARCFACE112) -> Tensor:
    """Aligned crops (N, 3, S, S) float32 in [0, 1]."""
    return torch.cat([align(face.pixels, face.landmarks, template).pixels for face in faces])
