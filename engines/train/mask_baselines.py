"""What ErasableMask is compared with and that needs no training: each leads faces towards the victims' target.

Faces are (N, 3, S, S) in [-1, 1], cut as the victims expect them; all of it is done at the paper's 4/255 where there
is a ball. In the style of each paper: losses and update as it has them, the settings ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from engines.manipulate import unsigned
from engines.nets.erasable_mask import Coder, mixed
from engines.train.erasable_losses import missed
from engines.train.pgd import pgd
from engines.train.victims import Victim, off, still

EPSILON, STEPS = 2 * 4 / 255, 20  # 4/255 of [0, 1]
POSES = 8  # of the target, for GMAA
SIBLING = 0.3  # the share of the attribute task


def _towards(victims: Sequence[Victim]) -> Callable[[Tensor], Tensor]:
    return lambda pixels: -torch.stack([missed(victim, unsigned(pixels), still()) for victim in victims]).mean()


def fgsm(victims: Sequence[Victim], pixels: Tensor) -> Tensor:
    """Goodfellow et al., 2015: one step of ε."""
    return pixels + pgd(_towards(victims), pixels, torch.Generator(), EPSILON, EPSILON, 1, spread=0)


def pgd_towards(victims: Sequence[Victim], pixels: Tensor, seed: int = 0) -> Tensor:
    """Madry et al., 2018: STEPS steps from a random start."""
    return pixels + pgd(_towards(victims), pixels, torch.Generator().manual_seed(seed), EPSILON, EPSILON / 8, STEPS)


def gmaa(victims: Sequence[Victim], poses: Sequence[Tensor], pixels: Tensor, seed: int = 0) -> Tensor:
    """GMAA (Li et al., CVPR 2023): towards the mean of the target in many poses instead of one picture of it.

    `poses`: for each victim the target's rows (K, D). Simplified: the paper generates expressions; here poses are
    cuts as other detections would make them, and their mirror images.
    """
    rows = [F.normalize(seen.mean(0), dim=0) for seen in poses]
    moved = [Victim(victim.name, victim.embed, row) for victim, row in zip(victims, rows, strict=True)]
    return pgd_towards(moved, pixels, seed)


def posed(victim: Victim, target: Tensor) -> Tensor:
    """A target's face (1, 3, S, S) in [0, 1], cut as the victim's faces are, in its poses: (2 POSES, D)."""
    cuts = [off(torch.Generator().manual_seed(k), target.shape[-1]) for k in range(POSES)]
    with torch.no_grad():
        return torch.cat([victim.embed(face, cut) for cut in cuts for face in (target, target.flip(-1))])


def sibling(
    victims: Sequence[Victim],
    attributes: Callable[[Tensor], Tensor],
    target: Tensor,
    pixels: Tensor,
    seed: int = 0,
) -> Tensor:
    """Sibling-Attack (Li et al., CVPR 2023): an attribute recogniser is led to the target's attributes beside them.

    `attributes` gives logits (N, A) of faces in [0, 1], `target` (A,) are those of the target's face. Simplified:
    both tasks in one gradient, where the paper takes turns and searches a step for each.
    """
    identity = _towards(victims)

    def distance(moved: Tensor) -> Tensor:
        alike = F.cosine_similarity(attributes(unsigned(moved)), target[None]).mean()
        return (1 - SIBLING) * identity(moved) + SIBLING * alike

    return pixels + pgd(distance, pixels, torch.Generator().manual_seed(seed), EPSILON, EPSILON / 8, STEPS)


def semantic_adv(
    victims: Sequence[Victim], coder: Coder, pixels: Tensor, own: Tensor, wanted: Tensor, rate: float = 0.05
) -> Tensor:
    """SemanticAdv (Qiu et al., ECCV 2020): the feature maps of two attributes are mixed, place by place, towards the
    target. `own` and `wanted` (N, 13) are the two; the share of each place stays in [0, 1].
    """
    with torch.no_grad():
        found = coder.encoder(pixels)
        first, second = (coder.decoder(found, labels)[0] for labels in (own, wanted))
    share = torch.full_like(first, 0.5).requires_grad_()
    skips, optimiser = coder.decoder.skips(found, own), torch.optim.Adam([share], lr=rate)

    def made() -> Tensor:
        maps = mixed(first, second, share)
        for i, skip in enumerate(skips[1:], start=1):
            maps = coder.decoder.step(i, maps, skip)
        return pixels + maps

    for _ in range(STEPS):
        optimiser.zero_grad()
        (-_towards(victims)(made())).backward()
        optimiser.step()
        with torch.no_grad():
            share.clamp_(0, 1)
    return made().detach()
