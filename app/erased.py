"""What came of taking a mask off, as plain data: both files' scores, the watermark that was read, the verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from app.pictures import eight_bit, to_array
from app.report import Score
from engines import marks

ASK = "Add the original or another photo of the person to see who knows them again."


@dataclass(frozen=True)
class Carried:
    """The watermark read in one picture: `found` (T, T, 3) uint8; `nc` None where none is given to compare with."""

    source: str
    found: np.ndarray
    blank: bool
    nc: float | None
    extracted: bool | None

    @property
    def words(self) -> str:
        """What was read, in a few words."""
        if self.nc is None:
            return "none" if self.blank else "a watermark"
        return f"{'as given' if self.extracted else 'none' if self.blank else 'not as given'} (NC {self.nc:.2f})"

    def as_dict(self) -> dict[str, Any]:
        """JSON-able; no pixels."""
        return {"source": self.source, "blank": self.blank, "nc": self.nc, "extracted": self.extracted}


def compared(source: str, found: Tensor, given: Tensor | None) -> Carried:
    """What was read, (1, 3, T, T) in [0, 1], beside the watermark (1, 3, T, T) that is expected there, if any."""
    likeness = None if given is None else float(marks.nc(found, marks.tiled(given, found.shape[-1])))
    extracted = None if likeness is None else likeness > marks.NC
    return Carried(source, to_array(eight_bit(found)), bool(marks.blank(found)), likeness, extracted)


@dataclass(frozen=True)
class Erased:
    """What came of it: pictures of the head as uint8 (h, w, 3), and the scores of both files."""

    file: bytes
    name: str
    restorer: str
    target: str  # whom the mask shows or leads to; "" where that is not known
    original: np.ndarray | None
    masked: np.ndarray
    erased: np.ndarray
    before: tuple[Score, ...]  # of the masked file
    after: tuple[Score, ...]  # of the erased one
    compared_with: str  # "" where there is nobody to compare with
    psnr: float | None  # dB against the original, in the face's crop
    ssim: float | None
    seconds: float
    provenance: dict[str, Any]
    carried: tuple[Carried, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """Both scoreboards in a sentence, and the watermark in another."""
        said = "; ".join(part for part in (self._known(), self._led()) if part)
        asked = "" if self.compared_with else f" {ASK}"
        if self.carried:
            words = " and ".join(f"in the {one.source} {one.words}" for one in self.carried)
            asked += f" The model's watermark: {words}."
        return f"{said[:1].upper()}{said[1:]}.{asked}".lstrip(".").strip()

    def _known(self) -> str:
        if not self.compared_with:
            return ""
        known = [sum(bool(score.matches_self) for score in part) for part in (self.before, self.after)]
        return f"{known[1]} of {len(self.after)} recognisers know the person after erasing, {known[0]} did before"

    def _led(self) -> str:
        if not self.target:
            return ""
        led = [sum(bool(score.matches_target) for score in part) for part in (self.before, self.after)]
        of = f"{led[0]} of {len(self.after)} recognisers took the masked face for {self.target}"
        return f"{of}, after erasing {led[1]} do"

    def as_dict(self) -> dict[str, Any]:
        """Rows and provenance for the command line and the API; no pixels."""
        rows = [
            {"file": name, **score.as_dict()}
            for name, part in (("masked", self.before), ("erased", self.after))
            for score in part
        ]
        if not self.compared_with:
            rows = [{**row, "to_self": None, "matches_self": None, "distance": None} for row in rows]
        return {
            "rows": rows,
            "verdict": self.verdict,
            "psnr": self.psnr,
            "ssim": self.ssim,
            "compared_with": self.compared_with,
            **({"watermark": [one.as_dict() for one in self.carried]} if self.carried else {}),
            "notes": list(self.notes),
            "seconds": self.seconds,
            "provenance": self.provenance,
        }
