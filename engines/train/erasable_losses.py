"""ErasableMask's losses (Shen et al., Eq. 3 to 16) and its meta-auxiliary attack (Algorithm 1).

Pixels are (N, 3, S, S) in [-1, 1]. Every loss is a mean over faces and values, so that it means the same at any size;
a 2-norm becomes the root of a mean square, and so does σ1, 30 at the paper's 256 x 256.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from engines.manipulate import unsigned
from engines.nets.erasable_mask import Clean, ErasableMask, Weight
from engines.train.dip_objective import step
from engines.train.victims import Victim

SIGMA = 30 / (3 * 256 * 256) ** 0.5  # σ1 of Eq. 8


@dataclass(frozen=True)
class Weights:
    """λ of Eq. 14 and 15, the paper's."""

    attributes: float = 10.0
    reconstruction: float = 150.0
    generator: float = 1.0
    adversarial: float = 200.0
    erasion: float = 150.0
    perturbation: float = 1.0


@dataclass(frozen=True)
class Attack:
    """L_adv of Eq. 12, the victims' own losses by their numbers, without a graph, and x_adv."""

    loss: Tensor
    losses: dict[int, Tensor]
    masked: Tensor


def fooled(logits: Tensor) -> Tensor:
    """L_G of Eq. 3: -log D_G(x_adv)."""
    return F.softplus(-logits.float()).mean()


def told_apart(real: Tensor, made: Tensor) -> Tensor:
    """L_D of Eq. 3: -log D_G(x_cov) - log(1 - D_G(x_adv)), from logits."""
    return F.softplus(-real.float()).mean() + F.softplus(made.float()).mean()


def shown(logits: Tensor, attributes: Tensor) -> Tensor:
    """L_att of Eq. 4, from logits (N, 13)."""
    return F.binary_cross_entropy_with_logits(logits.float(), attributes)


def root(difference: Tensor) -> Tensor:
    """The root of each picture's mean square, (N,)."""
    return difference.square().flatten(1).mean(1).clamp_min(1e-12).sqrt()


def beyond(masked: Tensor, edited: Tensor) -> Tensor:
    """L_perb of Eq. 8, on the paper's scale, where σ1 is 30."""
    return root(masked - edited).clamp_min(SIGMA).mean() * 30 / SIGMA


def remains(erased: Tensor, pixels: Tensor) -> Tensor:
    """L_era of Eq. 13."""
    return root(erased - pixels).mean()


def forgotten(victims: Sequence[Victim], erased: Tensor, pixels: Tensor, where: Tensor) -> Tensor:
    """How far victims see the erased face from the photo, both (N, 3, S, S) in [0, 1]: the mean of 1 - cos.

    The paper has no such loss: its restorer has learned for tens of thousands of steps.
    """
    with torch.no_grad():
        own = [victim.embed(pixels, where) for victim in victims]
    seen = [victim.embed(erased, where) for victim in victims]
    return torch.stack([1 - (one * two).sum(1).mean() for one, two in zip(own, seen, strict=True)]).mean()


def missed(victim: Victim, faces: Tensor, where: Tensor) -> Tensor:
    """Eq. 9 for faces in [0, 1]: 1 - cos towards the target."""
    return 1 - (victim.embed(faces, where) @ victim.target).mean()


def balance(last: Tensor, before: Tensor) -> Tensor:
    """w_i of Eq. 11 from the victims' mean losses (K,) in the last two epochs: (K,)."""
    return (last / before).softmax(0).exp()


@dataclass(frozen=True)
class Scene:
    """What an attack meets: the victims, where a detector cuts, and what happens to the picture before."""

    victims: Sequence[Victim]
    where: Tensor
    pool: Callable[[Tensor], Tensor]

    def missed(self, i: int, seen: Tensor) -> Tensor:
        """Eq. 9 for one victim and faces that came through the pool."""
        return missed(self.victims[i], seen, self.where)


def ensemble(net: ErasableMask, clean: Clean, mix: tuple[Weight, Weight], scene: Scene, floor: float) -> Attack:
    """The plain ensemble (Table VII, without the meta-auxiliary attack): the mean of Eq. 9 over all victims."""
    masked = net(clean, *mix)
    seen = scene.pool(unsigned(masked))
    losses = [scene.missed(i, seen) for i in range(len(scene.victims))]
    return Attack(torch.stack(losses).mean().clamp_min(floor), _plain(losses, range(len(losses))), masked)


def meta_auxiliary(
    net: ErasableMask,
    clean: Clean,
    mix: tuple[Weight, Weight],
    scene: Scene,
    primaries: Sequence[int],
    weights: Tensor,
    rate: float,
    floor: float,
) -> Attack:
    """Lines 4 to 13 of Algorithm 1: each of `primaries` in turn is the primary task, all others its auxiliaries.

    `weights` (K,) are w_i of Eq. 11, `rate` is the inner step of Eq. 10, `floor` is ε of Eq. 12. The inner step keeps
    its graph, so that what moves E_adv sees through it: second order.
    """
    parameters = {f"adversary.{name}": value for name, value in net.adversary.named_parameters()}
    masked = net(clean, *mix)
    seen, sums, losses = scene.pool(unsigned(masked)), [], []
    for p in primaries:
        primary = scene.missed(p, seen)
        moved = step(primary, parameters, rate)  # θ'_E
        again = scene.pool(unsigned(functional_call(net, dict(moved), (clean, *mix))))
        others = [weights[q] * scene.missed(q, again) for q in range(len(scene.victims)) if q != p]
        sums.append(primary + torch.stack(others).mean())  # Eq. 9 and 10
        losses.append(primary)
    total = torch.stack(sums).mean() / 2
    return Attack(total.clamp_min(floor), _plain(losses, primaries), masked)


def _plain(losses: Sequence[Tensor], numbers: Sequence[int]) -> dict[int, Tensor]:
    return {number: loss.detach() for number, loss in zip(numbers, losses, strict=True)}
