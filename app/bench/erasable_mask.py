"""`bench erasable-mask`: Tables II, V and VI of ErasableMask on faces never trained on, and Fig. 5 with --sweep."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots
from torch import Tensor

from app import weights_mask
from app.bench.fid import Distance, inception
from app.bench.mask_scene import CHANGES, Bench, Mask, celeba
from app.bench.pixels import processed
from app.runtime import Runtime
from app.weights_measure import pair_scores
from engines import measure, verification
from engines.checkpoints import checkpoint
from engines.methods.erasable_mask import TARGETS
from engines.recognise import Recogniser
from engines.train.datasets import lfw_pairs
from engines.train.dip_recipe import SURROGATES

JUDGES = ("compact-inception", "compact-edgenext", "dlib-resnet")
BETAS, GAMMAS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9), (0.0, 0.05, 0.1, 0.15, 0.2, 0.3)
OURS = "ErasableMask"


def loose(judges: list[Recogniser], pairs: Path, data: Path) -> dict[str, float]:
    """Each judge's threshold at FAR 10 % on LFW's pairs, τ2 of Eq. 18."""
    found = lfw_pairs(pairs)
    return {
        judge.card.id: verification.threshold_at_far(pair_scores(judge, found, data)[0].impostors, 0.1)
        for judge in judges
    }


def quality(made: Tensor, pixels: Tensor, fid: Distance | None = None) -> dict[str, float]:
    """L1, MSE and SSIM of Table VI, in [0, 1], and FID where there is a network for it."""
    return {
        "L1": float((made - pixels).abs().mean()),
        "MSE": float((made - pixels).square().mean()),
        "SSIM": float(measure.ssim(made, pixels).mean()),
        **({"FID": fid(made, pixels)} if fid else {}),
    }


def rows_of(
    bench: Bench, name: str, make: Mask, edited: Tensor, fid: Distance | None = None
) -> Iterator[dict[str, Any]]:
    """A method's rows: Table II and VI, and Table V after each change. Masks are compared with the `edited` faces."""
    start = time.perf_counter()
    masked = bench.each(make)
    seconds = (time.perf_counter() - start) / len(masked)
    beside = edited if name in (OURS, "SemanticAdv, in its style") else bench.faces.pixels
    common = {"method": name, "faces": len(masked)}
    yield {
        **common,
        "change": "none",
        **bench.attacked(masked),
        **quality(masked, beside, fid),
        **bench.shows(masked),
        **(_erased(bench, masked, fid) if name == OURS else {}),
        "seconds": seconds,
    }
    for change, apply in CHANGES.items():
        seen = processed(masked, apply)
        found = bench.freed(bench.erased(seen)) if name == OURS else {}
        yield {**common, "change": change, **bench.attacked(seen), **found}


def _erased(bench: Bench, masked: Tensor, fid: Distance | None) -> dict[str, float]:
    erased = bench.erased(masked)
    found = quality(erased, bench.faces.pixels, fid)
    return {**bench.freed(erased), **{f"erased {name}": value for name, value in found.items()}}


def swept(bench: Bench) -> list[dict[str, Any]]:
    """Fig. 5: a row for each pair of β and γ, means over the judges; SSIM against edited and original faces."""
    rows = []
    edited = bench.each(bench.masked(1.0, 1.0))
    for beta in BETAS:
        for gamma in GAMMAS:
            masked = bench.each(bench.masked(beta, gamma))
            erased = bench.erased(masked)
            asr, freed = bench.attacked(masked), bench.freed(erased)
            rows.append(
                {
                    "β": beta,
                    "γ": gamma,
                    "ASR": mean(asr.values()),
                    "ESR": mean(v for k, v in freed.items() if k.startswith("ESR")),
                    "known again": mean(v for k, v in freed.items() if k.startswith("known")),
                    "SSIM": quality(masked, edited)["SSIM"],
                    "erased SSIM": quality(erased, bench.faces.pixels)["SSIM"],
                }
            )
    return rows


def surface(rows: list[dict[str, Any]]) -> go.Figure:
    """Attack success, and the likeness of the erased photo, over β and γ."""
    names = {"ASR": "Attack success (ASR)", "erased SSIM": "Erased photo against the original (SSIM)"}
    figure = make_subplots(1, 2, specs=[[{"type": "surface"}] * 2], subplot_titles=list(names.values()))
    betas, gammas = (sorted({row[axis] for row in rows}) for axis in ("β", "γ"))
    at = {(row["β"], row["γ"]): row for row in rows}
    for column, name in enumerate(names, start=1):
        heights = [[at[beta, gamma][name] for gamma in gammas] for beta in betas]
        figure.add_surface(x=gammas, y=betas, z=heights, showscale=False, row=1, col=column)
    scene = {"xaxis_title": "γ", "yaxis_title": "β", "zaxis_title": ""}
    return figure.update_layout(scene=scene, scene2=scene, margin={"l": 0, "r": 0, "t": 40, "b": 0})


def tables(args: Any) -> dict[str, Any]:
    """All rows that are asked for; the surface goes where --sweep says."""
    runtime = Runtime()
    judges = [runtime.recogniser(id) for id in JUDGES]
    limits = loose(judges, args.data / "lfw-pairs.txt", args.data)
    bench = Bench(runtime, celeba(args.data, args.faces), args.target, judges, limits)
    if args.sweep:
        rows = swept(bench)
        surface(rows).write_html(args.sweep)
    else:
        fid = inception(args.inception) if args.inception else None
        ways = bench.ways([runtime.recogniser(id) for id in SURROGATES], args.adv_faces)
        edited = bench.each(ways["Attributes modified"])
        rows = [row for name in args.only or ways for row in rows_of(bench, name, ways[name], edited, fid)]
    found = {"rows": rows, "provenance": _provenance(args, limits)}
    if args.keep:
        weights_mask.keep(found)
    return found


def _provenance(args: Any, limits: dict[str, float]) -> dict[str, Any]:
    asked = f"--target '{args.target}'" + " --sweep FILE.html" * bool(args.sweep)
    cards = [checkpoint(id) for id in ("erasable-mask", "attributes", *JUDGES, *SURROGATES)]
    return {
        "command": f"python -m app bench erasable-mask --data DIR --faces {args.faces} {asked}",
        "data": "CelebA, people never trained on",
        "target": args.target,
        "thresholds at FAR 10 %": {id: round(value, 4) for id, value in limits.items()},
        "checkpoints": [{"id": card.id, "sha256": card.sha256} for card in cards],
    }


def add_parser(names: Any) -> None:
    """`bench erasable-mask`."""
    parser = names.add_parser(
        "erasable-mask", help="masks and their erasure against the baselines (Tables II, V, VI)"
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with the CelebA and LFW files")
    parser.add_argument("--faces", type=int, default=500)
    parser.add_argument("--target", choices=list(TARGETS), default=next(iter(TARGETS)))
    parser.add_argument("--only", nargs="+", metavar="METHOD", help="such as ErasableMask (without it: all)")
    parser.add_argument("--adv-faces", type=Path, metavar="FOLDER", help="a training of AdvFaces, for its row")
    parser.add_argument("--inception", type=Path, metavar="FILE", help="weights of Inception, for FID")
    parser.add_argument("--keep", action="store_true", help="write the figures into the registry")
    parser.add_argument("--sweep", type=Path, metavar="FILE.html", help="β against γ (Fig. 5), as a surface")
    parser.set_defaults(func=tables)
