"""What a job found, as plain rows that every interface shows: command line, API, pages."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from engines.explain import overlay

if TYPE_CHECKING:
    from app.forge import Wall
    from app.hiding import Hidden
    from app.reveal import Found


@dataclass(frozen=True)
class PanelRow:
    """A recogniser as a line of a figure or of a table."""

    recogniser: str  # its id
    title: str
    role: str  # "surrogate": the method attacked it in this run; "judge": held out, the method never saw it
    threshold: float | None  # cosine; None where it was never measured at the chosen false-acceptance rate


@dataclass(frozen=True)
class Score(PanelRow):
    """One recogniser's view of one file: cosines against its threshold at a stated false-acceptance rate.

    `to_self` and `to_target` are None where no face was found in the file. `distance` and
    `distance_threshold` are Euclidean, for networks whose users compare that way (dlib: 0.6).
    """

    far: float
    threshold_data: str
    to_self: float | None
    to_target: float | None
    target: str | None
    distance: float | None = None
    distance_threshold: float | None = None

    @property
    def matches_self(self) -> bool | None:
        """Whether the recogniser still takes the face for the same person; None without a threshold."""
        return self._matches(self.to_self)

    @property
    def matches_target(self) -> bool | None:
        """Whether the recogniser takes the face for a target; None without a threshold."""
        return self._matches(self.to_target)

    def _matches(self, value: float | None) -> bool | None:
        if self.threshold is None:
            return None
        return value is not None and value >= self.threshold

    @property
    def word(self) -> str:
        """The verdict as words, since colour alone must never carry it."""
        if self.to_self is None:
            return "no face found"
        if self.threshold is None:
            return "no verdict: no threshold yet"
        return "matches you" if self.matches_self else "does not match you"

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, verdicts included."""
        return {**asdict(self), "matches_self": self.matches_self, "matches_target": self.matches_target}


@dataclass(frozen=True)
class Curve:
    """Live estimates at one step, on the 8-bit crop: recogniser id -> (cosine to self, best cosine to a target)."""

    step: int
    cosines: dict[str, tuple[float, float | None]]


@dataclass(frozen=True)
class Progress:
    """A job under way. `preview` is the head after this step, uint8 (h, w, 3), and `before` the same window."""

    step: int
    steps: int
    seconds: float
    left: float | None
    stage: str
    preview: np.ndarray | None = None
    before: np.ndarray | None = None
    curves: tuple[Curve, ...] = ()
    panel: tuple[PanelRow, ...] = ()


@dataclass(frozen=True)
class Survival:
    """The exported file after one distortion: a tile uint8 (h, w, 3) and the scores measured again from scratch."""

    id: str
    label: str
    tile: np.ndarray
    scores: tuple[Score, ...]
    mark: Found | None = None  # what can still be read, for a method that writes an identity


@dataclass(frozen=True)
class Cam:
    """Grad-CAM of one recogniser before and after: `maps` (2, S, S) over the face `crops` (2, 3, S, S) in [0, 1]."""

    recogniser: str
    title: str
    reference: str
    crops: Tensor
    maps: Tensor

    @property
    def top(self) -> float:
        """The largest value of both maps."""
        return float(self.maps.max())

    def overlaid(self, top: float | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Before and after, uint8 (S, S, 3), on one colour scale from 0 to `top`, or to the larger of both."""
        scale = self.top if top is None else top
        before, after = (overlay(crop, cam, scale) for crop, cam in zip(self.crops, self.maps, strict=True))
        return before, after


@dataclass(frozen=True)
class Result:
    """A finished job. Everything in it was measured on `file`, decoded, detected and aligned again."""

    file: bytes
    name: str
    before: np.ndarray  # the oriented input, uint8 (H, W, 3)
    after: np.ndarray  # the decoded file
    difference: np.ndarray  # 8 x the change around mid-grey, uint8 (H, W, 3)
    window: tuple[int, int, int, int]  # the head (x0, y0, x1, y1) in both
    scores_before: tuple[Score, ...]
    scores: tuple[Score, ...]
    psnr: float  # dB, in the face's crop
    ssim: float
    survival: tuple[Survival, ...]
    cams: tuple[Cam, ...]
    curves: tuple[Curve, ...]
    settings: dict[str, Any]  # parameters and provenance, as written into the file
    compared_with: str
    seconds: float
    notes: tuple[str, ...] = ()
    mark: Found | None = None  # the identity read back from `file`, for a method that writes one
    wall: Wall | None = None  # what forgers make of `file`, for a method that works against them
    hidden: Hidden | None = None  # what `file` hides, for a method that hides a face in it
    leads: bool = False  # whether the method's aim is to be taken for the target

    @property
    def verdict(self) -> str:
        """The scoreboard as one sentence, after it what the method is for: a mark, forgers, a hidden face."""
        if self.wall is not None:
            return f"{self.wall.verdict} As for recognition: {verdict(self.scores)}"
        if self.hidden is not None:
            return f"{verdict(self.scores)} {self.hidden.sentence}"
        if self.mark is None:
            return f"{led(self.scores)}; {verdict(self.scores)}" if self.leads else verdict(self.scores)
        number = self.mark.number
        said = "no identity can be read from it" if number is None else f"its mark says identity number {number}"
        return f"{led(self.scores)}; {verdict(self.scores).rstrip('.')}; {said}."

    def as_dict(self) -> dict[str, Any]:
        """Rows and provenance for the command line, the API and the JSON download; no pixels."""
        rows = [score.as_dict() for score in self.scores]
        strip = [{"distortion": s.id, **score.as_dict()} for s in self.survival for score in s.scores]
        return {
            "rows": rows,
            "before": [score.as_dict() for score in self.scores_before],
            "survival": strip,
            "verdict": self.verdict,
            "psnr": self.psnr,
            "ssim": self.ssim,
            "compared_with": self.compared_with,
            "seconds": self.seconds,
            "file": self.name,
            "notes": list(self.notes),
            **({"mark": self.mark.as_dict()} if self.mark else {}),
            **({"hidden": self.hidden.as_dict()} if self.hidden else {}),
            **({"forged": [tile.as_dict() for tile in self.wall.tiles]} if self.wall else {}),
            "provenance": self.settings,
        }


def led(scores: tuple[Score, ...]) -> str:
    """How many recognisers take the face for the target now."""
    known = [score for score in scores if score.matches_target is not None]
    name = next((score.target for score in scores if score.target), "the target")
    led = sum(bool(score.matches_target) for score in known)
    return f"{led} of {len(known)} recognisers take the face for {name}"


def verdict(scores: tuple[Score, ...]) -> str:
    """One sentence: how many recognisers still match, and what the held-out judges say."""
    if not scores:
        return "No recogniser is switched on: switch one on to get a verdict."
    if all(score.to_self is None for score in scores):
        return "No face is found in the file any more, so no recogniser could compare it."
    far = f"at a false-acceptance rate of {scores[0].far:.1%}".replace(".0%", "%").replace("%", " %")
    attacked = [score for score in scores if score.role != "judge" and score.threshold is not None]
    judges = [score for score in scores if score.role == "judge" and score.threshold is not None]
    if not attacked and not judges:
        return "No recogniser that is on has a threshold yet, so there are likenesses but no verdict."
    parts = []
    if attacked:
        free = sum(not score.matches_self for score in attacked)
        verb = "matches" if free == 1 else "match"
        parts.append(
            f"{free} of {len(attacked)} recogniser{'s' * (len(attacked) > 1)} that the method attacked "
            f"no longer {verb} you"
        )
    if judges:
        held = sum(bool(score.matches_self) for score in judges)
        if len(judges) == 1:
            still = "still does" if attacked else "matches you"
            parts.append(f"the held-out judge {still if held else 'does not match you'}")
        else:
            parts.append(f"{held} of {len(judges)} held-out judges still match you")
    return "; ".join(parts) + f" ({far})."
