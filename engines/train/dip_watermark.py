"""The recipe of DIP-Watermark: encoder and decoder, adversarial and readable, by Algorithm 1.

    python -m engines.train.dip_watermark --config cpu --bank FOLDER --test FOLDER --targets FOLDER --out FOLDER

`--bank` and `--test` are folders of engines.train.face_bank, `--targets` holds NAME.png, the aligned 112-pixel
face of each name in TARGETS (`python -m app targets --out FOLDER` writes them). The surrogates are the bundled
recognisers that are no judges, taking turns: P = 2 train, Q = 1 tests. Three stages: the watermark alone, first
on grey, then on faces that fade in, then with an invisibility weight that grows to its value; the plain
ensemble of all surrogates; the meta-optimisation, with real files in the noise pool.

Ablations: `--no-meta` (Table 5), `--weights 1:1:1` (Table 6), `--network hidden` or `fake-tagger` with
`--surrogates none` (the watermarks without an adversarial part). Started again with the same --out, it
goes on after the last checkpoint. Every draw depends on the seed and the step alone.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.utils import save_image

from engines.checkpoints import CheckpointError
from engines.measure import ssim
from engines.method import MethodError
from engines.nets.dip import BITS, SIDE, TARGETS
from engines.nets.watermark import NETWORKS
from engines.train import kept, processes
from engines.train.datasets import DataError
from engines.train.dip_objective import Batch, Terms, Weights, adversarial, bit_accuracy, direct, meta
from engines.train.dip_recipe import CONFIGS, SURROGATES, Recipe, read_weights, surrogate, target_faces
from engines.train.face_bank import MARGIN, FaceBank
from engines.train.half import half
from engines.train.noise_pool import noise_pool, real_file
from engines.train.rounds import rounds


def _share(step: int, begin: float, end: float) -> float:
    """How far `step` is from `begin` to `end`, 0 to 1."""
    return min(1.0, max(0.0, (step - begin) / max(1.0, end - begin)))


class Training:
    """One training: state, a step at a time, checkpoints and pictures in a folder."""

    def __init__(self, recipe: Recipe, bank: FaceBank, targets: Tensor, folder: Path, device: str = "cpu"):
        self.recipe, self.bank, self.folder, self.device = recipe, bank, Path(folder), device
        self.faces = np.flatnonzero(bank.labels >= 0)
        torch.manual_seed(recipe.seed)
        self.encoder, self.decoder = (net.to(device) for net in NETWORKS[recipe.network].build())
        self.surrogates = [surrogate(id, targets, device) for id in recipe.surrogates]
        self.optimiser = torch.optim.Adam([*self.encoder.parameters(), *self.decoder.parameters()], lr=recipe.rate)
        self.done, self.seconds, self.history = 0, 0.0, []  # type: ignore[var-annotated]
        weights = ":".join(f"{value:g}" for value in asdict(recipe.weights).values())
        self.plans = [{"from": 0, "steps": recipe.steps, "weights": weights}]  # one for each time that it changed
        self._resume()

    def _resume(self) -> None:
        if (found := kept.read(self.folder, self.device)) is None:
            return
        self.encoder.load_state_dict(found["encoder"])
        self.decoder.load_state_dict(found["decoder"])
        self.optimiser.load_state_dict(found["optimiser"])
        self.done, self.seconds, self.history = found["done"], found["seconds"], found["history"]
        now, self.plans = self.plans[-1], found["plans"]
        if {**now, "from": 0} != {**self.plans[-1], "from": 0}:  # the recipe changes from here on
            self.plans = [*self.plans, {**now, "from": self.done}]

    def save(self) -> None:
        """Keep what the training needs to go on, the weights of both networks, and the log."""
        nets = {"encoder": self.encoder.state_dict(), "decoder": self.decoder.state_dict()}
        past = {"done": self.done, "seconds": self.seconds, "plans": self.plans, "history": self.history}
        weights = {f"{part}.{name}": value for part in nets for name, value in nets[part].items()}
        log = {"recipe": asdict(self.recipe), "device": self.device, **past, "seconds": round(self.seconds)}
        kept.write(self.folder, {**nets, **past, "optimiser": self.optimiser.state_dict()}, weights, log)

    def rate_at(self, step: int) -> float:
        """Adam's rate: a rise over 50 steps, then half a cosine to zero."""
        rise = min(1.0, (step + 1) / 50)
        return self.recipe.rate * rise * 0.5 * (1 + math.cos(math.pi * step / self.recipe.steps))

    def weights_at(self, step: int) -> Weights:
        """λ at a step: invisibility is off in the first half of the first stage, then grows to its value."""
        grown = _share(step, 0.5 * self.recipe.watermark, self.recipe.watermark)
        share = 1e-3 ** (1 - grown) if grown else 0.0
        return replace(self.recipe.weights, invisibility=self.recipe.weights.invisibility * share)

    def draw(self, step: int) -> tuple[Batch, torch.Generator]:
        """A step's batch and the generator of its noise: faces moved by up to 3 pixels, half of them mirrored."""
        rng = np.random.default_rng((self.recipe.seed, step))
        index = np.sort(rng.choice(self.faces, self.recipe.batch, replace=False))
        dx, dy = rng.integers(MARGIN - 3, MARGIN + 4, size=2)
        pixels = torch.from_numpy(self.bank.pixels[index][..., dy : dy + SIDE, dx : dx + SIDE])
        pixels = (pixels.flip(-1) if rng.random() < 0.5 else pixels).float() / 255
        # On grey a message is found within 100 steps, on faces it was not in 500: faces fade in.
        shown = _share(step, 0.15 * self.recipe.watermark, 0.5 * self.recipe.watermark)
        pixels = 0.5 + shown * (pixels - 0.5)
        bits = torch.from_numpy(rng.integers(2, size=(len(index), BITS))).float()
        target = F.one_hot(torch.from_numpy(rng.integers(len(TARGETS), size=len(index))), len(TARGETS)).float()
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        batch = Batch(pixels.to(self.device), bits.to(self.device), target.to(self.device))
        return processes.part(batch), generator

    def losses(self, step: int) -> Terms:
        """The three losses of a step, by the plain ensemble during the warm-up, by Algorithm 1 after it."""
        batch, generator = self.draw(step)

        def pool(pixels: Tensor) -> Tensor:
            with torch.autocast(self.device.split(":")[0], enabled=False):
                return noise_pool(pixels.float(), generator, files=step >= self.recipe.ensemble)

        with half(self.device):
            if step < self.recipe.watermark:
                return direct(self.encoder, self.decoder, [], batch, pool)
            if not self.recipe.meta or not self.surrogates or step < self.recipe.ensemble:
                return direct(self.encoder, self.decoder, self.surrogates, batch, pool)
            turn = step % len(self.surrogates)
            tests = self.surrogates[turn]
            training = [other for other in self.surrogates if other is not tests]
            return meta(self.encoder, self.decoder, training, [tests], batch, pool, self.recipe.inner)

    def step(self) -> dict[str, float]:
        """One update of encoder and decoder (line 15); returns what the log shows."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate_at(self.done)
        terms = self.losses(self.done)
        self.optimiser.zero_grad(set_to_none=True)
        terms.total(self.weights_at(self.done)).backward()
        for net in (self.encoder, self.decoder):
            processes.average(net.parameters())
            nn.utils.clip_grad_norm_(net.parameters(), 200.0)
        self.optimiser.step()
        self.done += 1
        return {name: float(value) for name, value in terms.log.items()}

    def run(self, test: FaceBank, every: int = 100) -> None:
        """Train to the end; every so many steps measure on people never seen, save, and draw a grid."""
        for mean in rounds(self, every):
            row = {**mean, **held_out(self, test)}
            self.history.append(row)
            self.save()
            processes.say(f"{self.recipe.network} {row} {self.seconds:.0f} s")


@torch.no_grad()
def held_out(training: Training, test: FaceBank, faces: int = 192) -> dict[str, float]:
    """SSIM, bit accuracy clean and after the pool, cosine to the target (surrogates, mean); and a picture grid."""
    device, rng = training.device, np.random.default_rng(0)
    faces = min(faces, len(test.pixels))
    index = np.sort(rng.choice(len(test.pixels), faces, replace=False))
    pixels = torch.from_numpy(test.pixels[index][..., MARGIN:-MARGIN, MARGIN:-MARGIN]).float().to(device) / 255
    bits = torch.from_numpy(rng.integers(2, size=(faces, BITS))).float().to(device)
    target = F.one_hot(torch.arange(faces) % len(TARGETS), len(TARGETS)).float().to(device)
    generator, found = torch.Generator().manual_seed(0), []
    for net in (training.encoder, training.decoder):
        net.eval()  # as in use: a batch's own statistics would flatter a network with BatchNorm
    for part in range(0, faces, 32):
        here = slice(part, part + 32)
        carrier, word, aim = pixels[here], bits[here], target[here]
        marked = (training.encoder(carrier, word, aim) * 255).round() / 255
        row = [ssim(marked, carrier).mean(), bit_accuracy(training.decoder(marked), word)]
        row += [bit_accuracy(training.decoder(noise_pool(marked, generator)), word)]
        row += [bit_accuracy(training.decoder(real_file(marked, 30)), word)]
        losses = [adversarial(surrogate, marked, aim) for surrogate in training.surrogates]
        row += [1 - torch.stack(losses).mean()] if losses else []
        found.append(torch.stack(row).cpu())
    for net in (training.encoder, training.decoder):
        net.train()
    grid = torch.cat([carrier[:8], marked[:8], (0.5 + 4 * (marked - carrier)[:8]).clamp(0, 1)])
    training.folder.mkdir(parents=True, exist_ok=True)
    save_image(grid, training.folder / "grid.png", nrow=8)
    names = ("ssim", "bits_clean", "bits_pool", "bits_jpeg30", "cos")
    return {name: round(float(value), 4) for name, value in zip(names, torch.stack(found).mean(0), strict=False)}


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(description="Train DIP-Watermark, an ablation or a baseline of it.")
    parser.add_argument("--config", choices=list(CONFIGS), default="cpu")
    parser.add_argument("--network", choices=list(NETWORKS), default="dip")
    parser.add_argument("--bank", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--targets", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--weights", type=read_weights, default=Weights(), metavar="ADV:INV:WM")
    parser.add_argument("--no-meta", action="store_true")
    parser.add_argument("--surrogates", default=",".join(SURROGATES), help="ids, or none")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--watermark", type=int)
    parser.add_argument("--ensemble", type=int)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--inner", type=float)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default=processes.device())
    args = parser.parse_args()
    names = tuple(name for name in args.surrogates.split(",") if name and name != "none")
    changes = {
        "steps": args.steps,
        "watermark": args.watermark,
        "ensemble": args.ensemble,
        "rate": args.rate,
        "inner": args.inner,
    }
    recipe = replace(CONFIGS[args.config], **{k: v for k, v in changes.items() if v is not None})
    recipe = replace(
        recipe, network=args.network, weights=args.weights, meta=not args.no_meta, surrogates=names, seed=args.seed
    )
    try:
        training = Training(recipe, FaceBank.read(args.bank), target_faces(args.targets), args.out, args.device)
        training.run(FaceBank.read(args.test))
    except (DataError, MethodError, CheckpointError) as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
