"""Protect a photo: the use-case behind every interface. No gradio, no streamlit.

Every figure in a `Result` is measured on the exported bytes: decoded, detected, aligned and
embedded again, never on the float tensor that the optimiser held.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from app import forge, hiding, lease, reveal
from app import photo as photos
from app.fits import stepwise
from app.making import Making, Request
from app.panel import Member
from app.photo import Photo
from app.pictures import amplified, eight_bit, head_window, to_array, window_of
from app.report import Cam, Curve, Progress, Result, Score, Survival
from app.runtime import Runtime
from app.scoring import Person, Scorer
from engines import explain, measure
from engines.distort import SURVIVAL
from engines.face import FaceCrop, retarget
from engines.method import Snapshot
from engines.pressed import SMALLER

LIVE_UPDATES = 10  # pictures and curve points in one run
SAME_PHOTO = "Compared with the very photo that was protected: add another photo of the person for a stricter test."
TOO_WEAK = "An attacked recogniser still matches this photo: try the preset Strong, or another target."


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
        if lease.lent():
            yield from lease.followed(_lent(request), cancelled)
        else:
            yield from _wherever_it_fits(runtime, request, cancelled)
    finally:
        runtime.work.release()


def _wherever_it_fits(
    runtime: Runtime, request: Request, cancelled: Callable[[], bool]
) -> Iterator[Progress | Result]:
    """On the runtime's device; on the processor where the GPU's memory is full."""

    def work(where: Runtime, note: str) -> Iterator[Progress | Result]:
        job = Protect(where, request, cancelled)
        job.notes += [note] if note else []
        yield from job.steps()

    yield from stepwise(runtime, work)


@cache
def _lent_runtime() -> Runtime:
    return Runtime("cuda")


def _with_lent(request: Request) -> Iterator[Progress | Result]:
    """The job, in the process that has the lent GPU."""
    yield from _wherever_it_fits(_lent_runtime(), request, lambda: False)


_lent = lease.lend(_with_lent, lease.seconds)


class Protect(Making):
    """The stages of one job: mask, export, score, survive, explain."""

    def __init__(self, runtime: Runtime, request: Request, cancelled: Callable[[], bool]):
        self.start = time.perf_counter()
        super().__init__(runtime, request, cancelled)
        for member in self.members:
            member.recogniser.pressed = False
        request = self.request
        self.scorer = Scorer(runtime, self.members, request.reference or request.person, self.targets, request.far)
        self.window = head_window(request.person)
        self.curves: list[Curve] = []
        self.stages: dict[str, np.ndarray] = {}  # named states of the work, where they are shown afterwards

    def steps(self) -> Iterator[Progress | Result]:
        """Run the stages in order, asking `cancelled` between them."""
        work = self.run()
        last: Snapshot | None = None
        for last in work:
            if self.exact:
                self.stages[last.note] = to_array(eight_bit(last.pixels))
            if self._due(last):
                yield self._progress(last)
        if last is None or work.was_cancelled:
            return
        data, settings = self.export(last, work)
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
        made = (self._wall(exported), self._hidden(exported, last))
        yield self._result(data, exported, settings, scores, tuple(survival), cams, *made)

    def _due(self, snapshot: Snapshot) -> bool:
        every = max(1, snapshot.steps // LIVE_UPDATES)
        return snapshot.step == 1 or snapshot.step % every == 0 or snapshot.step == snapshot.steps

    def _progress(self, snapshot: Snapshot) -> Progress:
        """The picture so far, and a quick estimate of the scores on the 8-bit crop."""
        eight_bit = (snapshot.pixels.cpu() * 255).round() / 255
        self.curves.append(Curve(snapshot.step, {m.id: self._estimate(m, eight_bit) for m in self.members}))
        return self._stage("Making the mask", snapshot, window_of(self.pasted(snapshot.pixels), self.window))

    def _estimate(self, member: Member, pixels: Tensor) -> tuple[float, float | None]:
        recogniser = member.recogniser
        with torch.inference_mode():
            row = recogniser.raw(retarget(pixels, self.crop.template, recogniser.template))[0].cpu()
        return self.scorer.cosines(member.id, row)[:2]

    def _stage(self, stage: str, snapshot: Snapshot, preview: np.ndarray | None = None) -> Progress:
        seconds = time.perf_counter() - self.start
        left = seconds / snapshot.step * (snapshot.steps - snapshot.step) if snapshot.step > 1 else None
        before = window_of(self.request.person.photo.pixels, self.window)
        rows = tuple(member.row(self.request.far) for member in self.members)
        return Progress(
            snapshot.step, snapshot.steps, seconds, left, stage, preview, before, tuple(self.curves), rows
        )

    def _survive(self, exported: Photo) -> Iterator[Survival]:
        for distortion in SURVIVAL if self.request.survival else ():
            changed = Photo(distortion.apply(exported.pixels), exported.source_format, (), None)
            scores = self.scorer.file(changed, self.request.person.face)
            mark = self._mark(changed)
            yield Survival(distortion.id, distortion.label, window_of(changed.pixels, self.window), scores, mark)

    def _explain(self, exported: Photo) -> tuple[Cam, ...]:
        """Grad-CAM before and after, towards another photo of the person, or else the first target, or a stranger."""
        other = self.request.reference or next(iter(self.targets), self.request.stranger)
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
        scores: tuple[Score, ...],
        survival: tuple[Survival, ...],
        cams: tuple[Cam, ...],
        wall: forge.Wall | None,
        hides: hiding.Hidden | None,
    ) -> Result:
        person, before, after = self.request.person, self.request.person.photo.pixels, exported.pixels
        face_before, face_after = self.crop.pixels, person_crop(exported, person, self.crop)
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
            notes=self._notes(scores),
            mark=self._mark(exported),
            wall=wall,
            hidden=hides,
            leads=getattr(self.method, "leads", False),
        )

    def _notes(self, scores: tuple[Score, ...]) -> tuple[str, ...]:
        """What the person should know beside the figures, what the method does not promise first."""
        caveat = getattr(self.method, "caveat", "").format(target=self.targets[0].name if self.targets else "")
        weak = any(score.role == "surrogate" and score.matches_self for score in scores)
        said = {
            caveat: bool(caveat),
            **dict.fromkeys(self.notes, True),
            SMALLER: any(member.recogniser.pressed for member in self.members),
            TOO_WEAK: weak and "surrogates" in self.method.needs,
            SAME_PHOTO: self.request.reference is None,
        }
        return tuple(note for note, needed in said.items() if needed)

    def _wall(self, exported: Photo) -> forge.Wall | None:
        """What forgers make of the exported file, for a method that works against them."""
        if not getattr(self.method, "disrupts", False):
            return None
        built = forge.build(self.runtime, self.request.person, exported, forge.USUAL, cancelled=self.cancelled)
        try:
            return next((item for item in built if isinstance(item, forge.Wall)), None)
        except forge.NoFace:
            return None  # the scores say so already

    def _hidden(self, exported: Photo, last: Snapshot) -> hiding.Hidden | None:
        """What the exported file hides, for a method that hides a face in it."""
        if not self.exact:
            return None
        shown, figures = tuple(self.stages.items()), dict(last.figures)
        given = self.request.watermark
        return hiding.hidden(self.runtime, self.method, self.crop, exported, shown, figures, given)

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
    """Where a recogniser looks when it compares the face with `other`, before and after."""
    with torch.inference_mode():
        reference = member.embed(other.crop(member).pixels)
    pair = torch.cat([before.crop(member).pixels, after.crop(member).pixels])
    maps = explain.cosine_cam(member, pair, reference)
    return Cam(member.card.id, member.card.title, other.name, pair.cpu(), maps.cpu())
