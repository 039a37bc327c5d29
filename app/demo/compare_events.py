"""The Compare tab at work: whose photos, the run, sorting, blind names, and what is sent on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from html import escape
from random import SystemRandom
from typing import Any

import gradio as gr

from app import gallery, to_study
from app.compare import entries
from app.compare.job import Cell, Comparison, compare
from app.compare.link import Link, linked
from app.compare.threats import suited
from app.demo import board, example, scoreboard
from app.demo import compare_shown as shown
from app.demo.compare import Borrowed, CompareView, offered
from app.demo.compare_shown import Comparing, Updates
from app.demo.controls import Controls
from app.demo.session import Desk, Session, taken
from app.errors import sentence
from app.made import Made
from app.panel import Panel, check, usable
from app.report import Result
from app.runtime import Runtime
from app.scoring import Person, find_person
from app.study.errors import StudyError

WAITING = "Waiting for a free place."
STOPPED = "Stopped. The lines that were done stay."
MISSING = "The link names what is not here, which is left out: {}."
NOTHING = "There is no board yet: press Compare first."


class CompareEvents:
    """The handlers of the tab."""

    def __init__(self, runtime: Runtime, view: CompareView, desk: Desk, borrowed: Borrowed, controls: Controls):
        self.runtime, self.view, self.desk, self.borrowed = runtime, view, desk, borrowed
        self.controls = controls
        self.unchanged: Updates = {view.status: gr.skip()}

    def arrive(self, query: str) -> Any:
        """A page was opened: on this tab, where its link names a board."""
        return gr.Tabs(selected="compare") if linked(query or "") else gr.skip()

    def open(self, query: str, threat: str, request: gr.Request) -> Updates:
        """The tab was opened: whose photo is compared, and, the first time, the settings of the page's link."""
        session = self.desk.of(request)
        kept = self._kept(session)
        link = None if kept.linked else linked(query or "")
        kept.linked = True
        claims = {self.view.claims: board.claims(link.threat if link else threat)}
        brought = self._brought(link, kept) if link else {}
        return {**shown.sitters(self.view, kept, self._people(session)), **claims, **brought}

    def _brought(self, link: Link, kept: Comparing) -> Updates:
        view = self.view
        kept.blind, kept.natural = link.blind, link.natural
        looks = {view.threat: link.threat, view.natural: link.natural, view.blind: link.blind}
        sweep = {view.swept: link.swept, view.steps: link.steps}
        found, missing = self._borrowed(link)
        said = {view.status: scoreboard.alert(MISSING.format(", ".join(missing)))} if missing else {}
        chosen = gr.update(choices=offered(link.chosen), value=list(link.chosen))
        return {view.chosen: chosen, **sweep, self.borrowed.far: link.far, **looks, **found, **said}

    def _borrowed(self, link: Link) -> tuple[Updates, list[str]]:
        """Targets and recognisers as a link says, and the names of those that are not here."""
        attackable, judging = ([card.id for card in cards] for cards in usable(self.runtime.cards))
        asked, there = self.borrowed, (list(gallery.NAMES), attackable, judging)
        rows = zip(there, (link.targets, link.attacked, link.held_out), strict=True)
        kept = [None if names is None else [name for name in names if name in known] for known, names in rows]
        if kept[2] is not None:  # nobody is both
            kept[2] = [id for id in kept[2] if id not in (kept[1] or ())]
        named = [*(link.targets or ()), *(link.attacked or ()), *(link.held_out or ())]
        missing = [name for name in named if name not in {*there[0], *attackable, *judging}]
        parts = zip((asked.targets, asked.attacked, asked.held_out), kept, strict=True)
        return {part: names for part, names in parts if names is not None}, missing

    def choose_threat(self, threat: str) -> str:
        """What papers say about another threat."""
        return board.claims(threat)

    def choose_suited(self, threat: str) -> Updates:
        """The methods that claim to help, at their usual settings."""
        found = [choice for choice in entries.choices() if choice in {f"{id}:Balanced" for id in suited(threat)}]
        if not found:
            return {self.view.status: scoreboard.said("None of the methods here claims to help against this.")}
        return {self.view.chosen: found, self.view.status: ""}

    def add(self, chosen: list[str], method: str, *values: Any) -> Updates:
        """The method of Protect at the values of its knobs, as an entry of its own."""
        try:
            more = [*dict.fromkeys((*(chosen or ()), entries.set_to(method, self.controls.read(method, values))))]
        except Exception as error:
            return {self.view.status: scoreboard.alert(sentence(error))}
        return {self.view.chosen: gr.update(choices=offered(more), value=more), self.view.status: ""}

    def take(self, paths: list[str] | None, request: gr.Request) -> Updates:
        """Photos of the visitor's own."""
        if not paths:
            return self.unchanged
        try:
            files = [taken(path) for path in paths]
            people = tuple(find_person(self.runtime, f"photo {i + 1}", data) for i, data in enumerate(files))
        except Exception as error:
            return {self.view.drop: None, self.view.status: scoreboard.alert(sentence(error))}
        return {self.view.drop: None, **self._of_others(people, request)}

    def clear(self, request: gr.Request) -> Updates:
        """The photo of the Protect tab again."""
        return self._of_others((), request)

    def _of_others(self, people: tuple[Person, ...], request: gr.Request) -> Updates:
        """Other photos: what is under way stops, and the board is empty."""
        session, view = self.desk.of(request), self.view
        session.comparing = self._kept(session).next(own=people)
        faces = shown.sitters(view, session.comparing, self._people(session))
        return {**faces, **shown.blank(view), **shown.busy(view, False), view.status: ""}

    def begin(
        self,
        chosen: list[str],
        swept: str,
        steps: float,
        far: float,
        threat: str,
        natural: str,
        blind: bool,
        targets: list[str],
        attacked: list[str],
        held_out: list[str],
        request: gr.Request,
    ) -> Updates:
        """The press of Compare, before any waiting: what is asked becomes a job."""
        session, view = self.desk.of(request), self.view
        whom = tuple(tuple(names or ()) for names in (targets, attacked, held_out))
        link = Link(tuple(chosen or ()), swept or "", int(steps), far, threat, natural, blind, *whom)
        panel = Panel(tuple(attacked), tuple(held_out))
        try:
            kept = self._asked(session, link, panel, targets)
        except Exception as error:
            return {view.status: scoreboard.alert(sentence(error))}
        session.comparing = kept
        faces = shown.sitters(view, kept, self._people(session))
        return {
            **faces,
            **shown.blank(view),
            **shown.busy(view, True),
            **self._link(kept),
            view.status: scoreboard.said(WAITING),
        }

    def _asked(self, session: Session, link: Link, panel: Panel, targets: list[str]) -> Comparing:
        """A comparison that can start. Raises what `compare` does."""
        sweep = tuple(entries.sweep(link.swept, link.steps)) if link.swept else ()
        asked = entries.checked([*map(entries.named, link.chosen), *sweep])
        check(panel, self.runtime.cards)
        towards = (*(gallery.person(self.runtime, name) for name in targets or ()), *session.extras)
        people = self._people(session)
        job = Comparison(people, asked, towards, panel, link.far, identities=session.identities)
        looks = {"natural": link.natural, "blind": link.blind, "letters": board.letters(asked)}
        return self._kept(session).next(job=job, sweep=sweep, link=link, **looks)

    def run(self, request: gr.Request) -> Iterator[Updates]:
        """Every line on every photo; the board after each. Where other photos have come meanwhile, nothing more."""
        session, view = self.desk.of(request), self.view
        kept = self._kept(session)
        if kept.job is None or kept.begun:
            yield self.unchanged
            return
        kept.begun = True
        try:
            with closing(self._rows(kept, kept.job)) as rows:
                for row in rows:
                    if session.comparing is kept:
                        yield row
            last = self._end(session, kept) if session.comparing is kept else {}
        except Exception as error:
            last = {view.status: scoreboard.alert(sentence(error))}
        # All in one: what is shown for the first time may miss values that came with its showing. Gradio sends the
        # last of a run again at its end, so that of an old one must be empty.
        yield {**last, **shown.busy(view, False)} if session.comparing is kept else self.unchanged

    def _rows(self, kept: Comparing, job: Comparison) -> Iterator[Updates]:
        """The board as it grows. In a blind one the order in which lines come says nothing either."""
        order = tuple(SystemRandom().sample(job.entries, len(job.entries))) if kept.blind else job.entries
        with closing(compare(self.runtime, replace(job, entries=order), kept.stop.is_set)) as work:
            for item in work:
                if isinstance(item, Cell):
                    kept.cells.append(item)
                    yield shown.hung(self.view, kept)
                else:
                    yield {self.view.status: shown.under_way(item, kept.blind)}

    def _end(self, session: Session, kept: Comparing) -> Updates:
        said = {self.view.status: scoreboard.said(STOPPED if kept.stop.is_set() else "Done.")}
        if not kept.cells:
            return said
        return {**shown.hung(self.view, kept), **shown.packed(self.view, session, kept), **self._link(kept), **said}

    def _link(self, kept: Comparing) -> Updates:
        return {self.view.link: replace(kept.link, natural=kept.natural, blind=kept.blind).query} if kept.link else {}

    def cancel(self, request: gr.Request) -> Updates:
        """Throw the switch."""
        self._kept(self.desk.of(request)).stop.set()
        return {self.view.status: scoreboard.said(STOPPED), **shown.busy(self.view, False)}

    def sort(self, event: gr.EventData, request: gr.Request) -> str:
        """A column's head was pressed; a second press goes back to the order of the choice, or of the letters."""
        kept = self._kept(self.desk.of(request))
        by = (getattr(event, "_data", None) or {}).get("sort")
        kept.by = None if by == kept.by else by
        return board.board(kept.lines, kept.photo, kept.by, kept.names)

    def look(self, photo: int | None, blind: bool, natural: str, request: gr.Request) -> Updates:
        """Another photo's faces, other names, another measure of looks: also for the lines that are still to come."""
        session = self.desk.of(request)
        kept = self._kept(session)
        other = kept.photo != int(photo or 0)
        kept.photo, kept.blind, kept.natural = int(photo or 0), blind, natural
        if not kept.cells:
            return self.unchanged
        files = shown.figures(self.view, session, kept) if other and kept.packed else {}
        return {**shown.hung(self.view, kept), **self._link(kept), **files}

    def show_step(self, number: float, request: gr.Request) -> str:
        """One step of the sweep."""
        kept = self._kept(self.desk.of(request))
        kept.step = int(number)
        return shown.step(kept)

    def send_to_study(self, request: gr.Request) -> str:
        """All files of the board go to the study workbench, each with the photo that it was made of."""
        kept = self._kept(self.desk.of(request))
        people = kept.job.people if kept.job else ()
        made = [_made(people[cell.photo], cell.entry.method, cell.result) for cell in kept.cells if cell.result]
        try:
            return to_study.send(*made) if made else NOTHING
        except StudyError as error:
            return escape(str(error))

    @staticmethod
    def _kept(session: Session) -> Comparing:
        if session.comparing is None:
            session.comparing = Comparing()
        return session.comparing

    def _people(self, session: Session) -> tuple[Person, ...]:
        """The photos of the tab, or the face of Protect, or the example's."""
        own = session.sitter.person if session.sitter else None
        return self._kept(session).own or (own or gallery.person(self.runtime, example.SITTER),)


def _made(person: Person, method: str, result: Result) -> Made:
    return Made(person, result.file, method, result.name, result.settings, to_study.measured(result))
