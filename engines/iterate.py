"""The iterative fast gradient method that TIP-IM and its whole family share (TIP-IM Eq. 4 and 5).

One step: the gradient of L = L_iden + γ MMD, optionally smoothed (TIM), accumulated with
momentum (MIM), normalised, a step of size α, and the projection Π. What differs between the
methods is how the target of the step is chosen: that is a `Chooser`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from engines.face import Template, retarget
from engines.measure import median_bandwidths, mmd
from engines.method import Budget, Scene, Snapshot, project
from engines.params import Params, knob
from engines.recognise import Recogniser
from engines.rough import autocast, embedder

VIEWS = 8  # random transformations that make up MMD's batch for one photo (TIP-IM, footnote 4)


class GradientParams(Params):
    """The knobs of the whole family; defaults are the paper's (Sec. 5.1)."""

    epsilon: float = knob(
        12.0,
        ge=0.5,
        le=32,
        step=0.5,
        symbol="ε",
        unit="/255",
        label="Largest change",
        help="How far any pixel may move. Larger protects better and shows more.",
    )
    norm: Literal["linf", "l2"] = knob(
        "linf",
        symbol="ℓp",
        label="Norm",
        advanced=True,
        help=(
            "linf bounds every pixel by ε; l2 bounds their root mean square by ε, so single pixels may move further."
        ),
    )
    steps: int = knob(
        50,
        ge=1,
        le=200,
        step=1,
        symbol="N",
        label="Steps",
        help="How many times the mask is improved. The time grows with it.",
    )
    momentum: float = knob(
        1.0,
        ge=0,
        le=2,
        step=0.1,
        symbol="μ",
        label="Momentum",
        advanced=True,
        help="How much of the earlier direction is kept; helps against unseen recognisers.",
    )
    diversity: float = knob(
        0.0,
        ge=0,
        le=1,
        step=0.1,
        symbol="p",
        label="Input diversity",
        advanced=True,
        help="Chance that a step looks at a resized, padded copy; helps against unseen recognisers.",
    )
    smoothing: int = knob(
        0,
        ge=0,
        le=15,
        step=1,
        symbol="W",
        unit="px",
        label="Gradient smoothing",
        advanced=True,
        help="Radius of the Gaussian over the gradient; a smoother mask survives scaling better. 0 is off.",
    )
    gamma: float = knob(
        0.0,
        ge=0,
        le=3,
        step=0.1,
        symbol="γ",
        label="Naturalness",
        help="Weight of the naturalness term (MMD), Eq. 4. Higher looks more natural and protects less.",
    )


class Ensemble:
    """Several recognisers as one: unit embeddings side by side, scaled by 1/sqrt(n).

    The squared distance of two such rows is the mean of the members' squared distances, so an
    ensemble (MIM, Sec. 3.2 of its paper) needs no code of its own anywhere else.
    """

    def __init__(self, members: Sequence[Recogniser], template: Template):
        self.members, self.template = tuple(members), template
        self._embed = [embedder(member) for member in self.members]

    def __call__(self, pixels: Tensor) -> Tensor:
        """(N, 3, S, S) in the template -> unit rows (N, ΣD); differentiable."""
        seen = [retarget(pixels, self.template, member.template) for member in self.members]
        with autocast(pixels.device):
            rows = [embed(crop).float() for embed, crop in zip(self._embed, seen, strict=True)]
        return torch.cat(rows, dim=1) / len(rows) ** 0.5


@dataclass
class Point:
    """One forward pass: `leaf` pixels (B, 3, S, S) and their embeddings (B, D) with the graph between.

    `natural` is γ ∇MMD there, which is the same for every target.
    """

    leaf: Tensor
    embedding: Tensor
    natural: Tensor | None = None


@dataclass
class Move:
    """The step that a chooser took, and its forward pass where the next step can use it."""

    pixels: Tensor
    momentum: Tensor
    point: Point | None = None


class Chooser(Protocol):
    """Chooses each face's target for one step, and takes the step."""

    def __call__(self, problem: Problem, point: Point, momentum: Tensor) -> Move: ...


class Problem:
    """The objective of Eq. 4 for a batch of faces, and one step of Eq. 5 on it."""

    def __init__(
        self,
        original: Tensor,
        scene: Scene,
        params: GradientParams,
        budget: Budget,
        template: Template,
        generator: torch.Generator,
        step_size: float,
    ):
        self.original, self.params, self.budget, self.generator = original, params, budget, generator
        self.alpha = step_size
        self.embed = Ensemble(scene.surrogates, template)
        assert scene.targets is not None
        with torch.no_grad():
            self.own, self.targets = self.embed(original), self.embed(scene.targets)
        self._views = Views(original, generator) if params.gamma > 0 else None

    def forward(self, pixels: Tensor, diverse: bool = False) -> Point:
        """Embed `pixels` with a graph; `diverse` looks through a random transformation (DIM)."""
        leaf = pixels.detach().requires_grad_(True)
        seen = diversify(leaf, self.params.diversity, self.generator) if diverse else leaf
        return Point(leaf, self.embed(seen))

    def loss(self, embedding: Tensor) -> Tensor:
        """L_iden of Eq. 2 for every face and target: (B, D) -> (B, K)."""
        return squared(embedding, self.targets) - (embedding - self.own).square().sum(1, keepdim=True)

    def gradient(self, point: Point, target: Tensor, rows: Tensor, last: bool = False) -> Tensor:
        """∇L of Eq. 4 on the faces `rows`, each towards its `target` (B,): a (len(rows), 3, S, S) tensor.

        `last`: nothing more is asked of this point, whose graph is freed while it is gone through.

        On embeddings ∇L_iden = 2 (e_p - e_t) - 2 (e_p - e_r) = 2 (e_r - e_t), whatever e_p is: every
        target's gradient is a vector-Jacobian product of one and the same forward pass.
        """
        pull = 2 * (self.own - self.targets[target])
        if len(rows) < len(pull):
            pull = torch.zeros_like(pull).index_copy(0, rows, pull[rows])
        (grad,) = torch.autograd.grad(point.embedding, point.leaf, pull, retain_graph=not last)
        grad = of(grad, rows)
        if self._views is not None:
            if point.natural is None:
                point.natural = self.params.gamma * self._views.gradient(point.leaf.detach())
            grad = grad + of(point.natural, rows)
        return smooth(grad, self.params.smoothing) if self.params.smoothing else grad

    def advance(self, pixels: Tensor, momentum: Tensor, grad: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Eq. 5 with momentum for the faces `rows`: their next pixels and next momentum."""
        scale = grad.abs().mean(dim=(1, 2, 3), keepdim=True).clamp_min(1e-12)
        summed = self.params.momentum * of(momentum, rows) + grad / scale
        if self.budget.norm == "linf":
            step = self.alpha * summed.sign()
        else:
            length = summed.flatten(1).norm(dim=1).clamp_min(1e-12)
            step = self.alpha * summed / length[:, None, None, None]
        return project(of(pixels, rows) - step, of(self.original, rows), self.budget), summed


def of(values: Tensor, rows: Tensor) -> Tensor:
    """The given rows, in rising order; without a copy where these are all."""
    return values if len(rows) == len(values) else values[rows]


class Views:
    """MMD between a photo and its protected version, both under the same random transformations.

    One photo is a batch of one, for which MMD says little; the paper's footnote 4 makes a batch of
    it by transformations. Here: shifts by up to 4 pixels and left-right flips, drawn once a run.
    """

    def __init__(self, original: Tensor, generator: torch.Generator):
        device = original.device
        self._shifts = torch.randint(-4, 5, (VIEWS, 2), generator=generator, device=device).tolist()
        self._flips = (torch.rand(VIEWS, generator=generator, device=device) < 0.5).tolist()
        self._real = [self.of(photo[None]) for photo in original]
        self._bandwidths = [median_bandwidths(views) for views in self._real]

    def of(self, photo: Tensor) -> Tensor:
        """The views (VIEWS, 3, S, S) of one photo (1, 3, S, S); differentiable."""
        views = [torch.roll(photo, shift, dims=(2, 3)) for shift in self._shifts]
        return torch.cat([v.flip(3) if flip else v for v, flip in zip(views, self._flips, strict=True)])

    def gradient(self, pixels: Tensor) -> Tensor:
        """∇MMD (Eq. 3) of each photo of the batch (B, 3, S, S)."""
        leaf = pixels.detach().requires_grad_(True)
        pairs = zip(leaf.split(1), self._real, self._bandwidths, strict=True)
        total: Any = sum(mmd(self.of(photo), real, widths) for photo, real, widths in pairs)
        return torch.autograd.grad(total, leaf)[0]


def iterate(problem: Problem, choose: Chooser, random_start: bool = False) -> Iterator[Snapshot]:
    """T steps of Eq. 5; yields a snapshot after each."""
    params, pixels = problem.params, problem.original
    current = pixels
    if random_start:
        noise = torch.empty_like(pixels).uniform_(-1, 1, generator=problem.generator)
        current = project(pixels + problem.budget.radius * _unit(noise, problem.budget.norm), pixels, problem.budget)
    momentum, point = torch.zeros_like(pixels), None
    for step in range(1, params.steps + 1):
        point = point or problem.forward(current, diverse=True)
        move = choose(problem, point, momentum)
        current, momentum = move.pixels, move.momentum
        point = move.point if params.diversity == 0 else None
        yield Snapshot(current, step, params.steps)


def _unit(noise: Tensor, norm: str) -> Tensor:
    return noise if norm == "linf" else noise / noise.flatten(1).norm(dim=1)[:, None, None, None]


def squared(a: Tensor, b: Tensor) -> Tensor:
    """D_f of all pairs of unit rows: (B, D), (K, D) -> (B, K), as 2 - 2 cos."""
    return 2 - 2 * a @ b.T


def diversify(pixels: Tensor, chance: float, generator: torch.Generator) -> Tensor:
    """DIM's transformation (Xie et al., 2019): with `chance`, shrink by up to 10 % and pad at random."""
    device = pixels.device
    if chance == 0 or torch.rand((), generator=generator, device=device) >= chance:
        return pixels
    size = pixels.shape[-1]
    small = int(torch.randint(int(0.9 * size), size, (), generator=generator, device=device))
    left, top = torch.randint(0, size - small + 1, (2,), generator=generator, device=device).tolist()
    shrunk = F.interpolate(pixels, size=(small, small), mode="bilinear", align_corners=False)
    return F.pad(shrunk, (left, size - small - left, top, size - small - top))


def smooth(grad: Tensor, radius: int) -> Tensor:
    """TIM (Dong et al., 2019): the gradient convolved with a Gaussian, σ = radius / 3, of (2 radius + 1)^2."""
    axis = torch.arange(-radius, radius + 1, dtype=grad.dtype, device=grad.device)
    line = torch.exp(-0.5 * (axis / (radius / 3)) ** 2)
    kernel = torch.outer(line, line) / line.sum() ** 2
    return F.conv2d(grad, kernel.expand(3, 1, -1, -1), padding=radius, groups=3)
