"""`python -m app weights`: list the registry, show one entry, measure a recogniser on LFW."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import tomlkit
import torch

from engines import verification
from engines.checkpoints import REGISTRY, Checkpoint, CheckpointError, checkpoint, registry, write_whole
from engines.detect import Detector
from engines.face import align
from engines.recognise import Recogniser, load
from engines.train.datasets import DataError, LfwFace, lfw_faces, lfw_pairs

FARS = (0.01, 0.001)
LFW = "LFW, 6,000 pairs"


def add_parser(commands: Any) -> None:
    """`weights list`, `weights show ID`, `weights verify ID`."""
    actions = commands.add_parser("weights", help="networks: where they come from, what they can do")
    actions = actions.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="every network of the registry").set_defaults(func=run_list)
    show = actions.add_parser("show", help="one network in full")
    show.add_argument("id")
    show.set_defaults(func=lambda args: {"rows": [as_row(checkpoint(args.id))], "provenance": {}})
    verify = actions.add_parser("verify", help="measure a recogniser on LFW, fill in the registry")
    verify.add_argument("id")
    verify.add_argument("--pairs", type=Path, required=True, help="LFW's pairs.txt")
    verify.add_argument("--data", type=Path, required=True, help="folder with lfw160-*.parquet")
    verify.set_defaults(func=run_verify)


def as_row(card: Checkpoint) -> dict[str, Any]:
    """What `weights list --json` gives for a checkpoint."""
    limits = {f"threshold at FAR {far:g}": limit for far, limit in card.thresholds.items()}
    return {
        "id": card.id,
        "kind": card.kind,
        "role": card.role,
        "source": card.source,
        "bytes": card.bytes,
        "sha256": card.sha256,
        "trained": card.state == "trained",
        "licence": card.licence,
        "figures": {**card.figures, **limits},
    }


def run_list(args: argparse.Namespace) -> dict[str, Any]:
    """Every checkpoint, read from the registry."""
    return {"rows": [as_row(card) for card in registry().values()], "provenance": {"registry": REGISTRY.name}}


def run_verify(args: argparse.Namespace) -> dict[str, Any]:
    """Measure and write; returns the figures."""
    recogniser = load(args.id)
    figures, thresholds = measure(recogniser, args.pairs, args.data)
    write_figures(args.id, figures, thresholds)
    limits = {f"threshold at FAR {far:g}": limit for far, limit in thresholds.items()}
    return {
        "rows": [{"id": args.id, **figures, **limits}],
        "provenance": {"sha256": recogniser.card.sha256, "data": LFW},
    }


def measure(recogniser: Recogniser, pairs_file: Path, folder: Path) -> tuple[dict[str, Any], dict[float, float]]:
    """LFW 10-fold accuracy, TAR at FAR 1 % and 0.1 %, and the cosine thresholds there."""
    pairs = lfw_pairs(pairs_file)
    names = {name for pair in pairs for name in (pair.first, pair.second)}
    rows, redetected = embed_named(recogniser, folder, names)
    scores = np.array([float(rows[pair.first] @ rows[pair.second]) for pair in pairs])
    same = np.array([pair.same for pair in pairs])
    accuracy, error = verification.ten_fold_accuracy(scores, same, np.array([pair.fold for pair in pairs]))
    thresholds = {far: round(verification.threshold_at_far(scores[~same], far), 4) for far in FARS}
    figures: dict[str, Any] = {"lfw_accuracy": round(accuracy, 4), "lfw_accuracy_se": round(error, 4)}
    for far, limit in thresholds.items():
        figures[f"tar_at_far_{far:g}"] = round(verification.tar_at(scores[same], limit), 4)
        interval = verification.bootstrap_tar(scores[same], scores[~same], far)
        figures[f"tar_interval_{far:g}"] = [round(v, 4) for v in interval]
        interval = verification.bootstrap_threshold(scores[~same], far)
        figures[f"threshold_interval_{far:g}"] = [round(v, 4) for v in interval]
    figures["redetected"] = redetected
    figures["data"] = LFW
    figures["command"] = f"python -m app weights verify {recogniser.card.id} --pairs FILE --data DIR"
    return figures, thresholds


def embed_named(
    recogniser: Recogniser, folder: Path, names: set[str], batch: int = 32
) -> tuple[dict[str, torch.Tensor], int]:
    """Unit embeddings (D,) by file name of the LFW faces in `names`, and how many came without landmarks.

    Raises DataError where a face is missing.
    """
    redetected = 0
    found: dict[str, torch.Tensor] = {}
    waiting: list[tuple[str, torch.Tensor]] = []

    def flush() -> None:
        with torch.inference_mode():
            rows = recogniser.embed(torch.cat([crop for _, crop in waiting])).cpu()
        found.update(zip((name for name, _ in waiting), rows, strict=True))
        waiting.clear()

    for face in lfw_faces(folder):
        if face.file in names:
            redetected += face.landmarks is None
            waiting.append((face.file, align(face.pixels, landmarks_of(face), recogniser.template).pixels))
        if len(waiting) == batch:
            flush()
    if waiting:
        flush()
    if missing := names - set(found):
        raise DataError(f"{len(missing)} photos of the pairs file are not in the data, for example {min(missing)}.")
    return found, redetected


def landmarks_of(face: LfwFace) -> torch.Tensor:
    """The given landmarks, or else the detector's on the middle of the picture, where LFW's face is."""
    if face.landmarks is not None:
        return face.landmarks
    return torch.tensor(Detector().in_box(face.pixels, (40, 40, 120, 130)).landmarks)


def write_figures(id: str, figures: dict[str, Any], thresholds: dict[float, float]) -> None:
    """Write into the registry, and into every entry that carries the same file; comments stay."""
    card = checkpoint(id)
    if card.kind != "recogniser":
        raise CheckpointError(f"{id} is not a recogniser: only recognisers have thresholds.")
    text = tomlkit.parse(REGISTRY.read_text())
    for name, other in registry().items():
        if other.sha256 == card.sha256:
            text[name]["threshold_data"] = LFW
            text[name]["thresholds"] = {f"{far:g}": limit for far, limit in thresholds.items()}
            text[name]["figures"] = figures
    write_whole(REGISTRY, tomlkit.dumps(text).encode())
