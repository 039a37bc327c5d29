"""What a training of the small DiffFace is made of."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from engines.nets.diffusion import SMALL, Sizes


@dataclass(frozen=True)
class Recipe:
    """Steps, and what a step is.

    `rate` is Adam's: it rises over the first `warm` steps, and falls in a straight line to zero over the last half.
    `keep` is of the moving average, per step. `identity`: the id of the recogniser that the network listens to.
    """

    steps: int
    batch: int
    rate: float = 4e-4
    warm: int = 500
    keep: float = 0.9995
    sizes: Sizes = SMALL
    identity: str = "sface"
    seed: int = 0

    def rate_at(self, step: int) -> float:
        """Adam's rate in a step, from 0."""
        return self.rate * min(1.0, (step + 1) / max(1, self.warm), 2 * (1 - step / self.steps))

    @property
    def fixed(self) -> dict[str, Any]:
        """What a checkpoint must agree on to be gone on with, in lists and numbers."""
        sizes = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self.sizes).items()}
        return {"sizes": sizes, "batch": self.batch, "identity": self.identity, "seed": self.seed}


CONFIGS = {"cpu": Recipe(steps=30000, batch=16), "gpu": Recipe(steps=100000, batch=128, keep=0.9999)}
"""Nothing was trained by the second here."""
