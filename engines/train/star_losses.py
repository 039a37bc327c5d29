"""The losses of StarGAN, AttentionGAN and Fixed-Point GAN, as their papers and releases have them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engines.edits import LABELS
from engines.nets import stargan
from engines.train import processes
from engines.train.forger_terms import MOST, Batch, Terms, any_faces, between, slope, started

TAUGHT = 4


class Star:
    """StarGAN's losses: Wasserstein with gradient penalty 10, classification 1, reconstruction 10.

    The critic's own classification counts TAUGHT times as much as in the papers: at 1 it stood at 3.2 nats a face
    after 200 steps, worse than guessing, where classification alone comes to 1.6 in 150. 10 also worked; 4 leaves
    more to realness, and was not compared on its own.
    """

    names = LABELS
    generators: dict[str, type[stargan.StarGan]] = {
        "stargan": stargan.StarGan,
        "attentiongan": stargan.AttentionGan,
        "fpgan": stargan.FixedPointGan,
    }

    def __init__(self, id: str, size: int, width: int):
        self.generator: Any = self.generators[id](len(LABELS), width)
        self.critic: Any = started(stargan.Discriminator(size, len(LABELS), 32, most=MOST))
        self.same = id == "fpgan"

    def draw(self, labels: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, int]]:
        """Which faces a step shows, and what is asked of all of them."""
        return any_faces(labels, count, rng)

    def _path(self, batch: Batch, labels: Tensor) -> tuple[Tensor, Terms]:
        """There and back again: the forged picture, and what is lost."""
        made = self.generator(batch.pixels, labels)
        real, found = self.critic(made)
        back = self.generator(made, batch.labels)
        return made, {
            "real": -real.float().mean(),
            "class": self._class(found, labels),
            "back": 10 * (back - batch.pixels).abs().mean(),
        }

    def wanted(self, batch: Batch) -> Tensor:
        """The labels (N, 5) that the forgeries shall show: another face's."""
        return processes.another(batch.labels)

    def generator_terms(self, batch: Batch) -> Terms:
        """What the generator lowers; Fixed-Point GAN also asks that a face's own labels change nothing."""
        self.made, terms = self._path(batch, self.wanted(batch))
        if self.same:
            own, more = self._path(batch, batch.labels)
            terms |= {f"own {name}": value for name, value in more.items()}
            terms["own"] = 10 * (own - batch.pixels).abs().mean()
        return terms

    def _class(self, found: Tensor, labels: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(found.float(), labels, reduction="sum") / len(labels)

    def warm_terms(self, batch: Batch) -> Terms:
        """What the critic lowers before anything is forged."""
        return {"class": self._class(self.critic(batch.pixels)[1], batch.labels)}

    def first_terms(self, batch: Batch) -> Terms:
        """What the generator lowers before it forges: a face with its own labels is that face.

        AttentionGAN's content is, and its mask is not asked: what gives a face back best is a mask that keeps it all.
        With the mask asked, a teacher's cross-entropy stood at 4.6 nats a face after 300 steps, without at 3.0.
        """
        return {"own": 10 * (self.generator.painted(batch.pixels, batch.labels) - batch.pixels).abs().mean()}

    def critic_terms(self, batch: Batch, real: Batch) -> Terms:
        """What the critic lowers; `real` holds the batch's faces and more."""
        score, found = self.critic(real.pixels)
        with torch.autocast(batch.pixels.device.type, enabled=False):
            middle = between(batch.pixels, self.made)
            penalty = 10 * (slope(self.critic(middle)[0], middle) - 1).square().mean()
        return {
            "real": -score.float().mean(),
            "made": self.critic(self.made.detach())[0].float().mean(),
            "class": TAUGHT * self._class(found, real.labels),
            "penalty": penalty,
        }
