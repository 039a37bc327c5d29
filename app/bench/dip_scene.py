"""The faces on which DIP-Watermark and its baselines are compared, what each makes of them, and who judges it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from app import gallery
from app.bench.lfw import crops
from app.bench.pixels import eight_bit
from app.bench.tip_im import exported, found_again
from app.runtime import Runtime
from engines import measure
from engines.checkpoints import checkpoint
from engines.face import ARCFACE112, Template, align, retarget
from engines.identity import LARGEST, decode, encode
from engines.method import Scene, run
from engines.methods import method as method_of
from engines.methods.dip_watermark import DipParams, DipWatermark, pair
from engines.recognise import Recogniser
from engines.train.datasets import LfwFace, lfw_faces

KEY, BATCH = "bench", 50
TRIED, NEAR = 24, 0.003  # faces on which ε is sought, and how near the mean SSIM must come
TARGETS = DipParams.model_fields["target"].annotation.__args__  # type: ignore[union-attr]
WATERMARKS = {"hidden": "HiDDeN", "fake-tagger": "FakeTagger"}  # ids of the baselines' checkpoints
ATTACKS = {"pgd": "PGD", "fgsm": "FGSM"}


@dataclass(frozen=True)
class Marked:
    """A method's crops (N, 3, 112, 112) at 8 bits, who reads them, and seconds a face."""

    name: str
    pixels: Tensor
    reader: Callable[[Tensor], Tensor] | None  # crops -> logits
    seconds: float


class Bench:
    """Faces, identities, targets and judges, once for all methods."""

    def __init__(self, folder: Path, faces: int, seed: int, judges: Sequence[str]):
        self.runtime, self.seed, self.faces = Runtime(), seed, sample(folder, faces, seed)
        self.pixels = crops(self.faces)
        numbers = random.Random(seed).choices(range(LARGEST + 1), k=len(self.faces))
        self.numbers, self.bits = numbers, torch.tensor([encode(n, KEY) for n in numbers])
        self.aim = torch.arange(len(self.faces)) % len(TARGETS)
        self.targets = torch.cat([gallery.person(self.runtime, n).crop(DipWatermark).pixels for n in TARGETS])
        self.judges = [self.runtime.recogniser(id) for id in judges]
        trained = checkpoint(DipWatermark.checkpoint).trained_against
        self.surrogates = [self.runtime.recogniser(id) for id in trained]
        self._seen: dict[str, tuple[Tensor, Tensor]] = {}

    def marked(self) -> Marked:
        """DIP-Watermark itself."""
        method, start, done = DipWatermark(), time.perf_counter(), []
        for i in range(len(self.pixels)):
            scene = Scene(message=self.bits[i].float())
            settings = DipParams(target=TARGETS[int(self.aim[i])])
            *_, last = run(method, self.pixels[i : i + 1], settings, scene)
            done.append(eight_bit(last.pixels))
        seconds = (time.perf_counter() - start) / len(done)
        return Marked("DIP-Watermark", torch.cat(done), lambda pixels: method.read(pixels).logits, seconds)

    def attacked(self, id: str, ssim: float) -> Marked:
        """PGD or FGSM towards each face's target, at the ε of that mean SSIM (found on 24 of the faces)."""
        low, high = 0.5, 32.0
        for _ in range(7):
            epsilon = (low + high) / 2
            found = float(measure.ssim(self._attack(id, epsilon, TRIED), self.pixels[:TRIED]).mean())
            low, high = (epsilon, high) if found > ssim else (low, epsilon)
            if abs(found - ssim) < NEAR:
                break
        start = time.perf_counter()
        done = self._attack(id, epsilon, len(self.pixels))
        return Marked(ATTACKS[id], done, None, (time.perf_counter() - start) / len(done))

    def _attack(self, id: str, epsilon: float, count: int) -> Tensor:
        method, out = method_of(id), self.pixels[:count].clone()
        settings = method.Params.read({"epsilon": epsilon})
        for k in range(len(TARGETS)):
            rows = torch.nonzero(self.aim[:count] == k)[:, 0]
            for part in (part for part in rows.split(BATCH) if len(part)):
                scene = Scene(self.surrogates, self.targets[k : k + 1])
                *_, last = run(method, self.pixels[part], settings, scene, self.seed)
                out[part] = eight_bit(last.pixels)
        return out

    def watermarked(self, id: str, under: Marked | None = None) -> Marked:
        """A baseline's watermark in the photos, or in an attack's result."""
        nets, carrier = pair(id, "cpu"), under.pixels if under else self.pixels
        start = time.perf_counter()
        with torch.inference_mode():
            parts = zip(carrier.split(BATCH), self.bits.float().split(BATCH), strict=True)
            done = torch.cat([eight_bit(nets.encoder(pixels, bits, None)) for pixels, bits in parts])
        seconds = (time.perf_counter() - start) / len(done) + (under.seconds if under else 0.0)
        name = f"{under.name}+{WATERMARKS[id]}" if under else WATERMARKS[id]
        return Marked(name, done.clone(), lambda pixels: nets.decoder(pixels).float(), seconds)

    def read(self, marked: Marked, pixels: Tensor) -> dict[str, float | None]:
        """Bit accuracy (Eq. 19) and the share of identities that are read whole, from crops."""
        if marked.reader is None:
            return {"bits": None, "identities": None}
        with torch.inference_mode():
            read = torch.cat([marked.reader(part) > 0 for part in pixels.split(BATCH)]).int()
        found = [decode(tuple(row.tolist()), KEY) for row in read]
        right = [one is not None and one.number == n for one, n in zip(found, self.numbers, strict=True)]
        return {"bits": float((read == self.bits).float().mean()), "identities": sum(right) / len(right)}

    def judged(self, judge: Recogniser, pixels: Tensor) -> dict[str, float]:
        """Impersonation and dodging of crops in the judge's template, at FAR 1 %."""
        limit, rows = judge.thresholds[0.01], self._embed(judge, pixels)
        own, targets = self._known(judge)
        to_target = (rows * targets[self.aim]).sum(1)
        return {
            "ASR": float((to_target > limit).float().mean()),
            "dodging": float(((rows * own).sum(1) < limit).float().mean()),
            "cos": float(to_target.mean()),
        }

    def _known(self, judge: Recogniser) -> tuple[Tensor, Tensor]:
        """The judge's rows of the faces as they were, and of the targets; embedded once."""
        if judge.card.id not in self._seen:
            both = (self.pixels, self.targets)
            found = [self._embed(judge, retarget(pixels, ARCFACE112, judge.template)) for pixels in both]
            self._seen[judge.card.id] = found[0], found[1]
        return self._seen[judge.card.id]

    @staticmethod
    def _embed(judge: Recogniser, pixels: Tensor) -> Tensor:
        with torch.inference_mode():
            return torch.cat([judge.embed(part) for part in pixels.split(32)])

    def files(self, marked: Marked) -> list[Tensor]:
        """Each face pasted into its photo and exported as PNG: uint8 (1, 3, H, W)."""
        return [exported(face, crop) for face, crop in zip(self.faces, marked.pixels, strict=True)]

    def again(self, files: list[Tensor], templates: Sequence[Template]) -> list[Tensor]:
        """The files' faces, detected again, as each template cuts them."""
        pairs = list(zip(self.faces, files, strict=True))
        found = [found_again(self.runtime, face, pixels)[0] for face, pixels in pairs]
        return [
            torch.cat([align(p, torch.tensor(f.landmarks), t).pixels for f, p in zip(found, files, strict=True)])
            for t in templates
        ]


def sample(folder: Path, count: int, seed: int) -> tuple[LfwFace, ...]:
    """One face each of `count` identities of LFW."""
    first: dict[str, LfwFace] = {}
    for face in lfw_faces(folder):
        if face.landmarks is not None:
            first.setdefault(face.identity, face)
    names = random.Random(seed).sample(sorted(first), min(count, len(first)))
    return tuple(first[name] for name in names)
