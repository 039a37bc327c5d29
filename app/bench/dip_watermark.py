"""DIP-Watermark's Tables 2 and 4 on LFW: attack success and bit accuracy, clean and after image processing.

Every method gets the same faces, one of each identity, each with a random identity to write and one of the
encoder's targets in turn. PGD and FGSM attack the recognisers that the encoder was trained against, at the
ε that gives the encoder's mean SSIM; in a combination the watermark is written into their result. Judges
have seen none of it. Impersonation is ASR of Eq. 20: cosine to the target above the threshold at FAR 1 %;
dodging is the share whose cosine to the original falls below it. Bits are Acc of Eq. 19.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from app import weights_watermark
from app.bench.dip_paper import PAPER_ASR, PAPER_BITS, PAPER_CHANGED
from app.bench.dip_scene import ATTACKS, BATCH, KEY, TARGETS, WATERMARKS, Bench, Marked
from app.bench.lfw import crops
from app.bench.pixels import processed
from engines import distort, measure
from engines.checkpoints import checkpoint, registry
from engines.face import ARCFACE112, retarget
from engines.identity import BITS, decode
from engines.methods.dip_watermark import DipWatermark
from engines.train.datasets import lfw_faces

Figures = tuple[float, ...]


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
        help="baselines to run beside DIP-Watermark (without it: all whose networks are here)",
    )
    parser.add_argument("--keep", action="store_true", help="write the figures into the registry")
    parser.add_argument("--seed", type=int, default=0)
    parser.set_defaults(func=_run)


def _run(args: Any) -> dict[str, Any]:
    trained = [id for id in WATERMARKS if id in registry()]
    only = [*ATTACKS, *trained] if args.only is None else args.only
    for id in set(only) & set(WATERMARKS):
        checkpoint(id)  # what is missing is said before an hour's work, not after it
    found = tables(args.data, args.faces, args.seed, args.judges, only, args.unmarked)
    if args.keep:
        weights_watermark.keep(found)
    return found
