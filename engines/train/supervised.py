"""What the recipes with labelled pictures share: epochs in a seeded order, a rate that falls, checkpoints, a log."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from engines.train import kept, processes
from engines.train.half import half
from engines.train.rounds import clock


@dataclass(frozen=True)
class Task:
    """`batch(index, rng)` gives inputs and targets of some of `count` pictures; `measure(net)` its figures."""

    id: str
    count: int
    batch: Callable[[np.ndarray, np.random.Generator], tuple[Tensor, Tensor]]
    loss: Callable[[Tensor, Tensor], Tensor]
    measure: Callable[[nn.Module], dict[str, float]]


class Supervised:
    """A training in a folder: AdamW, a rate that rises over the first epoch and falls as half a cosine."""

    def __init__(
        self,
        task: Task,
        net: nn.Module,
        folder: Path,
        epochs: int,
        size: int = 64,
        rate: float = 2e-3,
        seed: int = 0,
        device: str = "cpu",
    ):
        self.task, self.folder, self.device = task, Path(folder), device
        self.recipe = {"epochs": epochs, "batch": size, "rate": rate, "seed": seed}
        self.net = net.to(device)
        self.optimiser = torch.optim.AdamW(self.net.parameters(), lr=rate, weight_decay=0.02)
        self.done, self.seconds, self.history = 0, 0.0, []  # type: ignore[var-annotated]
        self._resume()

    def _resume(self) -> None:
        if (found := kept.read(self.folder, self.device)) is None:
            return
        self.net.load_state_dict(found["net"])
        self.optimiser.load_state_dict(found["optimiser"])
        self.done, self.seconds, self.history = found["done"], found["seconds"], found["history"]

    def save(self) -> None:
        """Keep what the training needs to go on, the weights, and the log."""
        past: dict[str, Any] = {"done": self.done, "seconds": self.seconds, "history": self.history}
        state = {"net": self.net.state_dict(), "optimiser": self.optimiser.state_dict(), **past}
        log = {"id": self.task.id, "recipe": self.recipe, "device": self.device, **past}
        kept.write(self.folder, state, self.net.state_dict(), {**log, "seconds": round(self.seconds)})

    def rate_at(self, epoch: float) -> float:
        """AdamW's rate after so many epochs."""
        whole = self.recipe["epochs"]
        return self.recipe["rate"] * min(1.0, epoch + 0.02) * 0.5 * (1 + math.cos(math.pi * min(1.0, epoch / whole)))

    def epoch(self) -> float:
        """Every picture once; the mean loss."""
        rng = np.random.default_rng((int(self.recipe["seed"]), self.done))
        order, size, losses = rng.permutation(self.task.count), int(self.recipe["batch"]), []
        self.net.train()
        for start in range(0, len(order) - size + 1, size):
            for group in self.optimiser.param_groups:
                group["lr"] = self.rate_at(self.done + start / len(order))
            inputs, targets = (processes.part(one) for one in self.task.batch(order[start : start + size], rng))
            with half(self.device):
                out = self.net(inputs.to(self.device))
            loss = self.task.loss(out.float(), targets.to(self.device))
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            processes.average(self.net.parameters())
            self.optimiser.step()
            losses.append(float(loss.detach()))
        self.done += 1
        return processes.mean({"loss": float(np.mean(losses))})["loss"]

    def run(self) -> None:
        """Train to the end; after every epoch measure, save, and say so."""
        while self.done < self.recipe["epochs"]:
            began = clock(self.device)
            loss = self.epoch()
            self.seconds += clock(self.device) - began
            self.net.eval()
            with torch.no_grad():
                figures = self.task.measure(self.net)
            self.history.append({"epoch": self.done, "loss": round(loss, 4), **figures})
            self.save()
            processes.say(f"{self.task.id} {self.history[-1]} {self.seconds:.0f} s")
