"""`bench id-guard`: Table I of ID-Guard on CelebA and LFW, robustness (Fig. 13), judges (Fig. 11), inpainting (V).

The paper forges the very pixels that were protected. Who forges a photo cuts the face out anew: that is measured too.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import Any

from torch import Tensor

from app import weights_guard
from app.bench.guard_scene import BASELINES, INPAINTERS, Bench, Protect, celeba, cut_off, lfw, protections, repaired
from app.bench.pixels import processed
from app.bundle import training
from app.runtime import Runtime
from engines import manipulate
from engines.checkpoints import checkpoint
from engines.distort import SURVIVAL, real_jpeg
from engines.manipulate import FORGERS

JUDGE, OTHERS = "compact-inception", ("dlib-resnet", "compact-edgenext")
BLUR = next(distortion for distortion in SURVIVAL if distortion.id == "blur3")
CHANGES = {"JPEG 85": lambda picture: real_jpeg(picture, 85), BLUR.label: BLUR.apply}
OFF = "Cut half a pixel off"


def rows_of(
    bench: Bench, off: Bench, name: str, protected: Tensor, seconds: float, inpainted: int
) -> Iterator[dict[str, Any]]:
    """A method's rows: Table I, its mean, after each change, and what is left after inpainting.

    `off` holds the first faces as a forger sees them who cuts them a little differently; so many meet the changes.
    """
    common = {"data": bench.faces.name, "method": name}
    some = protected[: len(off.faces.pixels)]
    seen = {"none": protected, **{change: processed(some, CHANGES[change]) for change in CHANGES}}
    for change, pixels in {**seen, OFF: cut_off(some)}.items():
        found, scene = [], off if change == OFF else bench
        for forger in bench.forgers:
            forged = scene.forged(forger, pixels)
            row = {**common, "change": change, "forger": forger.card.id, **scene.compared(forger, forged)}
            if change == "none":
                misled = bench.misled(forged)
                row |= {f"misled {id}": share for id, share in misled.items()}
            found.append(row)
            yield row
            for paint in INPAINTERS if change == "none" and inpainted else ():
                whole = repaired(forged[:inpainted], bench.components[:inpainted], INPAINTERS[paint])
                yield {**common, "change": paint, "forger": forger.card.id, **bench.compared(forger, whole)}
        figures = {key: mean(row[key] for row in found) for key in found[0] if isinstance(found[0][key], float)}
        yield {**common, "change": change, "forger": "mean", **figures, "seconds": seconds}


def tables(args: Any, ways: dict[str, Protect]) -> dict[str, Any]:
    """All rows that are asked for."""
    runtime, forgers = Runtime(), [manipulate.forger(id) for id in FORGERS]
    judge, others = runtime.recogniser(JUDGE), [runtime.recogniser(id) for id in OTHERS]
    rows: list[dict[str, Any]] = []
    for faces in (celeba(args.data, args.faces), lfw(args.data, args.faces, args.seed)):
        bench = Bench(faces, forgers, judge, others)
        off = bench.cut_off(args.changed)
        for name in args.only or ways:
            start = time.perf_counter()
            protected = bench.protected(ways[name])
            seconds = (time.perf_counter() - start) / len(protected)
            rows += rows_of(bench, off, name, protected, seconds, args.inpainted)
    return {"rows": rows, "provenance": _provenance(args)}


def _provenance(args: Any) -> dict[str, Any]:
    cards = [checkpoint(id) for id in ("id-guard", *FORGERS, "attributes", "parser", JUDGE, *OTHERS)]
    logs = {name: training(args.baselines / name)[1] for name in BASELINES if args.baselines}
    some = f", the first {args.changed} after changes" * (args.changed < args.faces)
    return {
        "command": f"python -m app bench id-guard --data DIR --faces {args.faces}{' --baselines RUN' * bool(logs)}",
        "seed": args.seed,
        "data": f"CelebA, people never trained on; LFW, one face of each identity{some}",
        "faces": args.faces,
        "baselines": {name: f"{log['done']} steps in {log['seconds']:,} s" for name, log in logs.items()},
        "checkpoints": [{"id": card.id, "sha256": card.sha256} for card in cards],
    }


def add_parser(names: Any) -> None:
    """`bench id-guard`."""
    parser = names.add_parser("id-guard", help="what forgers make of protected faces (Table I), on CelebA and LFW")
    parser.add_argument("--data", type=Path, required=True, help="folder with the CelebA and LFW parquet files")
    parser.add_argument("--faces", type=int, default=500, help="of each data set")
    parser.add_argument("--changed", type=int, default=100, help="faces that meet JPEG, blur and another cut, too")
    parser.add_argument("--inpainted", type=int, default=50, help="faces whose forgeries are also inpainted")
    parser.add_argument("--baselines", type=Path, metavar="RUN", help="trainings of PG, IAP and CMUA, a folder each")
    parser.add_argument("--only", nargs="+", metavar="METHOD", help="such as 'ID-Guard (S-II)' (without it: all)")
    parser.add_argument("--keep", action="store_true", help="write the figures into the registry")
    parser.add_argument("--seed", type=int, default=0)
    parser.set_defaults(func=_run)


def _run(args: Any) -> dict[str, Any]:
    ways = protections(args.baselines)
    if unknown := [name for name in args.only or () if name not in ways]:
        raise ValueError(f"There is no method {unknown[0]!r} here: choose from {', '.join(ways)}.")
    found = tables(args, ways)
    if args.keep:
        weights_guard.keep(found)
    return found
