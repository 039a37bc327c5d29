"""ID-Guard's framework for proactive forensics (Sec. IV-E2): a message in a photo that outlives forging.

    python -m engines.train.forensics --data DIR --out FOLDER [--strategy S-I]

E_m writes a message m into a face, and D_m reads it from what a forger made of that: the losses
MSE(m, D_m(M_k(E_m(x, m)))) are weighted by ID-Guard's strategies. A critic judges the marked photo.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.checkpoints import CheckpointError
from engines.edits import LABELS
from engines.measure import ssim
from engines.method import MethodError
from engines.nets.stargan import Discriminator
from engines.nets.watermark import HiddenDecoder, HiddenEncoder
from engines.train import kept
from engines.train.celeba import Celeba
from engines.train.datasets import DataError
from engines.train.forger_terms import started
from engines.train.opponents import Opponents, bundled
from engines.train.rounds import rounds
from engines.train.weighting import hardness, least_norm


@dataclass(frozen=True)
class Recipe:
    """What a training is made of; `visible` weights the squared change of the photo, `critic` its realness."""

    steps: int = 3000
    batch: int = 8
    bits: int = 32
    strategy: str = "S-II"
    rate: float = 1e-3
    visible: float = 1.0
    critic: float = 0.01
    warm: int = 500  # steps that read the marked photo itself, before anything is forged
    seed: int = 0


class Training:
    """Encoder, decoder and critic against the forgers, a step at a time."""

    device = "cpu"

    def __init__(self, recipe: Recipe, faces: Celeba, against: Opponents, folder: Path):
        self.recipe, self.faces, self.against, self.folder = recipe, faces, against, Path(folder)
        torch.manual_seed(recipe.seed)
        self.nets = nn.ModuleDict(
            {
                "encoder": HiddenEncoder(recipe.bits),
                "decoder": HiddenDecoder(recipe.bits),
                "critic": started(Discriminator(128, 1, 16)),
            }
        )
        pair = [*self.nets["encoder"].parameters(), *self.nets["decoder"].parameters()]
        self.optimisers = [torch.optim.Adam(pair, lr=recipe.rate), self._critics()]
        self.labels = faces.labels(LABELS).astype(np.float32)
        self.errors = torch.full((len(against.forgers),), 0.25)  # L_k of the step before: guessing
        self.done, self.seconds, self.history = 0, 0.0, []  # type: ignore[var-annotated]
        self._resume()

    def _critics(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.nets["critic"].parameters(), lr=2e-4, betas=(0.5, 0.999))

    def _resume(self) -> None:
        if (found := kept.read(self.folder, "cpu")) is None:
            return
        self.nets.load_state_dict(found["nets"])
        for optimiser, state in zip(self.optimisers, found["optimisers"], strict=True):
            optimiser.load_state_dict(state)
        self.errors, self.done = found["errors"], found["done"]
        self.seconds, self.history = found["seconds"], found["history"]

    def save(self) -> None:
        """Keep what the training needs to go on, its networks, and the log."""
        past = {"done": self.done, "seconds": self.seconds, "history": self.history}
        nets = {"nets": self.nets.state_dict(), "optimisers": [o.state_dict() for o in self.optimisers]}
        log = {"recipe": asdict(self.recipe), "device": "cpu", **past, "seconds": round(self.seconds)}
        kept.write(self.folder, {**nets, "errors": self.errors, **past}, self.nets.state_dict(), log)

    def step(self) -> dict[str, float]:
        """One update of encoder and decoder, and one of the critic."""
        rng = np.random.default_rng((self.recipe.seed, self.done))
        index = rng.choice(len(self.faces), self.recipe.batch, replace=False)
        pixels, labels = self.faces.pixels(index, 128), torch.from_numpy(self.labels[index])
        bits = torch.from_numpy(rng.integers(0, 2, (len(index), self.recipe.bits))).float()
        marked = self.nets["encoder"](pixels, bits)
        real = -self.nets["critic"](2 * marked - 1)[0].float().mean()
        quality = self.recipe.visible * F.mse_loss(2 * marked, 2 * pixels) + self.recipe.critic * real
        forge = self.done >= self.recipe.warm
        read = self._read(marked, labels, bits, rng) if forge else self._error(marked, bits)
        self.optimisers[0].zero_grad(set_to_none=True)
        (quality + read).backward()
        self.optimisers[0].step()
        self._judge(pixels, marked.detach())
        self.done += 1
        errors = {f.card.id: float(e) for f, e in zip(self.against.forgers, self.errors, strict=True)}
        return {"quality": float(quality.detach()), "read": float(read.detach()), **errors}

    def _error(self, pixels: Tensor, bits: Tensor) -> Tensor:
        return F.mse_loss(torch.sigmoid(self.nets["decoder"](pixels).float()), bits)

    def _read(self, marked: Tensor, labels: Tensor, bits: Tensor, rng: np.random.Generator) -> Tensor:
        """Σ λ_k L_k; the strategies weight by the losses' gradients in the marked photo, or by the step before."""
        losses = []
        for forger in self.against.forgers:
            edit = forger.edits[int(rng.integers(len(forger.edits)))]
            losses.append(self._error(forger.forge(marked, edit, labels), bits))
        weights = self._weights(losses, marked)
        self.errors = torch.stack([loss.detach() for loss in losses])
        return torch.stack([w * loss for w, loss in zip(weights.tolist(), losses, strict=True)]).sum()

    def _weights(self, losses: list[Tensor], marked: Tensor) -> Tensor:
        if self.recipe.strategy == "S-I":
            slopes = [torch.autograd.grad(loss, marked, retain_graph=True)[0].flatten() for loss in losses]
            return least_norm(torch.stack(slopes))
        # How well a forger is withstood: guessing every bit gives 1/4, where K is least and weighs most.
        weights = hardness(1 - 4 * self.errors.clamp(0, 0.2499), self.against.priors)
        return weights / weights.sum().clamp_min(1e-12)

    def _judge(self, pixels: Tensor, marked: Tensor) -> None:
        """The critic's own step: hinge."""
        real, made = (self.nets["critic"](2 * some - 1)[0].float() for some in (pixels, marked))
        self.optimisers[1].zero_grad(set_to_none=True)
        (F.relu(1 - real).mean() + F.relu(1 + made).mean()).backward()
        self.optimisers[1].step()

    @torch.no_grad()
    def held_out(self, test: Celeba, count: int = 40) -> dict[str, float]:
        """Bit error rate after each forger and without one, and SSIM (Table VIII), on people never trained on."""
        index = np.arange(count) * (len(test) // count)
        pixels, labels = test.pixels(index, 128), torch.from_numpy(test.labels(LABELS)[index].astype(np.float32))
        bits = torch.from_numpy(np.random.default_rng(0).integers(0, 2, (count, self.recipe.bits))).float()
        self.nets.eval()
        marked = self.nets["encoder"](pixels, bits)
        seen = {"clean": marked} | {f.card.id: f.forge(marked, f.edits[0], labels) for f in self.against.forgers}
        wrong = {id: ((self.nets["decoder"](some) > 0).float() != bits).float().mean() for id, some in seen.items()}
        self.nets.train()
        found = {f"BER {id}": round(float(rate), 4) for id, rate in wrong.items()}
        return {**found, "ssim": round(float(ssim(marked, pixels).mean()), 4)}

    def run(self, test: Celeba, every: int = 100) -> None:
        """Train to the end; every so many steps measure on people never seen, save, and say so."""
        for mean in rounds(self, every):
            self.history.append({**mean, **self.held_out(test)})
            self.save()
            print(f"forensics {self.history[-1]} {self.seconds:.0f} s", flush=True)


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(description="Train a message that outlives forging.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--strategy", choices=("S-I", "S-II"), default="S-II")
    parser.add_argument("--steps", type=int, default=Recipe.steps)
    args = parser.parse_args()
    try:
        faces, test = (Celeba.read(args.data, split) for split in ("train", "test"))
        recipe = replace(Recipe(), strategy=args.strategy, steps=args.steps)
        Training(recipe, faces, bundled("cpu", faces), args.out).run(test)
    except (DataError, MethodError, CheckpointError) as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
