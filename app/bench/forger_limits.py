"""`bench forger-limits`: how far each forger can be disrupted at all, by gradients of the very face and network.

No defence that is made for unknown faces does better than that. What PGD found is also tried in parts: what is finer
than a mean over 7 x 7 pixels, and that mean alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from app.bench.id_guard import JUDGE
from engines import manipulate, recognise
from engines.checkpoints import checkpoint
from engines.edits import LABELS
from engines.manipulate import FORGERS, Forger, signed, unsigned
from engines.measure import defended, l2_face
from engines.nets.id_guard import EPSILON
from engines.nets.parser import FACE, mask
from engines.parse import parts
from engines.recognise import Recogniser
from engines.train import idm
from engines.train.celeba import Celeba
from engines.train.pgd import pgd

KERNEL = 7


def coarse(delta: Tensor) -> Tensor:
    """The mean over 7 x 7 pixels, mirrored at the border: (N, 3, S, S) -> the same shape."""
    return F.avg_pool2d(F.pad(delta, (KERNEL // 2,) * 4, mode="reflect"), KERNEL, 1)


class Attack:
    """PGD on L2-face (Eq. 16), ε = 0.05, steps of 0.01, of some faces in [-1, 1] with their labels."""

    def __init__(self, pixels: Tensor, labels: Tensor, judge: Recogniser, steps: int, seed: int):
        self.pixels, self.labels, self.judge, self.steps, self.seed = pixels, labels, judge, steps, seed
        self.face = mask(parts(unsigned(pixels)), FACE)

    def row(self, forger: Forger, edit: str) -> dict[str, Any]:
        """What gradients reach on one edit of one forger, whole and in parts."""
        with torch.no_grad():
            clean = forger.forge(unsigned(self.pixels), edit, self.labels)

        def distance(some: Tensor) -> Tensor:
            return ((2 * (forger.forge(unsigned(some), edit, self.labels) - clean)).square() * self.face).mean()

        delta = pgd(distance, self.pixels, torch.Generator().manual_seed(self.seed), steps=self.steps)
        whole, success = self._reached(forger, edit, clean, delta)
        fine, _ = self._reached(forger, edit, clean, delta - coarse(delta))
        mean, _ = self._reached(forger, edit, clean, coarse(delta))
        return {
            "forger": forger.card.id,
            "edit": edit,
            "L2": float(whole.mean()),
            "least": float(whole.min()),
            "DSR": success,
            "fine part": float(fine.mean()),
            "coarse part": float(mean.mean()),
            "coarse share": float(F.avg_pool2d(delta, 4).square().mean() / delta.square().mean()),
        }

    @torch.no_grad()
    def _reached(self, forger: Forger, edit: str, clean: Tensor, delta: Tensor) -> tuple[Tensor, float]:
        """L2-face of each face, and the share that counts as defended."""
        moved = unsigned((self.pixels + delta.clamp(-EPSILON, EPSILON)).clamp(-1, 1))
        forged = forger.forge(moved, edit, self.labels)
        distance = l2_face(clean, forged, self.face)
        one, two = (idm.identities([self.judge], signed(some))[0] for some in (clean, forged))
        return distance, float(defended(distance, (one * two).sum(1)).float().mean())


def rows_of(attack: Attack, forgers: tuple[str, ...], edits: int) -> Iterator[dict[str, Any]]:
    """A row for each of the first edits of each forger."""
    for id in forgers:
        forger = manipulate.forger(id)
        yield from (attack.row(forger, edit) for edit in forger.edits[:edits])


def add_parser(names: Any) -> None:
    """`bench forger-limits`."""
    parser = names.add_parser("forger-limits", help="how far gradients of the very face disrupt each forger")
    parser.add_argument("--data", type=Path, required=True, help="folder with the CelebA parquet files")
    parser.add_argument("--faces", type=int, default=6)
    parser.add_argument("--edits", type=int, default=5, help="so many of each forger's edits")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--only", nargs="+", choices=FORGERS, default=list(FORGERS))
    parser.add_argument("--seed", type=int, default=0)
    parser.set_defaults(func=_run)


def _run(args: Any) -> dict[str, Any]:
    if args.faces < 1:
        raise ValueError("There is nothing to attack: give --faces 1 or more.")
    test = Celeba.read(args.data, "test")
    index = np.arange(min(args.faces, len(test))) * (len(test) // args.faces or 1)
    labels = torch.from_numpy(test.labels(LABELS)[index].astype(np.float32))
    attack = Attack(signed(test.pixels(index, 128)), labels, recognise.load(JUDGE), args.steps, args.seed)
    cards = [checkpoint(id) for id in (*args.only, "parser", JUDGE)]
    made = {"faces": len(index), "steps": args.steps, "seed": args.seed, "data": "CelebA, people never trained on"}
    made["checkpoints"] = [{"id": card.id, "sha256": card.sha256} for card in cards]
    return {"rows": list(rows_of(attack, tuple(args.only), args.edits)), "provenance": made}
