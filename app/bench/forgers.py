"""What the bundled forgers can do: how often their edits show, whom they keep, and what they leave alone.

Each edit is made of CelebA faces of people never trained on. `agrees`: the share in which the attribute classifier,
which no forger was trained with, sees what was asked for. `identity`: cosine of the forged face and the original
for a judge. `outside`: mean absolute change, in [0, 1], of the pixels that the edit has no business with.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.utils import save_image

from app.bundle import cards
from app.runtime import Runtime
from app.weights_face import keep
from engines import manipulate
from engines.checkpoints import CheckpointError, registry
from engines.edits import EDITS, LABELS, wanted
from engines.face import CELEBA128, retarget
from engines.manipulate import FORGERS, Forger
from engines.nets.attributes import NAMES
from engines.nets.parser import FACE, mask
from engines.parse import parts
from engines.train.celeba import Celeba

JUDGE, BATCH, COUNTS = "compact-inception", 50, 0.7
EDITED = {"hair": ("hair", "hat"), "bangs": ("hair", "hat", *FACE), "glasses": FACE}  # else hair and face
SAMPLES = 32


def asked(edit: str, labels: Tensor) -> tuple[str, Tensor]:
    """The attribute that an edit is about, and what it shall be, (N,) of 0 and 1."""
    if edit not in EDITS:
        return {"glasses": "Eyeglasses", "bangs": "Bangs"}[edit], torch.ones(len(labels))
    return EDITS[edit], wanted(labels, edit)[:, LABELS.index(EDITS[edit])]


def outside(edit: str, shown: Tensor) -> Tensor:
    """Where an edit has no business: (N, 1, S, S) of 0 and 1, from the parts of the original (N, S, S)."""
    kind = edit.split()[-1]
    return 1 - mask(shown, EDITED.get(kind, ("hair", "hat", "neck", "left_ear", "right_ear", *FACE)))


@torch.no_grad()
def row(runtime: Runtime, forger: Forger, edit: str, pixels: Tensor, labels: Tensor) -> dict[str, Any]:
    """One forger's edit of faces (N, 3, 128, 128) in [0, 1] whose labels (N, 5) are known."""
    judge, found = runtime.recogniser(JUDGE), []
    name, aim = asked(edit, labels)
    for some, known, target in zip(pixels.split(BATCH), labels.split(BATCH), aim.split(BATCH), strict=True):
        forged = (forger.forge(some, edit, known) * 255).round() / 255
        agrees = (manipulate.attributes(forged)[:, NAMES.index(name)] > 0.5).float() == target
        one, two = (judge.embed(retarget(p, CELEBA128, judge.template)) for p in (forged, some))
        where = outside(edit, parts(some))
        change = ((forged - some).abs().mean(1, keepdim=True) * where).flatten(1).sum(1)
        found.append(torch.stack([agrees.float(), (one * two).sum(1), change / where.flatten(1).sum(1).clamp_min(1)]))
    agrees, identity, change = torch.cat(found, 1).mean(1).tolist()
    counts = "yes" if agrees >= COUNTS else "no"
    return {
        "forger": forger.card.id,
        "edit": edit,
        "faces": len(pixels),
        "agrees": agrees,
        "counts": counts,
        "identity": identity,
        "outside": change,
    }


@torch.no_grad()
def samples(forger: Forger, pixels: Tensor, labels: Tensor) -> Tensor:
    """32 faces and, under each, one of the forger's edits in turn: (64, 3, S, S), rows of eight."""
    rows = []
    for start in range(0, SAMPLES, 8):
        here = slice(start, start + 8)
        made = [
            forger.forge(pixels[i : i + 1], forger.edits[i % len(forger.edits)], labels[i : i + 1])
            for i in range(here.start, here.stop)
        ]
        rows += [pixels[here], torch.cat(made)]
    return torch.cat(rows)


def tables(folder: Path, faces: int, ids: Sequence[str], grids: Path | None) -> dict[str, Any]:
    """All rows; `grids`: where each forger's picture of samples goes."""
    runtime, test = Runtime(), Celeba.read(folder, "test", faces)
    pixels = test.pixels(np.arange(len(test)), CELEBA128.size)
    labels = torch.from_numpy(test.labels(LABELS).astype(np.float32))
    rows = []
    for id in ids:
        forger = manipulate.forger(id)
        rows += [row(runtime, forger, edit, pixels, labels) for edit in forger.edits]
        if grids is not None:
            grids.mkdir(parents=True, exist_ok=True)
            save_image(samples(forger, pixels, labels), grids / f"{id}.jpg", nrow=8, padding=1)
    known = registry()
    cards = [known[id] for id in (*ids, "attributes", "parser", JUDGE)]
    return {
        "rows": rows,
        "provenance": {
            "command": f"python -m app bench forgers --data DIR --faces {faces}",
            "data": "CelebA, people never trained on",
            "checkpoints": [{"id": card.id, "sha256": card.sha256} for card in cards],
        },
    }


def figures_of(found: dict[str, Any], id: str) -> dict[str, Any]:
    """A forger's figures as the registry keeps them, from the rows."""
    rows, made = [row for row in found["rows"] if row["forger"] == id], found["provenance"]
    tables = {name: {row["edit"]: round(row[name], 4) for row in rows} for name in ("agrees", "identity", "outside")}
    return {"data": f"{made['data']}, {rows[0]['faces']} faces", "command": made["command"], **tables}


def add_parser(names: Any) -> None:
    """`bench forgers`."""
    parser = names.add_parser("forgers", help="what the bundled forgers can do, on CelebA's test people")
    parser.add_argument("--data", type=Path, required=True, help="folder with celeba160-test-*.parquet")
    parser.add_argument("--faces", type=int, default=500)
    parser.add_argument("--only", nargs="+", metavar="ID", help="forgers (without it: all that are here)")
    parser.add_argument("--keep", action="store_true", help="write the figures into the registry, and the samples")
    parser.set_defaults(func=_run)


def _run(args: Any) -> dict[str, Any]:
    ids = args.only or [id for id in FORGERS if id in registry()]
    if not ids:
        raise CheckpointError("No forger is trained yet: train one with python -m engines.train.forgers.")
    found = tables(args.data, args.faces, ids, cards() if args.keep else None)
    for id in ids if args.keep else ():
        keep(id, figures_of(found, id))
    return found
