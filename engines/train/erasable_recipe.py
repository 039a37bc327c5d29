"""What a training of ErasableMask is made of: its curriculum, its sizes and its rates."""

from __future__ import annotations

from dataclasses import dataclass

from engines.nets.erasable_mask import WIDTHS
from engines.train.erasable_losses import Weights
from engines.train.forger_terms import MOST

BETAS, GAMMAS = (0.2, 0.9), (0.0, 0.3)  # what is drawn


@dataclass(frozen=True)
class Recipe:
    """What a training is made of. `rate` is Adam's; the paper's is 2e-5, for 350 epochs.

    No layer of the critic has more than `most` channels. In the first `warm` steps nothing is edited. In a step
    `primaries` of the surrogates are primary tasks, in turn. An epoch of Eq. 11 has `epoch` steps; `inner` and
    `floor` are lr of Eq. 10 and ε of Eq. 12, not published. `taught` weighs a teacher's cross-entropy, summed over
    the attributes, where there is a teacher. `recall` weighs what the paper has not: that in the third stage
    the surrogates, too, see in the erased face its owner.
    """

    edit: int
    attack: int
    erase: int
    batch: int
    widths: tuple[int, ...] = WIDTHS
    critic: int = 32
    most: int | None = MOST
    size: int = 128
    warm: int = 200
    primaries: int = 1
    meta: bool = True
    epoch: int = 100
    inner: float = 0.01
    floor: float = 0.3
    taught: float = 2.0
    recall: float = 0.0
    rate: float = 3e-4
    seed: int = 0
    weights: Weights = Weights()

    @property
    def steps(self) -> int:
        """Of all three stages."""
        return self.edit + self.attack + self.erase

    def stage(self, step: int) -> int:
        """1, 2 or 3."""
        return 1 + (step >= self.edit) + (step >= self.edit + self.attack)


PAPER = (64, 128, 256, 512, 1024)
CONFIGS = {
    "cpu": Recipe(edit=2400, attack=1200, erase=600, batch=8),
    "gpu": Recipe(edit=40000, attack=20000, erase=10000, batch=32, primaries=3),
    "paper": Recipe(
        edit=200000, attack=100000, erase=50000, batch=16, primaries=3, size=256, widths=PAPER, critic=64, most=None
    ),
}
