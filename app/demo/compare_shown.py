"""What the Compare tab shows of a comparison: the board as it grows, its figures, what is taken along."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import gradio as gr

from app import to_study
from app.compare import tables
from app.compare.archive import archive
from app.compare.entries import Entry
from app.compare.figure import drawn, look
from app.compare.job import Cell, Comparison, Line, Working, lines
from app.compare.link import Link
from app.compare.tradeoff import tradeoff
from app.demo import board, scoreboard
from app.demo.compare import CompareView
from app.demo.session import Session
from app.pictures import head_window, window_of
from app.report import Progress
from app.scoring import Person

Updates = dict[Any, Any]


@dataclass
class Comparing:
    """What one visitor's tab holds: their photos, the board as far as it is, and what stops the work."""

    own: tuple[Person, ...] = ()  # photos put in here
    blind: bool = False
    natural: str = Link.natural
    linked: bool = False  # whether the page's link has been followed
    job: Comparison | None = None  # with the photos that it is about
    sweep: tuple[Entry, ...] = ()
    link: Link | None = None
    letters: dict[str, str] = field(default_factory=dict)  # by title, for a blind board
    begun: bool = False
    cells: list[Cell] = field(default_factory=list)
    by: str | None = None
    photo: int = 0
    step: int = 1
    packed: bool = False  # whether there is something to take along
    stop: threading.Event = field(default_factory=threading.Event)

    def next(self, **changes: Any) -> Comparing:
        """Another one, looked at in the same way; this one stops."""
        self.stop.set()
        kept = {"own": self.own, "blind": self.blind, "natural": self.natural, "linked": self.linked}
        return Comparing(**(kept | changes))

    @property
    def names(self) -> dict[str, str] | None:
        """What stands for the entries' names, where they are hidden."""
        return self.letters if self.blind else None

    @property
    def lines(self) -> list[Line]:
        """The board."""
        return lines(self.job.entries, self.cells) if self.job else []

    @property
    def steps(self) -> list[Line]:
        """The lines of the sweep, from the lowest value to the highest."""
        there = {line.entry.key: line for line in self.lines}
        return [there[entry.key] for entry in self.sweep if entry.key in there]


def sitters(view: CompareView, kept: Comparing, people: Sequence[Person]) -> Updates:
    """Whose photos are compared, and a choice among them."""
    heads = "".join(
        f"<figure>{scoreboard.picture(window_of(p.photo.pixels, head_window(p)), 110, f'Photo {i + 1}')}</figure>"
        for i, p in enumerate(people)
    )
    choices = [(f"Photo {i + 1}", i) for i in range(len(people))]
    return {
        view.sitter: f'<div class="lv-trio">{heads}</div>',
        view.clear: gr.update(visible=bool(kept.own)),
        view.photo: gr.update(choices=choices, value=kept.photo, visible=len(people) > 1),
    }


def blank(view: CompareView) -> Updates:
    """No board yet."""
    folds = dict.fromkeys((view.tools, view.plot_fold, view.step_box, view.export), gr.update(visible=False))
    empty = dict.fromkeys((view.verdict, view.board, view.sent, view.step_view), "")
    return {**empty, **folds, view.plot: None, view.step: gr.update(value=1, maximum=2)}


def busy(view: CompareView, busy: bool) -> Updates:
    """The buttons during a comparison, and after it."""
    return {view.compare: gr.update(interactive=not busy), view.cancel: gr.update(interactive=busy)}


def hung(view: CompareView, kept: Comparing) -> Updates:
    """The board and the plot as far as they are."""
    shown, steps = kept.lines, kept.steps
    several = len(shown) > 1
    return {
        view.verdict: "" if kept.blind else f'<p class="lv-verdict">{escape(verdict(shown))}</p>',
        view.tools: gr.update(visible=True),
        view.board: board.board(shown, kept.photo, kept.by, kept.names),
        view.plot_fold: gr.update(visible=several),
        view.plot: tradeoff(shown, kept.natural, kept.names) if several else None,
        view.step_box: gr.update(visible=len(steps) > 1 and not kept.blind),
        view.step: gr.update(maximum=max(2, len(steps)), value=min(kept.step, max(1, len(steps)))),
        view.step_view: step(kept),
        view.export: gr.update(visible=kept.packed and not kept.blind),
    }


def step(kept: Comparing) -> str:
    """The step of the sweep that is looked at; no name of a blind board."""
    steps = kept.steps
    if not steps or kept.blind:
        return ""
    return board.step(steps[min(kept.step, len(steps)) - 1], kept.photo, look(steps, kept.photo))


def packed(view: CompareView, session: Session, kept: Comparing) -> Updates:
    """The files and tables of what is done; nothing where no line worked."""
    shown = kept.lines
    if not any(cell.result for cell in kept.cells):
        return {view.export: gr.update(visible=False)}
    kept.packed = True
    return {
        view.export: gr.update(visible=not kept.blind),
        view.pack: session.write("larvatus-compare.zip", archive(shown, kept.natural)),
        **figures(view, session, kept),
        view.latex: tables.latex(shown),
        view.markdown: tables.markdown(shown),
        view.study: gr.update(visible=to_study.offered()),
    }


def figures(view: CompareView, session: Session, kept: Comparing) -> Updates:
    """The figure's files, of the photo that is looked at."""
    files = drawn(kept.lines, kept.photo)
    parts = {"png": view.png, "pdf": view.pdf}
    return {parts[format]: session.write(f"larvatus-compare.{format}", data) for format, data in files.items()}


def under_way(item: Working, blind: bool) -> str:
    """The bar over the whole comparison; on a blind one without the name of what is at work."""
    inner: Progress = item.progress
    share = 100 * (item.done + inner.step / max(1, inner.steps)) / item.all
    line = f"line {item.done + 1} of {item.all}."
    text = line.capitalize() if blind else f"{item.entry.title}: {line}"
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
