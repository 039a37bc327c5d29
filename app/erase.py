"""Take a mask off again: the way back for whoever holds the restorer. No gradio, no streamlit.

Every figure is measured on files: the masked one as it was given, and the erased one as it is exported.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from app import gallery
from app import photo as photos
from app.panel import Panel, as_seen_by, members
from app.photo import Photo
from app.pictures import head_window, window_of
from app.report import Score
from app.runtime import Runtime
from app.scoring import JobError, Person, Scorer, find_person
from engines import measure
from engines.face import paste
from engines.methods import METHODS
from engines.methods import method as method_of

ANOTHER_SIZE = "The original has another size than the masked photo: give it as another photo of the person instead."


@dataclass(frozen=True)
class Erasure:
    """One job. `original`: the photo before masking; `reference`: another photo of the person. Neither is needed."""

    masked: Photo
    method: str
    target: str = ""  # whose restorer: "" takes the one that the file names, or else the first
    original: Photo | None = None
    reference: Photo | None = None
    panel: Panel | None = None
    far: float = 0.01


@dataclass(frozen=True)
class Erased:
    """What came of it: pictures of the head as uint8 (h, w, 3), and the scores of both files."""

    file: bytes
    name: str
    target: str
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

    @property
    def verdict(self) -> str:
        """Both scoreboards in a sentence."""
        led = [sum(bool(score.matches_target) for score in part) for part in (self.before, self.after)]
        count = len(self.after)
        away = f"{led[0]} of {count} recognisers took the masked face for {self.target}, after erasing {led[1]} do"
        if not self.compared_with:
            return f"{away}. Add the original or another photo of the person to see who knows them again."
        known = [sum(bool(score.matches_self) for score in part) for part in (self.before, self.after)]
        return f"{known[1]} of {count} recognisers know the person after erasing, {known[0]} did before; {away}."

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
            "seconds": self.seconds,
            "provenance": self.provenance,
        }


def erasable(id: str) -> Any:
    """The method of that id, whose change must be one that can be taken back. Raises MethodError, JobError."""
    found = method_of(id)
    if not hasattr(found, "erase"):
        able = ", ".join(name for name, other in METHODS.items() if hasattr(other, "erase")) or "none is here yet"
        raise JobError(f"{found.title} leaves no mask that could be erased: choose from {able}.")
    return found


def made_with(photo: Photo, id: str) -> dict[str, Any]:
    """The settings of that method which a file of ours names; {} for any other file."""
    made = (photo.settings or {}).get("provenance")
    named = made.get("params") if isinstance(made, dict) and made.get("method") == id else None
    return named if isinstance(named, dict) else {}


def erase(runtime: Runtime, job: Erasure) -> Erased:
    """Erase the mask of the largest face, and score both files. Raises JobError, MethodError, ParamError."""
    start, method = time.perf_counter(), erasable(job.method)
    params = _settings(method, job)
    if job.original is not None and job.original.pixels.shape != job.masked.pixels.shape:
        raise JobError(ANOTHER_SIZE)
    person = find_person(runtime, "the masked photo", job.masked)
    data, provenance = _file(runtime, method, params, person)
    exported, window = photos.load(data), head_window(person)
    scorer, compared_with = _scorer(runtime, job, person, method.aim(params))
    psnr, ssim = _quality(method, job, person, exported)
    return Erased(
        data,
        photos.download_name(f"{method.id}-erased", data, "png"),
        method.aim(params),
        window_of(job.original.pixels, window) if job.original else None,
        window_of(job.masked.pixels, window),
        window_of(exported.pixels, window),
        scorer.file(job.masked, person.face),
        scorer.file(exported, person.face),
        compared_with,
        psnr,
        ssim,
        time.perf_counter() - start,
        provenance,
    )


def _settings(method: Any, job: Erasure) -> Any:
    """Whose restorer: the one asked for, the one that the file names, or the method's first."""
    target = job.target or made_with(job.masked, job.method).get("target")
    return method.Params.read({"target": target} if target else {})


def _file(runtime: Runtime, method: Any, params: Any, person: Person) -> tuple[bytes, dict[str, Any]]:
    """The photo with the restored face in it, and what made it."""
    crop = person.crop(method)
    with runtime.work:
        clean = method.erase(crop.pixels.to(runtime.device), params).cpu()
    cards = [{"id": card.id, "sha256": card.sha256, "state": card.state} for card in method.checkpoints]
    provenance = {"erased": method.id, "target": method.aim(params), "checkpoints": cards}
    pixels = paste(person.photo.pixels, crop, clean)
    return photos.encode(pixels, "PNG", 95, {"larvatus": 1, "provenance": provenance}), provenance


def _quality(method: Any, job: Erasure, person: Person, exported: Photo) -> tuple[float | None, float | None]:
    """PSNR and SSIM of the erased face against the original's; None where that is not known."""
    if job.original is None:
        return None, None
    one, two = (Person("file", photo, person.face).crop(method).pixels for photo in (exported, job.original))
    return float(measure.psnr(one, two)), float(measure.ssim(one, two))


def _scorer(runtime: Runtime, job: Erasure, masked: Person, target: str) -> tuple[Scorer, str]:
    """Who compares, and with what: another photo of the person before the original, and that before nothing."""
    panel = members(runtime, as_seen_by(job.method, job.panel, runtime.cards))[0]
    if job.reference is not None:
        person, words = find_person(runtime, "the other photo", job.reference), "another photo of the person"
    elif job.original is not None:
        person, words = find_person(runtime, "the original", job.original), "the original photo"
    else:
        person, words = masked, ""
    return Scorer(runtime, panel, person, (gallery.person(runtime, target),), job.far), words
