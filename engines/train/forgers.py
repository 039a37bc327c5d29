"""The recipe family of the bundled forgers: one loop, and for each forger its own networks and losses.

    python -m engines.train.forgers stargan --data DIR --teacher FOLDER --out FOLDER

`--data` holds celeba160-train-*.parquet and celeba160-test-*.parquet. Generator and critic take one step each in
turn, the critic on the pictures just made, for the sake of two cores (StarGAN's paper gives the critic five).
With `--teacher` the generator also learns from a classifier that was trained before (`engines.train.teacher`), which
no paper has: after 4,000 steps a critic of its own was still so weak a teacher that it was pleased by what no other
classifier saw.
What is bundled is the generator's moving average. Started again with the same --out, it goes on after the last
checkpoint. Every draw depends on the seed and the step alone.
"""

from __future__ import annotations

import argparse
import copy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torchvision.utils import save_image

from engines.train import kept, processes
from engines.train.average import follow
from engines.train.celeba import Celeba
from engines.train.datasets import DataError
from engines.train.forger_grid import SHOWN, grid
from engines.train.forger_losses import OBJECTIVES
from engines.train.forger_terms import Batch, Terms
from engines.train.half import half
from engines.train.rounds import clock, rounds
from engines.train.teacher import lesson
from engines.train.teacher import read as read_teacher

AVERAGE = 0.999  # of the generator's moving average, per step
# The generator's share of the rate. HiSD at five times the rate gave a face back better after 80 steps than after 120
# at one; the others were not compared (StarGAN: from step 4,100 on).
FASTER = {"stargan": 2.5, "attentiongan": 2.5, "fpgan": 2.5, "relgan": 2.0, "hisd": 3.0}


@dataclass(frozen=True)
class Recipe:
    """What a training is made of. `rate` is Adam's of both networks; it falls to zero over the last half.

    A step forges `batch` faces and shows the critic `real` ones; `warm` steps come first, in which nothing is forged.
    `taught` weighs a teacher's cross-entropy, where there is one.
    """

    steps: int
    batch: int
    real: int = 32
    warm: int = 300
    width: int = 24
    size: int = 128
    rate: float = 2e-4
    seed: int = 0
    taught: float = 1.0


CONFIGS = {"cpu": Recipe(steps=4000, batch=8, warm=300), "gpu": Recipe(steps=40000, batch=16, real=48)}


class Training:
    """One forger's training: state, a step at a time, checkpoints and pictures in a folder."""

    def __init__(
        self,
        id: str,
        recipe: Recipe,
        faces: Celeba,
        folder: Path,
        device: str = "cpu",
        teacher: nn.Module | None = None,
    ):
        self.id, self.recipe, self.faces, self.folder, self.device = id, recipe, faces, Path(folder), device
        self.teacher = teacher
        torch.manual_seed(recipe.seed)
        self.objective = OBJECTIVES[id](id, recipe.size, recipe.width)
        self.generator, self.critic = self.objective.generator.to(device), self.objective.critic.to(device)
        wide_first(self.generator)
        self.average = copy.deepcopy(self.generator).requires_grad_(False).eval()
        self.labels = faces.labels(self.objective.names)
        self.optimisers = self._optimisers()
        self.done, self.seconds, self.history = 0, 0.0, []  # type: ignore[var-annotated]
        self.taught_from: int | None = None
        self._resume()
        if teacher is not None and self.taught_from is None:
            self.taught_from = self.done

    def _parts(self) -> list[list[dict]]:
        """What each optimiser moves, at which share of the rate; HiSD's mappers far slower, as its release does."""
        slow = [p for name, p in self.generator.named_parameters() if name.startswith("mappers")]
        fast = [p for name, p in self.generator.named_parameters() if not name.startswith("mappers")]
        groups = [
            {"params": fast, "share": FASTER.get(self.id, 1.0)},
            *([{"params": slow, "share": 0.01}] if slow else []),
        ]
        return [groups, [{"params": list(self.critic.parameters()), "share": 1.0}]]

    def _optimisers(self) -> list[torch.optim.Optimizer]:
        return [torch.optim.Adam(part, lr=self.recipe.rate, betas=(0.5, 0.999)) for part in self._parts()]

    def _state(self) -> dict[str, nn.Module]:
        return {"generator": self.generator, "critic": self.critic, "average": self.average}

    def _resume(self) -> None:
        if (found := kept.read(self.folder, self.device)) is None:
            return
        for name, net in self._state().items():
            net.load_state_dict(found[name])
        for optimiser, state in zip(self.optimisers, found["optimisers"], strict=True):
            own = [{"share": group["share"]} if "share" in group else {} for group in optimiser.param_groups]
            optimiser.load_state_dict(state)
            for group, kept_share in zip(optimiser.param_groups, own, strict=True):
                group.update(kept_share)
        self.done, self.seconds, self.history = found["done"], found["seconds"], found["history"]
        self.taught_from = found.get("taught_from")

    def save(self) -> None:
        """Keep what the training needs to go on, the averaged generator, and the log."""
        past = {"done": self.done, "seconds": self.seconds, "history": self.history, "taught_from": self.taught_from}
        state: dict[str, Any] = {name: net.state_dict() for name, net in self._state().items()}
        state["optimisers"] = [optimiser.state_dict() for optimiser in self.optimisers]
        log = {"id": self.id, "recipe": asdict(self.recipe), "device": self.device, **past}
        log["seconds"] = round(self.seconds)
        kept.write(self.folder, {**state, **past}, self.average.state_dict(), log)

    def rate_at(self, step: int) -> float:
        """Adam's rate: whole for the first half, then in a straight line to zero."""
        return self.recipe.rate * min(1.0, 2 * (1 - step / self.recipe.steps))

    def draw(self, step: int) -> Batch:
        """A step's faces, half of them mirrored, and what is asked of them."""
        rng = np.random.default_rng((self.recipe.seed, step % 2**32))  # a step before the first counts from the end
        index, asked = self.objective.draw(self.labels, self.recipe.real, rng)
        pixels = 2 * self.faces.pixels(index, self.recipe.size) - 1
        mirrored = torch.from_numpy(rng.random(len(index)) < 0.5)
        pixels[mirrored] = pixels[mirrored].flip(-1)
        labels = torch.from_numpy(self.labels[index].astype(np.float32))
        torch.manual_seed(int(rng.integers(2**62)))
        return processes.part(Batch(pixels.to(self.device), labels.to(self.device), **asked))

    def _update(self, which: int, terms: Terms) -> None:
        optimiser = self.optimisers[which]
        for group in optimiser.param_groups:
            group["lr"] = self.rate_at(self.done) * group["share"]
        optimiser.zero_grad(set_to_none=True)
        torch.stack([value.float() for value in terms.values()]).sum().backward()
        parameters = [p for group in optimiser.param_groups for p in group["params"]]
        processes.average(parameters)
        norm = nn.utils.clip_grad_norm_(parameters, 100.0)
        if norm.isfinite():  # else the step is left out: one infinite gradient would end the training
            optimiser.step()

    def _made(self, batch: Batch) -> Terms:
        """The generator's terms, with the teacher's where there is one."""
        terms = self.objective.generator_terms(batch)
        if self.teacher is not None:
            wanted = self.objective.wanted(batch)
            terms["taught"] = self.recipe.taught * lesson(
                self.teacher, self.objective.made, wanted, self.objective.names
            )
        return terms

    def step(self) -> dict[str, float]:
        """One update of the generator, one of the critic; returns what the log shows."""
        real = self.draw(self.done)
        batch = real.first(self.recipe.batch // processes.count())
        with half(self.device):
            self.critic.requires_grad_(False)
            made = self._made(batch)
            self._update(0, made)
            self.critic.requires_grad_(True)
            seen = self.objective.critic_terms(batch, real)
            self._update(1, seen)
        follow(self.average, self.generator, min(AVERAGE, (1 + self.done) / (10 + self.done)))
        self.done += 1
        terms = {**{f"g {name}": v for name, v in made.items()}, **{f"d {name}": v for name, v in seen.items()}}
        return {name: float(value.detach()) for name, value in terms.items()}

    def warm(self) -> None:
        """Let the critic learn the attributes before it teaches them, and the generator to give a face back."""
        for k in range(self.recipe.warm):
            real = self.draw(-1 - k)
            with half(self.device):
                self._update(0, self.objective.first_terms(real.first(self.recipe.batch // processes.count())))
                self._update(1, self.objective.warm_terms(real))
        self.average.load_state_dict(self.generator.state_dict())

    def run(self, test: Celeba, every: int = 100) -> None:
        """Train to the end; every so many steps save, log and draw the edits of people never seen."""
        if not self.done:
            began = clock(self.device)
            self.warm()
            self.seconds += clock(self.device) - began
        for row in rounds(self, every):
            self.history.append(row)
            self.save()
            if processes.first():
                save_image(grid(self, test), self.folder / "grid.png", nrow=SHOWN)
            processes.say(f"{self.id} {row} {self.seconds:.0f} s")


def wide_first(net: nn.Module) -> None:
    """Keep the 7 x 7 kernels with the channels last: on one core such a layer then takes 0.6 to 0.8 of the time."""
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (7, 7):
            layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last)


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(description="Train a forger.")
    parser.add_argument("id", choices=list(OBJECTIVES))
    parser.add_argument("--config", choices=list(CONFIGS), default="cpu")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--teacher", type=Path)
    for name in ("steps", "batch", "real", "seed"):
        parser.add_argument(f"--{name}", type=int)
    for name in ("rate", "taught"):
        parser.add_argument(f"--{name}", type=float)
    parser.add_argument("--device", default=processes.device())
    args = parser.parse_args()
    recipe = CONFIGS[args.config]
    recipe = replace(
        recipe, **{name: value for name in vars(recipe) if (value := getattr(args, name, None)) is not None}
    )
    try:
        faces, test = (Celeba.read(args.data, split) for split in ("train", "test"))
        teacher = read_teacher(args.teacher, args.device) if args.teacher else None
    except DataError as error:
        raise SystemExit(str(error)) from None
    Training(args.id, recipe, faces, args.out, args.device, teacher).run(test)


if __name__ == "__main__":
    main()
