"""ID-Guard as a plug-in of a forger's training (Sec. III-E): the forger learns to withstand it, Eq. 15.

    python -m engines.train.adversarial stargan --data DIR --forger RUN --guard GUARD --out FOLDER

`RUN` is a folder of engines.train.forgers, `GUARD` one of engines.train.id_guard. The forger goes on from where it
ended, on faces to which G adds its perturbation (in half of the steps); after each of its steps G takes one of its
own against the forger as it is now. What is lost is the forger's own objective; what G raises is the distance of
the forgeries of the perturbed faces from those of the plain ones.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engines.checkpoints import CheckpointError
from engines.edits import LABELS, wanted
from engines.methods.id_guard import generator_of
from engines.train import forgers, kept, processes
from engines.train.celeba import Celeba
from engines.train.datasets import DataError
from engines.train.forger_losses import OBJECTIVES
from engines.train.forger_terms import Batch
from engines.train.pgd import pgd

RATE = 1e-4  # Adam's, of G


class Hardening(forgers.Training):
    """A forger's training among perturbed faces. `guard` is G, trained along."""

    def __init__(
        self, id: str, recipe: forgers.Recipe, faces: Celeba, start: Path, guard: torch.nn.Module, folder: Path
    ):
        self.guard = guard.requires_grad_(True).train()
        super().__init__(id, recipe, faces, folder)
        if not self.done:
            self._begin(start)

    def _begin(self, start: Path) -> None:
        """Networks of the plain training; its optimisers and steps are left behind."""
        found = trained(start, "engines.train.forgers")
        for name, net in self._state().items():
            if name != "guard":
                net.load_state_dict(found[name])

    def _optimisers(self) -> list[torch.optim.Optimizer]:
        return [*super()._optimisers(), torch.optim.Adam(self.guard.parameters(), lr=RATE)]

    def _state(self) -> dict[str, torch.nn.Module]:
        return {**super()._state(), "guard": self.guard}

    def draw(self, step: int) -> Batch:
        """As the plain training's, but every other step's faces are perturbed by G as it is."""
        batch = super().draw(step)
        if step % 2:
            return batch
        with torch.no_grad():
            return replace(batch, pixels=(batch.pixels + self.guard(batch.pixels)).clamp(-1, 1))

    def step(self) -> dict[str, float]:
        """One step of forger and critic, then one of G."""
        return {**super().step(), "guard apart": self._attack()}

    def _attack(self) -> float:
        """The inner maximisation: G moves the forgeries away from those of the plain faces."""
        batch = super().draw(self.done - 1).first(self.recipe.batch // processes.count())
        aim = processes.another(batch.labels)
        self.generator.requires_grad_(False)
        with torch.no_grad():
            plain = self._forged(batch.pixels, batch.labels, aim)
        moved = (batch.pixels + self.guard(batch.pixels)).clamp(-1, 1)
        apart = (self._forged(moved, batch.labels, aim) - plain).square().mean()
        self.optimisers[-1].zero_grad(set_to_none=True)
        (-apart).backward()
        processes.average(self.guard.parameters())
        self.optimisers[-1].step()
        self.generator.requires_grad_(True)
        return float(apart.detach())

    def _forged(self, pixels: Tensor, labels: Tensor, aim: Tensor) -> Tensor:
        return self.generator(pixels, aim - labels if self.generator.relative else aim)


def trained(folder: Path, recipe: str) -> dict[str, Any]:
    """What a training has kept; DataError where there is none."""
    if (found := kept.read(folder, "cpu")) is None:
        raise DataError(f"There is no training in {folder.name}: give the folder of {recipe}.")
    return found


def weakness(net: torch.nn.Module, test: Celeba, faces: int = 40, seed: int = 0) -> float:
    """Mean squared distance, in [-1, 1], of forgeries under white-box PGD from the clean ones: blond hair, ε = 0.05.

    As in Table VII, but over the whole picture.
    """
    index = np.arange(faces) * (len(test) // faces)
    pixels = 2 * test.pixels(index, 128) - 1
    labels = torch.from_numpy(test.labels(LABELS)[index].astype(np.float32))
    aim = wanted(labels, "blond hair")
    asked = aim - labels if net.relative else aim
    with torch.no_grad():
        clean = net(pixels, asked)
    delta = pgd(lambda some: (net(some, asked) - clean).square().mean(), pixels, torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return float((net(pixels + delta, asked) - clean).square().mean())


def main() -> None:
    """Harden a forger."""
    parser = argparse.ArgumentParser(description="Train a forger that withstands ID-Guard.")
    parser.add_argument("id", choices=[id for id in OBJECTIVES if id != "hisd"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--forger", type=Path, required=True, help="folder of its plain training")
    parser.add_argument("--guard", type=Path, required=True, help="folder of ID-Guard's training")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=500)
    args = parser.parse_args()
    try:
        faces, test = (Celeba.read(args.data, split) for split in ("train", "test"))
        guard = generator_of(trained(args.guard, "engines.train.id_guard")["net"])
        plain = trained(args.forger, "engines.train.forgers")["average"]
        recipe = replace(forgers.CONFIGS["cpu"], steps=args.steps, warm=0)
        work = Hardening(args.id, recipe, faces, args.forger, guard, args.out)
    except (DataError, CheckpointError) as error:
        raise SystemExit(str(error)) from None
    work.run(test)
    after = weakness(work.average, test)
    work.average.load_state_dict(plain)
    print(f"{args.id} under PGD: squared distance {weakness(work.average, test):.4f} before, {after:.4f} after")


if __name__ == "__main__":
    main()
