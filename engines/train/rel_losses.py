"""RelGAN's losses, as its paper has them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.edits import LABELS
from engines.nets import relgan
from engines.train import processes
from engines.train.forger_terms import MOST, Batch, Terms, any_faces, between, slope, started, total
from engines.train.star_losses import TAUGHT


class Taught(relgan.RelDiscriminator):
    """RelGAN's critic with one head more, which names attributes; only a training needs it."""

    def __init__(self, labels: int, width: int, hidden: int):
        super().__init__(labels, width, hidden=hidden, most=MOST)
        self.names = nn.Conv2d(self.conv_adv.in_channels, labels, 1)

    def attributes(self, maps: Tensor) -> Tensor:
        """Logits (N, L)."""
        return self.names(maps).mean((2, 3))


class Rel:
    """RelGAN's losses: least squares, matching of the change, interpolation 1, cycle and self 10, orthogonality.

    Unlike in the paper, the critic also names attributes, which counts TAUGHT times, and the generator is asked for
    them by name, as StarGAN's is: after 400 steps of matching alone the sum of its two terms was 0.78, with three
    times the rate 0.74, where a constant gives 0.80.
    """

    names = LABELS

    def __init__(self, id: str, size: int, width: int):
        self.generator: Any = own_statistics(relgan.RelGan(len(LABELS), width))
        self.critic: Any = started(Taught(len(LABELS), 24, hidden=256))

    def draw(self, labels: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, int]]:
        """Which faces a step shows, and what is asked of all of them."""
        return any_faces(labels, count, rng)

    def wanted(self, batch: Batch) -> Tensor:
        """The labels (N, 5) that the forgeries shall show: another face's."""
        return processes.another(batch.labels)

    def generator_terms(self, batch: Batch) -> Terms:
        """What the generator lowers."""
        a, change, critic = batch.pixels, self.wanted(batch) - batch.labels, self.critic
        share = processes.drawn(torch.rand, len(a), 1, device=a.device)
        made, own = self.generator(a, change), self.generator(a, torch.zeros_like(change))
        part = self.generator(a, share * change)
        self.made, self.own, self.part, self.share = made, own, part, share
        maps = critic.convs(made)
        return {
            "real": (critic.real(maps).float() - 1).square().mean(),
            "match": (critic.matches(critic.convs(a), maps, change).float() - 1).square().mean(),
            "class": self._named(maps, self.wanted(batch)),
            "part": critic.interpolated(critic.convs(part)).float().square().mean(),
            "back": 10 * (self.generator(made, -change) - a).abs().mean(),
            "own": 10 * (own - a).abs().mean(),
            "orthogonal": 1e-4 * orthogonality(self.generator),
        }

    def warm_terms(self, batch: Batch) -> Terms:
        """What the critic lowers before anything is forged."""
        return self._taught(self.critic.convs(batch.pixels), batch.labels)

    def _taught(self, a: Tensor, labels: Tensor) -> Terms:
        """From maps of real faces: true pairs score 1, four kinds of wrong ones 0; and the names of attributes."""
        b, c = (a.roll(k, 0) for k in (1, 2))
        to_b, to_c = (labels.roll(k, 0) - labels for k in (1, 2))
        wrong = [(c, b, to_b), (a, c, to_b), (a, b, to_c), (a, b, to_b - to_c)]
        return {
            "match": (self.critic.matches(a, b, to_b).float() - 1).square().mean(),
            "wrong": total(self.critic.matches(*pair).float().square().mean() for pair in wrong),
            "class": TAUGHT * self._named(a, labels),
        }

    def _named(self, maps: Tensor, labels: Tensor) -> Tensor:
        found = self.critic.attributes(maps).float()
        return F.binary_cross_entropy_with_logits(found, labels, reduction="sum") / len(labels)

    def first_terms(self, batch: Batch) -> Terms:
        """What the generator lowers before it forges: no change gives the face back."""
        return {"own": 10 * (self.generator(batch.pixels, 0 * batch.labels) - batch.pixels).abs().mean()}

    def critic_terms(self, batch: Batch, real: Batch) -> Terms:
        """What the critic lowers; `real` holds the batch's faces and more."""
        critic, change = self.critic, self.wanted(batch) - batch.labels
        maps, made = critic.convs(real.pixels), critic.convs(self.made.detach())
        low = self.share < 0.5
        aim = torch.where(low, self.share, 1 - self.share)
        own = critic.convs(self.own.detach())
        end = torch.where(low, critic.interpolated(own), critic.interpolated(made))
        part = critic.interpolated(critic.convs(self.part.detach())).float()
        with torch.autocast(change.device.type, enabled=False):
            middle = between(batch.pixels, self.made)
            penalty = 150 * (slope(critic.real(critic.convs(middle)), middle) - 1).square().mean()
        return {
            **self._taught(maps, real.labels),
            "real": (critic.real(maps).float() - 1).square().mean(),
            "made": critic.real(made).float().square().mean(),
            "unlike": critic.matches(maps[: len(made)], made, change).float().square().mean(),
            "part": (part - aim).square().mean() + end.float().square().mean(),
            "penalty": penalty,
        }


def own_statistics(net: nn.Module, share: float = 0.9) -> nn.Module:
    """Let every SwitchNorm start with so much of each picture's own statistics; training moves it from there.

    From equal shares none of them had left 0.27 to 0.38 after 1,500 steps.
    """
    own = torch.tensor([share, (1 - share) / 2, (1 - share) / 2]).log()
    for layer in net.modules():
        if isinstance(layer, relgan.SwitchNorm2d):
            layer.mean_weight.data, layer.var_weight.data = own.clone(), own.clone()
    return net


def orthogonality(net: nn.Module) -> Tensor:
    """How far the filters at each place of a kernel are from orthogonal: the squared off-diagonal of WᵀW, summed."""
    return total(_skew(p) for p in net.parameters() if p.ndim == 4 and p.shape[-1] > 1)


def _skew(weight: Tensor) -> Tensor:
    rows = weight.permute(2, 3, 0, 1).flatten(0, 1)
    gram = rows.transpose(1, 2) @ rows
    return (gram - torch.diag_embed(gram.diagonal(dim1=1, dim2=2))).square().sum()
