"""DIP-Watermark's Tables 2 and 4 on LFW: attack success and bit accuracy, clean and after image processing.

Every method gets the same faces, one of each identity, each with a random identity to write and one of the
encoder's targets in turn. PGD and FGSM attack the recognisers that the encoder was trained against, at the
ε that gives the encoder's mean SSIM; in a combination the watermark is written into their result. Judges
have seen none of it. Impersonation is ASR of Eq. 20: cosine to the target above the threshold at FAR 1 %;
dodging is the share whose cosine to the original falls below it. Bits are Acc of Eq. 19.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from app import gallery, weights_watermark
from app.bench.dip_paper import PAPER_ASR, PAPER_BITS, PAPER_CHANGED
from app.bench.lfw import crops
from app.bench.tip_im import exported, found_again
from app.runtime import Runtime
from engines import distort, measure
from engines.checkpoints import checkpoint
from engines.face import ARCFACE112, Template, align, retarget
from engines.identity import BITS, LARGEST, decode, encode
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


def eight_bit(pixels: Tensor) -> Tensor:
    """What a file keeps of pixels in [0, 1]."""
    return (pixels.clamp(0, 1) * 255).round() / 255


def processed(pixels: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Crops (N, 3, S, S) in [0, 1], each as an 8-bit picture of its own through a distortion."""
    whole = (pixels * 255).round().byte()
    return torch.cat([change(one[None]) for one in whole]).float() / 255


def mean(values: Iterable[float]) -> float:
    """The mean."""
    found = list(values)
    return sum(found) / len(found)


def attack_rows(bench: Bench, marked: Marked) -> list[dict[str, Any]]:
    """Table 2: a row a judge, and their mean."""
    quality = {
        "SSIM": float(measure.ssim(marked.pixels, bench.pixels).mean()),
        "PSNR": float(measure.psnr(marked.pixels, bench.pixels).mean()) if marked.name != "unmarked" else None,
    }
    common = {"table": "2", "method": marked.name, "change": "none"}
    read = bench.read(marked, marked.pixels)
    rows = []
    for judge in bench.judges:
        scores = bench.judged(judge, retarget(marked.pixels, ARCFACE112, judge.template))
        rows.append({**common, "judge": judge.card.id, **scores, **read, **quality, "s/face": marked.seconds})
    return [*rows, _mean(rows, PAPER_ASR.get(marked.name), PAPER_BITS.get(marked.name))]


def robustness_rows(bench: Bench, marked: Marked) -> list[dict[str, Any]]:
    """Table 4: a row a change (the mean over the judges), and one for paste, export, detection and alignment."""
    rows = []
    for change in distort.SURVIVAL:
        pixels = processed(marked.pixels, change.apply)
        scores = [bench.judged(judge, retarget(pixels, ARCFACE112, judge.template)) for judge in bench.judges]
        read = bench.read(marked, pixels)
        found = [{"table": "4", "method": marked.name, "change": change.id, **one, **read} for one in scores]
        paper = PAPER_CHANGED[change.id] if marked.name == "DIP-Watermark" else (None, None)
        rows.append(_mean(found, *paper))
    files = bench.files(marked)
    crop, *seen = bench.again(files, [ARCFACE112, *(judge.template for judge in bench.judges)])
    read = bench.read(marked, crop)
    scores = [bench.judged(judge, pixels) for judge, pixels in zip(bench.judges, seen, strict=True)]
    common = {"table": "4", "method": marked.name, "change": "file, detected again"}
    return [*rows, _mean([{**common, **one, **read} for one in scores], None, None)]


Figures = tuple[float, ...]


def _mean(rows: list[dict[str, Any]], asr: Figures | None, bits: Figures | None) -> dict[str, Any]:
    """The mean over the judges, and the paper's mean over its black-box recognisers."""
    out = {**rows[0], "judge": "mean"}
    out |= {name: mean(row[name] for row in rows) for name in ("ASR", "dodging", "cos")}
    return out | {"paper ASR": asr and mean(asr), "paper bits": bits and mean(bits)}


def false_positives(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """How many unmarked faces are taken for marked ones; `agree` is the best agreement with any code word nearby."""
    method, rng, found, seen = DipWatermark(), random.Random(seed), 0, 0
    faces = [face for face in lfw_faces(folder) if face.landmarks is not None]
    rng.shuffle(faces)
    for start in range(0, min(count, len(faces)), BATCH):
        reading = method.read(crops(faces[start : start + BATCH]))
        found += sum(decode(tuple(row.tolist()), KEY) is not None for row in reading.bits)
        seen += len(reading.bits)
    return {"table": "false positives", "method": "unmarked", "faces": seen, "found": found}


def tables(
    folder: Path, faces: int, seed: int, judges: Sequence[str], only: Sequence[str], unmarked: int
) -> dict[str, Any]:
    """All rows that are asked for."""
    bench = Bench(folder, faces, seed, judges)
    dip = bench.marked()
    rows = attack_rows(bench, Marked("unmarked", bench.pixels, None, 0.0)) + attack_rows(bench, dip)
    rows += robustness_rows(bench, dip)
    ssim = float(measure.ssim(dip.pixels, bench.pixels).mean())
    for attack in [id for id in ATTACKS if id in only]:
        under = bench.attacked(attack, ssim)
        rows += attack_rows(bench, under) + robustness_rows(bench, under)
        for id in [id for id in WATERMARKS if id in only]:
            both = bench.watermarked(id, under)
            rows += attack_rows(bench, both) + robustness_rows(bench, both)
    for id in [id for id in WATERMARKS if id in only]:
        rows += attack_rows(bench, bench.watermarked(id)) + robustness_rows(bench, bench.watermarked(id))
    rows.append(false_positives(folder, unmarked, seed))
    return {"rows": rows, "provenance": _provenance(bench, faces, seed)}


def _provenance(bench: Bench, faces: int, seed: int) -> dict[str, Any]:
    cards = [*DipWatermark().checkpoints, *(judge.card for judge in bench.judges)]
    return {
        "command": f"python -m app bench dip-watermark --data DIR --faces {faces}",
        "seed": seed,
        "data": "LFW",
        "faces": len(bench.faces),
        "bits": BITS,
        "targets": list(TARGETS),
        "checkpoints": [{"id": card.id, "sha256": card.sha256} for card in cards],
    }


def add_parser(names: Any) -> None:
    """`bench dip-watermark`."""
    parser = names.add_parser("dip-watermark", help="attack success and bit accuracy (Tables 2, 4) on LFW")
    parser.add_argument("--data", type=Path, required=True, help="folder with the LFW parquet files")
    parser.add_argument("--faces", type=int, default=1000, help="faces, one of each identity")
    parser.add_argument("--unmarked", type=int, default=5000, help="unmarked faces for the false positives")
    parser.add_argument(
        "--judges", nargs="+", default=["dlib-resnet", "compact-inception", "compact-edgenext"], metavar="ID"
    )
    parser.add_argument(
        "--only",
        nargs="*",
        choices=(*ATTACKS, *WATERMARKS),
        default=(*ATTACKS, *WATERMARKS),
        help="baselines to run beside DIP-Watermark",
    )
    parser.add_argument("--keep", action="store_true", help="write the figures into the registry")
    parser.add_argument("--seed", type=int, default=0)
    parser.set_defaults(func=_run)


def _run(args: Any) -> dict[str, Any]:
    found = tables(args.data, args.faces, args.seed, args.judges, args.only, args.unmarked)
    if args.keep:
        weights_watermark.keep(found)
    return found
