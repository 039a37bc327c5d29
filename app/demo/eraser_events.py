"""Authority, "Erase a mask", at work: a masked photo in, the same without its mask out, and two controls."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import gradio as gr

from app import photo as photos
from app.demo import eraser, scoreboard
from app.demo.eraser import EraserView, erasers
from app.demo.errors import sentence
from app.demo.photo_events import portraits
from app.demo.session import Desk, Session, taken
from app.erase import Erased, Erasure, erase, made_with
from app.photo import Photo
from app.runtime import Runtime
from app.scoring import JobError, find_person

Updates = dict[Any, Any]
NO_PHOTO = "There is no masked photo yet: drop one, or send one over from Protect."
NO_ORIGINAL = "The photo before masking is not known here: send a result over from Protect."


@dataclass(frozen=True)
class Erasing:
    """What one visitor's tab holds."""

    masked: Photo
    method: str
    original: Photo | None = None
    reference: Photo | None = None


class EraserEvents:
    """The handlers."""

    def __init__(self, runtime: Runtime, view: EraserView, desk: Desk):
        self.runtime, self.view, self.desk = runtime, view, desk

    def take(self, path: str | None, target: str, request: gr.Request) -> Updates:
        """An upload: its mask is erased at once, by the restorer that the file names or else the chosen one."""
        if path is None:
            return {self.view.status: gr.skip()}
        data, session = taken(path), self.desk.of(request)
        try:
            masked = photos.load(data)
        except Exception as error:
            return {self.view.drop: None, self.view.status: scoreboard.alert(sentence(error))}
        kept = session.erasing.reference if session.erasing else None
        return {self.view.drop: None, **self._open(session, Erasing(masked, erasers()[0], None, kept), target)}

    def receive(self, target: str, request: gr.Request) -> Updates:
        """The last result of the Protect tab, beside the photo that it was made of."""
        session = self.desk.of(request)
        made = session.made
        if made is None or made.method not in erasers():
            return {self.view.status: scoreboard.alert(NO_PHOTO)}
        kept = Erasing(photos.load(made.file), made.method, made.person.photo)
        return self._open(session, kept, target)

    def take_reference(self, path: str | None, target: str, request: gr.Request) -> Updates:
        """Another photo of the person."""
        view, session = self.view, self.desk.of(request)
        if path is None:
            return {view.status: gr.skip()}
        data = taken(path)
        try:
            person = find_person(self.runtime, "the other photo", data)
        except Exception as error:
            return {view.reference: None, view.reference_line: scoreboard.alert(sentence(error))}
        shown = {view.reference: None, view.reference_line: portraits([("Scores compare with this photo", person)])}
        if session.erasing is None:
            return {**shown, view.status: scoreboard.said(NO_PHOTO)}
        session.erasing = replace(session.erasing, reference=person.photo)
        return {**shown, **self.again(target, request)}

    def again(self, target: str, request: gr.Request) -> Updates:
        """The same photo by the chosen restorer."""
        session = self.desk.of(request)
        try:
            return self._shown(session, self._erased(session, target))
        except Exception as error:
            return {self.view.status: scoreboard.alert(sentence(error))}

    def other(self, target: str, request: gr.Request) -> Updates:
        """The control: a restorer that was made for another target's masks."""
        session = self.desk.of(request)
        method = session.erasing.method if session.erasing else erasers()[0]
        wrong = next(name for name in eraser.targets(method) if name != target)
        return self._control(f"Control, by the restorer made for {wrong}", lambda: self._erased(session, wrong))

    def unmasked(self, target: str, request: gr.Request) -> Updates:
        """The control: the photo before masking, which has nothing to erase."""
        session = self.desk.of(request)

        def work() -> Erased:
            if session.erasing is None or session.erasing.original is None:
                raise JobError(NO_ORIGINAL)
            return self._erased(session, target, masked=session.erasing.original)

        return self._control("Control, erasing a photo that has no mask", work)

    def _control(self, words: str, work: Any) -> Updates:
        try:
            return {self.view.status: scoreboard.said(f"{words}: {work().verdict}")}
        except Exception as error:
            return {self.view.status: scoreboard.alert(sentence(error))}

    def _open(self, session: Session, kept: Erasing, target: str) -> Updates:
        """Erase; a mistake leaves what was there."""
        named = made_with(kept.masked, kept.method).get("target")
        target = named if named in eraser.targets(kept.method) else target
        try:
            found = self._erased(session, target, kept)
        except Exception as error:
            return {self.view.status: scoreboard.alert(sentence(error))}
        session.erasing = kept
        return {self.view.target: target, **self._shown(session, found)}

    def _erased(
        self, session: Session, target: str, kept: Erasing | None = None, masked: Photo | None = None
    ) -> Erased:
        kept = kept or session.erasing
        if kept is None:
            raise JobError(NO_PHOTO)
        job = Erasure(masked or kept.masked, kept.method, target, kept.original, kept.reference)
        return erase(self.runtime, job)

    def _shown(self, session: Session, found: Erased) -> Updates:
        view, on = self.view, gr.update(interactive=True)
        stamp = json.dumps(found.provenance, indent=1)
        line = f"How it was made: by the restorer for {found.target}, in {found.seconds:.1f} s"
        known = session.erasing is not None and session.erasing.original is not None
        return {
            view.status: "",
            view.verdict: f'<p class="lv-verdict">{escape(found.verdict)}</p>',
            view.faces: eraser.faces(found),
            view.board: eraser.board(found),
            view.download: gr.update(value=session.write(found.name, found.file), visible=True),
            view.provenance: f'<details><summary class="lv-quiet">{escape(line)}</summary>'
            f'<pre class="lv-prov">{escape(stamp)}</pre></details>',
            view.erase: on,
            view.other: on,
            view.unmasked: gr.update(interactive=known or found.original is not None),
        }
