"""What DiffFace's sampler asks of the face that it predicts: facial guidance (Kim et al., 2022).

The losses are the release's, but for this. It guides by one ArcFace, here by the mean of any surrogates. It shows
them the face on black; here the protected photo lies around it, as it will in the result. Its parsing loss compares
scores, here the parser's soft classes are compared. It mixes the predicted face with x_t before it looks; here the
prediction alone is looked at. Its small squared error against the whole target, and the random cuts that its ArcFace
sees, are left out. The weights are ours, for 64 pixels and some 25 steps of DDIM, tried with a Gaussian guess in
place of a trained network: likeness to the replacing face rose from 0.30 to 0.49 for the surrogates that guided.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engines.face import CELEBA128, retarget
from engines.method import check_surrogates
from engines.nets.parser import CLASSES, FACE
from engines.parse import parser
from engines.recognise import Recogniser

Gaze = Callable[[Tensor], Tensor]
"""A differentiable gaze network: a face (1, 3, 128, 128) in [0, 1], cut as CELEBA128 -> directions, of any shape."""
LOOKS = (0.1, 0.5)  # gaze is asked for while the schedule's clock is between these, as the release does
SHOWN = [CLASSES.index(name) for name in FACE]


@dataclass(frozen=True)
class Weights:
    """What each loss weighs; 0 leaves it out.

    `limit`: how long the correction of a step may be, in lengths of the noise that the network sees. Ours: the
    release has no such bound.
    """

    identity: float = 30.0
    parsing: float = 30.0
    gaze: float = 10.0
    limit: float = 0.25


class Guidance:
    """The losses of one swap; faces are (1, 3, 128, 128) in [0, 1], cut as CELEBA128.

    Raises MethodError for a judge or an untrained network among `recognisers`. Gaze is asked for only with a network.
    """

    def __init__(
        self,
        protected: Tensor,
        replacing: Tensor,
        recognisers: Sequence[Recogniser] = (),
        weights: Weights = Weights(),
        gaze: Gaze | None = None,
    ):
        check_surrogates(recognisers)
        self.weights, self.gaze = weights, gaze if weights.gaze else None
        self.recognisers = tuple(recognisers) if weights.identity else ()
        with torch.no_grad():
            self.wanted = [_seen_by(recogniser, replacing) for recogniser in self.recognisers]
            self.parts = soft_parts(protected) if weights.parsing else None
            self.look = self.gaze(protected) if self.gaze else None

    def __bool__(self) -> bool:
        """Whether anything is asked for."""
        return bool(self.recognisers) or self.parts is not None or self.gaze is not None

    def terms(self, face: Tensor, clock: float) -> dict[str, Tensor]:
        """The weighted losses of a predicted face in its photo, at a time by the schedule's clock: scalars."""
        found = {}
        if self.recognisers:
            likeness = [
                (_seen_by(net, face) * row).sum() for net, row in zip(self.recognisers, self.wanted, strict=True)
            ]
            found["identity"] = self.weights.identity * (1 - torch.stack(likeness).mean())
        if self.parts is not None:
            found["parsing"] = self.weights.parsing * (soft_parts(face) - self.parts).abs().mean((0, 2, 3)).sum()
        if self.gaze is not None and self.look is not None and LOOKS[0] < clock < LOOKS[1]:
            found["gaze"] = self.weights.gaze * (self.gaze(face) - self.look).abs().mean()
        return found

    def correction(self, terms: dict[str, Tensor], noisy: Tensor, noise: Tensor, kept: Tensor) -> Tensor:
        """What is added to the noise ε̂ to lower the losses: √(1 - ᾱ_t) times their slope by x_t, within the limit.

        As Dhariwal and Nichol guide DDIM (2021, Alg. 2). `noisy` is x_t, which the terms depend on; `noise` is ε̂,
        `kept` is ᾱ_t. Works under `torch.enable_grad` alone.
        """
        (slope,) = torch.autograd.grad(torch.stack(list(terms.values())).sum(), noisy)
        step = (1 - kept).sqrt() * slope
        return step * (self.weights.limit * noise.norm() / step.norm().clamp_min(1e-12)).clamp_max(1)


def soft_parts(face: Tensor) -> Tensor:
    """The parser's shares of the classes of a face at each pixel: (1, len(FACE), 128, 128); differentiable."""
    return parser("parser", str(face.device))(face).softmax(1)[:, SHOWN]


def _seen_by(recogniser: Recogniser, face: Tensor) -> Tensor:
    return recogniser.embed(retarget(face, CELEBA128, recogniser.template))
