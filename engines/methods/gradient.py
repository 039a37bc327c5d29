"""The single-target and simple multi-target attacks that TIP-IM is compared with (TIP-IM Sec. 5.1).

FGSM (Goodfellow et al., 2015), PGD (Madry et al., 2018), MIM (Dong et al., 2018), DIM (Xie et
al., 2019), TIM (Dong et al., 2019) and MT-DIM: one loop (engines/iterate.py), other settings.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor

from engines.face import ARCFACE112, Template
from engines.iterate import GradientParams, Move, Point, Problem, iterate
from engines.method import Budget, Scene, Snapshot
from engines.params import knob

TIP_IM_PAPER = "Yang et al., Towards Face Encryption by Generating Adversarial Identity Masks, ICCV 2021"


class GradientMethod:
    """Base of the family: ball, step size, loop. A subclass says its defaults and its chooser."""

    paper: ClassVar[str] = TIP_IM_PAPER
    template: ClassVar[Template] = ARCFACE112
    needs: ClassVar[frozenset[str]] = frozenset({"surrogates", "targets"})
    Params: ClassVar[type[GradientParams]] = GradientParams
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "Natural": {"epsilon": 8.0},
        "Balanced": {},
        "Strong": {"epsilon": 16.0},
    }
    random_start: ClassVar[bool] = False

    def budget(self, params: GradientParams, pixels: Tensor) -> Budget:
        """ε in [0, 1] units; under ℓ2 the radius is ε sqrt(3 S S), a root mean square of ε."""
        epsilon = params.epsilon / 255
        size = pixels[0].numel()
        return Budget(params.norm, epsilon if params.norm == "linf" else epsilon * size**0.5)

    def protect(
        self, pixels: Tensor, params: GradientParams, scene: Scene, generator: torch.Generator
    ) -> Iterator[Snapshot]:
        """Iterate Eq. 5 with α = 1.5 ε / N (one step: the whole of ε)."""
        budget = self.budget(params, pixels)
        alpha = budget.radius * min(1.0, 1.5 / params.steps)
        problem = Problem(pixels, scene, params, budget, self.template, generator, alpha)
        return iterate(problem, self.chooser(params), self.random_start)

    def chooser(self, params: GradientParams) -> Any:
        """How each step's target is found: here the one nearest to the original, kept to the end."""
        return Fixed()


class Fixed:
    """Single-target: the target with the lowest L_iden at the first step, for the whole run."""

    def __init__(self) -> None:
        self._target: Tensor | None = None

    def __call__(self, problem: Problem, point: Point, momentum: Tensor) -> Move:
        if self._target is None:
            self._target = problem.loss(point.embedding).argmin(1)
        return towards(self._target, problem, point, momentum)


class Dynamic:
    """Multi-target by assignment: each step goes towards the target with the lowest L_iden just now."""

    def __call__(self, problem: Problem, point: Point, momentum: Tensor) -> Move:
        return towards(problem.loss(point.embedding).argmin(1), problem, point, momentum)


def towards(target: Tensor, problem: Problem, point: Point, momentum: Tensor) -> Move:
    """One step of every face towards its `target` (B,)."""
    rows = torch.arange(len(target), device=target.device)
    grad = problem.gradient(point, target, rows, last=True)
    return Move(*problem.advance(point.leaf.detach(), momentum, grad, rows))


class FgsmParams(GradientParams):
    steps: int = knob(1, ge=1, le=1, step=1, symbol="N", label="Steps", help="FGSM takes one step.", advanced=True)
    gamma: float = knob(
        0.0,
        ge=0,
        le=0,
        step=0.1,
        symbol="γ",
        label="Naturalness",
        help="None in FGSM: at the photo itself, where its one step begins, the naturalness term has no slope.",
        advanced=True,
    )
    momentum: float = knob(
        0.0, ge=0, le=0, step=0.1, symbol="μ", label="Momentum", help="None in FGSM.", advanced=True
    )


class PgdParams(GradientParams):
    momentum: float = knob(
        0.0, ge=0, le=0, step=0.1, symbol="μ", label="Momentum", help="None in PGD.", advanced=True
    )


class DimParams(GradientParams):
    diversity: float = knob(
        0.7,
        ge=0,
        le=1,
        step=0.1,
        symbol="p",
        label="Input diversity",
        help="Chance that a step looks at a resized, padded copy of the face.",
    )


class TimParams(GradientParams):
    smoothing: int = knob(
        3,
        ge=1,
        le=15,
        step=1,
        symbol="W",
        unit="px",
        label="Gradient smoothing",
        help="Radius of the Gaussian that smooths the gradient.",
    )


class Fgsm(GradientMethod):
    id, title, summary = "fgsm", "FGSM", "One step along the sign of the gradient: instant, and weak."
    Params = FgsmParams


class Pgd(GradientMethod):
    id, title, summary = "pgd", "PGD", "Many small steps from a random start towards one target."
    Params = PgdParams
    random_start = True


class Mim(GradientMethod):
    id, title, summary = "mim", "MIM", "Small steps with momentum towards one target."


class Dim(GradientMethod):
    id, title, summary = "dim", "DIM", "MIM that looks at randomly resized copies of the face."
    Params = DimParams


class Tim(GradientMethod):
    id, title, summary = (
        "tim",
        "TIM",
        "MIM with a smoothed gradient, against recognisers that shift or defend.",
    )
    Params = TimParams


class MtDim(GradientMethod):
    id, title, summary = "mt-dim", "MT-DIM", "DIM that turns at each step to the target nearest just now."
    Params = DimParams

    def chooser(self, params: GradientParams) -> Any:
        return Dynamic()


FAMILY = (Fgsm, Pgd, Mim, Dim, Tim, MtDim)
