"""The recipe of ID-Guard: Algorithm 1, with strategy S-I or S-II and the prior perturbation trained beside it.

    python -m engines.train.prior --data DIR --out PRIOR
    python -m engines.train.id_guard --data DIR --prior PRIOR --out FOLDER [--strategy S-I] [--robust]
    python -m engines.train.id_guard --data DIR --prior PRIOR --out FOLDER --baseline PG

`--data` holds the CelebA parquet files. The forgers, the face parser and the surrogates are the bundled ones; judges
take no part. δ_p starts as the mean perturbation that PGD finds against a network that only reconstructs faces.
Started again with the same --out it goes on after the last checkpoint. Every draw depends on seed and step alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines import distort
from engines.checkpoints import CheckpointError
from engines.edits import LABELS
from engines.manipulate import signed, unsigned
from engines.method import MethodError
from engines.nets.id_guard import EPSILON, PerturbationGenerator
from engines.train import idm, kept, processes
from engines.train.celeba import Celeba
from engines.train.datasets import DataError
from engines.train.opponents import Opponents, bundled, success
from engines.train.prior import found as prior_found
from engines.train.rounds import rounds
from engines.train.weighting import hardness, least_norm

JPEG = (60, 95)  # qualities of the JPEG-robust option


@dataclass(frozen=True)
class Recipe:
    """What a training is made of. `rate` is Adam's, and falls to a tenth in the second half; the paper's is 1e-4 at
    batch 32 and width 64.

    At width 24 the generators of both strategies together are a file of 5 MB.
    """

    steps: int
    batch: int
    width: int = 24
    strategy: str = "S-II"  # S-I, S-II, or equal weights
    loss: str = "idm"  # the module of Sec. III-B; or, of the baselines: "output", "output and features"
    rate: float = 5e-4
    universal: int = 1  # so many faces of a batch meet δ_p, too: it is one picture, and each face costs a forging
    robust: bool = False  # JPEG between protecting and forging, in half of the steps
    seed: int = 0


LOSSES: dict[str, Callable[[idm.Terms], Tensor]] = {
    "idm": lambda terms: terms.total,
    "output": lambda terms: -terms.parts,  # PG (Huang et al., AAAI 2021), simplified: M_s stays as it is
    "output and features": lambda terms: -terms.parts - terms.features,  # IAP (Zhu et al., TIFS 2023)
}
BASELINES = {"PG": "output", "IAP": "output and features"}
CONFIGS = {"cpu": Recipe(steps=1000, batch=4), "gpu": Recipe(steps=20000, batch=32, rate=2e-4)}


class Training:
    """One training: state, a step at a time, checkpoints in a folder."""

    def __init__(self, recipe: Recipe, faces: Celeba, against: Opponents, folder: Path, device: str = "cpu"):
        self.recipe, self.faces, self.against, self.folder, self.device = recipe, faces, against, Path(folder), device
        torch.manual_seed(recipe.seed)
        self.net = PerturbationGenerator(128, recipe.width).to(device)
        self.optimiser = torch.optim.Adam(self.net.parameters(), lr=recipe.rate)
        self.labels = faces.labels(LABELS).astype(np.float32)
        self.performance = torch.full((len(against.forgers),), 0.5)  # K of Eq. 13, of the step before
        self.done, self.seconds, self.history = 0, 0.0, []  # type: ignore[var-annotated]
        self._resume()

    def _resume(self) -> None:
        if (found := kept.read(self.folder, self.device)) is None:
            return
        self.net.load_state_dict(found["net"])
        self.optimiser.load_state_dict(found["optimiser"])
        self.performance = found["performance"].cpu()
        self.done, self.seconds, self.history = found["done"], found["seconds"], found["history"]

    def save(self) -> None:
        """Keep what the training needs to go on, the generator, and the log."""
        past = {"done": self.done, "seconds": self.seconds, "history": self.history}
        nets = {"net": self.net.state_dict(), "optimiser": self.optimiser.state_dict()}
        told = {"recipe": asdict(self.recipe), "α": self.against.priors.tolist(), "device": self.device}
        log = {**told, **past, "seconds": round(self.seconds)}
        kept.write(self.folder, {**nets, "performance": self.performance, **past}, self.net.state_dict(), log)

    def draw(self, step: int) -> tuple[Tensor, Tensor, np.random.Generator]:
        """A step's faces in [-1, 1] and their labels, and what further draws come from."""
        rng = np.random.default_rng((self.recipe.seed, step))
        index = rng.choice(len(self.faces), self.recipe.batch, replace=False)
        pixels = signed(self.faces.pixels(index, 128))
        mirrored = torch.from_numpy(rng.random(len(index)) < 0.5)
        pixels[mirrored] = pixels[mirrored].flip(-1)
        labels = torch.from_numpy(self.labels[index])
        return processes.part(pixels).to(self.device), processes.part(labels).to(self.device), rng

    def _protected(self, pixels: Tensor, rng: np.random.Generator) -> Tensor:
        """x + δ and, of the first faces, x + δ_p, Eq. 14, in [-1, 1]; through JPEG where the recipe asks for it."""
        few = pixels[: self.recipe.universal]
        both = torch.cat([pixels + self.net(pixels), few + self.net.prior]).clamp(-1, 1)
        if self.recipe.robust and rng.random() < 0.5:
            return signed(distort.jpeg(unsigned(both), float(rng.integers(*JPEG))))
        return both

    def step(self) -> dict[str, float]:
        """One update of G and δ_p; each forger meets one recogniser, and its graph is gone before the next one's."""
        pixels, labels, rng = self.draw(self.done)
        where = self._where(pixels)
        protected = self._protected(pixels, rng)
        leaf = protected.detach().requires_grad_()
        found, slopes = [], []
        for forger in self.against.forgers:
            edit = forger.edits[int(rng.integers(len(forger.edits)))]
            members = self.against.members[int(rng.integers(len(self.against.members))) :][:1]
            before = idm.clean(forger, edit, labels, pixels, members).again(self.recipe.universal)
            terms = idm.terms(before, leaf, where, members)
            slopes.append(torch.autograd.grad(LOSSES[self.recipe.loss](terms), leaf)[0])
            found.append(terms)
        weights = self.weights(slopes)
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate_at(self.done)
        self.optimiser.zero_grad(set_to_none=True)
        protected.backward(sum(w * g for w, g in zip(weights.tolist(), slopes, strict=True)))
        processes.average(self.net.parameters())
        nn.utils.clip_grad_norm_(self.net.parameters(), 10.0)
        self.optimiser.step()
        with torch.no_grad():
            self.net.prior.clamp_(-EPSILON, EPSILON)
        self.performance = torch.stack([one.heat.detach().cpu() for one in found])
        self.done += 1
        return self._log(found, weights)

    def _where(self, pixels: Tensor) -> idm.Masks:
        """The masks of all protected faces; the baselines know none."""
        if self.recipe.loss == "idm":
            found = idm.masks(pixels, self.against.parse, self.against.members[0])
        else:
            found = idm.Masks(torch.ones_like(pixels[:, :1]), torch.ones_like(pixels[:, :1]))
        return idm.Masks(*(idm.again(one, self.recipe.universal) for one in (found.parts, found.heat)))

    def rate_at(self, step: int) -> float:
        """Constant in the first half, then down to a tenth."""
        return self.recipe.rate * min(1.0, 1.9 - 1.8 * step / self.recipe.steps)

    def weights(self, slopes: list[Tensor]) -> Tensor:
        """λ of this step: all alike, by the losses' gradients (S-I), or by how the step before went (S-II).

        S-I weighs directions: of raw gradients the shortest takes nearly all the weight, and a weight for directions
        that is put on raw losses leaves it to the longest.
        """
        if self.recipe.strategy == "equal":
            return torch.full((len(slopes),), 1 / len(slopes))
        if self.recipe.strategy == "S-I":
            rows = torch.stack([slope.flatten() for slope in slopes])
            lengths = rows.norm(dim=1).double().cpu().clamp_min(1e-12)
            weights = least_norm(F.normalize(rows)) / lengths
            return weights / weights.sum()
        weights = hardness(self.performance, self.against.priors)
        return weights / weights.sum().clamp_min(1e-12)

    def _log(self, found: list[idm.Terms], weights: Tensor) -> dict[str, float]:
        out: dict[str, float] = {}
        for forger, terms, weight in zip(self.against.forgers, found, weights.tolist(), strict=True):
            named: dict[str, Any] = {"λ": weight, **vars(terms)}
            values = {name: float(torch.as_tensor(value).detach()) for name, value in named.items()}
            out |= {f"{forger.card.id} {name}": value for name, value in values.items()}
        return out

    def start(self, prior: Tensor) -> None:
        """Lines 2 to 9: δ_p starts as what PGD found; nothing where a training goes on."""
        if not self.done:
            with torch.no_grad():
                self.net.prior.copy_(prior.clamp(-EPSILON, EPSILON))

    def run(self, test: Celeba, every: int = 100) -> None:
        """Train to the end; every so many steps measure on people never seen, save, and say so."""
        for mean in rounds(self, every):
            self.history.append({**held_out(self, test), **mean})
            self.save()
            processes.say(f"{self.recipe.strategy} {self.history[-1]} {self.seconds:.0f} s")


def held_out(training: Training, test: Celeba, faces: int = 40) -> dict[str, float]:
    """DSR of each forger with G and with δ_p, on people never trained on."""
    net = training.net
    ways: dict[str, Callable[[Tensor], Tensor]] = {"DSR G": net, "DSR P": lambda pixels: net.prior}
    return success(training.against, ways, test, faces, training.device)


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(description="Train ID-Guard.")
    parser.add_argument("--config", choices=list(CONFIGS), default="cpu")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--prior", type=Path, required=True, help="folder of engines.train.prior")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--strategy", choices=("S-I", "S-II"), default="S-II")
    parser.add_argument("--baseline", choices=list(BASELINES), help="train this instead, all forgers alike")
    parser.add_argument("--robust", action="store_true", help="JPEG between protecting and forging")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default=processes.device())
    args = parser.parse_args()
    asked = {name: value for name in ("steps", "batch") if (value := getattr(args, name)) is not None}
    recipe = replace(CONFIGS[args.config], strategy=args.strategy, robust=args.robust, seed=args.seed, **asked)
    if args.baseline:
        recipe = replace(recipe, strategy="equal", loss=BASELINES[args.baseline])
    try:
        faces, test = (Celeba.read(args.data, split) for split in ("train", "test"))
        training = Training(recipe, faces, bundled(args.device, faces), args.out, args.device)
        if not training.done:
            training.start(prior_found(args.prior))
        training.run(test)
    except (DataError, MethodError, CheckpointError) as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
