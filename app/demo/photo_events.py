"""Photos coming in on the Protect tab: the person's, another one of them, and targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html import escape
from pathlib import Path

import gradio as gr
import numpy as np

from app import gallery
from app.demo import faces, restore, scoreboard, shown
from app.demo.controls import Controls
from app.demo.faces import Sitter
from app.demo.panel_events import PanelEvents
from app.demo.protect import View
from app.demo.session import Desk, Session, taken
from app.demo.setting_events import settings
from app.errors import sentence
from app.panel import Panel
from app.pictures import head_window, window_of
from app.runtime import Runtime
from app.scoring import Person, find_person

BOX, PICK = "Draw a box around the face instead", "Choose an outlined face instead"


class PhotoEvents:
    """The handlers of uploads and of clicks on the photo."""

    def __init__(self, runtime: Runtime, view: View, panel: PanelEvents, controls: Controls, desk: Desk):
        self.runtime, self.view, self.panel, self.controls, self.desk = runtime, view, panel, controls, desk

    def take_photo(self, path: str | None, held_out: list[str], request: gr.Request) -> shown.Updates:
        """An upload: find the faces. A file that Larvatus wrote restores its settings."""
        view, session = self.view, self.desk.of(request)
        if path is None:
            return {view.status: gr.skip()}
        try:
            sitter = faces.look(self.runtime, Path(path).name, taken(path))
        except Exception as error:
            return {view.faces_line: scoreboard.alert(sentence(error)), view.drop: None}
        found = restore.read(sitter.photo.settings) if sitter.photo.settings is not None else None
        attacked, gone = restore.attacked(found, self.runtime.cards) if found else ((), "")
        sitter = faces.restored(sitter, found.box) if found else sitter
        said = " ".join((sitter.sentence, *sitter.photo.notes, found.sentence if found else "", gone))
        return {
            **self._put(session, sitter, said),
            view.drop: None,
            **(self._restored(found) if found and found.method else {}),
            **(self._attacked(attacked, held_out, str(found.method)) if found and attacked else {}),
        }

    def try_portrait(self, event: gr.EventData, request: gr.Request) -> shown.Updates:
        """A built-in portrait instead of an upload, and a target who is not the same person."""
        name = getattr(event, "example", None)
        if name not in gallery.NAMES:
            return {self.view.status: gr.skip()}
        sitter = faces.from_person(gallery.person(self.runtime, name))
        others = {self.view.targets: [gallery.COLLINS if name == gallery.HOPPER else gallery.HOPPER]}
        return {**self._put(self.desk.of(request), sitter, gallery.CREDITS[name] + "."), **others}

    def _put(self, session: Session, sitter: Sitter, said: str) -> shown.Updates:
        """Another photo on the left, nothing on the right; what was under way stops."""
        session.stop.set()
        session.sitter = sitter
        session.shown, session.views = shown.blank(self.view, shown.READY), {}
        return {**session.shown, **picture(self.view, session, said), self.view.status: ""}

    def _attacked(self, ids: tuple[str, ...], held_out: list[str], method: str) -> shown.Updates:
        """The panel of the file: those it attacked, and of the page's judges those that are not among them."""
        return self.panel.choose(Panel(ids, tuple(id for id in held_out if id not in ids)), method)

    def _restored(self, found: restore.Restored) -> shown.Updates:
        view = self.view
        targets = {view.targets: list(found.targets)} if found.targets else {}
        return {
            view.method: str(found.method),
            **settings(view, self.controls, str(found.method), found.params),
            **targets,
            view.seed: found.seed,
            view.format: found.format,
            view.quality: gr.update(value=found.quality, visible=found.format == "JPEG"),
        }

    def click(self, where: gr.SelectData, request: gr.Request) -> shown.Updates:
        """A click on the photo: choose a face, or a corner of the box."""
        session = self.desk.of(request)
        if session.sitter is None or not isinstance(where.index, list | tuple):
            return {self.view.status: gr.skip()}
        try:
            session.sitter = faces.clicked(self.runtime, session.sitter, *where.index[:2])
        except Exception as error:
            session.sitter = replace(session.sitter, corner=None)
            return {
                **picture(self.view, session),
                self.view.faces_line: scoreboard.alert(sentence(error)),
            }
        return picture(self.view, session)

    def choose_face(self, number: str, request: gr.Request) -> shown.Updates:
        """Choose a face by its number, from 1."""
        session = self.desk.of(request)
        if session.sitter is None or not 0 < int(number) <= len(session.sitter.faces):
            return {self.view.status: gr.skip()}
        session.sitter = replace(session.sitter, chosen=int(number) - 1, boxing=False, corner=None)
        return picture(self.view, session)

    def type_box(self, text: str, request: gr.Request) -> shown.Updates:
        """A box by its edges, for who draws none."""
        session = self.desk.of(request)
        if session.sitter is None:
            return {self.view.status: gr.skip()}
        try:
            session.sitter = faces.typed(self.runtime, session.sitter, text)
        except Exception as error:
            return {self.view.faces_line: scoreboard.alert(sentence(error))}
        return {**picture(self.view, session), self.view.edges: gr.update(value="", visible=False)}

    def draw_box(self, request: gr.Request) -> shown.Updates:
        """Switch between choosing a face and drawing a box."""
        session = self.desk.of(request)
        if session.sitter is None:
            return {self.view.status: gr.skip()}
        boxing = not session.sitter.boxing or not session.sitter.faces
        session.sitter = replace(session.sitter, boxing=boxing, corner=None)
        return picture(self.view, session)

    def take_targets(self, paths: list[str] | None, request: gr.Request) -> shown.Updates:
        """Uploaded targets, added to those already there."""
        session, problems = self.desk.of(request), ""
        for path in paths or ():
            try:
                session.extras = (*session.extras, find_person(self.runtime, Path(path).name, taken(path)))
            except Exception as error:
                problems += scoreboard.alert(sentence(error))
        return self._extras(session, problems)

    def drop_targets(self, request: gr.Request) -> shown.Updates:
        """Forget the uploaded targets."""
        session = self.desk.of(request)
        session.extras = ()
        return self._extras(session, "")

    def _extras(self, session: Session, problems: str) -> shown.Updates:
        strip = portraits([(person.name, person) for person in session.extras])
        return {
            self.view.extra: None,
            self.view.extra_line: problems + strip,
            self.view.extra_clear: gr.update(visible=bool(session.extras)),
        }

    def take_reference(self, path: str | None, request: gr.Request) -> shown.Updates:
        """Another photo of the person."""
        view, session = self.view, self.desk.of(request)
        if path is None:
            return {view.status: gr.skip()}
        try:
            session.reference = find_person(self.runtime, Path(path).name, taken(path))
        except Exception as error:
            return {view.reference: None, view.reference_line: scoreboard.alert(sentence(error))}
        return {
            view.reference: None,
            view.reference_clear: gr.update(visible=True),
            view.reference_line: portraits([("Scores compare with this photo", session.reference)]),
        }

    def drop_reference(self, request: gr.Request) -> shown.Updates:
        """Forget the other photo."""
        self.desk.of(request).reference = None
        return {self.view.reference_line: "", self.view.reference_clear: gr.update(visible=False)}


def picture(view: View, session: Session, said: str | None = None) -> shown.Updates:
    """The session's photo with its faces outlined, from its own folder, and a sentence below it."""
    sitter = session.sitter
    assert sitter is not None
    numbers = [(f"Face {i + 1}", str(i + 1)) for i in range(len(sitter.faces))]
    chosen = None if sitter.chosen is None else str(sitter.chosen + 1)
    words, session.outlined = said or sitter.sentence, session.save(faces.outlined(sitter))
    return {
        view.photo: session.outlined,
        view.faces_line: escape(words) if sitter.faces else scoreboard.alert(words),
        view.box: gr.update(value=PICK if sitter.boxing else BOX, visible=bool(sitter.faces)),
        view.face: gr.update(choices=numbers, value=chosen, visible=len(numbers) > 1 and not sitter.boxing),
        view.edges: gr.update(visible=sitter.boxing),
    }


def portraits(people: Sequence[tuple[str, Person]]) -> str:
    """Small round pictures with names, as HTML."""
    return strip([(name, window_of(person.photo.pixels, head_window(person))) for name, person in people])


def strip(heads: Sequence[tuple[str, np.ndarray]]) -> str:
    """Small round pictures, uint8 (h, w, 3), with names, as HTML."""
    figures = "".join(
        f"<figure>{scoreboard.picture(pixels, 128, name)}<figcaption>{escape(name)}</figcaption></figure>"
        for name, pixels in heads
    )
    return f'<div class="lv-faces">{figures}</div>' if heads else ""
