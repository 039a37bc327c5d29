"""Projected gradient ascent, by which priors, baselines and hardening find perturbations."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from engines.nets.id_guard import EPSILON


def pgd(
    distance: Callable[[Tensor], Tensor],
    pixels: Tensor,
    generator: torch.Generator,
    epsilon: float = EPSILON,
    step: float = 0.01,
    steps: int = 10,
    spread: float = 1.0,
) -> Tensor:
    """Projected gradient ascent (Madry et al.) on a distance of x + δ from a random start: δ (N, 3, S, S), |δ| <= ε.

    `pixels` in [-1, 1]; x + δ stays there too. `generator` lives on the CPU. The start lies in a ball of `spread` ε.
    """
    delta = spread * epsilon * (2 * torch.rand(pixels.shape, generator=generator).to(pixels) - 1)
    for _ in range(steps):
        delta = ((pixels + delta).clamp(-1, 1) - pixels).detach().requires_grad_()
        slope = torch.autograd.grad(distance(pixels + delta), delta)[0]
        delta = (delta + step * slope.sign()).clamp(-epsilon, epsilon)
    return ((pixels + delta).clamp(-1, 1) - pixels).detach()
