"""The recipe of the small DiffFace: an ID-conditional DDPM of faces at 64 pixels (Kim et al., 2022).

    python -m engines.train.diffface --data DIR --out FOLDER

`--data` holds celeba160-train-*.parquet and celeba160-test-*.parquet. The network learns to predict the noise in a
face of which it is told whom it shows: the face's own embedding, by the recogniser that it will listen to in use. The
release adds an identity loss of weight 0.01 on the predicted face, and learns variances; both are left out here, the
first for the time it takes, the second since DDIM does not read them. What is bundled is the moving average. Started
again with the same --out, it goes on after the last checkpoint. Every draw depends on the seed and the step alone.
"""

from __future__ import annotations

import argparse
import copy
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.utils import save_image

from engines.checkpoints import CheckpointError
from engines.diffface_network import KINDS, DiffFace
from engines.nets.diffusion import DiffusionUNet
from engines.recognise import Recogniser, load
from engines.train import kept, processes
from engines.train.average import follow
from engines.train.celeba import Celeba
from engines.train.datasets import DataError
from engines.train.diffface_faces import Draw, Faces, identities
from engines.train.diffface_grid import SHOWN, grid
from engines.train.diffface_recipe import CONFIGS, Recipe
from engines.train.half import half
from engines.train.rounds import rounds

ID = "diffface-small"
MEASURED = 256  # faces of people never trained on


class Training:
    """One training: state, a step at a time, checkpoints and pictures in a folder."""

    def __init__(
        self, recipe: Recipe, faces: Celeba, test: Celeba, recogniser: Recogniser, folder: Path, device: str = "cpu"
    ):
        if len(faces) < recipe.batch:
            raise DataError(f"A batch of {recipe.batch} needs as many faces, not {len(faces)}: lower --batch.")
        self.recipe, self.recogniser, self.folder, self.device = recipe, recogniser, Path(folder), device
        self.kind = replace(KINDS[ID], sizes=recipe.sizes)
        self.schedule, self.test = self.kind.schedule(), test
        torch.manual_seed(recipe.seed)
        self.net = DiffusionUNet(recipe.sizes).to(device)
        self.average = copy.deepcopy(self.net).requires_grad_(False).eval()
        self.optimiser = torch.optim.Adam(self.net.parameters(), recipe.rate)
        self.done, self.seconds, self.history = 0, 0.0, []  # type: ignore[var-annotated]
        self._resume()
        self.faces, self.strangers = (
            Faces(found, identities(found, recogniser, self.folder / f"{name}.safetensors"), recipe.sizes.side)
            for name, found in (("identities", faces), ("strangers", test))
        )

    def _resume(self) -> None:
        if (found := kept.read(self.folder, self.device)) is None:
            return
        if found["fixed"] != self.recipe.fixed:
            name = self.folder.name
            raise DataError(f"{name} holds a training with other settings: name another folder with --out.")
        self.net.load_state_dict(found["net"])
        self.average.load_state_dict(found["average"])
        self.optimiser.load_state_dict(found["optimiser"])
        self.done, self.seconds, self.history = found["done"], found["seconds"], found["history"]

    def save(self) -> None:
        """Keep what the training needs to go on, the averaged network, and the log."""
        past = {"done": self.done, "seconds": self.seconds, "history": self.history}
        nets = {"net": self.net.state_dict(), "average": self.average.state_dict()}
        state = {**nets, "optimiser": self.optimiser.state_dict(), "fixed": self.recipe.fixed, **past}
        log = {"id": ID, "recipe": asdict(self.recipe), "device": self.device, **past, "seconds": round(self.seconds)}
        kept.write(self.folder, state, self.average.state_dict(), log)

    def draw(self, step: int) -> Draw:
        """What a step trains on."""
        rng = np.random.default_rng((self.recipe.seed, step))
        index = rng.choice(len(self.faces), self.recipe.batch, replace=False)
        return processes.part(self.faces.draw(index, rng, len(self.schedule))).to(self.device)

    def loss(self, net: nn.Module, draw: Draw) -> Tensor:
        """The mean squared error of the predicted noise (Ho et al., 2020, Eq. 14)."""
        noisy = self.schedule.noised(draw.pixels, draw.noise, draw.times)
        with half(self.device):
            found = net(noisy, draw.times, draw.identity)
        return F.mse_loss(found[:, :3], draw.noise)

    def step(self) -> dict[str, float]:
        """One update; returns what the log shows."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.rate_at(self.done)
        loss = self.loss(self.net, self.draw(self.done))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        processes.average(self.net.parameters())
        norm = nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        if norm.isfinite():  # else the step is left out: one infinite gradient would end the training
            self.optimiser.step()
        follow(self.average, self.net, min(self.recipe.keep, (1 + self.done) / (10 + self.done)))
        self.done += 1
        return {"noise": float(loss.detach())}

    @torch.no_grad()
    def held_out(self) -> float:
        """The averaged network's loss on people never seen, always on the same draw."""
        index, rng = np.arange(len(self.strangers)), np.random.default_rng(self.recipe.seed)
        parts = self.strangers.draw(index, rng, len(self.schedule)).to(self.device).split(32)
        found = [float(self.loss(self.average, part)) for part in parts]
        return float(np.average(found, weights=[len(part.times) for part in parts]))

    def shown(self) -> DiffFace:
        """The averaged network as it will be used, though it is not trained yet."""
        card = replace(self.recogniser.card, id=ID, state="untrained")
        net = copy.deepcopy(self.average)
        return DiffFace(card, net, self.kind, self.recogniser, self.device, allow_untrained=True)

    def run(self, every: int = 500) -> None:
        """Train to the end; every so many steps measure and draw people never seen, save, and log."""
        for mean in rounds(self, every):
            self.history.append({**mean, "held out": round(self.held_out(), 4)})
            self.save()
            if processes.first():
                save_image(grid(self.shown(), self.test), self.folder / "grid.png", nrow=SHOWN)
            processes.say(f"{ID} {self.history[-1]} {self.seconds:.0f} s")


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(description="Train the small DiffFace.")
    parser.add_argument("--config", choices=list(CONFIGS), default="cpu")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    for name in ("steps", "batch", "warm", "seed"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--every", type=int, default=500, help="steps between two lines of the log")
    parser.add_argument("--device", default=processes.device())
    args = parser.parse_args()
    recipe = CONFIGS[args.config]
    recipe = replace(
        recipe, **{name: value for name in vars(recipe) if (value := getattr(args, name, None)) is not None}
    )
    try:
        faces, test = Celeba.read(args.data, "train"), Celeba.read(args.data, "test", MEASURED)
        recogniser = load(recipe.identity, args.device)
        Training(recipe, faces, test, recogniser, args.out, args.device).run(args.every)
    except (DataError, CheckpointError) as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
