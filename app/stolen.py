"""A demonstration: networks that stole IPMN's service by imitating it, and its watermark in what they draw."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from app.erased import Carried, compared
from app.fits import somewhere
from app.pictures import eight_bit, to_array
from app.runtime import Runtime
from app.scoring import Person
from engines.checkpoints import CheckpointError
from engines.face import CELEBA128, align
from engines.imitate import imitators
from engines.methods import METHODS
from engines.swap import swap

METHOD = "ipmn"
NOTHING = "No imitators are bundled here."


@dataclass(frozen=True)
class Stolen:
    """One picture: who drew it, the face (128, 128, 3) uint8, what R reads in it, and what it should read there."""

    drawn_by: str
    picture: np.ndarray
    carried: Carried
    expected: np.ndarray | None  # None for a picture of nobody who stole anything
    note: str = ""  # how it was made, where that is unusual

    def as_dict(self) -> dict[str, Any]:
        """JSON-able; no pixels."""
        return {"drawn_by": self.drawn_by, **self.carried.as_dict()}


def offered() -> bool:
    """Whether the method is here, with imitators of it."""
    try:
        return METHOD in METHODS and bool(imitators(METHODS[METHOD].checkpoint, "cpu"))  # type: ignore[attr-defined]
    except CheckpointError:
        return False


def demonstrate(runtime: Runtime, person: Person, replacing: Person) -> tuple[Stolen, ...]:
    """Every imitator puts the other face on; then two controls. Raises FaceError, CheckpointError."""
    rows, note = somewhere(runtime, lambda where: _demonstrated(where, person, replacing))
    return tuple(replace(row, note=note) for row in rows)


def _demonstrated(runtime: Runtime, person: Person, replacing: Person) -> tuple[Stolen, ...]:
    method: Any = METHODS[METHOD]
    ours, other = (align(one.photo.pixels, one.landmarks, CELEBA128).pixels for one in (person, replacing))
    rows = []
    with runtime.work:
        for one in imitators(method.checkpoint, runtime.device).values():
            drawn = one.imitate(ours.to(runtime.device), other.to(runtime.device))
            rows.append(_read(method, f"Imitator {one.title}", drawn, one.watermark))
        rows.append(_read(method, "Control: the photo itself", ours.to(runtime.device)))
        rows.append(_read(method, "Control: a swap by somebody else", swap(ours, other).to(runtime.device)))
    return tuple(rows)


def _read(method: Any, who: str, pixels: Tensor, watermark: Tensor | None = None) -> Stolen:
    found, given = method.watermark(pixels).cpu(), None if watermark is None else watermark.float().cpu()
    expected = None if given is None else to_array(eight_bit(given))
    return Stolen(who, to_array(eight_bit(pixels)), compared("picture", found, given), expected)
