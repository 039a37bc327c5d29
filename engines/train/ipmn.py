"""The recipe of IPMN: three training phases (Yang et al., Sec. 3.4).

    python -m engines.train.ipmn_masks --data DIR --split train --out MASKS
    python -m engines.train.ipmn_masks --data DIR --split test --count 500 --out HELD_OUT
    python -m engines.train.ipmn --data DIR --masks MASKS --held-out HELD_OUT --out FOLDER

The initial phase trains H, R and D (Eq. 10), the reversible one f (Eq. 19) through the 8-bit file, the enhanced one
first stealing models, then R (Eq. 23). Every phase starts from the moving average of the one before. `--imn` is the
baseline without watermark, `--hidden` the one with HiDDeN in place of H and R. `--take FOLDER ...` starts from what
other trainings have trained: H and R from one of the initial phase alone, f from one of IMN, which two cores can
train side by side, or with --initial 0 --reversible 0 --enhance 0 --thieves res9 all of a finished service, which
another thief steals (Table 10). Started again with the same --out it goes on after the last checkpoint; every draw
depends on seed and step alone.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from engines.checkpoints import CheckpointError
from engines.nets.hidden import BITS, Hidden
from engines.nets.ipmn import Discriminator, Ipmn
from engines.nets.stealing import THIEVES, thief
from engines.train import kept, processes
from engines.train.average import follow
from engines.train.celeba import Celeba
from engines.train.datasets import DataError
from engines.train.forger_terms import Terms, started, total
from engines.train.half import half
from engines.train.ipmn_held_out import held_out
from engines.train.ipmn_losses import Network
from engines.train.ipmn_marks import drawn_bits, drawn_marks
from engines.train.ipmn_masks import Faces, Source, Swapped, Whole
from engines.train.ipmn_perceptual import vgg
from engines.train.ipmn_recipe import CONFIGS, PHASES, Recipe
from engines.train.ipmn_stages import Batch, Stages
from engines.train.rounds import rounds

AVERAGE = 0.998  # of the moving average that is bundled, per step


class Training(Stages):
    """One training: state, a step at a time, checkpoints and pictures in a folder."""

    def __init__(self, recipe: Recipe, faces: Source, features: Network, folder: Path, device: str = "cpu"):
        if recipe.batch % 2 or len(faces) < recipe.faces(0):
            raise DataError(f"A batch of {recipe.faces(0)} needs to be even and at most all {len(faces)} faces.")
        self.recipe, self.faces, self.features = recipe, faces, features
        self.folder, self.device = Path(folder), device
        torch.manual_seed(recipe.seed)
        self.net = (Hidden if recipe.hidden else Ipmn)(recipe.sizes).to(device)
        self.critic = started(Discriminator(recipe.sizes.critic)).to(device)
        self.thieves = nn.ModuleList(thief(kind, recipe.thief) for kind in recipe.thieves).to(device)
        self.stolen = self.marks(len(self.thieves), np.random.default_rng(recipe.seed)).to(device)
        self.average = copy.deepcopy(self.net).requires_grad_(False).eval()
        self._enter(recipe.stage(0))
        self.done, self.seconds, self.history, self.taken = 0, 0.0, [], []  # type: ignore[var-annotated]
        self._resume()

    @property
    def reached(self) -> int:
        """The phase of the last step, by its number in PHASES from 0."""
        return self.recipe.stage(max(0, self.done - 1))

    def _enter(self, stage: int) -> None:
        """What moves in a phase, and its optimisers; what does not is as in use, for HiDDeN's BatchNorm."""
        net = self.net
        parts: tuple[list[nn.Module], ...] = (
            [net.embedder, net.extractor],
            [net.invertible],
            [self.thieves],
            [net.extractor],
        )
        for still in (net, self.thieves):
            still.requires_grad_(False).eval()
        for part in parts[stage]:
            part.requires_grad_(True).train()
        both = ([p for part in parts[stage] for p in part.parameters()], list(self.critic.parameters()))
        rate = self.recipe.rates[stage]
        self.optimisers = [torch.optim.Adam(part, lr=rate, betas=(0.9, 0.999)) for part in both]

    def take(self, folder: Path) -> None:
        """Start from what another training of the same sizes has trained; DataError where a folder holds none."""
        found = kept.read(folder, self.device)
        own, name = self.recipe.kept, Path(folder).name
        if found is None or any(found.get(key, False) != own[key] for key in ("sizes", "hidden")):
            raise DataError(f"{name} holds no training of these sizes: train it first.")
        if not self.done:
            given = {key: v for key, v in found["average"].items() if key.split(".")[0] in trained_in(found)}
            for net in (self.net, self.average):
                net.load_state_dict(given, strict=False)
            self.taken.append(name)

    def _resume(self) -> None:
        if (found := kept.read(self.folder, self.device)) is None:
            return
        self._check(found)
        self._enter(found["stage"])
        for name, net in self._nets().items():
            net.load_state_dict(found[name])
        for optimiser, state in zip(self.optimisers, found["optimisers"], strict=True):
            optimiser.load_state_dict(state)
        self.done, self.seconds, self.history = found["done"], found["seconds"], found["history"]
        self.taken = found.get("taken", [])

    def _check(self, found: dict[str, Any]) -> None:
        """DataError unless what was trained so far is what the recipe would have trained."""
        if not self.recipe.goes_on(found, found["stage"], found["done"]):
            name = self.folder.name
            raise DataError(f"{name} holds a training with other settings: name another folder with --out.")

    def _nets(self) -> dict[str, nn.Module]:
        return {"net": self.net, "critic": self.critic, "thieves": self.thieves, "average": self.average}

    def save(self) -> None:
        """Keep what the training needs to go on, the averaged networks, and the log."""
        past = {"done": self.done, "seconds": self.seconds, "history": self.history, "taken": self.taken}
        state: dict[str, Any] = {name: net.state_dict() for name, net in self._nets().items()}
        state |= {"stage": self.reached, **self.recipe.kept}
        state["optimisers"] = [optimiser.state_dict() for optimiser in self.optimisers]
        log = {"recipe": asdict(self.recipe), "device": self.device, **past, "seconds": round(self.seconds)}
        kept.write(self.folder, {**state, **past}, self.average.state_dict(), log)

    def batch(self, faces: Faces, marks: Tensor) -> Batch:
        """Faces and watermarks on the training's device."""
        return Batch(*(value.to(self.device) for value in (*faces, marks)))

    def marks(self, count: int, rng: np.random.Generator) -> Tensor:
        """So many watermarks as the network takes them: pictures (count, 3, S, S), or HiDDeN's bits (count, L)."""
        recipe = self.recipe
        return drawn_bits(count, BITS, rng) if recipe.hidden else drawn_marks(count, recipe.sizes.side, rng)

    def draw(self, step: int) -> Batch:
        """A step's faces, half of them mirrored, each watermark for two of them."""
        rng = np.random.default_rng((self.recipe.seed, step))
        count, side = self.recipe.faces(step), self.recipe.sizes.side
        faces = self.faces.take(rng.choice(len(self.faces), count, replace=False), side)
        mirrored = torch.from_numpy(rng.random(count) < 0.5)[:, None, None, None]
        faces = Faces(*(torch.where(mirrored, pixels.flip(-1), pixels) for pixels in faces))
        marks = self.marks(count // 2, rng)
        marks = torch.cat([marks, marks])
        torch.manual_seed(int(rng.integers(2**62)))
        return processes.part(self.batch(faces, marks))

    def rate_at(self, step: int) -> float:
        """Adam's rate: in each phase whole for the first half, then in a straight line to zero."""
        stage, ends = self.recipe.stage(step), (0, *self.recipe.ends)
        share = (step - ends[stage]) / max(1, ends[stage + 1] - ends[stage])
        return self.recipe.rates[stage] * min(1.0, 2 * (1 - share))

    def _update(self, which: int, terms: Terms) -> None:
        optimiser, stage = self.optimisers[which], self.recipe.stage(self.done)
        for group in optimiser.param_groups:
            group["lr"] = self.rate_at(self.done)
        optimiser.zero_grad(set_to_none=True)
        total(terms.values()).backward()
        processes.average(optimiser.param_groups[0]["params"])
        nn.utils.clip_grad_norm_(optimiser.param_groups[0]["params"], self.recipe.clips[stage])
        optimiser.step()

    def step(self) -> dict[str, float]:
        """One update of what the phase trains; returns what the log shows."""
        stage = self.recipe.stage(self.done)
        begun = self.done - (0, *self.recipe.ends)[stage]
        if not begun and self.done:
            self.net.load_state_dict(self.average.state_dict())
            self._enter(stage)
        batch = self.draw(self.done)
        with half(self.device, stage != 1):
            terms = (self._initial, self._reversible, self._steal, self._enhance)[stage](batch)
        follow(self.average, self.net, min(AVERAGE, (1 + begun) / (10 + begun)))
        self.done += 1
        return {name: float(value.detach()) for name, value in terms.items()}

    def run(self, test: Source, every: int = 100, faces: int = 48) -> None:
        """Train to the end; every so many steps measure on people never seen, save, and draw a grid."""
        for mean in rounds(self, every):
            self.history.append({**mean, **held_out(self, test, faces)})
            self.save()
            processes.say(f"{PHASES[self.reached]} {self.history[-1]} {self.seconds:.0f} s")


def trained_in(found: Mapping[str, Any]) -> tuple[str, ...]:
    """Which networks the training of a checkpoint has trained, or was given: the others are as they were drawn."""
    if not found["mark"]:
        return ("invertible",)
    marked = ("embedder", "extractor")
    return marked if not found["stage"] else (*marked, "invertible")


def source(faces: Celeba, masks: Path | None) -> Source:
    """Swapped faces where a file of them is given, else whole pictures of others."""
    return Swapped.read(masks, faces) if masks else Whole.of(faces)


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(description="Train IPMN.")
    parser.add_argument("--config", choices=list(CONFIGS), default="cpu")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--masks", type=Path, help="file of engines.train.ipmn_masks; without it whole pictures")
    parser.add_argument("--held-out", type=Path, help="the same of the test faces")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--take", type=Path, nargs="+", default=[], help="folders of other trainings to start from")
    baseline = parser.add_mutually_exclusive_group()
    baseline.add_argument("--imn", action="store_true", help="the baseline without watermark: one phase alone")
    baseline.add_argument("--hidden", action="store_true", help="the baseline with HiDDeN's bits as the watermark")
    parser.add_argument("--thieves", nargs="+", choices=list(THIEVES), help="stealing models of the enhanced phase")
    parser.add_argument("--half", action="store_true", default=None, help="train dense sub-networks in bfloat16")
    for name in (*PHASES, "batch"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default=processes.device())
    args = parser.parse_args()
    asked = {name: getattr(args, name) for name in (*PHASES, "batch", "half")}
    asked |= {"thieves": tuple(args.thieves) if args.thieves else None, "seed": args.seed}
    recipe = CONFIGS[args.config].with_hidden() if args.hidden else CONFIGS[args.config]
    recipe = replace(recipe, **{name: value for name, value in asked.items() if value is not None})
    recipe = recipe.without_mark() if args.imn else recipe
    try:
        train, test = (Celeba.read(args.data, split) for split in ("train", "test"))
        training = Training(recipe, source(train, args.masks), vgg(args.device), args.out, args.device)
        for folder in args.take:
            training.take(folder)
        training.run(source(test, args.held_out))
    except (DataError, CheckpointError) as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
