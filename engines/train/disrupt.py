"""Disruptions that ID-Guard is compared with and that no generator makes: Disrupting, and CMUA's watermark.

    python -m engines.train.disrupt --data DIR --out FOLDER

makes CMUA's watermark against the bundled forgers and saves it in FOLDER; Disrupting needs no training. Faces are
(N, 3, S, S) in [-1, 1], perturbations in [-ε, ε].
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engines.checkpoints import CheckpointError
from engines.edits import LABELS
from engines.manipulate import Forger, signed, unsigned
from engines.nets.id_guard import EPSILON
from engines.train import kept
from engines.train.celeba import Celeba
from engines.train.datasets import DataError
from engines.train.opponents import bundled, success
from engines.train.pgd import pgd

STEPS = 10


def _forged(forger: Forger, edit: str, labels: Tensor, pixels: Tensor) -> Tensor:
    return signed(forger.forge(unsigned(pixels), edit, labels))


def disrupting(forger: Forger, labels: Tensor, pixels: Tensor, seed: int = 0, epsilon: float = EPSILON) -> Tensor:
    """Ruiz et al., ECCV 2020: PGD against one forger, its edits in turn, as far as possible from what it made: δ."""
    with torch.no_grad():
        still = {edit: _forged(forger, edit, labels, pixels) for edit in forger.edits}
    turn = count()

    def distance(moved: Tensor) -> Tensor:
        edit = forger.edits[next(turn) % len(forger.edits)]
        return (_forged(forger, edit, labels, moved) - still[edit]).square().mean()

    generator = torch.Generator().manual_seed(seed)
    return pgd(distance, pixels, generator, epsilon, epsilon / 5, STEPS)


def cmua(
    forgers: Sequence[Forger],
    batches: Iterable[tuple[Tensor, Tensor]],
    size: int = 128,
    epsilon: float = EPSILON,
    keep: float = 0.9,
    seed: int = 0,
) -> Tensor:
    """CMUA-Watermark (Huang et al., AAAI 2022): one perturbation for every face and forger, (1, 3, S, S).

    Each forger in turn is attacked on a batch (faces and labels); the sign of the batch's mean gradient is the
    image-level fusion, and the watermark keeps `keep` of itself when the attack's is taken in, the model-level one.
    Simplified: the paper also searches a step size for each forger; here all have the same.
    """
    generator = torch.Generator().manual_seed(seed)
    found = torch.zeros(1, 3, size, size)
    for pixels, labels in batches:
        for forger in forgers:
            edit = forger.edits[int(torch.randint(len(forger.edits), (), generator=generator))]
            # At no perturbation the squared distance has no slope; a hundredth of ε away it has.
            start = found + epsilon / 100 * (2 * torch.rand(found.shape, generator=generator) - 1)
            new = _attacked(forger, edit, labels, pixels, start.to(pixels), epsilon)
            found = (keep * found.to(new) + (1 - keep) * new).clamp(-epsilon, epsilon)
    return found


def _attacked(forger: Forger, edit: str, labels: Tensor, pixels: Tensor, start: Tensor, epsilon: float) -> Tensor:
    """The universal perturbation after PGD on one forger, from `start`."""
    with torch.no_grad():
        still = _forged(forger, edit, labels, pixels)
    delta = start.clone()
    for _ in range(STEPS):
        delta.requires_grad_()
        moved = (pixels + delta).clamp(-1, 1)
        loss = (_forged(forger, edit, labels, moved) - still).square().mean()
        slope = torch.autograd.grad(loss, delta)[0]
        delta = (delta + epsilon / 5 * slope.sign()).detach().clamp(-epsilon, epsilon)
    return delta


def batches(faces: Celeba, count: int, size: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """`count` batches of `size` faces in [-1, 1] and their labels, drawn by the seed."""
    labels = faces.labels(LABELS).astype(np.float32)
    for step in range(count):
        index = np.random.default_rng((seed, step)).choice(len(faces), size, replace=False)
        yield signed(faces.pixels(index, 128)), torch.from_numpy(labels[index])


def main() -> None:
    """Make CMUA's watermark."""
    parser = argparse.ArgumentParser(description="Make CMUA's watermark, a baseline of ID-Guard.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--batches", type=int, default=60)
    parser.add_argument("--size", type=int, default=8, help="faces a batch")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    try:
        faces, test = (Celeba.read(args.data, split) for split in ("train", "test"))
        against = bundled("cpu", faces)
    except (DataError, CheckpointError) as error:
        raise SystemExit(str(error)) from None
    began = time.process_time()
    mark = cmua(against.forgers, batches(faces, args.batches, args.size, args.seed), seed=args.seed)
    seconds = round(time.process_time() - began)
    found = success(against, {"DSR P": lambda pixels: mark}, test)
    recipe = {"batches": args.batches, "size": args.size, "seed": args.seed, "loss": "output"}
    log = {"recipe": recipe, "device": "cpu", "done": args.batches, "seconds": seconds, "history": [found]}
    kept.write(args.out, {"prior": mark}, {"prior": mark}, log)
    print(f"CMUA {found} {seconds} s")


if __name__ == "__main__":
    main()
