"""TIP-IM: targeted identity-protection iterative method (Yang et al., ICCV 2021), Algorithm 1, and Center-Opt.

Greedy insertion asks at each step, for each target, how much the gain G would rise if the step
went towards it. Those marginal gains shrink almost monotonically over the steps, so most of them
need not be computed again: *lazy* greedy insertion (Minoux, 1978) re-evaluates the candidate with
the largest stale gain, and stops as soon as the freshly evaluated one stays on top.

Near the edge of the ε-ball all gains fall together, and every stale one would look large. So a
stale gain also counts only as a share of what was accepted when it was measured: the last target
is evaluated first, and another one again only if its share could bring it within `NEAR` of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from engines.iterate import GradientParams, Move, Point, Problem, squared
from engines.methods.gradient import GradientMethod
from engines.params import knob


class TipImParams(GradientParams):
    gain: Literal["G", "G1"] = knob(
        "G",
        symbol="G",
        label="Gain",
        advanced=True,
        help=("G goes for the single best target (Eq. 7); G1 for the centre of all targets (Center-Opt)."),
    )


class CenterOptParams(GradientParams):
    gain: Literal["G1"] = knob(
        "G1", symbol="G1", label="Gain", advanced=True, help="The sum over all targets: towards their centre."
    )


def gain(embedding: Tensor, own: Tensor, targets: Tensor, kind: str = "G") -> Tensor:
    """G of Eq. 7 (maximum over the targets) or G1 (sum over them): (B, D), (B, D), (K, D) -> (B,)."""
    away = (embedding - own).square().sum(1, keepdim=True)
    terms = (away - squared(embedding, targets)).exp()
    return torch.log1p(terms.amax(1) if kind == "G" else terms.sum(1))


@dataclass
class Memory:
    """What greedy insertion knows of earlier steps, for B faces and K targets."""

    stale: Tensor  # marginal gains (B, K) when last evaluated
    share: Tensor  # the same, as a share of the gain that was accepted then
    reached: Tensor  # G (B,) of the current iterate, seen without input diversity


class GreedyInsertion:
    """Chooses by Algorithm 1, Eq. 6: the target whose candidate has the largest marginal gain.

    A candidate is the step itself (Eq. 5 with momentum and γ), so the accepted candidate is the
    next iterate and, without input diversity, its forward pass is the next step's. `evaluated`
    counts candidates, `chosen` lists the targets (B,) of every step.
    """

    NEAR = 0.95  # a stale candidate is looked at again when it may come this near to the best

    def __init__(self, kind: str = "G"):
        self.kind, self.evaluated = kind, 0
        self.chosen: list[Tensor] = []
        self._memory: Memory | None = None

    def __call__(self, problem: Problem, point: Point, momentum: Tensor) -> Move:
        if self._memory is None:
            reached = gain(point.embedding.detach(), problem.own, problem.targets, self.kind)
            unknown = reached.new_full((len(reached), len(problem.targets)), torch.inf)
            self._memory = Memory(unknown, unknown.clone(), reached)
        memory = self._memory
        step = _Step(problem, point, momentum, memory.stale, memory.reached)
        if self.chosen:
            step.evaluate(self.chosen[-1], step.every, self.kind)
            limit = torch.where(step.best > 0, step.best, torch.inf)[:, None] * memory.share / self.NEAR
        else:
            limit = memory.share
        while True:
            hope = torch.where(step.fresh, memory.stale, torch.minimum(memory.stale, limit))
            top = hope.argmax(1)
            rows = (~step.fresh.gather(1, top[:, None])[:, 0]).nonzero()[:, 0]
            if not len(rows):
                break
            step.evaluate(top, rows, self.kind)
        self.evaluated += int(step.fresh.sum())
        self.chosen.append(torch.where(step.fresh, memory.stale, -torch.inf).argmax(1))
        memory.share = torch.where(step.fresh, memory.stale / step.best[:, None].clamp_min(1e-9), memory.share)
        memory.reached = memory.reached + step.best
        return Move(step.pixels, step.summed, step.accepted)


class _Step:
    """The candidates evaluated in one step, and the best of them for each face."""

    def __init__(self, problem: Problem, point: Point, momentum: Tensor, stale: Tensor, reached: Tensor):
        self.problem, self.point, self.momentum = problem, point, momentum
        self.stale, self.reached = stale, reached
        self.fresh = torch.zeros_like(stale, dtype=torch.bool)
        self.every = torch.arange(len(stale), device=stale.device)
        self.best = reached.new_full((len(stale),), -torch.inf)
        self.pixels, self.summed = point.leaf.detach(), momentum
        self.accepted: Point | None = None

    def evaluate(self, target: Tensor, rows: Tensor, kind: str) -> None:
        """Algorithm 1, lines 3 to 9, for the faces `rows`, each with its `target` (B,)."""
        problem, here = self.problem, self.point.leaf.detach()
        grad = problem.gradient(self.point, target, rows)
        moved, summed = problem.advance(here, self.momentum, grad, rows)
        candidate = problem.forward(moved)
        reached = gain(candidate.embedding.detach(), problem.own[rows], problem.targets, kind)
        value = reached - self.reached[rows]
        self.stale[rows, target[rows]], self.fresh[rows, target[rows]] = value, True
        better = value > self.best[rows]
        win = rows[better]
        if len(win) == len(self.best):  # this pass holds every face's best so far
            self.best, self.pixels, self.summed, self.accepted = value, moved, summed, candidate
        elif len(win):
            self.best[win], self.pixels[win], self.summed[win] = value[better], moved[better], summed[better]
            self.accepted = None


class TipIm(GradientMethod):
    id, title = "tip-im", "TIP-IM"
    summary = "A faint mask, computed for this very photo: recognisers see someone else, people still see you."
    Params: ClassVar[type[GradientParams]] = TipImParams
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "Natural": {"epsilon": 10.0, "gamma": 2.0},
        "Balanced": {},
        "Strong": {"epsilon": 16.0, "diversity": 0.7, "smoothing": 2},
    }

    def chooser(self, params: GradientParams) -> GreedyInsertion:
        return GreedyInsertion(params.gain)  # type: ignore[attr-defined]


class CenterOpt(TipIm):
    id, title = "center-opt", "Center-Opt"
    summary = "TIP-IM with the gain G1: towards the centre of all targets rather than the best one."
    Params = CenterOptParams
    presets = GradientMethod.presets
