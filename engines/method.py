"""What every method shares: the contract, and `run()`, which validates, seeds, clips, times and stamps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from engines.checkpoints import Checkpoint, checkpoint, stamped
from engines.face import Template
from engines.frame import LEAST, MULTIPLE
from engines.params import Params
from engines.recognise import Recogniser


class MethodError(ValueError):
    """A run that cannot start, as one sentence that says what to do."""


@dataclass(frozen=True)
class Snapshot:
    """One usable state of the work: `pixels` (B, 3, S, S) in [0, 1] after `step` of `steps`, `figures` by name."""

    pixels: Tensor
    step: int
    steps: int
    note: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Scene:
    """What a method may use beside the photo.

    `surrogates`: the recognisers that it may attack, never a judge. `targets`: (K, 3, S, S) crops in
    the method's template, of people who agreed or do not exist. `message`: (50,) of 0 or 1, what a
    watermark says. `watermark`: (1, 3, T, T) in [0, 1], one that is a picture.
    """

    surrogates: Sequence[Recogniser] = ()
    targets: Tensor | None = None
    message: Tensor | None = None
    watermark: Tensor | None = None


@dataclass(frozen=True)
class Budget:
    """The ball around the original that no output leaves: ℓ∞ radius, or ℓ2 radius per image; in [0, 1] units."""

    norm: str
    radius: float


class Method(Protocol):
    """A published method. It writes only its mathematics; `run()` does the rest.

    It may have a `caveat`, what it does not promise, in which `{target}` becomes the target's name; and `disrupts`,
    True where it works against forgers, so that what they make of its output is shown beside the scores. Where its
    settings have a `region` of "Head", the face parser's soft mask of the head bounds what is pasted. With `exact`
    True it works on frames of any size (`engines/frame.py`) instead of crops, and its output is written bit for bit.
    With `leads` True recognisers shall take the face for the target, and the verdict says first how many do.
    """

    id: ClassVar[str]
    title: ClassVar[str]
    summary: ClassVar[str]
    paper: ClassVar[str]
    template: ClassVar[Template]
    needs: ClassVar[frozenset[str]]  # any of "surrogates", "targets", "message", "watermark"
    Params: ClassVar[type[Params]]
    presets: ClassVar[dict[str, dict[str, Any]]]

    def protect(self, pixels: Tensor, params: Any, scene: Scene, generator: torch.Generator) -> Iterator[Snapshot]:
        """Yield ever better protected versions of `pixels` (B, 3, S, S) in [0, 1]."""
        ...

    def budget(self, params: Any, pixels: Tensor) -> Budget | None:
        """The ball that the output must stay in, or None for a method without one."""
        ...


class Trained(Method, Protocol):
    """A method whose work was done in training: a network makes the output in one pass."""

    @property
    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """The cards of the networks that make the output; more may come from `beside(params)`, for some settings."""
        ...

    @property
    def attacked_in_training(self) -> tuple[str, ...]:
        """Ids of the recognisers that the training worked against."""
        ...


@dataclass(frozen=True)
class Reading:
    """What a decoder read in N faces: `logits` (N, L) float32 on the CPU, above 0 for a bit that reads as 1."""

    logits: Tensor

    @property
    def bits(self) -> Tensor:
        """(N, L) of 0 or 1."""
        return (self.logits > 0).int()

    @property
    def confidence(self) -> Tensor:
        """(N, L): how sure the decoder is of each bit as it reads it, 0.5 to 1."""
        return torch.sigmoid(self.logits.abs())


class Readable(Protocol):
    """A method whose mark can be read back."""

    def read(self, pixels: Tensor) -> Reading:
        """Crops (N, 3, S, S) in [0, 1] of the method's template -> what is written in them."""
        ...


class Reversible(Protocol):
    """A method whose change its owner can take back. `restorers`: who takes it back, the usual one first."""

    restorers: ClassVar[tuple[str, ...]]

    def erase(self, pixels: Tensor, restorer: str) -> Tensor:
        """Protected crops (N, 3, S, S) in [0, 1] of the method's template -> what they were before.

        A method whose pictures also carry a watermark that is a picture has `carried(pixels, restorer)`: what is read
        in them and in what comes back, (N, 3, T, T) by name.
        """
        ...


@dataclass(frozen=True)
class Provenance:
    """What made an output: enough to make it again."""

    method: str
    params: dict[str, Any]
    seed: int
    checkpoints: tuple[dict[str, str], ...]  # the recognisers that it was made against
    steps: int
    seconds: float
    cancelled: bool
    networks: tuple[dict[str, str], ...] = ()  # what made it, where that is a trained network
    torch: str = field(default_factory=lambda: torch.__version__)

    def as_dict(self) -> dict[str, Any]:
        """A JSON-able dictionary."""
        return asdict(self)


class Run:
    """Iterate it for snapshots; read `provenance` at any time. Made by `run()`."""

    def __init__(
        self,
        method: Method,
        pixels: Tensor,
        params: Params,
        scene: Scene,
        seed: int,
        cancelled: Callable[[], bool],
    ):
        self.method, self.pixels, self.params, self.scene, self.seed = method, pixels, params, scene, seed
        self.steps, self.seconds, self.was_cancelled = 0, 0.0, False
        self._cancelled = cancelled

    def __iter__(self) -> Iterator[Snapshot]:
        generator = torch.Generator(self.pixels.device).manual_seed(self.seed)
        budget = self.method.budget(self.params, self.pixels)
        start = time.perf_counter()
        for snapshot in self.method.protect(self.pixels, self.params, self.scene, generator):
            self.steps, self.seconds = snapshot.step, time.perf_counter() - start
            inside = project(snapshot.pixels, self.pixels, budget)
            yield replace(snapshot, pixels=inside)
            if self._cancelled():
                self.was_cancelled = True
                return

    @property
    def provenance(self) -> Provenance:
        """The stamp of what has been done so far."""
        cards = [recogniser.card for recogniser in self.scene.surrogates]
        cards += [stamped(checkpoint(id)) for id in attacked_in_training(self.method)]
        return Provenance(
            self.method.id,
            self.params.model_dump(),
            self.seed,
            _stamps(cards),
            self.steps,
            round(self.seconds, 3),
            self.was_cancelled,
            _stamps((*getattr(self.method, "checkpoints", ()), *_beside(self.method, self.params))),
        )


def _stamps(cards: Sequence[Checkpoint]) -> tuple[dict[str, str], ...]:
    return tuple({"id": card.id, "sha256": card.sha256, "state": card.state} for card in cards)


def _beside(method: Method, params: Params) -> tuple[Checkpoint, ...]:
    """Networks that only some settings use: what a method's `beside(params)` names."""
    named = getattr(method, "beside", None)
    return tuple(map(stamped, named(params))) if named else ()


def attacked_in_training(method: Method) -> tuple[str, ...]:
    """Ids of the recognisers that a trained method has seen; none for one that works against those of its run."""
    return tuple(getattr(method, "attacked_in_training", ()))


def run(
    method: Method,
    pixels: Tensor,
    params: Params | dict[str, Any],
    scene: Scene,
    seed: int = 0,
    cancelled: Callable[[], bool] = lambda: False,
) -> Run:
    """Check everything, then hand back a `Run` whose iteration does the work.

    `pixels`: (B, 3, S, S) float32 in [0, 1], aligned to the method's template. Raises MethodError
    (and ParamError for a dictionary of wrong settings) with one sentence. A judge or an untrained
    network is refused as a surrogate. After each snapshot `cancelled()` is asked.
    """
    settings = method.Params.read(params) if isinstance(params, dict) else params
    if not isinstance(settings, method.Params):
        raise MethodError(
            f"{method.title} takes its own settings ({method.Params.__name__}), not {type(params).__name__}."
        )
    if not 0 <= seed < 2**63:
        raise MethodError("The seed must be a whole number from 0 to 2^63 - 1.")
    _check_pixels(method, pixels, "The face")
    _check_scene(method, scene)
    return Run(method, pixels.detach(), settings, scene, seed, cancelled)


def project(pixels: Tensor, original: Tensor, budget: Budget | None) -> Tensor:
    """Π of TIP-IM Eq. 5: onto the ε-ball around `original` and onto [0, 1]; both (B, 3, S, S)."""
    if budget is None:
        return pixels.clamp(0, 1)
    if budget.norm == "linf":
        low, high = (original - budget.radius).clamp_min(0), (original + budget.radius).clamp_max(1)
        return torch.maximum(torch.minimum(pixels, high), low)
    # Clipping to [0, 1] moves each pixel towards the original, so it cannot leave the ℓ2 ball again.
    mask = pixels - original
    norm = mask.flatten(1).norm(dim=1).clamp_min(1e-12)
    shrink = (budget.radius / norm).clamp_max(1)
    return (original + mask * shrink[:, None, None, None]).clamp(0, 1)


def _check_pixels(method: Method, pixels: Tensor, what: str) -> None:
    framed = getattr(method, "exact", False) and pixels.ndim == 4
    size = pixels.shape[-1] if framed else method.template.size
    if framed and (size < LEAST or size % MULTIPLE):
        raise MethodError(f"{what} must have a multiple of {MULTIPLE} pixels a side, {LEAST} or more, not {size}.")
    if pixels.ndim != 4 or pixels.shape[1:] != (3, size, size) or not pixels.is_floating_point():
        raise MethodError(f"{what} must be float pixels of shape (N, 3, {size}, {size}), not {tuple(pixels.shape)}.")
    if not len(pixels) or not torch.isfinite(pixels).all() or pixels.min() < 0 or pixels.max() > 1:
        raise MethodError(f"{what} must hold pixels from 0 to 1 and no NaN.")


def _check_scene(method: Method, scene: Scene) -> None:
    if "surrogates" in method.needs and not scene.surrogates:
        raise MethodError(f"{method.title} needs at least one surrogate recogniser: switch one on.")
    check_surrogates(scene.surrogates)
    if "message" in method.needs and scene.message is None:
        raise MethodError(f"{method.title} needs an identity to write into the face: enter a name or a number.")
    if "watermark" in method.needs and scene.watermark is None:
        raise MethodError(f"{method.title} needs a watermark: enter a few words, or give a picture.")
    if "targets" in method.needs:
        if scene.targets is None or not len(scene.targets):
            raise MethodError(f"{method.title} needs at least one target face: add a photo or pick a built-in one.")
        _check_pixels(method, scene.targets, "A target face")


def check_surrogates(recognisers: Sequence[Recogniser]) -> None:
    """What may be attacked, in a run or in a training: MethodError for a judge or an untrained network."""
    for recogniser in recognisers:
        if recogniser.card.role == "judge":
            raise MethodError(
                f"{recogniser.card.id} is a held-out judge: choose a surrogate, or its score would prove nothing."
            )
        if recogniser.card.state != "trained":
            raise MethodError(f"{recogniser.card.id} is not trained: choose a trained recogniser.")
