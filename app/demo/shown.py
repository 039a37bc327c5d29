"""The right side of the Protect tab as {component: update}: empty, at work, finished, stopped."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app import plots, to_study
from app.demo import eraser, forge, hidden, marks, scoreboard, wall
from app.demo.protect import View
from app.demo.session import FACE, Session
from app.report import Progress, Result
from app.scoring import Person

Updates = dict[Any, Any]
READY = '<p class="lv-verdict">Press Protect to see what recognisers make of this photo.</p>'
WELCOME = '<p class="lv-verdict">Put in a photo, and see whether recognisers still know the face.</p>'
LATER = '<p class="lv-caption">Follows when the exported file has been scored.</p>'
AT_WORK = (
    '<p class="lv-verdict">The mask is forming.</p><p class="lv-caption">'
    "The verdict follows when the exported file has been scored.</p>"
)


def blank(view: View, words: str) -> Updates:
    """No result yet, and what to do about it."""
    hidden = gr.update(visible=False)
    return {
        view.verdict: words,
        view.view: gr.update(value=FACE, visible=False),
        **_no_details(view),
        view.slider: gr.update(value=None, visible=False),
        view.curves: None,
        view.save: hidden,
        view.details: hidden,
    }


def _no_details(view: View) -> Updates:
    off = gr.update(interactive=False)
    return {
        view.board: LATER,
        view.survival: "",
        view.cams: "",
        view.provenance: "",
        view.mark_fold: gr.update(visible=False),
        view.to_authority: gr.update(visible=False),
        view.to_eraser: gr.update(visible=False),
        view.to_forge: gr.update(visible=False),
        view.to_study: gr.update(visible=False),
        view.sent: "",
        view.wall_fold: gr.update(visible=False),
        view.hidden_fold: gr.update(visible=False),
        view.download: off,
        view.settings_file: off,
    }


def idle(view: View, status: str) -> Updates:
    """The buttons when nothing runs, and the line below them."""
    return {
        view.protect: gr.update(interactive=True),
        view.cancel: gr.update(interactive=False),
        view.status: status,
    }


def waiting(view: View, ahead: int = 0) -> Updates:
    """The buttons from the press of Protect on, and how many runs are `ahead` of it."""
    runs = "1 run is" if ahead == 1 else f"{ahead} runs are"
    line = f"Waiting for a free place: {runs} before yours." if ahead else "Starting."
    return {
        view.protect: gr.update(interactive=False),
        view.cancel: gr.update(interactive=True),
        view.status: scoreboard.said(line),
    }


def live(view: View, session: Session, item: Progress) -> Updates:
    """A job under way: the bar, and where there is a new picture that and the curves."""
    session.step, session.steps = item.step, item.steps
    out: Updates = {view.status: scoreboard.progress(item)}
    if item.preview is None:
        return out
    if len(item.curves) == 1:
        session.views = {FACE: (session.save(item.before), "")}
        out |= {
            view.verdict: AT_WORK,
            view.view: gr.update(value=FACE, visible=False),
            **_no_details(view),
            view.details: gr.update(visible=True),
        }
    before = session.views[FACE][0]
    session.views[FACE] = (before, session.save(item.preview))
    slider = gr.update(value=session.views[FACE], visible=True)
    return out | {
        view.slider: slider,
        view.curves: plots.score_curves(item.curves, item.panel, item.steps),
    }


def finished(view: View, session: Session, result: Result, person: Person, above: str = "") -> Updates:
    """What was made of a person, in every place that shows it; `above` is HTML over the verdict."""
    file, settings = session.keep(result, person)
    shown = gr.update(visible=True)
    return {
        view.verdict: above + scoreboard.verdict(result),
        view.view: gr.update(value=FACE, visible=True),
        view.slider: gr.update(value=session.views[FACE], visible=True),
        view.save: shown,
        view.details: shown,
        view.board: scoreboard.board(result),
        view.curves: plots.score_curves(result.curves, result.scores),
        view.curves_fold: gr.update(visible=len(result.curves) > 1),
        view.survival: scoreboard.tiles(result.survival),
        view.mark: marks.reading(result.mark) if result.mark else "",
        view.mark_fold: gr.update(visible=result.mark is not None),
        view.to_authority: gr.update(visible=result.mark is not None),
        view.to_eraser: gr.update(visible=session.made is not None and session.made.method in eraser.erasers()),
        view.to_forge: gr.update(visible=forge.offered()),
        view.to_study: gr.update(visible=to_study.offered()),
        view.sent: "",
        view.wall: wall.tiles(result.wall.tiles) if result.wall else "",
        view.wall_fold: gr.update(visible=result.wall is not None),
        view.hidden: hidden.pictures(result.hidden) if result.hidden else "",
        view.hidden_fold: gr.update(visible=result.hidden is not None),
        view.cams: scoreboard.cams(result.cams),
        view.provenance: scoreboard.provenance(result),
        view.download: gr.update(
            value=file,
            label=f"Download {'JPEG' if result.name.endswith('.jpg') else 'PNG'}",
            interactive=True,
        ),
        view.settings_file: gr.update(value=settings, interactive=True),
    }


def stopped(session: Session) -> str:
    """What Cancel says."""
    if not session.step:
        return "Stopped before it began. Nothing was exported."
    return f"Stopped at step {session.step} of {session.steps}. Nothing was exported."
