"""TIP-IM's tables on LFW: protection (Tables 3 and 4) and naturalness over γ (Table 5).

Each method protects the probes; each recogniser then searches the gallery with the protected
photo. Two protocols stand side by side: `crop` is the paper's (the aligned 112 pixels, at 8 bits),
`file` searches with the exported photo, detected and aligned again. Single-target methods (MIM, DIM)
go for the one target that the surrogate finds nearest to the original.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from app import photo as photos
from app.bench.lfw import Identification, crops, identification
from app.runtime import Runtime
from app.scoring import overlap
from engines import measure
from engines.face import ARCFACE112, Face, align, paste
from engines.method import Scene, run
from engines.methods import method as method_of
from engines.recognise import Recogniser
from engines.train.datasets import LfwFace

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "mim": ("mim", {}),
    "dim": ("dim", {}),
    "mt-dim": ("mt-dim", {}),
    "tip-im": ("tip-im", {}),
    # The authors' code looks through a random transformation at every step, as DIM and MT-DIM do.
    "tip-im-di": ("tip-im", {"diversity": 0.7}),
}
BATCH = 20


def protect_all(method_id: str, pixels: Tensor, scene: Scene, params: dict[str, Any], seed: int = 0) -> Tensor:
    """Protect crops (N, 3, 112, 112) in batches; returns them at 8 bits, float32 in [0, 1]."""
    method, done = method_of(method_id), []
    for batch in pixels.split(BATCH):
        *_, last = run(method, batch, method.Params.read(params), scene, seed)
        done.append((last.pixels * 255).round() / 255)
    return torch.cat(done)


class Gallery:
    """A gallery as one recogniser sees it, and ranks against it."""

    def __init__(self, recogniser: Recogniser, scene: Identification):
        self.recogniser, self.scene = recogniser, scene
        self.rows = self._embed(crops(scene.gallery, recogniser.template))
        names = [face.identity for face in scene.gallery]
        index = {name: i for i, name in enumerate(dict.fromkeys(names))}
        self.labels = torch.tensor([index[name] for name in names])
        self.own = torch.tensor([index[face.identity] for face in scene.probes])
        self.aimed = torch.tensor([index[face.identity] for face in scene.targets])

    def _embed(self, pixels: Tensor) -> Tensor:
        with torch.inference_mode():
            return torch.cat([self.recogniser.embed(part) for part in pixels.split(32)])

    def ranks(self, pixels: Tensor) -> dict[str, float]:
        """Rank-N-T and Rank-N-UT of protected probes, in %, N = 1 and 5; crops in the recogniser's template."""
        rows, found = self._embed(pixels), {}
        for n in (1, 5):
            ranks = measure.rank_n(rows, self.rows, self.labels, self.own, self.aimed, n)
            found[f"R{n}-T"] = 100 * ranks.targeted.float().mean().item()
            found[f"R{n}-UT"] = 100 * ranks.untargeted.float().mean().item()
        return found


def exported(face: LfwFace, edited: Tensor) -> Tensor:
    """The probe's photo with the protected crop pasted in, through a PNG: uint8 (1, 3, H, W)."""
    crop = align(face.pixels, face.landmarks, ARCFACE112)
    return photos.load(photos.encode(paste(face.pixels, crop, edited[None]))).pixels


def seen_in_files(runtime: Runtime, scene: Identification, files: list[Tensor], template: Any) -> tuple[Tensor, int]:
    """The files' faces as a recogniser's template cuts them, detected again; and how many were not found.

    A face that is not found keeps its known landmarks: the recogniser gets its best chance.
    """
    cut, lost = [], 0
    for face, pixels in zip(scene.probes, files, strict=True):
        best, there = found_again(runtime, face, pixels)
        lost += not there
        cut.append(align(pixels, torch.tensor(best.landmarks), template).pixels)
    return torch.cat(cut), lost


def found_again(runtime: Runtime, face: LfwFace, pixels: Tensor) -> tuple[Face, bool]:
    """The face of a file where the probe's was, or the known one and False where none is found."""
    like = _known(face)
    best = max(runtime.detector.faces(pixels), key=lambda other: overlap(other, like), default=None)
    return (best, True) if best is not None and overlap(best, like) >= 0.3 else (like, False)


def _known(face: LfwFace) -> Face:
    points = torch.as_tensor(face.landmarks)
    low, high = points.min(0).values, points.max(0).values
    reach = (high - low).max() * 0.6
    return Face((*(low - reach).tolist(), *(high + reach).tolist()), tuple(map(tuple, points.tolist())), 1.0)


def protection(
    folder: Path,
    identities: int = 100,
    seed: int = 0,
    surrogate: str = "sface",
    judge: str = "dlib-resnet",
    only: Sequence[str] = tuple(VARIANTS),
) -> dict[str, Any]:
    """Tables 3 and 4: a row a method, recogniser and protocol."""
    runtime = Runtime()
    scene = identification(folder, identities, seed)
    pixels, targets = crops(scene.probes), crops(scene.targets)
    galleries = [Gallery(runtime.recogniser(id), scene) for id in (surrogate, judge)]
    rows = _rows(runtime, scene, galleries, "none", pixels, pixels, 0.0)
    for name in only:
        start = time.perf_counter()
        attack = [runtime.recogniser(surrogate)]
        method_id, params = VARIANTS[name]
        done = protect_all(method_id, pixels, Scene(attack, targets), params, seed)
        rows += _rows(runtime, scene, galleries, name, pixels, done, (time.perf_counter() - start) / len(pixels))
    return {
        "rows": rows,
        "provenance": _provenance(galleries, "python -m app bench tip-im --data DIR", seed, scene),
    }


def _rows(
    runtime: Runtime,
    scene: Identification,
    galleries: list[Gallery],
    name: str,
    pixels: Tensor,
    done: Tensor,
    seconds: float,
) -> list[dict[str, Any]]:
    files = [exported(face, edited) for face, edited in zip(scene.probes, done, strict=True)]
    quality = {
        "SSIM": float(measure.ssim(done, pixels).mean()),
        "PSNR": float(measure.psnr(done, pixels).mean()) if name != "none" else None,
    }
    rows = []
    for gallery in galleries:
        card, template = gallery.recogniser.card, gallery.recogniser.template
        if template == ARCFACE112:
            cut = done
        else:
            cut = torch.cat(
                [align(f, face.landmarks, template).pixels for face, f in zip(scene.probes, files, strict=True)]
            )
        again, lost = seen_in_files(runtime, scene, files, template)
        for protocol, seen in (("crop", cut), ("file", again)):
            rows.append(
                {
                    "method": name,
                    "recogniser": card.id,
                    "role": card.role,
                    "protocol": protocol,
                    **gallery.ranks(seen),
                    **quality,
                    "n": len(pixels),
                    "not found": lost if protocol == "file" else 0,
                    "s/face": seconds,
                }
            )
    return rows


def naturalness(folder: Path, faces: int = 50, seed: int = 0, surrogate: str = "sface") -> dict[str, Any]:
    """Table 5: mean PSNR, SSIM, MMD over γ, with Rank-1-T beside them."""
    runtime = Runtime()
    scene = identification(folder, faces, seed)
    pixels, targets = crops(scene.probes), crops(scene.targets)
    gallery = Gallery(runtime.recogniser(surrogate), scene)
    rows = []
    for gamma in (0.0, 1.0, 2.0, 3.0):
        done = protect_all("tip-im", pixels, Scene([gallery.recogniser], targets), {"gamma": gamma}, seed)
        rows.append(
            {
                "gamma": gamma,
                "PSNR": float(measure.psnr(done, pixels).mean()),
                "SSIM": float(measure.ssim(done, pixels).mean()),
                "MMD": float(measure.mmd(done, pixels)),
                "R1-T": gallery.ranks(done)["R1-T"],
                "n": len(pixels),
            }
        )
    return {
        "rows": rows,
        "provenance": _provenance([gallery], "python -m app bench tip-im --table gamma --data DIR", seed, scene),
    }


def _provenance(galleries: list[Gallery], command: str, seed: int, scene: Identification) -> dict[str, Any]:
    return {
        "command": command,
        "seed": seed,
        "data": "LFW",
        "probes": len(scene.probes),
        "gallery": len(scene.gallery),
        "targets": len(scene.targets),
        "checkpoints": [{"id": g.recogniser.card.id, "sha256": g.recogniser.card.sha256} for g in galleries],
    }


def add_parser(names: Any) -> None:
    """`bench tip-im`."""
    parser = names.add_parser("tip-im", help="protection (Tables 3, 4) or naturalness over gamma (Table 5) on LFW")
    parser.add_argument("--table", choices=("protection", "gamma"), default="protection")
    parser.add_argument("--data", type=Path, required=True, help="folder with the LFW parquet files")
    parser.add_argument("--identities", type=int, help="probes (default: 100 for protection, 50 for gamma)")
    parser.add_argument(
        "--only", nargs="+", choices=tuple(VARIANTS), default=tuple(VARIANTS), help="rows of Tables 3, 4"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.set_defaults(func=_run)


def _run(args: Any) -> dict[str, Any]:
    if args.table == "gamma":
        return naturalness(args.data, args.identities or 50, args.seed)
    return protection(args.data, args.identities or 100, args.seed, only=args.only)
