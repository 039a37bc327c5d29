"""What the attribute classifier and the face parser can do, on people that they were not trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.weights_face import keep
from engines.checkpoints import checkpoint
from engines.detect import Detector
from engines.manipulate import classifier
from engines.parse import parser as parsers
from engines.train.attributes import accuracy
from engines.train.celeba import Celeba
from engines.train.parser import HELD_OUT, Masks, overlap


def attributes(folder: Path) -> dict[str, Any]:
    """A row an attribute: accuracy, and the mean over faces with and without it."""
    test = Celeba.read(folder, "test")
    figures, each = accuracy(classifier("attributes"), test)
    rows = [{"attribute": name, "accuracy": one, "balanced": two} for name, (one, two) in each.items()]
    kept = {name: round(two, 4) for name, (_, two) in each.items()}
    return _found("attributes", rows, f"CelebA, {len(test):,} faces of people never trained on", {**figures, **kept})


def parser(folder: Path) -> dict[str, Any]:
    """A row a class: intersection over union."""
    masks = Masks.read(folder, Detector())
    found = overlap(parsers("parser"), masks)
    rows = [{"class": name, "iou": value} for name, value in found.items()]
    return _found("parser", rows, f"CelebAMask-HQ, {HELD_OUT} faces never trained on", found)


def _found(id: str, rows: list[dict[str, Any]], data: str, figures: dict[str, Any]) -> dict[str, Any]:
    made = {"data": data, "command": f"python -m app bench {id} --data DIR"}
    stamp = {**made, "checkpoints": [{"id": id, "sha256": checkpoint(id).sha256}]}
    return {"rows": rows, "provenance": stamp, "figures": {**made, **figures}}


def add_parser(names: Any) -> None:
    """`bench attributes` and `bench parser`."""
    for work, words in ((attributes, "accuracy of the attribute classifier"), (parser, "overlap of the face parser")):
        command = names.add_parser(work.__name__, help=f"{words}, on faces never trained on")
        command.add_argument("--data", type=Path, required=True, help="folder with the parquet files")
        command.add_argument("--keep", action="store_true", help="write the figures into the registry")
        command.set_defaults(func=_run, work=work)


def _run(args: Any) -> dict[str, Any]:
    found = args.work(args.data)
    if args.keep:
        keep(args.work.__name__, found["figures"])
    return found
