"""The Forge tab at work: whose face, the protection, the wall tile by tile, and a pair seen closely."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from html import escape
from typing import Any

import gradio as gr

from app import forge, gallery
from app import photo as photos
from app.demo import example, scoreboard, wall
from app.demo.forge import HERE, SENT, ForgeView, guards
from app.demo.session import Desk, Session, taken
from app.errors import sentence
from app.forge import Tile, Wall
from app.made import Made
from app.making import Request, protected_file
from app.panel import Panel
from app.pictures import head_window, window_of
from app.runtime import Runtime
from app.scoring import JobError, Person, find_person
from engines import manipulate
from engines.methods import METHODS

Updates = dict[Any, Any]
STOPPED = "Stopped. Nothing was exported."
NOTHING = "There is no result to forge yet: protect a photo first, then open this tab or press Send to Forge."


@dataclass
class Forging:
    """What one visitor's tab holds: the person, a result sent from Protect, the wall, and what stops the work."""

    person: Person
    sent: Made | None = None
    wall: Wall | None = None
    stop: threading.Event = field(default_factory=threading.Event)


class ForgeEvents:
    """The handlers of the tab."""

    def __init__(self, runtime: Runtime, view: ForgeView, desk: Desk):
        self.runtime, self.view, self.desk = runtime, view, desk

    def open(self, given: dict[Any, Any], request: gr.Request) -> Iterator[Updates]:
        """The tab was opened: the face of the Protect tab, or the example; only the example is forged unasked.

        Where no method against forgers is here to protect it anew, it comes with its last result.
        """
        session = self.desk.of(request)
        person, made = session.sitter.person if session.sitter else None, None if guards() else session.made
        if session.forging is not None and session.forging.sent is (made or session.forging.sent):
            yield {self.view.status: gr.skip()}
            return
        if made is not None:
            person, given = made.person, {**given, self.view.source: SENT}
        elif not guards():
            yield {self.view.status: scoreboard.said(NOTHING)}
            return
        session.forging = Forging(person or gallery.person(self.runtime, example.SITTER), made)
        yield self._sitter(session.forging)
        if session.sitter is None or not session.sitter.own:
            yield from self.run(given, request)

    def take(self, path: str | None, request: gr.Request) -> Updates:
        """An upload: another face, and no wall yet."""
        if path is None:
            return {self.view.status: gr.skip()}
        data = taken(path)
        try:
            person = find_person(self.runtime, "the photo", data)
        except Exception as error:
            return {self.view.drop: None, self.view.status: scoreboard.alert(sentence(error))}
        session = self.desk.of(request)
        session.forging = Forging(person)
        return {self.view.drop: None, **self._sitter(session.forging), **self._blank()}

    def receive(self, given: dict[Any, Any], request: gr.Request) -> Iterator[Updates]:
        """The last result of the Protect tab, whatever its method."""
        session, view = self.desk.of(request), self.view
        if session.made is None:
            yield {view.status: scoreboard.alert(NOTHING)}
            return
        session.forging = Forging(session.made.person, session.made)
        yield {**self._sitter(session.forging), **self._blank()}
        yield from self.run({**given, view.source: SENT}, request)

    def choose(self, source: str) -> Updates:
        """The knobs belong to what is made here."""
        return {self.view.knobs_fold: gr.update(visible=source != SENT)}

    def again(self, given: dict[Any, Any], request: gr.Request) -> Iterator[Updates]:
        """A setting was changed: where a wall hangs, it is made anew."""
        forging = self.desk.of(request).forging
        if forging is None or forging.wall is None:
            yield {self.view.status: gr.skip()}
            return
        yield from self.run(given, request)

    def run(self, given: dict[Any, Any], request: gr.Request) -> Iterator[Updates]:
        """Protect and export where that is asked for, then forge: the tiles as they come, and the wall."""
        session, view = self.desk.of(request), self.view
        forging: Forging | None = session.forging
        if forging is None:
            yield {view.status: scoreboard.alert(NOTHING)}
            return
        forging.stop.set()
        stop = forging.stop = threading.Event()
        yield {view.status: scoreboard.said("Forging."), **_buttons(view, busy=True)}
        end, whole = scoreboard.said(STOPPED), {}
        try:
            made = self._made(forging, given)
            tiles: list[Tile] = []
            with closing(self._built(forging.person, made, given[view.edit], stop)) as work:
                for item in work:
                    if isinstance(item, Wall):
                        forging.wall = item
                        end = scoreboard.said(f"Done in {item.seconds:.1f} s.")
                        whole = self._finished(session, item, made)
                        yield whole
                    else:
                        tiles.append(item)
                        yield {view.wall: wall.tiles(tiles, len(manipulate.available()) - len(tiles))}
        except Exception as error:
            end = scoreboard.alert(sentence(error))
        # Said again: what is shown for the first time may miss the values that come with its showing.
        yield {**whole, view.status: end, **self._rest(forging)}

    def cancel(self, request: gr.Request) -> Updates:
        """Throw the switch."""
        forging = self.desk.of(request).forging
        if forging is None:
            return {self.view.status: gr.skip()}
        forging.stop.set()
        return {self.view.status: scoreboard.said(STOPPED), **self._rest(forging)}

    def enlarge(self, event: gr.EventData, request: gr.Request) -> Updates:
        """A pair was clicked: side by side under the slider."""
        session, view = self.desk.of(request), self.view
        asked = getattr(event, "_data", None) or {}
        hung = session.forging.wall.tiles if session.forging and session.forging.wall else ()
        tile = next((tile for tile in hung if tile.forger == asked.get("forger")), None)
        if tile is None:
            return {view.closer: gr.skip()}
        return self._closer(session, tile)

    def _rest(self, forging: Forging) -> Updates:
        """Nothing runs: the last whole wall hangs, if there is one."""
        hung = wall.tiles(forging.wall.tiles) if forging.wall else ""
        return {self.view.wall: hung, **_buttons(self.view, busy=False)}

    def _built(self, person: Person, made: Made, edit: str, stop: threading.Event) -> Iterator[Tile | Wall]:
        return forge.build(self.runtime, person, photos.load(made.file), edit, cancelled=stop.is_set)

    def _made(self, forging: Forging, given: dict[Any, Any]) -> Made:
        """The protected file: what was sent, or one made now with the settings of the page."""
        view, method = self.view, given[self.view.source]
        if method == SENT or not guards():
            if forging.sent is None:
                raise JobError(NOTHING)
            return forging.sent
        params = {name: given[part] for name, part in view.knobs.items()}
        asked = Request(forging.person, method, params, panel=Panel((), (forge.JUDGE,)))
        data = protected_file(self.runtime, asked, forging.stop.is_set)
        return Made(forging.person, data, method, photos.download_name(method, data, "png"))

    def _finished(self, session: Session, found: Wall, made: Made) -> Updates:
        view = self.view
        picture = session.write("larvatus-forged.png", forge.encoded(found))
        file = session.write(made.name, made.file)
        return {
            view.verdict: f'<p class="lv-verdict">{escape(found.verdict)}</p>',
            view.faces: wall.faces(found),
            view.wall: wall.tiles(found.tiles),
            view.save: gr.update(visible=True),
            view.download: picture,
            view.download_file: file,
            view.provenance: wall.provenance(found),
            **self._closer(session, found.tiles[0]),
        }

    def _closer(self, session: Session, tile: Tile) -> Updates:
        view = self.view
        pair = tuple(session.save(pixels) for pixels in (tile.clean, tile.protected))
        return {view.closer: gr.update(visible=True), view.closer_line: wall.closer(tile), view.slider: pair}

    def _blank(self) -> Updates:
        """No wall yet."""
        view, hidden = self.view, gr.update(visible=False)
        empty = dict.fromkeys((view.faces, view.wall, view.provenance, view.status), "")
        words = f'<p class="lv-verdict">{wall.INTRO}</p>'
        return {**empty, view.verdict: words, view.closer: hidden, view.save: hidden}

    def _sitter(self, forging: Forging) -> Updates:
        """Whose face it is, and what it can be protected by."""
        view, person = self.view, forging.person
        choices = [(f"{METHODS[id].title}, {HERE}", id) for id in guards()]
        if forging.sent:
            choices.append((f"{METHODS[forging.sent.method].title}, {SENT}", SENT))
        head = window_of(person.photo.pixels, head_window(person))
        return {
            view.sitter: scoreboard.picture(head, 160, "The face to be forged"),
            view.source: gr.update(
                choices=choices, value=choices[-1][1], visible=len(choices) > 1, label="Protected by"
            ),
            view.knobs_fold: gr.update(visible=not forging.sent),
        }


def _buttons(view: ForgeView, busy: bool) -> Updates:
    return {view.forge: gr.update(interactive=not busy), view.cancel: gr.update(interactive=busy)}
