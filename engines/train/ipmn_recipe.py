"""What a training of IPMN is made of: its phases, its sizes and its rates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import accumulate
from typing import Any

from engines.nets.ipmn import PAPER, SMALL, Sizes
from engines.train.ipmn_losses import Weights

FAINT = 0.001
MANY = 16  # faces of a step that HiDDeN learns in, at least: with 4 its BatchNorm let it learn next to nothing
PHASES = ("initial", "reversible", "steal", "enhance")
"""The paper's three; its enhanced training phase is two here: stealing models learn, then R is trained on them."""


@dataclass(frozen=True)
class Recipe:
    """Steps of each phase and what they are made of; `rates` are Adam's in each phase, `clips` the longest gradient.

    Those of f are about 0.1 long; at a rate of 5e-4 and cut at 1, single steps twice undid some hundred others.

    `batch` is even: each watermark is put into two masks. `mark` False is IMN, the baseline without watermark: then
    only the reversible phase is trained. `hidden` is HiDDeN in place of H and R (`with_hidden`). `spread` is the
    standard deviation of N. `noise` is that of noise which R meets in the first phase, and the paper has not: as
    much as f changes at 40 dB. In the share `warm` of that phase λ_wemd rises from FAINT to the whole, since a faint
    mark from the start leaves R nothing to learn from. `half` lets the dense sub-networks train in bfloat16; measured
    and used they are float32. Each of `thieves` steals a service that has a watermark of its own.
    """

    initial: int
    reversible: int
    steal: int
    enhance: int
    batch: int = 4
    sizes: Sizes = SMALL
    rates: tuple[float, float, float, float] = (1e-3, 3e-4, 1e-3, 3e-4)
    clips: tuple[float, float, float, float] = (1.0, 0.2, 1.0, 1.0)
    warm: float = 0.8
    mark: bool = True
    hidden: bool = False
    spread: float = 1.0
    noise: float = 0.01
    half: bool = False
    thieves: tuple[str, ...] = ("unet",)
    thief: int = 16
    seed: int = 0
    weights: Weights = Weights()

    @property
    def plan(self) -> tuple[int, ...]:
        """Steps of each phase."""
        return (self.initial, self.reversible, self.steal, self.enhance)

    @property
    def ends(self) -> tuple[int, ...]:
        """The step after the last of each phase."""
        return tuple(accumulate(self.plan))

    @property
    def steps(self) -> int:
        """Of all phases."""
        return sum(self.plan)

    def stage(self, step: int) -> int:
        """The phase of a step, by its number in PHASES from 0; after the end, the last that has steps."""
        last = max(number for number, length in enumerate(self.plan) if length or not number)
        return next((number for number, end in enumerate(self.ends) if step < end), last)

    def faces(self, step: int) -> int:
        """How many a step takes: `batch`, or while HiDDeN learns at least MANY."""
        return max(self.batch, MANY) if self.hidden and self.stage(step) == 0 else self.batch

    def embedding_at(self, step: int) -> float:
        """What λ_wemd is multiplied by in a step of the first phase."""
        share = step / (self.warm * self.initial) if self.warm else 1.0
        return FAINT ** max(0.0, 1 - share)

    @property
    def kept(self) -> dict[str, Any]:
        """What a checkpoint must agree on, in lists and numbers."""
        sizes = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self.sizes).items()}
        plain = {name: getattr(self, name) for name in ("mark", "hidden", "thief", "batch", "seed")}
        return {"sizes": sizes, "plan": list(self.plan), "stealing": list(self.thieves), **plain}

    def goes_on(self, past: Mapping[str, Any], stage: int, done: int) -> bool:
        """Whether a training that has `done` steps, the last in phase `stage`, would have come as far by this recipe.

        `past` holds the `kept` of that training; one from before HiDDeN has no word on it. Phases still to come, and
        the end of the present one, may differ.
        """
        own = self.kept
        same = all(own[name] == past.get(name, False) for name in own if name != "plan")
        return same and own["plan"][:stage] == past["plan"][:stage] and done <= self.ends[stage]

    def without_mark(self) -> Recipe:
        """IMN: the reversible phase alone, on masks that carry nothing."""
        return replace(self, mark=False, initial=0, steal=0, enhance=0)

    def with_hidden(self) -> Recipe:
        """HiDDeN in place of H and R (Tables 8 and 9), with its own λ_I = 0.7, λ_G = 0.001 and rate.

        Its decoder learns from marked masks alone, rounded as a file keeps them and without noise: HiDDeN is trained
        before f and knows nothing of it. There is no enhanced phase; thieves still steal, for x_sm of Table 9. That λ
        rises (`warm`) is this recipe's, not HiDDeN's.
        """
        weights, rates = replace(self.weights, bs=0.7, adv=0.001), (1e-3, *self.rates[1:])
        return replace(self, hidden=True, enhance=0, noise=0.0, weights=weights, rates=rates)


CONFIGS = {
    "cpu": Recipe(initial=1500, reversible=6000, steal=500, enhance=500),
    "gpu": Recipe(initial=20000, reversible=60000, steal=10000, enhance=10000, batch=16, thieves=("unet",) * 2),
    "paper": Recipe(
        initial=1250000,  # 500 epochs of 20,000 faces by 8
        reversible=5000000,  # 8000 epochs by 32
        steal=750000,
        enhance=1250000,
        batch=8,
        sizes=PAPER,
        rates=(1e-4, 1e-5, 1e-4, 1e-4),
        warm=0.0,
        noise=0.0,
        thief=64,
    ),
}
"""The paper's "weight decay of 1000" in the reversible phase is left out: in HiNet, whose settings these are, 1000 is
after how many epochs the rate is halved, and weights decay by 1e-5. One batch size serves all phases."""
