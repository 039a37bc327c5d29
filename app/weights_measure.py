"""`weights verify`, `calibrate`, `correlate`: what a recogniser can do, measured and written into the registry."""

from __future__ import annotations

import argparse
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch

from app import weights_file
from engines import verification
from engines.checkpoints import Checkpoint, CheckpointError, checkpoint, registry, stamped
from engines.detect import Detector
from engines.face import FaceError, align
from engines.recognise import Recogniser, load
from engines.train.datasets import DataError, LfwFace, Pair, lfw_pairs, named_faces, pairs

FARS = (0.01, 0.001)
CORRELATE = "python -m app weights correlate --pairs FILE --data DIR"
FACE_IN_LFW = (40, 40, 120, 130)  # where the face is in LFW's 160x160 window


def add_actions(actions: Any) -> None:
    """`weights verify ID`, `weights calibrate ID`, `weights correlate`."""
    verify = actions.add_parser("verify", help="measure recognisers on LFW, fill in the registry")
    verify.add_argument("id", nargs="+")
    verify.set_defaults(func=run_verify)
    calibrate = actions.add_parser("calibrate", help="measure thresholds on any pairs, fill in the registry")
    calibrate.add_argument("id")
    calibrate.add_argument("--name", help="what the pairs are called, for example 'CelebA test, 6,000 pairs'")
    calibrate.set_defaults(func=run_calibrate)
    correlate = actions.add_parser("correlate", help="how alike recognisers judge strangers, fill in the registry")
    correlate.add_argument("id", nargs="*", help="the recognisers (none: every bundled and packaged one)")
    correlate.set_defaults(func=run_correlate)
    for action in (verify, calibrate, correlate):
        action.add_argument("--pairs", type=Path, required=True, help="LFW's pairs.txt, or CSV first,second,same")
        action.add_argument("--data", type=Path, required=True, help="folder with lfw160-*.parquet, or the pictures")


def run_verify(args: argparse.Namespace) -> dict[str, Any]:
    """LFW's 10-fold accuracy, TAR at FAR 1 % and 0.1 % and the thresholds there; written and returned."""
    rows, stamps, found = [], {}, lfw_pairs(args.pairs)
    _known(args.id)
    data = lfw_name(found)
    for id in args.id:
        recogniser = load(id)
        scores, redetected = pair_scores(recogniser, found, args.data)
        figures, thresholds = measure(scores)
        figures |= {"redetected": redetected, "data": data}
        figures["command"] = figures["threshold_command"] = (
            f"python -m app weights verify {id} --pairs FILE --data DIR"
        )
        write(id, figures, thresholds, data)
        rows.append({"id": id, **figures, **named(thresholds)})
        stamps[id] = recogniser.card.sha256
    return {"rows": rows, "provenance": stamps}


def run_calibrate(args: argparse.Namespace) -> dict[str, Any]:
    """Thresholds with bootstrap intervals on any pairs; written with the data's name, and returned."""
    found = pairs(args.pairs)
    name = args.name or f"{args.pairs.stem}, {len(found):,} pairs"
    scores, _ = pair_scores(load(args.id), found, args.data)
    figures, thresholds = calibration(scores)
    figures |= {"threshold_command": f"python -m app weights calibrate {args.id} --pairs FILE --data DIR"}
    write(args.id, figures, thresholds, name)
    return {"rows": [{"id": args.id, "data": name, **named(thresholds), **figures}], "provenance": {"pairs": name}}


def run_correlate(args: argparse.Namespace) -> dict[str, Any]:
    """Pearson's correlation of the scores that two recognisers give the same pairs of strangers."""
    ids = args.id or [c.id for c in registry().values() if c.source in ("bundled", "pip") and c.kind == "recogniser"]
    if len(ids) < 2:
        raise CheckpointError("A correlation needs two recognisers: name at least two.")
    _known(ids)
    found = lfw_pairs(args.pairs)
    different = np.array([not pair.same for pair in found])
    scores = {id: pair_scores(load(id), found, args.data)[0].values[different] for id in ids}
    table: dict[str, dict[str, float]] = {id: {} for id in ids}
    for a, b in combinations(ids, 2):
        table[a][b] = table[b][a] = round(float(np.corrcoef(scores[a], scores[b])[0, 1]), 3)
    for id, row in table.items():
        known = checkpoint(id).figures.get("impostor_correlation", {})
        write(id, {"impostor_correlation": {**known, **row}, "correlation_command": CORRELATE})
    rows = [{"id": id, **{other: row.get(other) for other in ids}} for id, row in table.items()]
    return {"rows": rows, "provenance": {"data": f"{lfw_name(found)}, the different ones"}}


def lfw_name(found: list[Pair]) -> str:
    """What figures on these pairs of LFW are said to be measured on."""
    return f"LFW, {len(found):,} pairs"


def _known(ids: list[str]) -> None:
    """CheckpointError for an unknown one, before hours go into the others."""
    for id in ids:
        checkpoint(id)


class Scores:
    """Cosines of pairs: `values` (N,), `same` (N,) bool, `folds` (N,)."""

    def __init__(self, values: np.ndarray, found: list[Pair]):
        self.values = values
        self.same = np.array([pair.same for pair in found])
        self.folds = np.array([pair.fold for pair in found])

    @property
    def genuine(self) -> np.ndarray:
        """Scores of one person with himself."""
        return self.values[self.same]

    @property
    def impostors(self) -> np.ndarray:
        """Scores of two people."""
        return self.values[~self.same]


def measure(scores: Scores) -> tuple[dict[str, Any], dict[float, float]]:
    """10-fold accuracy, TAR and thresholds with their bootstrap intervals (figures, {far: cosine})."""
    accuracy, error = verification.ten_fold_accuracy(scores.values, scores.same, scores.folds)
    figures: dict[str, Any] = {"lfw_accuracy": round(accuracy, 4), "lfw_accuracy_se": round(error, 4)}
    more, thresholds = calibration(scores)
    for far, limit in thresholds.items():
        figures[f"tar_at_far_{far:g}"] = round(verification.tar_at(scores.genuine, limit), 4)
        interval = verification.bootstrap_tar(scores.genuine, scores.impostors, far)
        figures[f"tar_interval_{far:g}"] = [round(v, 4) for v in interval]
    return figures | more, thresholds


def calibration(scores: Scores) -> tuple[dict[str, Any], dict[float, float]]:
    """({threshold_interval_FAR: [low, high]}, {far: cosine}); DataError where there are too few strangers."""
    try:
        thresholds = {far: round(verification.threshold_at_far(scores.impostors, far), 4) for far in FARS}
    except ValueError as error:
        raise DataError(str(error)) from None
    intervals = {far: verification.bootstrap_threshold(scores.impostors, far) for far in FARS}
    figures = {f"threshold_interval_{far:g}": [round(v, 4) for v in pair] for far, pair in intervals.items()}
    return figures, thresholds


def named(thresholds: dict[float, float]) -> dict[str, float]:
    """Thresholds as table columns."""
    return {f"threshold at FAR {far:g}": limit for far, limit in thresholds.items()}


def pair_scores(recogniser: Recogniser, found: list[Pair], folder: Path) -> tuple[Scores, int]:
    """Every pair's cosine, and how many photos came without landmarks and were detected here."""
    rows, redetected = embed_named(recogniser, folder, {name for pair in found for name in (pair.first, pair.second)})
    return Scores(np.array([float(rows[pair.first] @ rows[pair.second]) for pair in found]), found), redetected


def embed_named(
    recogniser: Recogniser, folder: Path, names: set[str], batch: int = 32
) -> tuple[dict[str, torch.Tensor], int]:
    """Unit embeddings (D,) by file name, and how many came without landmarks. DataError where a photo is missing."""
    redetected, found = 0, {}
    waiting: list[tuple[str, torch.Tensor]] = []
    for face in named_faces(folder, names):
        redetected += face.landmarks is None
        waiting.append((face.file, align(face.pixels, landmarks_of(face), recogniser.template).pixels))
        if len(waiting) == batch:
            found.update(_embed(recogniser, waiting))
            waiting.clear()
    if waiting:
        found.update(_embed(recogniser, waiting))
    return found, redetected


@torch.inference_mode()
def _embed(recogniser: Recogniser, crops: list[tuple[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    rows = recogniser.embed(torch.cat([crop for _, crop in crops])).cpu()
    return dict(zip((name for name, _ in crops), rows, strict=True))


@cache
def _detector() -> Detector:
    return Detector()


def landmarks_of(face: LfwFace) -> torch.Tensor:
    """The given landmarks, or else the detector's: in the middle of LFW's window, or of the largest face."""
    if face.landmarks is not None:
        return face.landmarks
    if face.identity:
        return torch.tensor(_detector().in_box(face.pixels, FACE_IN_LFW).landmarks)
    seen = _detector().faces(face.pixels)
    if not seen:
        raise FaceError(f"No face was found in {face.file}: take its pairs out of the pairs file.")
    return torch.tensor(seen[0].landmarks)


def write(id: str, figures: dict[str, Any], thresholds: dict[float, float] | None = None, data: str = "") -> None:
    """Write into the registry's entry, and into every entry that carries the same file; comments stay.

    A network that FRBench lists gets an entry of its own, with the SHA-256 of the weights that were measured.
    """
    card = checkpoint(id)
    if card.kind != "recogniser":
        raise CheckpointError(f"{id} is not a recogniser: only recognisers have thresholds.")

    def edit(text: Any) -> None:
        if id not in text:
            weights_file.add(text, id, weights_file.values_of(stamped(card)))
        for name in (name for name in _same_file(card) if name in text):
            weights_file.put(text[name], "figures", figures)
            if thresholds:
                text[name]["threshold_data"] = data
                limits = {f"{far:g}": limit for far, limit in thresholds.items()}
                weights_file.put(text[name], "thresholds", limits, whole=True)

    weights_file.change(edit)


def _same_file(card: Checkpoint) -> list[str]:
    known = registry().items()
    return [name for name, other in known if name == card.id or (card.sha256 and other.sha256 == card.sha256)]
