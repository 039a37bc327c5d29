"""Pictures for a user study: photos x methods x settings, made by the same jobs as the demo. No streamlit."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from app import gallery
from app import photo as photos
from app.jobs import protect
from app.making import Request
from app.photo import Photo, PhotoError
from app.pictures import to_array
from app.protect_command import default_targets
from app.report import Result
from app.runtime import Runtime
from app.scoring import JobError, Person, find_person
from app.study.errors import StudyError
from app.study.incoming import LONGEST_NAME, Incoming
from app.to_study import measured
from engines.checkpoints import CheckpointError
from engines.method import MethodError
from engines.methods import method as method_of
from engines.params import ParamError

LONGEST = 768  # pixels a side: a rater's screen shows no more, and photos stay comparable
MARK = "1" + "0" * 22 + "1"  # the identity that a watermark writes, told in the provenance
REFUSED = (PhotoError, JobError, MethodError, ParamError, CheckpointError, StudyError)


@dataclass(frozen=True)
class Setting:
    """A method at some settings, under the name that the study's tables give it; "" names it after the settings."""

    method: str
    params: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""


@dataclass(frozen=True)
class Step:
    """How far a rendering is: `done` of `of` pictures; what this step `made`, or why it `failed`."""

    done: int
    of: int
    words: str
    made: Incoming | None = None
    failed: str = ""


def render(runtime: Runtime, sources: Sequence[tuple[str, bytes]], settings: Sequence[Setting]) -> Iterator[Step]:
    """Each photo's reference and its versions; a photo or version that fails is a sentence, not the end.

    `sources` are names and files; the largest face of each is protected, in a copy of at most LONGEST pixels a side.
    """
    of, done = len(sources) * (1 + len(settings)), 0
    for called, data in sources:
        name = "".join(c if c.isprintable() else " " for c in called).strip()[:LONGEST_NAME] or "photo"
        try:
            person = find_person(runtime, name, smaller(photos.load(data)))
        except REFUSED as error:
            done += 1 + len(settings)
            yield Step(done, of, name, failed=f"{name}: {error}")
            continue
        done += 1
        reference = photos.encode(person.photo.pixels, "PNG")
        yield Step(done, of, name, Incoming(reference, name, role="reference", provenance={"file": name}))
        for setting in settings:
            done += 1
            yield _version(runtime, name, person, setting, done, of)


def _version(runtime: Runtime, name: str, person: Person, setting: Setting, done: int, of: int) -> Step:
    words = f"{name}, {setting.name or method_of(setting.method).title}"
    try:
        result = _protected(runtime, person, setting)
    except REFUSED as error:
        return Step(done, of, words, failed=f"{words}: {error}")
    return Step(done, of, words, _incoming(name, setting, result))


def _protected(runtime: Runtime, person: Person, setting: Setting) -> Result:
    method = method_of(setting.method)
    names = default_targets(setting.method) if "targets" in method.needs else ()
    request = Request(
        person,
        setting.method,
        dict(setting.params),
        tuple(gallery.person(runtime, target) for target in names),
        identity=MARK if "message" in method.needs else "",
    )
    return next(event for event in protect(runtime, request) if isinstance(event, Result))


def _incoming(name: str, setting: Setting, result: Result) -> Incoming:
    """The exported file, what was measured on it, and how it was made."""
    params = method_of(setting.method).Params.read(dict(setting.params)).model_dump()
    plain = {key: value for key, value in params.items() if isinstance(value, bool | int | float | str)}
    return Incoming(
        result.file,
        name,
        method=setting.method,
        parameters=plain,
        condition=setting.name,
        measures=measured(result),
        provenance=result.settings,
    )


def smaller(photo: Photo) -> Photo:
    """The photo, or a copy of at most LONGEST pixels a side, resampled by Lanczos."""
    if max(photo.width, photo.height) <= LONGEST:
        return photo
    image = Image.fromarray(to_array(photo.pixels))
    image.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "PNG")
    return photos.load(file.getvalue())
