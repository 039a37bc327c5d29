"""The recipe of ErasableMask: a curriculum of three stages (Shen et al., Sec. IV-D).

    python -m app targets --out TARGETS
    python -m engines.train.erasable_mask --data DIR --targets TARGETS --target hopper --out FOLDER [--teacher DIR]
    python -m engines.train.erasable_mask --data DIR --targets TARGETS --target collins --edits FOLDER --out OTHER

Stage 1 teaches G to edit attributes (Eq. 14). Stage 2 leaves G as it is and trains E_adv and R, which start as G is,
against the surrogates by the meta-auxiliary attack (Eq. 15). Stage 3 trains R alone (Eq. 16); with `--recall` the
surrogates, too, shall see the owner again, which the paper does not ask. With `--edits` the first stage is taken from
another training. With `--teacher` edits and masks also learn from a classifier that was trained before
(`engines.train.teacher`), which the paper does not have: forgers showed that a critic of few steps is pleased by
attributes that no other classifier sees. β and γ are drawn for every batch, so that both can be moved
afterwards; in half of the batches they are the usual ones. `--no-meta` is Table VII. Started again with the same
--out it goes on after the last checkpoint; every draw depends on seed and step alone.
"""

from __future__ import annotations

import argparse
import copy
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from engines.checkpoints import CheckpointError
from engines.face import ARCFACE112, celeba
from engines.manipulate import signed
from engines.method import MethodError
from engines.nets.dip import TARGETS
from engines.nets.erasable_mask import ATTRIBUTES, BETA, GAMMA, ErasableMask
from engines.nets.stargan import Discriminator
from engines.train import kept, processes
from engines.train.average import follow
from engines.train.celeba import Celeba
from engines.train.datasets import DataError
from engines.train.dip_recipe import SURROGATES, target_faces
from engines.train.erasable_held_out import held_out
from engines.train.erasable_recipe import BETAS, CONFIGS, GAMMAS, Recipe
from engines.train.erasable_stages import Batch, Stages
from engines.train.forger_terms import started
from engines.train.half import half
from engines.train.rounds import rounds
from engines.train.teacher import read as read_teacher
from engines.train.victims import Victim, victims

AVERAGE = 0.998  # of the moving average that is bundled, per step


class Training(Stages):
    """One training: state, a step at a time, checkpoints and pictures in a folder."""

    def __init__(
        self,
        recipe: Recipe,
        faces: Celeba,
        against: list[Victim],
        folder: Path,
        device: str = "cpu",
        teacher: nn.Module | None = None,
    ):
        self.recipe, self.faces, self.against, self.folder, self.device = recipe, faces, against, Path(folder), device
        self.teacher = teacher
        torch.manual_seed(recipe.seed)
        self.net = ErasableMask(recipe.widths).to(device)
        self.critic = started(Discriminator(recipe.size, len(ATTRIBUTES), recipe.critic, most=recipe.most)).to(device)
        self.average = copy.deepcopy(self.net).requires_grad_(False).eval()
        self.labels = faces.labels(ATTRIBUTES).astype(np.float32)
        self._enter(1)
        self.epochs = torch.ones(2, len(against))  # mean losses of the last epoch and of the one before: line 1
        self.sums, self.counts = torch.zeros(len(against)), torch.zeros(len(against))
        self.done, self.seconds, self.history = 0, 0.0, []  # type: ignore[var-annotated]
        self._resume()

    def _enter(self, stage: int) -> None:
        """What moves in a stage, and its optimisers. After the first, statistics of batches stay as they are."""
        net = self.net
        parts: dict[int, list[nn.Module]] = {1: [net.generator], 2: [net.adversary, net.restorer], 3: [net.restorer]}
        moved = parts[stage]
        self.net.requires_grad_(False).train(stage == 1)
        for part in moved:
            part.requires_grad_(True)
        both = ([p for part in moved for p in part.parameters()], list(self.critic.parameters()))
        self.optimisers = [torch.optim.Adam(part, lr=self.recipe.rate, betas=(0.5, 0.999)) for part in both]

    def _begin(self, stage: int) -> None:
        """Enter a stage for the first time: the second starts from the average of G."""
        if stage == 2:
            self.net.generator.load_state_dict(self.average.generator.state_dict())
            self.net.couple()
            self.average.load_state_dict(self.net.state_dict())
        self._enter(stage)

    def take(self, folder: Path) -> None:
        """G and D of another training whose first stage is over; DataError where it is not."""
        found = kept.read(folder, self.device)
        if found is None or found["stage"] == 1 and found["done"] < found["edit"]:
            raise DataError(f"{Path(folder).name} holds no training whose first stage is over: train it first.")
        if not self.done:
            self.average.load_state_dict(found["average"])
            self.critic.load_state_dict(found["critic"])

    def _resume(self) -> None:
        if (found := kept.read(self.folder, self.device)) is None:
            return
        self._enter(found["stage"])
        for name, net in self._nets().items():
            net.load_state_dict(found[name])
        for optimiser, state in zip(self.optimisers, found["optimisers"], strict=True):
            optimiser.load_state_dict(state)
        self.epochs, self.sums, self.counts = (found[name].cpu() for name in ("epochs", "sums", "counts"))
        self.done, self.seconds, self.history = found["done"], found["seconds"], found["history"]

    def _nets(self) -> dict[str, nn.Module]:
        return {"net": self.net, "critic": self.critic, "average": self.average}

    def save(self) -> None:
        """Keep what the training needs to go on, the averaged networks, and the log."""
        past = {"done": self.done, "seconds": self.seconds, "history": self.history}
        state: dict[str, Any] = {name: net.state_dict() for name, net in self._nets().items()}
        state |= {"stage": self.recipe.stage(max(0, self.done - 1)), "edit": self.recipe.edit}
        state |= {"epochs": self.epochs, "sums": self.sums, "counts": self.counts}
        state["optimisers"] = [optimiser.state_dict() for optimiser in self.optimisers]
        told = {"recipe": asdict(self.recipe), "teacher": self.teacher is not None, "device": self.device}
        log = {**told, **past, "seconds": round(self.seconds)}
        kept.write(self.folder, {**state, **past}, self.average.state_dict(), log)

    def draw(self, step: int) -> Batch:
        """A step's faces, half of them mirrored; they are asked for each other's attributes."""
        rng = np.random.default_rng((self.recipe.seed, step))
        index = rng.choice(len(self.faces), self.recipe.batch, replace=False)
        pixels = signed(self.faces.pixels(index, self.recipe.size))
        mirrored = torch.from_numpy(rng.random(len(index)) < 0.5)
        pixels[mirrored] = pixels[mirrored].flip(-1)
        attributes = torch.from_numpy(self.labels[index]).to(self.device)
        mix = (BETA, GAMMA) if step % 2 else (float(rng.uniform(*BETAS)), float(rng.uniform(*GAMMAS)))
        seed = int(rng.integers(2**62))
        torch.manual_seed(seed)
        return processes.part(Batch(pixels.to(self.device), attributes, attributes.roll(1, 0), mix, seed))

    def rate_at(self, step: int) -> float:
        """Adam's rate: in each stage whole for the first half, then in a straight line to zero."""
        ends = (0, self.recipe.edit, self.recipe.edit + self.recipe.attack, self.recipe.steps)
        begin, end = ends[self.recipe.stage(step) - 1 : self.recipe.stage(step) + 1]
        return self.recipe.rate * min(1.0, 2 * (1 - (step - begin) / max(1, end - begin)))

    def _update(self, which: int, terms: dict[str, Tensor]) -> None:
        optimiser = self.optimisers[which]
        for group in optimiser.param_groups:
            group["lr"] = self.rate_at(self.done)
        optimiser.zero_grad(set_to_none=True)
        torch.stack([value.float() for value in terms.values()]).sum().backward()
        processes.average(optimiser.param_groups[0]["params"])
        nn.utils.clip_grad_norm_(optimiser.param_groups[0]["params"], 500.0)
        optimiser.step()

    def step(self) -> dict[str, float]:
        """One update of what the stage trains; returns what the log shows."""
        stage = self.recipe.stage(self.done)
        if stage > 1 and self.done in (self.recipe.edit, self.recipe.edit + self.recipe.attack):
            self._begin(stage)
        batch = self.draw(self.done)
        with half(self.device):
            terms = (self._edit, self._attack, self._erase)[stage - 1](batch)
        follow(self.average, self.net, min(AVERAGE, (1 + self.done) / (10 + self.done)))
        self.done += 1
        return {name: float(value.detach()) for name, value in terms.items()}

    def run(self, test: Celeba, every: int = 100) -> None:
        """Train to the end; every so many steps measure on people never seen, save, and draw a grid."""
        for mean in rounds(self, every):
            self.history.append({**mean, **held_out(self, test)})
            self.save()
            processes.say(f"stage {self.recipe.stage(self.done - 1)} {self.history[-1]} {self.seconds:.0f} s")


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(description="Train ErasableMask for one target.")
    parser.add_argument("--config", choices=list(CONFIGS), default="cpu")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--targets", type=Path, required=True, help="folder of `python -m app targets`")
    parser.add_argument("--target", choices=TARGETS, default=TARGETS[1])
    parser.add_argument("--edits", type=Path, help="folder of another training, to take its first stage")
    parser.add_argument("--teacher", type=Path, help="folder of engines.train.teacher")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--no-meta", action="store_true", help="the plain ensemble of Table VII")
    for name in ("edit", "attack", "erase", "batch", "primaries"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--taught", type=float, help="what a teacher's cross-entropy counts")
    parser.add_argument("--recall", type=float, help="what it counts that surrogates know the erased face's owner")
    parser.add_argument("--real", type=float, help="λ of L_G, that pictures look real")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default=processes.device())
    args = parser.parse_args()
    names = ("edit", "attack", "erase", "batch", "primaries", "taught", "recall")
    asked = {name: getattr(args, name) for name in names}
    recipe = replace(CONFIGS[args.config], **{name: value for name, value in asked.items() if value is not None})
    if args.real is not None:
        recipe = replace(recipe, weights=replace(recipe.weights, generator=args.real))
    recipe = replace(recipe, meta=not args.no_meta, seed=args.seed, edit=0 if args.edits else recipe.edit)
    try:
        faces, test = (Celeba.read(args.data, split) for split in ("train", "test"))
        target = target_faces(args.targets)[TARGETS.index(args.target)][None]
        against = victims(SURROGATES, target, ARCFACE112, celeba(recipe.size), args.device)
        teacher = read_teacher(args.teacher, args.device) if args.teacher else None
        training = Training(recipe, faces, against, args.out, args.device, teacher)
        if args.edits:
            training.take(args.edits)
        training.run(test)
    except (DataError, MethodError, CheckpointError) as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
