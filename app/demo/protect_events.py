"""The run on the Protect tab: press, progress, result, cancel; and the first screen's example."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from html import escape
from typing import Any

import gradio as gr

from app import gallery, to_study
from app.demo import example as examples
from app.demo import faces, photo_box, scoreboard, shown
from app.demo.controls import Controls
from app.demo.example import Example
from app.demo.panel import PanelView
from app.demo.photo_events import picture, strip
from app.demo.protect import View
from app.demo.session import Desk, Session
from app.demo.setting_events import registered
from app.errors import sentence
from app.jobs import protect
from app.making import Request
from app.panel import Panel, PanelError, obstacle
from app.report import Result
from app.runtime import Runtime
from app.scoring import JobError
from app.study.errors import StudyError
from app.watermarks import watermark_of
from engines.methods import METHODS

NARROW = 760  # px: below this the page is one column, and details are folded
ABOVE = (
    f'<p class="lv-caption">Example: {escape(examples.SITTER)}, made to look like '
    f"{escape(examples.TARGETS[0])} to recognisers.</p>"
)
ODD = "The seed, the rate or the quality is no number: choose them again under “Stricter test, file format, seed”."
NO_FACE = "There is no face to protect yet: put in a photo, or click two opposite corners of the face in it."


class RunEvents:
    """The handlers of Protect and Cancel, and of a page that opens."""

    def __init__(
        self,
        runtime: Runtime,
        view: View,
        panel: PanelView,
        controls: Controls,
        desk: Desk,
        example: Example | None,
    ):
        self.runtime, self.view, self.panel, self.controls = runtime, view, panel, controls
        self.desk, self.example = desk, example

    def begin(self, request: gr.Request) -> shown.Updates:
        """The press of Protect, before any waiting."""
        session = self.desk.of(request)
        session.begin()
        return shown.waiting(self.view, self.desk.queue_up(session))

    def run(self, given: dict[Any, Any], request: gr.Request) -> Iterator[shown.Updates]:
        """The job: updates for each step, and the result."""
        session = self.desk.of(request)
        stop = session.stop
        try:
            job = self.request(session, given)
            with closing(protect(self.runtime, job, stop.is_set)) as work:
                for item in work:
                    if stop.is_set():
                        break
                    if isinstance(item, Result):
                        session.shown = shown.finished(self.view, session, item, job.person)
                        yield {**session.shown, **shown.idle(self.view, scoreboard.said("Done."))}
                        return
                    yield shown.live(self.view, session, item)
            end = scoreboard.said(shown.stopped(session))
        except Exception as error:
            end = scoreboard.alert(sentence(error))
        finally:
            self.desk.step_out(session)
        yield {**session.shown, **shown.idle(self.view, end)}

    def cancel(self, request: gr.Request) -> shown.Updates:
        """Throw the switch, and show what was there before the run."""
        session = self.desk.of(request)
        session.stop.set()
        self.desk.step_out(session)
        return {**session.shown, **shown.idle(self.view, scoreboard.said(shown.stopped(session)))}

    def request(self, session: Session, given: dict[Any, Any]) -> Request:
        """What the page asks for, as a job. Raises JobError where no face is chosen, PanelError for a bad panel."""
        view = self.view
        person = session.sitter and session.sitter.person
        if person is None:
            raise JobError(NO_FACE)
        method = given[view.method]
        panel = Panel(tuple(given[self.panel.attacked]), tuple(given[self.panel.held_out]))
        if problem := obstacle(self.runtime, panel, method):
            raise PanelError(problem)
        if "message" in METHODS[method].needs:
            registered(session.identities, given[view.identity], given[view.key])
        try:
            seed, far, quality = int(given[view.seed] or 0), float(given[view.far]), int(given[view.quality])
        except (TypeError, ValueError, OverflowError):
            raise JobError(ODD) from None
        params = self.controls.read(method, tuple(given[part] for part in self.controls.components))
        carries = "watermark" in METHODS[method].needs
        session.words = given[view.words] if carries else ""
        takes_targets = "targets" in METHODS[method].needs
        built_in = tuple(gallery.person(self.runtime, name) for name in given[view.targets] if takes_targets)
        return Request(
            person,
            method,
            params,
            (*built_in, *(session.extras if takes_targets else ())),
            session.reference,
            panel,
            seed=seed,
            far=far,
            format=given[view.format],
            quality=quality,
            identity=given[view.identity],
            key=given[view.key],
            identities=session.identities,
            watermark=watermark_of(given[view.words], session.mark) if carries else None,
        )

    def open(self, width: float, request: gr.Request) -> shown.Updates:
        """A page opens: fold the details on a phone, show the built-in faces, and the example if ready."""
        view, unfolded = self.view, (width or NARROW) >= NARROW
        folds = (
            view.settings,
            view.target_fold,
            view.board_fold,
            view.curves_fold,
            view.survival_fold,
            view.cams_fold,
        )
        out: shown.Updates = {fold: gr.update(open=unfolded) for fold in folds}
        out[view.target_strip] = strip([(name, gallery.head(name)) for name in gallery.NAMES])
        out[view.ways] = photo_box.ways()
        return out | {view.timer: gr.update(active=self.example is not None)} | self.welcome(request)

    def welcome(self, request: gr.Request) -> shown.Updates:
        """The example as far as it is; nothing for a visitor who has put in a photo of their own."""
        view, session, example = self.view, self.desk.of(request), self.example
        if session.sitter is not None:
            return {view.timer: gr.update(active=False)}
        if example is None or example.failed:
            session.shown = shown.blank(view, shown.WELCOME)
            return {**session.shown, view.timer: gr.update(active=False)}
        if example.result is None or example.person is None:
            step = scoreboard.progress(example.progress) if example.progress else ""
            return {view.verdict: f'<p class="lv-verdict">Preparing an example.</p>{step}'}
        session.sitter = faces.from_person(example.person)
        session.shown = shown.finished(view, session, example.result, example.person, ABOVE)
        return {
            **session.shown,
            **picture(view, session, gallery.CREDITS[examples.SITTER] + "."),
            view.timer: gr.update(active=False),
        }

    def send_to_study(self, request: gr.Request) -> str:
        """The last result goes to the study workbench; what to do there."""
        made = self.desk.of(request).made
        try:
            return to_study.send(made) if made else "There is no result yet: press Protect first."
        except StudyError as error:
            return str(error)

    def leave(self, request: gr.Request) -> None:
        """The tab was closed."""
        self.desk.leave(request)
