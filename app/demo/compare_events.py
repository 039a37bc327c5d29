"""The Compare tab at work: whose photos, the board as it grows, sorting, blind names, and what is taken along."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from html import escape
from typing import Any

import gradio as gr

from app import gallery, to_study
from app.compare import entries, tables
from app.compare.archive import archive
from app.compare.entries import Entry, Link
from app.compare.figure import drawn
from app.compare.job import Cell, Comparison, Line, Working, compare, lines
from app.compare.threats import suited
from app.compare.tradeoff import tradeoff
from app.demo import board, example, scoreboard
from app.demo.compare import CompareView
from app.demo.errors import sentence
from app.demo.session import Desk, Session, taken
from app.made import Made
from app.pictures import head_window, window_of
from app.report import Progress
from app.runtime import Runtime
from app.scoring import Person, find_person
from app.study.errors import StudyError

Updates = dict[Any, Any]
STOPPED = "Stopped. The lines that were done stay."
NOTHING = "There is no board yet: press Compare first."


@dataclass
class Comparing:
    """What one visitor's tab holds: their photos, the board as far as it is, and what stops the work."""

    people: tuple[Person, ...] = ()
    asked: tuple[Entry, ...] = ()
    sweep: tuple[Entry, ...] = ()
    cells: list[Cell] = field(default_factory=list)
    by: str | None = None
    photo: int = 0
    packed: bool = False  # whether there is something to take along
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def lines(self) -> list[Line]:
        """The board."""
        return lines(self.asked, self.cells)


class CompareEvents:
    """The handlers of the tab."""

    def __init__(self, runtime: Runtime, view: CompareView, desk: Desk, far: Any):
        self.runtime, self.view, self.desk, self.far = runtime, view, desk, far

    def open(self, query: str, request: gr.Request) -> Updates:
        """The tab was opened: whose photo is compared, and the settings of a link."""
        session, view = self.desk.of(request), self.view
        asked = entries.linked(query or "")
        brought = self._brought(asked) if asked and not self._kept(session).cells else {}
        return {**self._sitters(session), **brought, view.status: ""}

    def _brought(self, link: Link) -> Updates:
        view = self.view
        return {view.chosen: list(link.chosen), view.swept: link.swept, view.steps: link.steps, self.far: link.far}

    def choose_threat(self, threat: str) -> str:
        """What papers say about another threat."""
        return board.claims(threat)

    def choose_suited(self, threat: str) -> Updates:
        """The methods that claim to help, at their usual settings."""
        found = [choice for choice in entries.choices() if choice in {f"{id}:Balanced" for id in suited(threat)}]
        if not found:
            return {self.view.status: scoreboard.said("None of the methods here claims to help against this.")}
        return {self.view.chosen: found, self.view.status: ""}

    def take(self, paths: list[str] | None, request: gr.Request) -> Updates:
        """Photos of the visitor's own."""
        view, session = self.view, self.desk.of(request)
        if not paths:
            return {view.status: gr.skip()}
        try:
            files = [taken(path) for path in paths]
            people = tuple(find_person(self.runtime, f"photo {i + 1}", data) for i, data in enumerate(files))
        except Exception as error:
            return {view.drop: None, view.status: scoreboard.alert(sentence(error))}
        session.comparing = Comparing(people)
        return {view.drop: None, **self._sitters(session), **self._blank()}

    def clear(self, request: gr.Request) -> Updates:
        """The photo of the Protect tab again."""
        session = self.desk.of(request)
        session.comparing = Comparing()
        return {**self._sitters(session), **self._blank()}

    def run(
        self, chosen: list[str], method: str, steps: float, blind: bool, natural: str, far: float, request: gr.Request
    ) -> Iterator[Updates]:
        """Every line on every photo; the board after each."""
        session, view = self.desk.of(request), self.view
        kept = self._kept(session)
        kept.stop.set()
        try:
            sweep = tuple(entries.sweep(method, int(steps))) if method else ()
            asked = entries.checked([*map(entries.named, chosen or []), *sweep])
        except Exception as error:
            yield {view.status: scoreboard.alert(sentence(error))}
            return
        fresh = Comparing(kept.people, asked, sweep)
        session.comparing = fresh
        job = Comparison(self._people(session), asked, far=far, identities=session.identities)
        yield {**self._blank(), view.status: scoreboard.said("Starting."), **self._busy(True)}
        end, whole = scoreboard.said("Done."), {}
        try:
            with closing(compare(self.runtime, job, fresh.stop.is_set)) as work:
                for item in work:
                    if isinstance(item, Working):
                        yield {view.status: under_way(item)}
                    else:
                        fresh.cells.append(item)
                        yield self._hung(fresh, blind, natural)
            if fresh.stop.is_set():
                end = scoreboard.said(STOPPED)
            link = Link(tuple(chosen or ()), method or "", int(steps), far)
            packed = {**self._packed(session, fresh), view.link: link.query}
            whole = {**self._hung(fresh, blind, natural), **packed} if fresh.cells else {}
        except Exception as error:
            end = scoreboard.alert(sentence(error))
        # All in one: what is shown for the first time may miss values that came with its showing.
        yield {**whole, view.status: end, **self._busy(False)}

    def cancel(self, request: gr.Request) -> Updates:
        """Throw the switch."""
        kept = self._kept(self.desk.of(request))
        kept.stop.set()
        return {self.view.status: scoreboard.said(STOPPED), **self._busy(False)}

    def sort(self, blind: bool, event: gr.EventData, request: gr.Request) -> str:
        """A column's head was pressed; a second press goes back to the order of the choice."""
        kept = self._kept(self.desk.of(request))
        by = (getattr(event, "_data", None) or {}).get("sort")
        kept.by = None if by == kept.by else by
        return self._board(kept, blind)

    def look(self, photo: int | None, blind: bool, natural: str, request: gr.Request) -> Updates:
        """Another photo's faces, other names, another measure of looks."""
        kept = self._kept(self.desk.of(request))
        kept.photo = int(photo or 0)
        return self._hung(kept, blind, natural) if kept.cells else {self.view.status: gr.skip()}

    def show_step(self, number: float, request: gr.Request) -> str:
        """One step of the sweep."""
        kept = self._kept(self.desk.of(request))
        found = [line for line in kept.lines if line.entry in kept.sweep]
        return board.step(found[min(int(number), len(found)) - 1], kept.photo) if found else ""

    def send_to_study(self, request: gr.Request) -> str:
        """All files of the board go to the study workbench."""
        session = self.desk.of(request)
        made = [self._made(session, cell) for cell in self._kept(session).cells if cell.result is not None]
        try:
            return to_study.send(*made) if made else NOTHING
        except StudyError as error:
            return escape(str(error))

    def _made(self, session: Session, cell: Cell) -> Made:
        result = cell.result
        assert result is not None
        person = self._people(session)[cell.photo]
        known = (result.settings, to_study.measured(result))
        return Made(person, result.file, cell.entry.method, result.name, *known)

    @staticmethod
    def _kept(session: Session) -> Comparing:
        if session.comparing is None:
            session.comparing = Comparing()
        return session.comparing

    def _people(self, session: Session) -> tuple[Person, ...]:
        """The photos of the tab, or the face of Protect, or the example's."""
        own = session.sitter.person if session.sitter else None
        return self._kept(session).people or (own or gallery.person(self.runtime, example.SITTER),)

    def _sitters(self, session: Session) -> Updates:
        people = self._people(session)
        heads = "".join(
            f"<figure>{scoreboard.picture(window_of(p.photo.pixels, head_window(p)), 110, f'Photo {i + 1}')}</figure>"
            for i, p in enumerate(people)
        )
        choices = [(f"Photo {i + 1}", i) for i in range(len(people))]
        return {
            self.view.sitter: f'<div class="lv-trio">{heads}</div>',
            self.view.clear: gr.update(visible=bool(self._kept(session).people)),
            self.view.photo: gr.update(choices=choices, value=0, visible=len(people) > 1),
        }

    def _blank(self) -> Updates:
        view, hidden = self.view, gr.update(visible=False)
        folds = dict.fromkeys((view.tools, view.plot_fold, view.step_box, view.export), hidden)
        return {view.verdict: "", view.board: "", view.sent: "", view.plot: None, **folds}

    def _busy(self, busy: bool) -> Updates:
        return {self.view.compare: gr.update(interactive=not busy), self.view.cancel: gr.update(interactive=busy)}

    def _names(self, kept: Comparing, blind: bool) -> dict[str, str] | None:
        return board.letters(kept.lines, len(kept.cells)) if blind else None

    def _board(self, kept: Comparing, blind: bool) -> str:
        return board.board(kept.lines, kept.photo, kept.by, self._names(kept, blind))

    def _hung(self, kept: Comparing, blind: bool, natural: str) -> Updates:
        """The board and the plot as far as they are."""
        view, shown, names = self.view, kept.lines, self._names(kept, blind)
        swept = [line for line in shown if line.entry in kept.sweep]
        last = max(2, len(swept))
        return {
            view.verdict: f'<p class="lv-verdict">{escape(verdict(shown))}</p>' if not blind else "",
            view.tools: gr.update(visible=True),
            view.board: self._board(kept, blind),
            view.plot_fold: gr.update(visible=len(shown) > 1),
            view.plot: tradeoff(shown, natural, names) if len(shown) > 1 else None,
            view.step_box: gr.update(visible=len(swept) > 1 and not blind),
            view.export: gr.update(visible=kept.packed and not blind),
            view.step: gr.update(maximum=last),
            view.step_view: board.step(swept[0], kept.photo) if swept else "",
        }

    def _packed(self, session: Session, kept: Comparing) -> Updates:
        """The files and tables of what is done; nothing where no line worked."""
        view, shown = self.view, kept.lines
        if not any(cell.result for cell in kept.cells):
            return {view.export: gr.update(visible=False)}
        files, kept.packed = drawn(shown, kept.photo), True
        return {
            view.export: gr.update(visible=True),
            view.pack: session.write("larvatus-compare.zip", archive(shown, files)),
            view.png: session.write("larvatus-compare.png", files["png"]),
            view.pdf: session.write("larvatus-compare.pdf", files["pdf"]),
            view.latex: tables.latex(shown),
            view.markdown: tables.markdown(shown),
            view.study: gr.update(visible=to_study.offered()),
        }


def under_way(item: Working) -> str:
    """The bar over the whole comparison."""
    inner: Progress = item.progress
    share = 100 * (item.done + inner.step / max(1, inner.steps)) / item.all
    text = f"{item.entry.title}: line {item.done + 1} of {item.all}."
    return (
        f'<div role="status">{escape(text)}</div><div class="lv-bar" role="progressbar" '
        f'aria-valuenow="{share:.0f}" aria-valuemax="100"><i style="width:{share:.0f}%"></i></div>'
    )


def verdict(shown: list[Line]) -> str:
    """Who hides best and who changes least, in a sentence."""
    hides = [line for line in shown if "judge cosine" in line.figures]
    if len(hides) < 2:
        return "The board is forming."
    best = min(hides, key=lambda line: line.figures["judge cosine"])
    least = max(hides, key=lambda line: line.figures["SSIM"])
    if best is least:
        return f"By the held-out judges {best.entry.title} hides best, and it changes least, of {len(hides)} lines."
    return (
        f"By the held-out judges {best.entry.title} hides best (cosine {best.figures['judge cosine']:.2f}); "
        f"{least.entry.title} changes least (SSIM {least.figures['SSIM']:.2f})."
    )
