"""The frozen protocol: one text that says everything which decides what raters see, and its SHA-256."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from app.study import order
from app.study.canonical import canonical, sha256
from app.study.design import Design
from app.study.errors import StudyError
from app.study.model import Stimulus, Study
from app.study.strings import text
from app.study.units import Item

FORMAT = 1
FIELDS = ("photo", "person", "condition", "method", "parameters", "role", "sha256")


def frozen(design: Design, stimuli: Iterable[Stimulus]) -> str:
    """Canonical JSON of the design, the question as asked, the stimuli and the version of the ordering.

    Random ids are left out, so the same study made twice has the same hash; measures and provenance are, too: raters
    do not see them.
    """
    rows: list[dict[str, Any]] = [{name: getattr(one, name) for name in FIELDS} for one in stimuli]
    rows.sort(key=lambda row: (row["photo"], row["condition"]))
    whole = {"format": FORMAT, "order": order.VERSION, "asked": design.asked, "stimuli": rows}
    return canonical({**whole, "design": design.model_dump(mode="json")})


def check_frozen(study: Study) -> None:
    """Raises StudyError where the frozen text does not have the hash that is written beside it."""
    if study.frozen is not None and sha256(study.frozen) != study.protocol_hash:
        raise StudyError("The protocol was changed after the study opened: do not trust it, restore a backup.")


def items(stimuli: Iterable[Stimulus]) -> list[Item]:
    """Stimuli as planning needs them."""
    return [Item(one.id, one.photo, one.person, one.condition, one.role) for one in stimuli]


@lru_cache(maxsize=64)
def read_design(kept: str) -> Design:
    """A stored design; cached, since every answer needs it."""
    return Design.model_validate_json(kept)


def require_open(study: Study, language: str = "en") -> None:
    """Raises StudyError unless answers are taken."""
    if study.state != "open":
        raise StudyError(text(f"error.{study.state}", language))
