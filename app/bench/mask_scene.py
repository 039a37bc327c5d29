"""The faces on which ErasableMask and its baselines are compared, what each makes of them, and who judges it.

Everybody is led to one target and asked for the attributes of the next face in the list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from app import gallery
from app.bench.pixels import eight_bit
from app.runtime import Runtime
from engines import distort, manipulate
from engines.face import CELEBA128, retarget
from engines.manipulate import signed, unsigned
from engines.methods.erasable_mask import TARGETS, ErasableMask, ErasableMaskParams, masks
from engines.nets.attributes import NAMES
from engines.nets.erasable_mask import ATTRIBUTES
from engines.recognise import Recogniser
from engines.train import mask_baselines as baselines
from engines.train.adv_faces import trained
from engines.train.celeba import Celeba
from engines.train.victims import victim

BATCH = 25
Mask = Callable[[Tensor, Tensor, Tensor], Tensor]  # faces, their attributes, what is asked -> masked faces


def _noise(photo: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(distort.SEED)
    return distort.in_bands(photo, lambda band: distort.noise(band, 0.003, generator))


def turned(photo: Tensor) -> Tensor:
    """By an angle from -30 to 30 degrees, drawn by the picture itself."""
    angle = float(np.random.default_rng(int(photo.long().sum())).uniform(-30, 30))
    return distort.in_bands(photo, lambda band: distort.rotate(band, angle), halo=photo.shape[-2])


def cropped(photo: Tensor) -> Tensor:
    """The middle 7/8 of each side, the paper's 224 of 256, enlarged to the size before."""
    size = photo.shape[-2:]
    inner = distort.crop(photo.float() / 255, 7 / 8)
    large = F.interpolate(inner, size=size, mode="bilinear", align_corners=False)
    return (large * 255).round().clamp(0, 255).byte()


CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "JPEG 50": lambda photo: distort.real_jpeg(photo, 50),
    "Noise 0.003": _noise,
    "Resize 1/2": lambda photo: distort.resize(photo, 0.5),
    "Median 5": lambda photo: distort.in_bands(photo, lambda band: distort.median(band, 5), halo=5),
    "Rotate ±30°": turned,
    "Crop 7/8": cropped,
}


@dataclass(frozen=True)
class Faces:
    """`pixels` (N, 3, 128, 128) in [0, 1]; `own` and `wanted` (N, 13), 0 or 1."""

    pixels: Tensor
    own: Tensor
    wanted: Tensor


def celeba(folder: Path, count: int) -> Faces:
    """CelebA faces of people whom nothing was trained on, with their annotated attributes."""
    test = Celeba.read(folder, "test", count)
    own = torch.from_numpy(test.labels(ATTRIBUTES).astype(np.float32))
    return Faces(test.pixels(np.arange(len(test)), CELEBA128.size), own, own.roll(1, 0))


class Bench:
    """Faces, judges and a target, once for all methods. `loose`: each judge's threshold at FAR 10 %, τ2 of Eq. 18."""

    def __init__(
        self, runtime: Runtime, faces: Faces, target: str, judges: Sequence[Recogniser], loose: dict[str, float]
    ):
        self.runtime, self.faces, self.target, self.judges, self.loose = runtime, faces, target, judges, loose
        person = gallery.person(runtime, target)
        self.aims = {one.card.id: one.embed(person.crop(one).pixels)[0].clone() for one in judges}
        self.own = {one.card.id: self._seen(one, faces.pixels) for one in judges}

    def _seen(self, judge: Recogniser, pixels: Tensor) -> Tensor:
        with torch.inference_mode():
            return torch.cat([judge.embed(retarget(p, CELEBA128, judge.template)) for p in pixels.split(BATCH)])

    def each(self, make: Mask) -> Tensor:
        """All faces masked, as 8-bit files keep them."""
        parts = (self.faces.pixels.split(BATCH), self.faces.own.split(BATCH), self.faces.wanted.split(BATCH))
        return torch.cat([eight_bit(make(*part)) for part in zip(*parts, strict=True)])

    def attacked(self, pixels: Tensor) -> dict[str, float]:
        """ASR of Eq. 17: the share that a judge takes for the target at FAR 1 %."""
        return {f"ASR {id}": float((c >= t[0.01]).float().mean()) for id, c, t in self._to_target(pixels)}

    def freed(self, pixels: Tensor) -> dict[str, float]:
        """ESR of Eq. 18: the share that a judge does not take for the target, even at FAR 10 %; and who is known."""
        out = {f"ESR {id}": float((c < self.loose[id]).float().mean()) for id, c, _ in self._to_target(pixels)}
        for judge in self.judges:
            cosines = (self.own[judge.card.id] * self._seen(judge, pixels)).sum(1)
            out[f"known {judge.card.id}"] = float((cosines >= judge.thresholds[0.01]).float().mean())
        return out

    def _to_target(self, pixels: Tensor) -> list[tuple[str, Tensor, dict[float, float]]]:
        return [(j.card.id, self._seen(j, pixels) @ self.aims[j.card.id], j.thresholds) for j in self.judges]

    def shows(self, pixels: Tensor) -> dict[str, float]:
        """The share of attributes that the classifier sees as they were asked for: of all, and of those to change."""
        odds = torch.cat([manipulate.attributes(part) for part in pixels.split(BATCH)])
        found = (odds[:, [NAMES.index(name) for name in ATTRIBUTES]] > 0.5).float()
        right = (found == self.faces.wanted).float()
        asked = self.faces.own != self.faces.wanted
        return {"attributes": float(right.mean()), "changed attributes": float(right[asked].mean())}

    def masked(self, beta: float | None = None, gamma: float | None = None) -> Mask:
        """ErasableMask at these weights, or at the usual ones."""
        net = masks(ErasableMask.checkpoint, "cpu")[TARGETS[self.target]]
        usual = ErasableMaskParams()
        mix = (usual.beta if beta is None else beta, usual.gamma if gamma is None else gamma)

        @torch.inference_mode()
        def make(pixels: Tensor, own: Tensor, wanted: Tensor) -> Tensor:
            return unsigned(net(net.clean(signed(pixels), wanted), *mix)).clone()

        return make

    def erased(self, pixels: Tensor) -> Tensor:
        """What the restorer makes of masked files."""
        return torch.cat([eight_bit(ErasableMask().erase(part, self.target)) for part in pixels.split(BATCH)])

    def ways(self, surrogates: Sequence[Recogniser], adv_faces: Path | None = None) -> dict[str, Mask]:
        """How each method masks faces, by its name; AdvFaces where a training of it lies in a folder."""
        net = masks(ErasableMask.checkpoint, "cpu")[TARGETS[self.target]]
        face = gallery.person(self.runtime, self.target).crop(ErasableMask).pixels
        found = [victim(one, face, CELEBA128) for one in surrogates]
        poses = [baselines.posed(one, face) for one in found]
        seen = manipulate.classifier("attributes")
        target = seen(face)[0].detach()
        made: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
            "Clean": lambda pixels, own, wanted: signed(pixels),
            "Attributes modified": lambda pixels, own, wanted: net.clean(signed(pixels), wanted).edited,
            "FGSM": lambda pixels, own, wanted: baselines.fgsm(found, signed(pixels)),
            "PGD": lambda pixels, own, wanted: baselines.pgd_towards(found, signed(pixels)),
            "GMAA, in its style": lambda pixels, own, wanted: baselines.gmaa(found, poses, signed(pixels)),
            "Sibling-Attack, in its style": lambda pixels, own, wanted: baselines.sibling(
                found, seen, target, signed(pixels)
            ),
            "SemanticAdv, in its style": lambda pixels, own, wanted: baselines.semantic_adv(
                found, net.generator, signed(pixels), own, wanted
            ),
        }
        if adv_faces is not None:
            perturbed = trained(adv_faces)
            made["AdvFaces, in its style"] = lambda pixels, own, wanted: perturbed(signed(pixels))
        return {name: _unsigned(way) for name, way in made.items()} | {"ErasableMask": self.masked()}


def _unsigned(way: Mask) -> Mask:
    return lambda pixels, own, wanted: unsigned(way(pixels, own, wanted).detach())
