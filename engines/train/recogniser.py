"""The recipe of the bundled recognisers: distillation from teachers' embeddings plus a margin loss.

    loss = 20 (1 - cos(e, t)) + 0.3 margin(e, identity)

`e` is the student's unit embedding, `t` the unit concatenation of its teachers' embeddings of the
same face. Surrogates learn from SFace and one MobileFaceNet, judges from the other MobileFaceNet:
no judge shares a teacher with a surrogate, so that a mask made on the surrogates meets something
foreign. Each epoch shows every face once, mirrored or not, and a share of the mixtures.

    python -m engines.train.recogniser ID --bank FOLDER --test FOLDER --out FOLDER

Started again with the same --out it goes on after the last whole epoch; with more --epochs than
were done, it anneals once more from there.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines import verification
from engines.nets.compact import FAMILIES
from engines.train import processes
from engines.train.augment import augment
from engines.train.face_bank import MARGIN, FaceBank
from engines.train.half import half
from engines.train.margin import MarginLoss
from engines.train.teachers import TEACHERS, WIDTH

SFACE, CASIA, MS1M = TEACHERS
TEACHER_DATA = {
    SFACE: "SFace",
    CASIA: "a MobileFaceNet trained on CASIA-WebFace",
    MS1M: "a MobileFaceNet trained on MS-Celeb-1M",
}


@dataclass(frozen=True)
class Recipe:
    """What differs between the networks."""

    teachers: tuple[str, ...]
    margin: str
    bfloat16: bool = True  # faster for plain convolutions on a CPU that has it, slower for depthwise ones
    rate: float = 1.5e-3
    batch: int = 32
    mixtures: float = 0.25  # shown in an epoch for each face
    seed: int = 0

    @property
    def dimension(self) -> int:
        """Numbers in the embedding."""
        return WIDTH * len(self.teachers)


RECIPES = {
    "compact-ir-se": Recipe((SFACE, CASIA), "cosface"),
    "compact-vgg": Recipe((SFACE, CASIA), "arcface"),
    "compact-vovnet": Recipe((SFACE, CASIA), "arcface"),
    "compact-edgenext": Recipe((MS1M,), "cosface", rate=2e-3, batch=64, mixtures=0.5),
    "compact-inception": Recipe((MS1M,), "arcface"),
}


class Targets:
    """The unit targets of one recipe over a bank."""

    def __init__(self, bank: FaceBank, recipe: Recipe):
        self._rows, self._columns = bank.targets, [TEACHERS.index(name) for name in recipe.teachers]

    def __call__(self, index: np.ndarray, mirrored: np.ndarray) -> Tensor:
        """(N,) places and (N,) 0 or 1 -> unit rows (N, D)."""
        rows = self._rows[index, mirrored][:, self._columns].astype(np.float32)
        return F.normalize(F.normalize(torch.from_numpy(rows), dim=-1).flatten(1), dim=1)


def centres(bank: FaceBank, targets: Targets) -> Tensor:
    """Where the margin loss's classes start: the mean target of each identity, (C, D)."""
    faces = np.flatnonzero(bank.labels >= 0)
    rows = targets(faces, np.zeros_like(faces))
    labels = torch.from_numpy(bank.labels[faces])
    return F.normalize(torch.zeros(int(labels.max()) + 1, rows.shape[1]).index_add_(0, labels, rows), dim=1)


def epoch_order(bank: FaceBank, share: float, rng: np.random.Generator) -> np.ndarray:
    """Every face once and `share` times as many mixtures, shuffled."""
    faces, mixtures = np.flatnonzero(bank.labels >= 0), np.flatnonzero(bank.labels < 0)
    some = rng.choice(mixtures, min(len(mixtures), int(len(faces) * share)), replace=False)
    return rng.permutation(np.concatenate([faces, some]))


class Training:
    """One network's training: state, one epoch at a time, checkpoints in a folder."""

    def __init__(self, id: str, bank: FaceBank, epochs: int, folder: Path, device: str = "cpu"):
        self.id, self.recipe, self.bank, self.epochs, self.folder = id, RECIPES[id], bank, epochs, Path(folder)
        torch.manual_seed(self.recipe.seed)
        self.device, self.targets = device, Targets(bank, self.recipe)
        self.net = FAMILIES[id].build(self.recipe.dimension).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.margin = MarginLoss(centres(bank, self.targets), self.recipe.margin).to(device)
        self.optimiser = torch.optim.AdamW(self._groups(), lr=self.recipe.rate, weight_decay=0.05)
        self.done, self.starts, self.seconds, self.history = 0, [0], 0.0, []  # type: ignore[var-annotated]
        self._resume()

    def _groups(self) -> list[dict]:
        decayed = [p for p in self.net.parameters() if p.ndim > 1]
        free = [p for p in self.net.parameters() if p.ndim <= 1]
        return [{"params": decayed}, {"params": [*free, *self.margin.parameters()], "weight_decay": 0.0}]

    def _resume(self) -> None:
        path = self.folder / "last.pt"
        if not path.is_file():
            return
        kept = torch.load(path, weights_only=True, map_location=self.device)
        self.net.load_state_dict(kept["net"])
        self.margin.load_state_dict(kept["margin"])
        self.optimiser.load_state_dict(kept["optimiser"])
        self.done, self.starts, self.seconds, self.history = (
            kept[k] for k in ("done", "starts", "seconds", "history")
        )
        if self.done == kept["epochs"] < self.epochs:
            self.starts = [*self.starts, self.done]  # a finished schedule is followed by another one

    def save(self) -> None:
        """Write `last.pt`, whole or not at all, and the log."""
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {"net": self.net.state_dict(), "margin": self.margin.state_dict(), "epochs": self.epochs}
        state |= {"optimiser": self.optimiser.state_dict(), "done": self.done, "starts": self.starts}
        torch.save({**state, "seconds": self.seconds, "history": self.history}, self.folder / "last.part")
        (self.folder / "last.part").replace(self.folder / "last.pt")
        log = {"id": self.id, "recipe": asdict(self.recipe), "seconds": round(self.seconds), "device": self.device}
        log |= {"starts": self.starts, "planned": self.epochs}
        (self.folder / "log.json").write_text(json.dumps({**log, "epochs": self.history}, indent=1))

    def rate_at(self, progress: float) -> float:
        """The learning rate: a warm-up over the first epoch, then half a cosine to zero. `progress` in epochs."""
        start = self.starts[-1]
        length = self.epochs - start
        warm = min(1.0, (progress - start) / min(1.0, length / 10))
        peak = self.recipe.rate if start == 0 else self.recipe.rate / 2
        return peak * warm * 0.5 * (1 + math.cos(math.pi * (progress - start) / length))

    def step(self, index: np.ndarray, rng: np.random.Generator, generator: torch.Generator) -> tuple[float, float]:
        """One batch; returns the distillation loss and the margin loss."""
        index = index[: len(index) // processes.count() * processes.count()]
        mirrored = processes.part(rng.integers(2, size=len(index)))
        index = processes.part(index)
        pixels = torch.from_numpy(self.bank.pixels[index])
        pixels = torch.where(torch.from_numpy(mirrored == 1).view(-1, 1, 1, 1), pixels.flip(-1), pixels)
        pixels = augment(pixels.to(self.device), generator).contiguous(memory_format=torch.channels_last)
        with half(self.device, self.recipe.bfloat16):
            rows = self.net(pixels)
        rows = F.normalize(rows.float(), dim=1)
        distil = (1 - (rows * self.targets(index, mirrored).to(self.device)).sum(1)).mean()
        margin = self.margin(rows, torch.from_numpy(self.bank.labels[index]).to(self.device))
        self.optimiser.zero_grad(set_to_none=True)
        (20 * distil + 0.3 * margin).backward()
        processes.average(self.net.parameters())
        nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        self.optimiser.step()
        return float(distil.detach()), float(margin.detach())

    def epoch(self) -> dict[str, float]:
        """One epoch; returns its mean losses."""
        rng = np.random.default_rng((self.recipe.seed, self.done))
        generator = torch.Generator().manual_seed(self.recipe.seed * 1000 + self.done)
        order = epoch_order(self.bank, self.recipe.mixtures, rng)
        batches = [np.sort(part) for part in np.array_split(order, max(1, len(order) // self.recipe.batch))]
        losses = []
        self.net.train()
        for i, index in enumerate(batches):
            for group in self.optimiser.param_groups:
                group["lr"] = self.rate_at(self.done + i / len(batches))
            losses.append(self.step(index, rng, generator))
        distil, margin = np.mean(losses, axis=0)
        found = processes.mean({"distil": float(distil), "margin": float(margin)})
        return {name: round(value, 4) for name, value in found.items()}

    def run(self, test: FaceBank) -> None:
        """Train to the end, measuring on people never seen and saving after each epoch."""
        while self.done < self.epochs:
            began = time.process_time() if self.device == "cpu" else time.monotonic()
            losses = self.epoch()
            self.done += 1
            self.seconds += (time.process_time() if self.device == "cpu" else time.monotonic()) - began
            row = {"epoch": self.done, **losses, **held_out(self.net, test, self.device)}
            self.history.append(row)
            self.save()
            processes.say(f"{self.id} {row} {self.seconds:.0f} s")


@torch.no_grad()
def held_out(net: nn.Module, bank: FaceBank, device: str, seed: int = 0) -> dict[str, float]:
    """Best accuracy and TAR at FAR 1 % over 3,000 pairs of one person and 3,000 of two, from a bank."""
    net.eval()
    rows = []
    for start in range(0, len(bank.pixels), 64):
        part = torch.from_numpy(bank.pixels[start : start + 64])[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
        part = (part.float() / 255).to(device).contiguous(memory_format=torch.channels_last)
        rows.append(F.normalize(net(part), dim=1).cpu())
    scores = torch.cat(rows) @ torch.cat(rows).T
    same = bank.labels[:, None] == bank.labels[None]
    upper = np.triu(np.ones_like(same), 1)
    rng = np.random.default_rng(seed)
    genuine, impostors = (rng.permutation(scores.numpy()[kind & upper])[:3000] for kind in (same, ~same))
    both = np.concatenate([genuine, impostors])
    truth = np.arange(len(both)) < len(genuine)
    limit = verification.best_threshold(both, truth)
    tar = verification.tar_at(genuine, verification.threshold_at_far(impostors, 0.01))
    return {"accuracy": round(float(np.mean((both >= limit) == truth)), 4), "tar_at_far_0.01": round(tar, 4)}


def main() -> None:
    """Train one network."""
    parser = argparse.ArgumentParser(description="Train a bundled recogniser.")
    parser.add_argument("id", choices=list(RECIPES))
    parser.add_argument("--bank", type=Path, required=True, help="folder of engines.train.face_bank")
    parser.add_argument("--test", type=Path, required=True, help="the same of the test split, for the log")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints and the log")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--device", default=processes.device())
    args = parser.parse_args()
    training = Training(args.id, FaceBank.read(args.bank), args.epochs, args.out, args.device)
    training.run(FaceBank.read(args.test))


if __name__ == "__main__":
    main()
