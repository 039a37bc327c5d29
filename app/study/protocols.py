"""The six ways to ask: what is shown, what may be answered, what guessing would give.

ACR (absolute category rating, with hidden reference) is ITU-T P.910, DSIS (double-stimulus impairment scale)
is ITU-R BT.500; pairs is the two-alternative forced choice of both, with a tie where the study allows one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.study.errors import StudyError
from app.study.strings import text

MOST_BOXES = 50
GRADES = (1, 2, 3, 4, 5)
LOW = (1, 2)  # what an attentive rater gives a deliberately bad version
SIDES = ("first", "second")


@dataclass(frozen=True)
class Protocol:
    """`pictures` on a screen; `choices` in the order shown ((), where boxes are drawn); `chance`: P(right | guess).

    `needs_reference` says that the unaltered photo is shown in every trial, `swaps` that left and right are
    exchanged between raters (in DSIS the reference is always first, as BT.500 has it).
    """

    id: str
    title: str
    pictures: int
    choices: tuple[Any, ...]
    chance: float | None = None
    needs_reference: bool = False
    swaps: bool = False

    def question(self, language: str = "en") -> str:
        """The text that is asked where the study has none of its own."""
        return text(f"question.{self.id}", language)

    def allowed(self, tie: bool = False) -> tuple[Any, ...]:
        """The possible answers; () where boxes are drawn."""
        return (*self.choices, "tie") if tie and self.id == "pairs" else self.choices

    def caption(self, answer: Any, language: str = "en") -> str:
        """What the button for an answer says."""
        return text(f"{self.id}.{answer}" if self.id in ("acr", "dsis") else f"answer.{answer}", language)

    def check(self, answer: Any, tie: bool = False, labels: Sequence[str] = (), language: str = "en") -> Any:
        """The answer as it is kept: a choice, or a list of boxes with a label each. Raises StudyError."""
        if self.id == "artefacts":
            return _boxes(answer, labels, language)
        allowed = self.allowed(tie)
        if isinstance(answer, bool) or not isinstance(answer, str | int) or answer not in allowed:
            raise StudyError(text("error.answer", language, choices=", ".join(map(str, allowed))))
        return answer

    def is_right(self, truth: str, answer: Any) -> bool | None:
        """Whether an answer agrees with a trial's `truth`; None where there is none ("").

        For graded protocols the truth of a catch trial is "1-2": both lowest grades are right. For artefacts it
        is "some": at least one box.
        """
        if not truth:
            return None
        if truth == "some":
            return bool(answer)
        if self.id in ("acr", "dsis"):
            low, _, high = truth.partition("-")
            return int(low) <= answer <= int(high or low)
        return bool(answer == truth)


PROTOCOLS = {
    protocol.id: protocol
    for protocol in (
        Protocol("pairs", "Pairwise comparison (2AFC)", 2, SIDES, chance=0.5, swaps=True),
        Protocol("acr", "Absolute category rating with hidden reference (ACR-HR)", 1, GRADES),
        Protocol("dsis", "Double-stimulus impairment scale (DSIS)", 2, GRADES, needs_reference=True),
        Protocol("detection", "Which one was altered?", 2, SIDES, 0.5, needs_reference=True, swaps=True),
        Protocol("verification", "Same person?", 2, ("same", "different"), 0.5, needs_reference=True, swaps=True),
        Protocol("artefacts", "Artefact marking", 1, ()),
    )
}


def protocol(name: str) -> Protocol:
    """The protocol of this id. Raises StudyError."""
    if name not in PROTOCOLS:
        raise StudyError(f"There is no protocol {name}: choose one of {', '.join(PROTOCOLS)}.")
    return PROTOCOLS[name]


def _boxes(answer: Any, labels: Sequence[str], language: str) -> list[dict[str, Any]]:
    """Boxes as fractions of the picture, from its top left corner; none at all means that nothing looks wrong."""
    if not isinstance(answer, list | tuple):
        raise StudyError(text("error.boxes", language))
    if len(answer) > MOST_BOXES:
        raise StudyError(text("error.box_count", language, most=MOST_BOXES))
    return [_box(one, labels, language) for one in answer]


def _box(one: Any, labels: Sequence[str], language: str) -> dict[str, Any]:
    sides = ("x0", "y0", "x1", "y1")
    if not isinstance(one, dict) or set(one) != {*sides, "label"}:
        raise StudyError(text("error.boxes", language))
    values = [one[side] for side in sides]
    if any(isinstance(v, bool) or not isinstance(v, int | float) or not math.isfinite(v) for v in values):
        raise StudyError(text("error.boxes", language))
    x0, y0, x1, y1 = (round(float(value), 6) for value in values)
    if not (0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1):
        raise StudyError(text("error.boxes", language))
    if one["label"] not in labels:
        raise StudyError(text("error.box_label", language))
    return {"x0": x0, "y0": y0, "x1": x1, "y1": y1, "label": one["label"]}
