"""Protect a photo: the use-case behind every interface. No gradio, no streamlit.

Every figure in a `Result` is measured on the exported bytes: decoded, detected, aligned and
embedded again, never on the float tensor that the optimiser held.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from app import gallery, reveal
from app import photo as photos
from app.identities import Identities, default_file
from app.panel import Member, Panel, as_seen_by, members
from app.photo import Photo
from app.pictures import amplified, head_window, to_array, window_of
from app.report import Cam, Curve, Progress, Result, Survival
from app.runtime import Runtime
from app.scoring import JobError, Person, Scorer, cosine, embed
from engines import explain, measure
from engines.distort import SURVIVAL
from engines.face import FaceCrop, paste, retarget
from engines.method import Run, Scene, Snapshot, run
from engines.methods import method as method_of

LIVE_UPDATES = 10  # pictures and curve points in one run
SAME_PHOTO = "Compared with the very photo that was protected: add another photo of the person for a stricter test."
TOO_WEAK = "An attacked recogniser still matches this photo: try the preset Strong, or another target."
IMPERSONATES = (
    "{title} makes recognisers take the face for {name}; its paper does not promise that they stop matching you."
)
SAME_PERSON = "Target {name} looks like the person in the photo to {title}, so it was left out."


@dataclass(frozen=True)
class Request:
    """One protect job. `reference`: another photo of the same person, as a gallery would hold it."""

    person: Person
    method: str = "tip-im"
    params: dict[str, Any] = field(default_factory=dict)
    targets: tuple[Person, ...] = ()
    reference: Person | None = None
    panel: Panel | None = None  # None: the default panel
    seed: int = 0
    far: float = 0.01
    format: str = "PNG"
    quality: int = 95
    identity: str = ""  # for a method that writes one: a registered name, or its number as bits
    key: str = reveal.DEFAULT_KEY
    identities: Identities | None = None  # None: the user's own registry


def protect(
    runtime: Runtime, request: Request, cancelled: Callable[[], bool] = lambda: False
) -> Iterator[Progress | Result]:
    """Do the job: yields `Progress` as it goes and a `Result` at the end; stops without one when cancelled.

    Raises JobError, MethodError, ParamError, PhotoError or CheckpointError, each one sentence.
    """
    while not runtime.work.acquire(timeout=0.1):  # a visitor who waits for the lock can still cancel
        if cancelled():
            return
    try:
        yield from Protect(runtime, request, cancelled).steps()
    finally:
        runtime.work.release()


class Protect:
    """The stages of one job: mask, export, score, survive, explain."""

    def __init__(self, runtime: Runtime, request: Request, cancelled: Callable[[], bool]):
        self.runtime, self.request, self.cancelled = runtime, request, cancelled
        self.start = time.perf_counter()
        self.method = method_of(request.method)
        self.panel = as_seen_by(request.method, request.panel, runtime.cards)
        self.members, stand_ins = members(runtime, self.panel)
        self.notes: list[str] = [*request.person.photo.notes, *stand_ins]
        self.identities = request.identities or Identities(default_file())
        self.message = self._message()
        self.targets = self._targets()
        self.scorer = Scorer(runtime, self.members, request.reference or request.person, self.targets, request.far)
        self.crop = request.person.crop(self.method)
        self.window = head_window(request.person)
        self.curves: list[Curve] = []

    def steps(self) -> Iterator[Progress | Result]:
        """Run the stages in order, asking `cancelled` between them."""
        work = self._run()
        last: Snapshot | None = None
        for last in work:
            if self._due(last):
                yield self._progress(last)
        if last is None or work.was_cancelled:
            return
        data, settings = self._export(last, work)
        exported = photos.load(data)
        yield self._stage("Scoring the exported file", last)
        scores = self.scorer.file(exported, self.request.person.face)
        survival = []
        for part in self._survive(exported):
            if self.cancelled():
                return
            survival.append(part)
            yield self._stage("Testing what survives", last)
        cams = self._explain(exported)
        yield self._result(data, exported, settings, scores, tuple(survival), cams)

    def _message(self) -> Tensor | None:
        """The bits that the method writes, if it writes any."""
        if "message" not in self.method.needs:
            return None
        return reveal.message(self.identities, self.request.identity, self.request.key)[1]

    def _wanted(self) -> tuple[Person, ...]:
        """Whom recognisers should see: the request's targets, or the one that a trained method aims at."""
        if "targets" in self.method.needs:
            return self.request.targets
        if self.request.targets:
            raise JobError(f"{self.method.title} knows only its own targets: set its setting `target` instead.")
        aim = getattr(self.method, "aim", None)
        settings = self.method.Params.read(self.request.params)
        return (gallery.person(self.runtime, aim(settings)),) if aim else ()

    def _targets(self) -> tuple[Person, ...]:
        """The targets, less any that a surrogate takes for the person: towards them there is nothing to gain."""
        kept = []
        wanted = self._wanted()
        for target in wanted:
            alike = next((m for m in self.members if m.attacked and self._alike(m, target)), None)
            if alike is None:
                kept.append(target)
            else:
                self.notes.append(SAME_PERSON.format(name=target.name, title=alike.recogniser.card.title))
        if wanted and not kept:
            raise JobError("Every target looks like the person in the photo: choose another target.")
        return tuple(kept)

    def _alike(self, member: Member, target: Person) -> bool:
        likeness = cosine(embed(member.recogniser, target), embed(member.recogniser, self.request.person))
        return likeness >= member.recogniser.thresholds.get(0.01, 1.0)

    def _run(self) -> Run:
        request, pixels = self.request, self.crop.pixels.to(self.runtime.device)
        return run(self.method, pixels, request.params, self._scene(), request.seed, self.cancelled)

    def _scene(self) -> Scene:
        """What the method is given: whom to attack and whom to resemble, or the words to write."""
        if self.message is not None:
            return Scene(message=self.message)
        surrogates = [member.recogniser for member in self.members if member.attacked]
        faces = [target.crop(self.method).pixels for target in self.targets]
        return Scene(surrogates, torch.cat(faces).to(self.runtime.device) if faces else None)

    def _due(self, snapshot: Snapshot) -> bool:
        every = max(1, snapshot.steps // LIVE_UPDATES)
        return snapshot.step == 1 or snapshot.step % every == 0 or snapshot.step == snapshot.steps

    def _progress(self, snapshot: Snapshot) -> Progress:
        """The picture so far, and a quick estimate of the scores on the 8-bit crop."""
        pasted = paste(self.request.person.photo.pixels, self.crop, snapshot.pixels.cpu())
        eight_bit = (snapshot.pixels.cpu() * 255).round() / 255
        self.curves.append(Curve(snapshot.step, {m.id: self._estimate(m, eight_bit) for m in self.members}))
        return self._stage("Making the mask", snapshot, window_of(pasted, self.window))

    def _estimate(self, member: Member, pixels: Tensor) -> tuple[float, float | None]:
        recogniser = member.recogniser
        with torch.inference_mode():
            row = recogniser.raw(retarget(pixels, self.method.template, recogniser.template))[0].cpu()
        return self.scorer.cosines(member.id, row)[:2]

    def _stage(self, stage: str, snapshot: Snapshot, preview: np.ndarray | None = None) -> Progress:
        seconds = time.perf_counter() - self.start
        left = seconds / snapshot.step * (snapshot.steps - snapshot.step) if snapshot.step > 1 else None
        before = window_of(self.request.person.photo.pixels, self.window)
        rows = tuple(member.row(self.request.far) for member in self.members)
        return Progress(
            snapshot.step, snapshot.steps, seconds, left, stage, preview, before, tuple(self.curves), rows
        )

    def _export(self, last: Snapshot, work: Run) -> tuple[bytes, dict[str, Any]]:
        """The file to download, with everything that made it."""
        pasted = paste(self.request.person.photo.pixels, self.crop, last.pixels.cpu())
        settings = {
            "larvatus": 1,
            "provenance": work.provenance.as_dict(),
            "face": {"box": [round(v, 1) for v in self.request.person.face.box]},
            # An uploaded file's name may be a person's: it stays out of a file that will be shared.
            "targets": [t.name if t.name in gallery.NAMES else "an uploaded photo" for t in self.targets],
            "format": self.request.format,
            "quality": self.request.quality if self.request.format == "JPEG" else None,
        }
        return photos.encode(pasted, self.request.format, self.request.quality, settings), settings

    def _survive(self, exported: Photo) -> Iterator[Survival]:
        for distortion in SURVIVAL:
            changed = Photo(distortion.apply(exported.pixels), exported.source_format, (), None)
            scores = self.scorer.file(changed, self.request.person.face)
            mark = self._mark(changed)
            yield Survival(distortion.id, distortion.label, window_of(changed.pixels, self.window), scores, mark)

    def _explain(self, exported: Photo) -> tuple[Cam, ...]:
        """Grad-CAM before and after, towards another photo of the person, or else the first target."""
        other = self.request.reference or (self.targets[0] if self.targets else None)
        face = self.scorer.find_again(exported, self.request.person.face)
        if other is None or face is None:
            return ()
        after = Person("file", exported, face)
        return tuple(compare_cams(m.recogniser, self.request.person, after, other) for m in self.members)

    def _result(
        self,
        data: bytes,
        exported: Photo,
        settings: dict[str, Any],
        scores: Any,
        survival: tuple[Survival, ...],
        cams: tuple[Cam, ...],
    ) -> Result:
        person, before, after = self.request.person, self.request.person.photo.pixels, exported.pixels
        face_before, face_after = self.crop.pixels, person_crop(exported, person, self.crop)
        notes = [*self.notes]
        weak = any(score.role == "surrogate" and score.matches_self for score in scores)
        if weak and "message" not in self.method.needs:
            notes.append(TOO_WEAK)
        if self.request.reference is None:
            notes.append(SAME_PHOTO)
        if "message" in self.method.needs and self.targets:
            notes.insert(0, IMPERSONATES.format(title=self.method.title, name=self.targets[0].name))
        return Result(
            file=data,
            name=photos.download_name(self.method.id, data, self.request.format.lower().replace("jpeg", "jpg")),
            before=to_array(before),
            after=to_array(after),
            difference=amplified(before, after),
            window=self.window,
            scores_before=self.scorer.file(person.photo, person.face),
            scores=scores,
            psnr=float(measure.psnr(face_after, face_before)),
            ssim=float(measure.ssim(face_after, face_before)),
            survival=survival,
            cams=cams,
            curves=tuple(self.curves),
            settings=settings,
            compared_with="another photo of the person" if self.request.reference else "the photo itself",
            seconds=time.perf_counter() - self.start,
            notes=tuple(notes),
            mark=self._mark(exported),
        )

    def _mark(self, exported: Photo) -> reveal.Found | None:
        """What can be read from the exported file, for a method that writes something."""
        face = self.scorer.find_again(exported, self.request.person.face) if self.message is not None else None
        if face is None:
            return None
        person = Person("file", exported, face)
        return reveal.read(self.runtime, self.method, person, self.identities, self.request.key)


def person_crop(exported: Photo, person: Person, crop: FaceCrop) -> Tensor:
    """The exported face, cut exactly as the original was: for PSNR and SSIM."""
    return Person("file", exported, person.face).crop(crop).pixels


def compare_cams(member: Any, before: Person, after: Person, other: Person) -> Cam:
    """Where a recogniser looks when it compares the face with `other`, before and after, on one scale."""
    with torch.inference_mode():
        reference = member.embed(other.crop(member).pixels)
    pair = torch.cat([before.crop(member).pixels, after.crop(member).pixels])
    maps = explain.cosine_cam(member, pair, reference)
    top = float(maps.max())
    shown = [explain.overlay(pixels, cam, top) for pixels, cam in zip(pair, maps, strict=True)]
    return Cam(member.card.id, member.card.title, other.name, shown[0], shown[1], top)
