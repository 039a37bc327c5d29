"""The faces on which ID-Guard and its baselines are compared, what each makes of them, and who judges the forgeries.

Each face gets one edit of each forger, its edits in turn. The clean forgeries are made once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from skimage.restoration import inpaint_biharmonic
from torch import Tensor, nn

from app.bench.dip_scene import sample
from app.bench.lfw import crops
from app.bench.pixels import eight_bit
from app.bundle import training
from engines import manipulate
from engines.edits import LABELS
from engines.face import CELEBA128, retarget
from engines.face import sample as read_at
from engines.manipulate import Forger, signed, unsigned
from engines.measure import defended, l2_face
from engines.method import Scene, run
from engines.methods.id_guard import STRATEGIES, IdGuard, generator_of
from engines.nets.parser import COMPONENTS, FACE, mask
from engines.parse import parts
from engines.recognise import Recogniser
from engines.train.celeba import Celeba
from engines.train.disrupt import disrupting

BATCH = 20
BASELINES = ("PG", "IAP", "CMUA")  # trainings, each in a folder of its name
Protect = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Faces:
    """`pixels` (N, 3, 128, 128) in [0, 1], cut as CELEBA128, and their `labels` (N, 5) of LABELS."""

    name: str
    pixels: Tensor
    labels: Tensor


def celeba(folder: Path, count: int) -> Faces:
    """CelebA faces of people whom nothing was trained on, with their annotated labels."""
    test = Celeba.read(folder, "test", count)
    labels = torch.from_numpy(test.labels(LABELS).astype(np.float32))
    return Faces("CelebA", test.pixels(np.arange(len(test)), CELEBA128.size), labels)


def lfw(folder: Path, count: int, seed: int) -> Faces:
    """LFW faces, one of each identity, with the labels that the attribute classifier reads."""
    pixels = crops(sample(folder, count, seed), CELEBA128)
    return Faces("LFW", pixels, torch.cat([manipulate.shown(part) for part in pixels.split(BATCH)]))


def cut_off(pixels: Tensor) -> Tensor:
    """Crops (N, 3, S, S) as if the face had been cut half a pixel to the side and down: what every new cut may do."""
    half = torch.tensor([[1.0, 0, 0.5], [0, 1, 0.5]])
    return eight_bit(read_at(pixels, half, (pixels.shape[-2], pixels.shape[-1])))


def protections(baselines: Path | None = None) -> dict[str, Protect]:
    """How a batch of faces and labels is protected, by method, as 8-bit pixels in [0, 1].

    PG, IAP and CMUA come from the trainings in `baselines`. Raises CheckpointError where one is missing.
    """
    found: dict[str, Protect] = {"unprotected": lambda pixels, labels: pixels}
    target = manipulate.forger("stargan")
    found["Disrupting"] = lambda pixels, labels: _added(pixels, disrupting(target, labels, signed(pixels)))
    for name in BASELINES if baselines else ():
        found[name] = _by(generator_of(training(baselines / name)[0]).eval())
    for strategy in (*STRATEGIES, "P-Pert"):
        found[f"ID-Guard ({strategy})"] = lambda pixels, labels, strategy=strategy: _guarded(pixels, strategy)  # type: ignore[misc]
    return found


def _by(net: nn.Module) -> Protect:
    return lambda pixels, labels: _added(pixels, net(signed(pixels)))


def _added(pixels: Tensor, delta: Tensor) -> Tensor:
    return eight_bit(unsigned((signed(pixels) + delta.detach()).clamp(-1, 1)))


def _guarded(pixels: Tensor, strategy: str) -> Tensor:
    *_, last = run(IdGuard(), pixels, {"strategy": strategy}, Scene())
    return eight_bit(last.pixels)


class Bench:
    """Faces with their clean forgeries, and what differs in the forgeries of protected ones."""

    def __init__(self, faces: Faces, forgers: Sequence[Forger], judge: Recogniser, others: Sequence[Recogniser]):
        self.faces, self.forgers, self.judge, self.others = faces, forgers, judge, others
        shown = torch.cat([parts(part) for part in faces.pixels.split(BATCH)])
        self.face, self.components = mask(shown, FACE), mask(shown, COMPONENTS)
        self.own = {one.card.id: self._seen(one, faces.pixels) for one in (judge, *others)}
        self.clean = {forger.card.id: self.forged(forger, faces.pixels) for forger in forgers}
        self.rows = {id: self._seen(judge, pixels) for id, pixels in self.clean.items()}

    def protected(self, protect: Protect) -> Tensor:
        """All faces, protected."""
        pairs = zip(self.faces.pixels.split(BATCH), self.faces.labels.split(BATCH), strict=True)
        return torch.cat([protect(pixels, labels) for pixels, labels in pairs])

    @torch.no_grad()
    def forged(self, forger: Forger, pixels: Tensor) -> Tensor:
        """What a forger makes of the first len(pixels) faces or of their protected versions, at 8 bits."""
        return eight_bit(manipulate.in_turn(forger, pixels, self.faces.labels, BATCH))

    def cut_off(self, count: int) -> Bench:
        """The first faces for a forger who cuts them out a little differently."""
        faces = replace(self.faces, pixels=cut_off(self.faces.pixels[:count]), labels=self.faces.labels[:count])
        return Bench(faces, self.forgers, self.judge, self.others)

    def compared(self, forger: Forger, forged: Tensor) -> dict[str, float]:
        """L2-face, ID similarity and DSR (Sec. IV-A4) of forgeries against the clean ones."""
        count, id = len(forged), forger.card.id
        distance = l2_face(self.clean[id][:count], forged, self.face[:count])
        similarity = (self.rows[id][:count] * self._seen(self.judge, forged)).sum(1)
        success = defended(distance, similarity).float()
        return {name: float(v.mean()) for name, v in (("L2", distance), ("ID sim", similarity), ("DSR", success))}

    def misled(self, forged: Tensor) -> dict[str, float]:
        """The share of forgeries that each judge no longer takes for the person, at FAR 1 %."""
        found = {}
        for one in (self.judge, *self.others):
            cosines = (self.own[one.card.id] * self._seen(one, forged)).sum(1)
            found[one.card.id] = float((cosines < one.thresholds[0.01]).float().mean())
        return found

    def _seen(self, judge: Recogniser, pixels: Tensor) -> Tensor:
        with torch.inference_mode():
            return torch.cat([judge.embed(retarget(p, CELEBA128, judge.template)) for p in pixels.split(BATCH)])


def telea(picture: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """OpenCV's fast-marching inpainting (Telea, 2004): uint8 (H, W, 3), booleans (H, W) -> uint8."""
    return cv2.inpaint(picture, hole.astype(np.uint8), 3, cv2.INPAINT_TELEA)


def biharmonic(picture: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """scikit-image's biharmonic inpainting (Damelin & Hoang, 2018): the same types."""
    return (inpaint_biharmonic(picture, hole, channel_axis=-1).clip(0, 1) * 255).round().astype(np.uint8)


INPAINTERS = {"OpenCV, Telea": telea, "scikit-image, biharmonic": biharmonic}


def repaired(forged: Tensor, holes: Tensor, inpaint: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Tensor:
    """Forgeries (N, 3, S, S) in [0, 1] whose `holes` (N, 1, S, S) a stranger has filled in anew."""
    arrays = (forged * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
    done = [inpaint(picture, hole) for picture, hole in zip(arrays, holes[:, 0].bool().numpy(), strict=True)]
    return torch.from_numpy(np.stack(done)).permute(0, 3, 1, 2).float() / 255
