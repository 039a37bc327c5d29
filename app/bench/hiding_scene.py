"""The faces on which IPMN and its baselines are compared, and what each makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from app.bench.pixels import eight_bit, processed
from app.lpips import lpips, there
from app.watermarks import watermark_of
from engines import distort, measure, mosaic
from engines.face import CELEBA128, retarget
from engines.imitate import Imitator
from engines.marks import blank, extracted, flower, nc
from engines.methods import ipmn
from engines.methods.ipmn import OTHER, OWN, Ipmn
from engines.nets.ipmn import Ipmn as Networks
from engines.recognise import Recogniser
from engines.train.celeba import Celeba
from engines.train.ipmn_masks import Swapped, made

BATCH = 25
CEILING = 99.0  # dB that equal pictures count as
MARKS = {"words": watermark_of("Larvatus"), "flower": flower(CELEBA128.size)}


def _noise(variance: float) -> Callable[[Tensor], Tensor]:
    def change(photo: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(distort.SEED)
        return distort.in_bands(photo, lambda band: distort.noise(band, variance, generator))

    return change


# Table 11's. The paper's standard deviation of 0.001 would hardly show in an 8-bit file: read as the variance.
ATTACKS: dict[str, Callable[[Tensor], Tensor]] = {
    "noise 0.001": _noise(0.001),
    "blur 7": lambda photo: distort.in_bands(photo, lambda band: distort.blur(band, 7), halo=7),
    "JPEG 30": lambda photo: distort.real_jpeg(photo, 30),
}
# What the paper does not show: what is left of the hidden face after what files meet.
CURVE: dict[str, Callable[[Tensor], Tensor]] = {
    **{f"JPEG {quality}": partial(distort.real_jpeg, quality=quality) for quality in (100, 95, 90, 70, 50)},
    **{f"resize {scale:g}": partial(distort.resize, scale=scale) for scale in (0.9, 0.75, 0.5)},
    **{f"noise {variance:g}": _noise(variance) for variance in (1e-6, 1e-5, 1e-4, 1e-3)},
}


class Pictures(NamedTuple):
    """What a method makes: its carrier x_wm, the masked face x_wmf, and x'_p and x'_wm taken from that file."""

    carrier: Tensor
    masked: Tensor
    face: Tensor
    back: Tensor


@dataclass(frozen=True)
class Faces:
    """x_p, x_m and x_r, each (N, 3, 128, 128) in [0, 1]."""

    protected: Tensor
    mask: Tensor
    replacing: Tensor


def celeba(folder: Path, count: int, seed: int = 0) -> Faces:
    """CelebA faces of people never trained on, each with another's face put on by the geometric swap."""
    test = Celeba.read(folder, "test")
    kept = made(test, count + count // 10, seed)  # some cannot be made out
    swaps = Swapped(test, kept["protected"].numpy(), kept["replacing"].numpy(), kept["masks"])
    return Faces(*swaps.take(np.arange(min(count, len(swaps))), CELEBA128.size))


def alike(one: Tensor, two: Tensor) -> dict[str, float]:
    """PSNR (dB), SSIM, and LPIPS where its network is there; means over pictures (N, 3, S, S)."""
    found = {"PSNR": measure.psnr(one, two).clamp_max(CEILING), "SSIM": measure.ssim(one, two)}
    figures = {name: float(values.mean()) for name, values in found.items()}
    return {**figures, **({"LPIPS": lpips(one, two)} if there() else {})}


class Bench:
    """Faces and judges, once for all methods."""

    def __init__(self, faces: Faces, judges: Sequence[Recogniser]):
        self.faces, self.judges, self.method = faces, judges, Ipmn()
        self.own = {judge.card.id: self._seen(judge, faces.protected) for judge in judges}

    def _seen(self, judge: Recogniser, pixels: Tensor) -> Tensor:
        with torch.inference_mode():
            return torch.cat([judge.embed(retarget(p, CELEBA128, judge.template)) for p in pixels.split(BATCH)])

    @torch.inference_mode()
    def served(self, mark: Tensor) -> Pictures:
        """IPMN with a watermark (1, 3, 128, 128), from file to file."""
        return self.put_on(lambda net, mask: net.marked(mask, mark.expand_as(mask)), OWN)

    @torch.inference_mode()
    def unmarked(self) -> Pictures:
        """IMN: the mask carries nothing."""
        return self.put_on(lambda net, mask: mask, OTHER)

    def put_on(self, carrier: Callable[[Networks, Tensor], Tensor], restorer: str) -> Pictures:
        """A carrier, the face put on by the network that `restorer` names, and taken off by it from the file."""
        net = ipmn.networks(Ipmn.checkpoint, "cpu")
        hide = ipmn.invertibles(Ipmn.checkpoint if restorer == OWN else f"{Ipmn.checkpoint}-imn", "cpu")
        parts = []
        for face, mask in zip(self.faces.protected.split(BATCH), self.faces.mask.split(BATCH), strict=True):
            carried = eight_bit(carrier(net, mask))
            masked = eight_bit(hide(face, carried)[0])
            back = self.method.restore(masked, restorer)
            parts.append((carried, masked, back.face, back.carrier))
        return Pictures(*(torch.cat(part) for part in zip(*parts, strict=True)))

    @torch.inference_mode()
    def marked_late(self, mark: Tensor) -> Pictures:
        """The watermark in the masked face instead of the mask (Tables 5 and 6), by networks trained for the mask."""
        net, plain = ipmn.networks(Ipmn.checkpoint, "cpu"), self.unmarked()
        masked = torch.cat([eight_bit(net.marked(p, mark.expand_as(p))) for p in plain.masked.split(BATCH)])
        back = [self.method.restore(part, OTHER) for part in masked.split(BATCH)]
        faces, carriers = (torch.cat([getattr(one, name) for one in back]) for name in ("face", "carrier"))
        return Pictures(plain.carrier, masked, faces, carriers)

    def mosaics(self) -> Pictures:
        """The reversible mosaic, from file to file."""
        masked = torch.cat([mosaic.mosaic(one) for one in self.faces.protected.split(1)])
        back = torch.cat([mosaic.restored(one) for one in masked.split(1)])
        return Pictures(masked, masked, back, masked)

    def imitated(self, one: Imitator) -> Tensor:
        """x_sm: what an imitator draws of the same faces."""
        parts = zip(self.faces.protected.split(BATCH), self.faces.replacing.split(BATCH), strict=True)
        return torch.cat([one.imitate(*part) for part in parts])

    def restored(self, masked: Tensor, restorer: str = OWN) -> Tensor:
        """What comes back from pictures that were changed, or never masked."""
        return torch.cat([self.method.restore(part, restorer).face for part in masked.split(BATCH)])

    def read(self, pictures: Tensor, mark: Tensor) -> dict[str, float]:
        """NC and SR_E of what R reads, against the watermark that should be there."""
        found = torch.cat([self.method.watermark(part) for part in pictures.split(BATCH)])
        right = mark.expand_as(found)
        return {"NC": float(nc(found, right).mean()), "SR_E": float(extracted(found, right).float().mean())}

    def blank(self, pictures: Tensor) -> float:
        """The share of pictures in which R reads nothing."""
        found = torch.cat([self.method.watermark(part) for part in pictures.split(BATCH)])
        return float(blank(found).float().mean())

    def hidden_from(self, pictures: Tensor) -> dict[str, float]:
        """SR_P: the share of faces that each judge no longer takes for the person, at FAR 1 %."""
        out = {}
        for judge in self.judges:
            cosines = (self.own[judge.card.id] * self._seen(judge, pictures)).sum(1)
            out[f"SR_P {judge.card.id}"] = float((cosines < judge.thresholds[0.01]).float().mean())
        return out


def after(pictures: Tensor, changes: Mapping[str, Callable[[Tensor], Tensor]]) -> dict[str, Tensor]:
    """The pictures after each change, as files keep them."""
    return {name: processed(pictures, change) for name, change in changes.items()}
