"""Authority, "Take a mask off", at work: a masked photo in, the same without its mask out, and two controls."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import gradio as gr

from app import photo as photos
from app.demo import eraser, scoreboard
from app.demo.eraser import EraserView, erasers
from app.demo.photo_events import portraits
from app.demo.session import Desk, Session, taken
from app.erase import Erasure, erase, made_by, named_restorer
from app.erased import Erased
from app.errors import sentence
from app.photo import Photo
from app.runtime import Runtime
from app.scoring import JobError, find_person
from app.watermarks import watermark_of

Updates = dict[Any, Any]
NO_PHOTO = "There is no masked photo yet: drop one, or send one over from Protect."
NO_ORIGINAL = "The photo before masking is not known here: send a result over from Protect."


@dataclass(frozen=True)
class Erasing:
    """What one visitor's tab holds. `mark`: the picture of the expected watermark, where it is no words."""

    masked: Photo | None = None
    method: str = ""
    original: Photo | None = None
    reference: Photo | None = None
    mark: Photo | None = None


class EraserEvents:
    """The handlers. Each takes the chosen restorer and the words of the expected watermark."""

    def __init__(self, runtime: Runtime, view: EraserView, desk: Desk):
        self.runtime, self.view, self.desk = runtime, view, desk

    def take(self, path: str | None, method: str, restorer: str, words: str, request: gr.Request) -> Updates:
        """An upload: its mask is taken off at once, by the restorer that the file names or else the chosen one."""
        if path is None:
            return {self.view.status: gr.skip()}
        data, session = taken(path), self.desk.of(request)
        try:
            masked = photos.load(data)
        except Exception as error:
            return {self.view.drop: None, self.view.status: scoreboard.alert(sentence(error))}
        kept = replace(self._kept(session), masked=masked, method=made_by(masked) or method, original=None)
        return {self.view.drop: None, **self._open(session, kept, restorer, words)}

    def receive(self, restorer: str, words: str, request: gr.Request) -> Updates:
        """The last result of the Protect tab, beside the photo that it was made of."""
        session = self.desk.of(request)
        made = session.made
        if made is None or made.method not in erasers():
            return {self.view.status: scoreboard.alert(NO_PHOTO)}
        words = made.words or words
        kept = Erasing(photos.load(made.file), made.method, made.person.photo, mark=made.mark)
        return {self.view.words: words, **self._mark_line(kept.mark), **self._open(session, kept, restorer, words)}

    def take_reference(self, path: str | None, restorer: str, words: str, request: gr.Request) -> Updates:
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
        return {**shown, **self._anew(replace(self._kept(session), reference=person.photo), restorer, words, request)}

    def take_mark(self, path: str | None, restorer: str, words: str, request: gr.Request) -> Updates:
        """The picture of the expected watermark."""
        view, session = self.view, self.desk.of(request)
        if path is None:
            return {view.status: gr.skip()}
        data = taken(path)
        try:
            picture = photos.load(data)
            watermark_of(words, picture)
        except Exception as error:
            return {view.mark: None, view.mark_line: scoreboard.alert(sentence(error))}
        shown = {view.mark: None, **self._mark_line(picture)}
        return {**shown, **self._anew(replace(self._kept(session), mark=picture), restorer, words, request)}

    def choose(self, method: str, words: str, request: gr.Request) -> Updates:
        """Another method is said to have masked the photo."""
        session = self.desk.of(request)
        choices, kept = eraser.restorers(method), replace(self._kept(session), method=method)
        session.erasing = kept
        out = self._method(method, choices[0])
        return out if kept.masked is None else {**out, **self._open(session, kept, choices[0], words)}

    def again(self, restorer: str, words: str, request: gr.Request) -> Updates:
        """The same photo by the chosen restorer."""
        session = self.desk.of(request)
        try:
            return self._shown(session, self._erased(self._kept(session), restorer, words))
        except Exception as error:
            return {self.view.status: scoreboard.alert(sentence(error))}

    def other(self, restorer: str, words: str, request: gr.Request) -> Updates:
        """The control: a restorer that belongs to other masks."""
        kept = self._kept(self.desk.of(request))
        method = kept.method or erasers()[0]
        wrong = next(name for name in eraser.restorers(method) if name != restorer)
        return self._control(f"Control, by the restorer {wrong}", lambda: self._erased(kept, wrong, words))

    def unmasked(self, restorer: str, words: str, request: gr.Request) -> Updates:
        """The control: the photo before masking, which has nothing to take off."""
        kept = self._kept(self.desk.of(request))

        def work() -> Erased:
            if kept.original is None:
                raise JobError(NO_ORIGINAL)
            return self._erased(replace(kept, masked=kept.original), restorer, words)

        return self._control("Control, a photo that has no mask", work)

    @staticmethod
    def _kept(session: Session) -> Erasing:
        return session.erasing or Erasing()

    def _anew(self, kept: Erasing, restorer: str, words: str, request: gr.Request) -> Updates:
        """The same photo with something more that is known."""
        session = self.desk.of(request)
        session.erasing = kept
        if kept.masked is None:
            return {self.view.status: scoreboard.said(NO_PHOTO)}
        return self.again(restorer, words, request)

    def _control(self, words: str, work: Any) -> Updates:
        try:
            found = work()
        except Exception as error:
            return {self.view.status: scoreboard.alert(sentence(error))}
        quality = "" if found.psnr is None else f" Against the original: PSNR {found.psnr:.1f} dB."
        return {self.view.status: scoreboard.said(f"{words}: {found.verdict}{quality}")}

    def _method(self, method: str, restorer: str) -> Updates:
        return {
            self.view.method: method,
            self.view.restorer: gr.update(choices=eraser.restorers(method), value=restorer),
            self.view.mark_box: gr.update(visible=eraser.carries(method)),
        }

    def _mark_line(self, picture: Photo | None) -> Updates:
        said = "" if picture is None else scoreboard.said("The picture that was given is expected.")
        return {self.view.mark_line: said}

    def _open(self, session: Session, kept: Erasing, restorer: str, words: str) -> Updates:
        """Take it off; a mistake leaves what was there."""
        choices = eraser.restorers(kept.method)
        named = named_restorer(kept.masked, kept.method) if kept.masked else None
        restorer = next((name for name in (named, restorer) if name in choices), choices[0])
        try:
            found = self._erased(kept, restorer, words)
        except Exception as error:
            return {self.view.status: scoreboard.alert(sentence(error))}
        session.erasing = kept
        return {**self._method(kept.method, restorer), **self._shown(session, found)}

    def _erased(self, kept: Erasing, restorer: str, words: str) -> Erased:
        if kept.masked is None:
            raise JobError(NO_PHOTO)
        expected = watermark_of(words, kept.mark) if eraser.carries(kept.method) and (words or kept.mark) else None
        job = Erasure(kept.masked, kept.method, restorer, kept.original, kept.reference, watermark=expected)
        return erase(self.runtime, job)

    def _shown(self, session: Session, found: Erased) -> Updates:
        view, on = self.view, gr.update(interactive=True)
        stamp = json.dumps(found.provenance, indent=1)
        line = f"How it was made: by the restorer {found.restorer}, in {found.seconds:.1f} s"
        notes = "".join(f'<p class="lv-caption">{escape(note)}</p>' for note in found.notes)
        return {
            view.status: "",
            view.verdict: f'<p class="lv-verdict">{escape(found.verdict)}</p>{notes}',
            view.faces: eraser.faces(found),
            view.marks: eraser.marks(found.carried),
            view.board: eraser.board(found),
            view.download: gr.update(value=session.write(found.name, found.file), visible=True),
            view.provenance: f'<details><summary class="lv-quiet">{escape(line)}</summary>'
            f'<pre class="lv-prov">{escape(stamp)}</pre></details>',
            view.erase: on,
            view.other: on,
            view.unmasked: gr.update(interactive=found.original is not None),
        }
