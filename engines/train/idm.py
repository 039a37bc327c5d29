"""ID-Guard's Identity Destruction Module (Sec. III-B): how far a forgery is from that of the unprotected face.

Pictures are (N, 3, S, S) in [-1, 1], masks (N, 1, S, S) in [0, 1]. The paper's 2-norms are taken over the mask: the
root of the mean squared difference, of features in units of their own root mean square, so that no forger counts
more because its maps are larger. (Mean squares without the root, tried with PGD on six faces, moved AttentionGAN's
and Fixed-Point GAN's forgeries less: what is hardly disrupted yet then has hardly a slope beside the cosine.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from engines import explain
from engines.face import CELEBA128, retarget, sample, similarity
from engines.manipulate import Forger, signed, unsigned
from engines.nets.parser import COMPONENTS, mask
from engines.recognise import Recogniser
from engines.train.half import half

SMALL = 1e-6


def again(rows: Tensor, count: int) -> Tensor:
    """All rows, and the first `count` of them once more."""
    return torch.cat([rows, rows[:count]])


@dataclass(frozen=True)
class Clean:
    """What a forger makes of unprotected faces: `forged`, its `features`, and whom each recogniser sees (N, D)."""

    forger: Forger
    edit: str
    labels: Tensor
    forged: Tensor
    features: Tensor
    rows: tuple[Tensor, ...]

    def again(self, count: int) -> Clean:
        """The same for all the faces, and for the first `count` of them once more."""
        labels, forged, features = (again(one, count) for one in (self.labels, self.forged, self.features))
        return Clean(self.forger, self.edit, labels, forged, features, tuple(again(row, count) for row in self.rows))


@dataclass(frozen=True)
class Terms:
    """The four parts of a forger's loss, each a scalar; `total` is Eq. 9 with the signs that its text means."""

    parts: Tensor  # L^mask_bin, Eq. 5
    heat: Tensor  # L^mask_hm, Eq. 6
    identity: Tensor  # L^ID, Eq. 7: a cosine
    features: Tensor  # L^feat, Eq. 8

    @property
    def total(self) -> Tensor:
        """To be lowered: the cosine falls, the differences grow."""
        return self.identity - self.parts - self.heat - self.features


def apart(one: Tensor, two: Tensor, where: Tensor) -> Tensor:
    """The root mean square of the difference over a mask, averaged over the faces; all broadcast to (N, C, H, W)."""
    weight = where.expand_as(one)
    squares = (weight * (one - two).square()).flatten(1).sum(1).div(weight.flatten(1).sum(1).clamp_min(1e-6))
    return ((squares + SMALL).sqrt() - SMALL**0.5).mean()  # a root has no slope at nothing


def identities(members: Sequence[Recogniser], pixels: Tensor) -> tuple[Tensor, ...]:
    """What each recogniser sees in pictures in [-1, 1] cut as CELEBA128: unit rows (N, D) each; differentiable."""
    faces = unsigned(pixels)
    return tuple(member.embed(retarget(faces, CELEBA128, member.template)) for member in members)


@torch.no_grad()
def clean(forger: Forger, edit: str, labels: Tensor, pixels: Tensor, members: Sequence[Recogniser]) -> Clean:
    """The forgery of unprotected faces in [-1, 1], once for all that is compared with it."""
    forged, features = _forged(forger, edit, labels, pixels)
    return Clean(forger, edit, labels, forged, features, identities(members, forged))


def _forged(forger: Forger, edit: str, labels: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """The forgery in [-1, 1] and the maps on its way; in bfloat16 where that is quick."""
    with half(pixels.device.type):
        forged, maps = forger.through(unsigned(pixels), edit, labels)
    return signed(forged), maps.float()


@dataclass(frozen=True)
class Masks:
    """`parts`: eyes, nose, mouth and eyebrows; `heat`: where a recogniser looks, at most 1. Both (N, 1, S, S)."""

    parts: Tensor
    heat: Tensor


def masks(pixels: Tensor, parse: Callable[[Tensor], Tensor], member: Recogniser) -> Masks:
    """The masks of faces in [-1, 1]: the parser's components, and Grad-CAM towards each face's mirror image."""
    whole = unsigned(pixels)
    heat = torch.cat([_heat(member, one[None]) for one in retarget(whole, CELEBA128, member.template)])
    to_face = similarity(CELEBA128.tensor(), member.template.tensor())
    back = sample(heat[:, None], to_face, (CELEBA128.size, CELEBA128.size), padding="zeros")
    return Masks(mask(parse(whole), COMPONENTS), back / back.amax((1, 2, 3), keepdim=True).clamp_min(1e-12))


def _heat(member: Recogniser, face: Tensor) -> Tensor:
    with torch.no_grad():
        mirrored = member.embed(face.flip(-1))
    return explain.cosine_cam(member, face, mirrored)


def terms(before: Clean, pixels: Tensor, where: Masks, members: Sequence[Recogniser]) -> Terms:
    """The parts of a forger's loss for protected faces in [-1, 1], M_k(x + δ) against M_k(x); differentiable."""
    forged, features = _forged(before.forger, before.edit, before.labels, pixels)
    small = F.interpolate(where.parts, size=features.shape[-2:], mode="bilinear", align_corners=False)
    scale = before.features.square().mean().clamp_min(1e-12).sqrt()
    rows = identities(members, forged)
    cosines = [(one * two).sum(1).mean() for one, two in zip(before.rows, rows, strict=True)]
    return Terms(
        apart(before.forged, forged, where.parts),
        apart(before.forged, forged, where.heat),
        torch.stack(cosines).mean() if cosines else forged.new_zeros(()),
        apart(before.features, features, small) / scale,
    )
