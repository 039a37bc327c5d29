"""RelGAN's losses, as its paper has them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from engines.edits import LABELS
from engines.nets import relgan
from engines.train.forger_terms import Batch, Terms, any_faces, between, slope, started, total


class Rel:
    """RelGAN's losses: least squares, matching of the change, interpolation 1, cycle and self 10, orthogonality."""

    names = LABELS

    def __init__(self, id: str, size: int, width: int):
        self.generator: Any = relgan.RelGan(len(LABELS), width)
        self.critic: Any = started(relgan.RelDiscriminator(len(LABELS), 16, hidden=256))

    def draw(self, labels: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, int]]:
        """Which faces a step shows, and what is asked of all of them."""
        return any_faces(labels, count, rng)

    def generator_terms(self, batch: Batch) -> Terms:
        """What the generator lowers."""
        a, change = batch.pixels, batch.labels.roll(1, 0) - batch.labels
        share = torch.rand(len(a), 1, device=a.device)
        made, own = self.generator(a, change), self.generator(a, torch.zeros_like(change))
        part = self.generator(a, share * change)
        self.made, self.own, self.part, self.share = made, own, part, share
        return {
            "real": (self.critic.real(made).float() - 1).square().mean(),
            "match": (self.critic.matches(a, made, change).float() - 1).square().mean(),
            "part": self.critic.interpolated(part).float().square().mean(),
            "back": 10 * (self.generator(made, -change) - a).abs().mean(),
            "own": 10 * (own - a).abs().mean(),
            "orthogonal": 1e-4 * orthogonality(self.generator),
        }

    def warm_terms(self, batch: Batch) -> Terms:
        """What the critic lowers before anything is forged: true pairs score 1, four kinds of wrong ones 0."""
        a, labels = batch.pixels, batch.labels
        b, c = (a.roll(k, 0) for k in (1, 2))
        to_b, to_c = (labels.roll(k, 0) - labels for k in (1, 2))
        wrong = [(c, b, to_b), (a, c, to_b), (a, b, to_c), (a, b, to_b - to_c)]
        return {
            "match": (self.critic.matches(a, b, to_b).float() - 1).square().mean(),
            "wrong": total(self.critic.matches(*pair).float().square().mean() for pair in wrong),
        }

    def first_terms(self, batch: Batch) -> Terms:
        """What the generator lowers before it forges: no change gives the face back."""
        return {"own": 10 * (self.generator(batch.pixels, 0 * batch.labels) - batch.pixels).abs().mean()}

    def critic_terms(self, batch: Batch, real: Batch) -> Terms:
        """What the critic lowers; `real` holds the batch's faces and more."""
        a, critic = batch.pixels, self.critic
        change, made = batch.labels.roll(1, 0) - batch.labels, self.made.detach()
        low = self.share < 0.5
        aim = torch.where(low, self.share, 1 - self.share)
        end = torch.where(low, critic.interpolated(self.own.detach()), critic.interpolated(made))
        part = critic.interpolated(self.part.detach()).float()
        with torch.autocast(a.device.type, enabled=False):
            middle = between(a, made)
            penalty = 150 * (slope(critic.real(middle), middle) - 1).square().mean()
        return {
            **self.warm_terms(real),
            "real": (critic.real(real.pixels).float() - 1).square().mean(),
            "made": critic.real(made).float().square().mean(),
            "unlike": critic.matches(a, made, change).float().square().mean(),
            "part": (part - aim).square().mean() + end.float().square().mean(),
            "penalty": penalty,
        }


def orthogonality(net: nn.Module) -> Tensor:
    """How far the filters at each place of a kernel are from orthogonal: the squared off-diagonal of WᵀW, summed."""
    return total(_skew(p) for p in net.parameters() if p.ndim == 4 and p.shape[-1] > 1)


def _skew(weight: Tensor) -> Tensor:
    rows = weight.permute(2, 3, 0, 1).flatten(0, 1)
    gram = rows.transpose(1, 2) @ rows
    return (gram - torch.diag_embed(gram.diagonal(dim1=1, dim2=2))).square().sum()
