"""Diffusion as mathematics: schedules of noise (Ho et al., 2020; Nichol and Dhariwal, 2021) and the steps of DDIM.

x_t = √ᾱ_t x_0 + √(1 - ᾱ_t) ε, with t from 0 to T - 1; t = -1 stands for the picture itself, where ᾱ is 1.
A step of DDIM without noise of its own (Song et al., ICLR 2021, Eq. 12 with σ = 0) from t to any earlier s is
`noised(clean(x_t, ε, t), ε, s)`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

BETAS = (1e-4, 0.02)  # first and last of the linear schedule at 1,000 steps
OFFSET, LARGEST = 0.008, 0.999  # s of the cosine schedule, and what its betas are held under


@dataclass(frozen=True, eq=False)  # so that a schedule can be a key: tensors have no one answer to ==
class Schedule:
    """How much of a picture is left at each time step: `kept` holds ᾱ_t, (T,) float64, falling."""

    kept: Tensor

    @classmethod
    def linear(cls, steps: int = 1000) -> Schedule:
        """Betas in a straight line (Ho et al., Sec. 4), stretched where there are not 1,000 steps."""
        first, last = (beta * 1000 / steps for beta in BETAS)
        return cls((1 - torch.linspace(first, last, steps, dtype=torch.float64)).cumprod(0))

    @classmethod
    def cosine(cls, steps: int = 1000) -> Schedule:
        """ᾱ as a squared cosine (Nichol and Dhariwal, Eq. 17), which leaves small pictures readable for longer."""
        times = torch.arange(steps + 1, dtype=torch.float64) / steps
        wave = ((times + OFFSET) / (1 + OFFSET) * math.pi / 2).cos().square()
        return cls((1 - (1 - wave[1:] / wave[:-1]).clamp_max(LARGEST)).cumprod(0))

    def __len__(self) -> int:
        return len(self.kept)

    def clock(self, time: int) -> float:
        """How late it is at a time step: the share of its own steps at which the linear schedule is as noisy, 0 to 1.

        DiffFace's constants are shares of a linear schedule; a cosine is far less noisy at the same share.
        """
        return float(_clocks(self)[time])

    def at(self, clock: float) -> int:
        """The last time step at which it is no later than `clock`; 0 where none is."""
        return max(0, int(np.searchsorted(_clocks(self), clock + 1e-9, side="right")) - 1)

    def share(self, times: Tensor | int, like: Tensor) -> Tensor:
        """ᾱ of time steps, a whole number or (N,), in the shape (1 or N, 1, 1, 1) and on the device of `like`."""
        index = torch.as_tensor(times).reshape(-1).cpu()
        found = torch.cat([self.kept, self.kept.new_ones(1)])[index]  # -1 reads the last, which is 1
        return found.view(-1, 1, 1, 1).to(like)

    def noised(self, clean: Tensor, noise: Tensor, times: Tensor | int) -> Tensor:
        """x_t of pictures x_0 and noise ε, both (N, C, S, S)."""
        share = self.share(times, clean)
        return share.sqrt() * clean + (1 - share).sqrt() * noise

    def clean(self, noisy: Tensor, noise: Tensor, times: Tensor | int) -> Tensor:
        """x̂_0 of x_t and the noise that a network sees in it."""
        share = self.share(times, noisy)
        return (noisy - (1 - share).sqrt() * noise) / share.sqrt()

    def noise(self, noisy: Tensor, clean: Tensor, times: Tensor | int) -> Tensor:
        """ε of x_t and x_0; the inverse of `clean`, for t from 0."""
        share = self.share(times, noisy)
        return (noisy - share.sqrt() * clean) / (1 - share).sqrt()


@lru_cache(maxsize=4)
def _clocks(schedule: Schedule) -> np.ndarray:
    """The clock at every time step, (T,), rising."""
    linear = Schedule.linear().kept
    shares = np.arange(1, len(linear) + 1) / len(linear)
    return np.interp(-schedule.kept.log().numpy(), -linear.log().numpy(), shares)


def spaced(first: int, count: int) -> list[int]:
    """`count` time steps, evenly from `first` down to 0; ValueError where there are not so many."""
    if not 1 <= count <= first + 1:
        raise ValueError(f"Between time step {first} and 0 there are {first + 1} steps: ask for 1 to {first + 1}.")
    if count == 1:
        return [first]
    return [round(first * (1 - k / (count - 1))) for k in range(count)]
