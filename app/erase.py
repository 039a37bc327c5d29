"""Take a mask off again: the way back for whoever holds the restorer. No gradio, no streamlit.

Every figure is measured on files: the masked one as it was given, and the erased one as it is exported.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from app import gallery
from app import photo as photos
from app.erased import Carried, Erased, compared
from app.fits import somewhere
from app.panel import Panel, as_seen_by, members
from app.photo import Photo
from app.pictures import head_window, window_of
from app.runtime import Runtime
from app.scoring import JobError, Person, Scorer, find_person
from engines import measure
from engines.face import FaceCrop, FaceError, paste
from engines.frame import framed, settle
from engines.methods import METHODS
from engines.methods import method as method_of
from engines.params import ParamError

ANOTHER_SIZE = "The original has another size than the masked photo: give it as another photo of the person instead."
LOSSY = "This file is a {kind}, which drops the last bits that hold the hidden face: little of it comes back."
MOVED = "This photo was cut or resized since it was masked: little of the hidden face comes back."
UNNAMED = "This file does not say where its mask lies, so it was taken off where the face is."
OTHER_WEIGHTS = "Other weights than those that are here made this mask, so they cannot take it off."


@dataclass(frozen=True)
class Erasure:
    """One job. `original`: the photo before masking; `reference`: another photo of the person. Neither is needed."""

    masked: Photo
    method: str
    restorer: str = ""  # "" takes the one that the file names, or else the first
    original: Photo | None = None
    reference: Photo | None = None
    panel: Panel | None = None
    far: float = 0.01
    watermark: Tensor | None = None  # (1, 3, T, T), what a model's watermark is compared with


def erasable(id: str) -> Any:
    """The method of that id, whose change must be one that can be taken back. Raises MethodError, JobError."""
    found = method_of(id)
    if not hasattr(found, "erase"):
        able = ", ".join(name for name, other in METHODS.items() if hasattr(other, "erase")) or "none is here yet"
        raise JobError(f"{found.title} leaves no mask that could be erased: choose from {able}.")
    return found


def made_by(photo: Photo) -> str | None:
    """The method with a way back that a file of ours names; None for any other file."""
    return next((id for id, method in METHODS.items() if hasattr(method, "erase") and _made(photo, id)), None)


def _made(photo: Photo, id: str) -> dict[str, Any]:
    """The provenance of a file of ours that this method made; {} for any other file."""
    made = (photo.settings or {}).get("provenance")
    return made if isinstance(made, dict) and made.get("method") == id else {}


def made_with(photo: Photo, id: str) -> dict[str, Any]:
    """The settings of that method which a file of ours names; {} for any other file."""
    named = _made(photo, id).get("params")
    return named if isinstance(named, dict) else {}


def named_restorer(photo: Photo, id: str) -> str | None:
    """Whose restorer a file of ours asks for; None where it says nothing."""
    found = made_with(photo, id).get("target")
    return found if isinstance(found, str) else None


def erase(runtime: Runtime, job: Erasure) -> Erased:
    """Erase the mask of the largest face, and score both files. Raises JobError, MethodError, ParamError."""
    found, note = somewhere(runtime, lambda where: _erased(where, job))
    return replace(found, notes=(*found.notes, note)) if note else found


def _erased(runtime: Runtime, job: Erasure) -> Erased:
    start, method = time.perf_counter(), erasable(job.method)
    restorer = job.restorer or named_restorer(job.masked, job.method) or method.restorers[0]
    if restorer not in method.restorers:
        raise ParamError(f"There is no restorer called {restorer!r}: choose from {', '.join(method.restorers)}.")
    if job.original is not None and job.original.pixels.shape != job.masked.pixels.shape:
        raise JobError(ANOTHER_SIZE)
    person = find_person(runtime, "the masked photo", job.masked)
    crop, notes = _cut(method, person)
    data, provenance = _file(runtime, method, restorer, person, crop)
    exported, window = photos.load(data), head_window(person)
    target = _target(method, job.masked, restorer)
    scorer, compared_with = _scorer(runtime, job, person, target)
    psnr, ssim = _quality(job, person, crop, exported)
    return Erased(
        data,
        photos.download_name(f"{method.id}-erased", data, "png"),
        restorer,
        target,
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
        _carried(runtime, method, restorer, crop, job.watermark),
        notes,
    )


def bare(runtime: Runtime, masked: Photo, id: str) -> Photo:
    """The photo without the mask of its largest face, by the restorer that its file names; nothing is scored.

    Raises JobError, MethodError.
    """
    method = erasable(id)
    person = find_person(runtime, "the masked photo", masked)
    restorer = named_restorer(masked, id) or method.restorers[0]
    crop = _cut(method, person)[0]
    (data, _), _ = somewhere(runtime, lambda where: _file(where, method, restorer, person, crop))
    return photos.load(data)


def _cut(method: Any, person: Person) -> tuple[FaceCrop, tuple[str, ...]]:
    """The face as the method saw it, and what the person should know."""
    if not getattr(method, "exact", False):
        return person.crop(method), ()
    photo, notes = person.photo, []
    if photo.source_format != "PNG":
        notes.append(LOSSY.format(kind=photo.source_format))
    used = {stamp.get("sha256") for stamp in _made(photo, method.id).get("networks", ()) if isinstance(stamp, dict)}
    if used and not {card.sha256 for card in method.checkpoints} & used:
        notes.append(OTHER_WEIGHTS)
    named = (photo.settings or {}).get("frame")
    if not isinstance(named, list) or len(named) != 5 or not all(isinstance(value, int) for value in named):
        return person.crop(method), (*notes, UNNAMED)
    try:
        if named[3:] != [photo.width, photo.height]:
            raise FaceError(MOVED)
        return framed(photo.pixels, *named[:3], person.landmarks), tuple(notes)
    except FaceError:
        return person.crop(method), (*notes, MOVED)


def _target(method: Any, masked: Photo, restorer: str) -> str:
    """Whom the mask leads to: the restorer's, or the built-in face that the file names."""
    if restorer in gallery.NAMES:
        return restorer
    named = (masked.settings or {}).get("targets")
    return next((name for name in gallery.NAMES if isinstance(named, list) and name in named), "")


def _file(
    runtime: Runtime, method: Any, restorer: str, person: Person, crop: FaceCrop
) -> tuple[bytes, dict[str, Any]]:
    """The photo with the restored face in it, and what made it."""
    with runtime.work:
        clean = method.erase(crop.pixels.to(runtime.device), restorer).cpu()
    cards = [{"id": card.id, "sha256": card.sha256, "state": card.state} for card in method.checkpoints]
    provenance = {"erased": method.id, "restorer": restorer, "checkpoints": cards}
    back = settle if getattr(method, "exact", False) else paste
    pixels = back(person.photo.pixels, crop, clean)
    return photos.encode(pixels, "PNG", 95, {"larvatus": 1, "provenance": provenance}), provenance


def _carried(
    runtime: Runtime, method: Any, restorer: str, crop: FaceCrop, given: Tensor | None
) -> tuple[Carried, ...]:
    """The watermarks of what was masked and of what came back, for a method whose pictures carry one."""
    if not hasattr(method, "carried"):
        return ()
    with runtime.work:
        read = method.carried(crop.pixels.to(runtime.device), restorer)
    return tuple(compared(source, found.cpu(), given) for source, found in read.items())


def _quality(job: Erasure, person: Person, crop: FaceCrop, exported: Photo) -> tuple[float | None, float | None]:
    """PSNR and SSIM of the erased face against the original's; None where that is not known."""
    if job.original is None:
        return None, None
    one, two = (Person("file", photo, person.face).crop(crop).pixels for photo in (exported, job.original))
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
    aims = (gallery.person(runtime, target),) if target else ()
    return Scorer(runtime, panel, person, aims, job.far), words
