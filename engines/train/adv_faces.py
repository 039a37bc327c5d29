"""The recipe of AdvFaces (Deb et al., IJCB 2020) towards one target, a baseline of ErasableMask.

    python -m engines.train.adv_faces --data DIR --targets TARGETS --target hopper --out FOLDER

A generator adds a perturbation of its own to each face; a critic of patches keeps it natural, a hinge keeps it small,
and the same surrogates as ErasableMask's say how near the target is. In the style of the paper: our networks' layers,
faces of 128 x 128, and the hinge's 3.0, which is for 160 x 160, as the root of a mean square. Started again with the
same --out it goes on after the last checkpoint; every draw depends on seed and step alone.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from engines.checkpoints import CheckpointError
from engines.face import ARCFACE112
from engines.manipulate import signed, unsigned
from engines.method import MethodError
from engines.nets.dip import TARGETS
from engines.nets.erasable_mask import ATTRIBUTES, WIDTHS, Coder
from engines.nets.stargan import Discriminator
from engines.tensors import fill, read_tensors
from engines.train import erasable_losses as losses
from engines.train import kept, processes
from engines.train.celeba import Celeba
from engines.train.datasets import DataError
from engines.train.dip_recipe import SURROGATES, target_faces
from engines.train.forger_terms import MOST, started
from engines.train.half import half
from engines.train.rounds import rounds
from engines.train.victims import Victim, still, victims

HINGE = 3.0 / (3 * 160 * 160) ** 0.5


@dataclass(frozen=True)
class Recipe:
    """What a training is made of; `identity` and `perturbation` are the paper's λ."""

    steps: int
    batch: int = 8
    widths: tuple[int, ...] = WIDTHS
    critic: int = 32
    size: int = 128
    identity: float = 10.0
    perturbation: float = 1.0
    rate: float = 3e-4
    seed: int = 0


CONFIGS = {"cpu": Recipe(steps=1200), "gpu": Recipe(steps=20000, batch=32)}


class AdvFaces(nn.Module):
    """(N, 3, S, S) in [-1, 1] -> the same, perturbed."""

    def __init__(self, widths: tuple[int, ...]):
        super().__init__()
        self.coder = Coder(widths)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.coder(pixels, pixels.new_zeros(len(pixels), len(ATTRIBUTES))).clamp(-1, 1)


def trained(folder: Path) -> AdvFaces:
    """The generator of a training's folder; DataError where there is none."""
    try:
        log = json.loads((folder / "log.json").read_text())
        net = AdvFaces(tuple(log["recipe"]["widths"]))
        fill(net, read_tensors(folder / "weights.safetensors"))
    except (OSError, ValueError, KeyError):
        raise DataError(
            f"There is no training of AdvFaces in {folder.name}: give the recipe's --out folder."
        ) from None
    return net.eval().requires_grad_(False)


class Training:
    """One training: state, a step at a time, checkpoints in a folder."""

    def __init__(self, recipe: Recipe, faces: Celeba, against: list[Victim], folder: Path, device: str = "cpu"):
        self.recipe, self.faces, self.against, self.folder, self.device = recipe, faces, against, Path(folder), device
        torch.manual_seed(recipe.seed)
        self.net = AdvFaces(recipe.widths).to(device)
        self.critic = started(Discriminator(recipe.size, 1, recipe.critic, most=MOST)).to(device)
        self.optimisers = [torch.optim.Adam(net.parameters(), recipe.rate, (0.5, 0.999)) for net in self._nets()]
        self.done, self.seconds, self.history = 0, 0.0, []  # type: ignore[var-annotated]
        if (found := kept.read(self.folder, device)) is not None:
            for part, state in zip(self._parts(), found["state"], strict=True):
                part.load_state_dict(state)
            self.done, self.seconds, self.history = found["done"], found["seconds"], found["history"]

    def _nets(self) -> tuple[nn.Module, nn.Module]:
        return self.net, self.critic

    def _parts(self) -> list[Any]:
        return [*self._nets(), *self.optimisers]

    def save(self) -> None:
        """Keep what the training needs to go on, the generator, and the log."""
        past = {"done": self.done, "seconds": self.seconds, "history": self.history}
        state = [part.state_dict() for part in self._parts()]
        log = {"recipe": asdict(self.recipe), "device": self.device, **past, "seconds": round(self.seconds)}
        kept.write(self.folder, {"state": state, **past}, self.net.state_dict(), log)

    def _update(self, which: int, loss: Tensor) -> None:
        optimiser = self.optimisers[which]
        for group in optimiser.param_groups:
            group["lr"] = self.recipe.rate * min(1.0, 2 * (1 - self.done / self.recipe.steps))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        processes.average(p for group in optimiser.param_groups for p in group["params"])
        optimiser.step()

    def step(self) -> dict[str, float]:
        """One update of the generator, one of the critic."""
        rng = np.random.default_rng((self.recipe.seed, self.done))
        index = rng.choice(len(self.faces), self.recipe.batch, replace=False)
        pixels = signed(self.faces.pixels(processes.part(index), self.recipe.size)).to(self.device)
        with half(self.device):
            made = self.net(pixels)
            terms = {
                "real": losses.fooled(self.critic(made)[0]),
                "identity": self.recipe.identity * self._missed(made),
                "size": self.recipe.perturbation * losses.root(made - pixels).clamp_min(HINGE).mean() * 3 / HINGE,
            }
            self._update(0, torch.stack(list(terms.values())).sum())
            terms["critic"] = losses.told_apart(self.critic(pixels)[0], self.critic(made.detach())[0])
            self._update(1, terms["critic"])
        self.done += 1
        return {name: float(value.detach()) for name, value in terms.items()}

    def _missed(self, made: Tensor) -> Tensor:
        return torch.stack([losses.missed(victim, unsigned(made), still()) for victim in self.against]).mean()

    @torch.no_grad()
    def held_out(self, test: Celeba, faces: int = 48) -> dict[str, float]:
        """On people never seen: the mean cosine to the target, and L1 in [0, 1]."""
        pixels = signed(test.pixels(np.arange(faces) * (len(test) // faces), self.recipe.size)).to(self.device)
        made = self.net.eval()(pixels)
        self.net.train()
        found = {"to target": 1 - self._missed(made), "l1": (unsigned(made) - unsigned(pixels)).abs().mean()}
        return {name: round(float(value), 4) for name, value in found.items()}

    def run(self, test: Celeba, every: int = 100) -> None:
        """Train to the end; every so many steps measure and save."""
        for mean in rounds(self, every):
            self.history.append({**mean, **self.held_out(test)})
            self.save()
            processes.say(f"AdvFaces {self.history[-1]} {self.seconds:.0f} s")


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(description="Train AdvFaces towards one target.")
    parser.add_argument("--config", choices=list(CONFIGS), default="cpu")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--targets", type=Path, required=True, help="folder of `python -m app targets`")
    parser.add_argument("--target", choices=TARGETS, default=TARGETS[1])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default=processes.device())
    args = parser.parse_args()
    recipe = CONFIGS[args.config]
    recipe = replace(recipe, steps=args.steps or recipe.steps, seed=args.seed)
    try:
        faces, test = (Celeba.read(args.data, split) for split in ("train", "test"))
        target = target_faces(args.targets)[TARGETS.index(args.target)][None]
        against = victims(SURROGATES, target, ARCFACE112, device=args.device)
        Training(recipe, faces, against, args.out, args.device).run(test)
    except (DataError, MethodError, CheckpointError) as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
