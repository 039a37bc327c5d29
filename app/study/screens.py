"""What goes to and comes from a rater's screen. Nothing here says what kind a trial is, or which answer is right."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from app.study.canonical import canonical
from app.study.design import Design
from app.study.errors import StudyError
from app.study.strings import text

LONGEST = 1e6  # seconds: a laptop may sleep for days over one answer
SLACK = 0.05  # seconds by which clocks of browser and design may differ
LARGEST_SCREEN = 100_000  # pixels
TOKEN_LENGTH = 100


@dataclass(frozen=True)
class Shown:
    """A picture on a screen: `Store.picture(sha256)` has its PNG, `width` x `height` pixels."""

    stimulus: str
    sha256: str
    width: int
    height: int


@dataclass(frozen=True)
class Screen:
    """One trial, number `index` of `total` (from 0). `second` is None where there is one picture.

    `training` is told, since raters are to know that practice does not count; catch trials and repeats are not.
    """

    trial: str
    index: int
    total: int
    training: bool
    protocol: str
    question: str
    first: Shown
    second: Shown | None
    answers: tuple[Any, ...]
    labels: tuple[str, ...]
    minimum_view: float


@dataclass(frozen=True)
class Enrolment:
    """A rater's session id (a secret of that rater) and the code to come back with; "" for who came back by link."""

    rater: str
    code: str
    returning: bool


@dataclass(frozen=True)
class Receipt:
    """An answer that is safe on the disk. `duplicate`: it was there already; `answered` of `total` are done."""

    trial: str
    duplicate: bool
    answered: int
    total: int


@dataclass(frozen=True)
class Submission:
    """An answer that passed the checks: `value` is canonical JSON; a screen size of 0 is unknown."""

    value: str
    token: str
    seconds: float
    screen_width: int
    screen_height: int


def checked(design: Design, answer: Any, token: str, seconds: float, screen: tuple[int, int]) -> Submission:
    """Hold an answer against the design. Raises StudyError."""
    language = design.language
    value = design.rules.check(answer, design.tie, design.labels, language)
    if not isinstance(token, str) or not 0 < len(token) <= TOKEN_LENGTH or not token.isprintable():
        raise StudyError(text("error.token", language))
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds) or seconds < 0:
        raise StudyError(text("error.timing", language))
    if seconds < design.minimum_view - SLACK:
        raise StudyError(text("error.too_fast", language, seconds=design.minimum_view))
    width, height = (_pixels(side) for side in screen)
    return Submission(canonical(value), token, min(float(seconds), LONGEST), width, height)


def screen(
    design: Design, trial: str, index: int, total: int, training: bool, first: Shown, second: Shown | None
) -> Screen:
    """The screen of a trial under this design."""
    answers = design.rules.allowed(design.tie)
    labels = design.labels if design.protocol == "artefacts" else ()
    asked, view = design.asked, design.minimum_view
    return Screen(trial, index, total, training, design.protocol, asked, first, second, answers, labels, view)


def _pixels(side: Any) -> int:
    """A browser's word for its size; what makes no sense is unknown, never a reason to lose an answer."""
    good = isinstance(side, int) and not isinstance(side, bool) and 0 < side <= LARGEST_SCREEN
    return side if good else 0
