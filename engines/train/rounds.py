"""A training's steps in rounds: after each, the means of what its steps gave. Seconds are counted on the way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from engines.train import processes


class Steps(Protocol):
    """What a training has: `recipe.steps` of them in all, `done` so far, and the `seconds` that they took."""

    recipe: Any
    device: str
    done: int
    seconds: float

    def step(self) -> dict[str, float]:
        """One step; raises `done` by one, and returns what the log shows."""
        ...


def clock(device: str) -> float:
    """Seconds: of the processor on a CPU, where other work may go on beside it; of the wall on a GPU."""
    return time.process_time() if device == "cpu" else time.monotonic()


def rounds(training: Steps, every: int) -> Iterator[dict[str, float]]:
    """Go on to the recipe's end; yields after every so many steps, and after the last, `step` and the means."""
    while training.done < training.recipe.steps:
        began = clock(training.device)
        rows: list[dict[str, float]] = []
        while not rows or (training.done % every and training.done < training.recipe.steps):
            rows.append(training.step())
        training.seconds += clock(training.device) - began
        mean = {name: float(np.mean([row[name] for row in rows if name in row])) for name in rows[-1]}
        mean = processes.mean(mean)
        yield {"step": training.done, **{name: round(value, 4) for name, value in mean.items()}}
