"""Adding a recogniser from the Hub: what it is before anything is fetched, a bar, a cancel.

The panel's drawer and the Models tab show it, each with a box of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from app.demo import scoreboard
from app.demo.session import Desk
from app.demo.shown import Updates
from app.errors import sentence
from app.runtime import REMOTE, Runtime
from engines.checkpoints import Checkpoint, CheckpointError, here

NOTHING = "Everything on the list is already on this computer."
STOPPED = "Stopped. What came is kept: press Download to go on from there."
ENDED = "Stopped. FRBench starts afresh when you press Download again."


@dataclass
class Box:
    """The components of one place where a recogniser can be added."""

    name: str
    choice: Any
    facts: Any
    download: Any
    cancel: Any
    status: Any

    @property
    def everything(self) -> list[Any]:
        """All that an event may change."""
        return [self.choice, self.facts, self.download, self.cancel, self.status]


def draw(runtime: Runtime, name: str) -> Box:
    """Lay a box out."""
    choices = elsewhere(runtime.cards)
    choice = gr.Dropdown(
        choices, value=None, label="Recogniser to add", info=said(choices), elem_id=f"lv-{name}-choice"
    )
    facts = gr.HTML(elem_id=f"lv-{name}-facts", padding=False)
    with gr.Row():
        download = gr.Button("Download", size="md", visible=False, scale=2, elem_id=f"lv-{name}-download")
        cancel = gr.Button("Cancel", size="md", visible=False, scale=1, min_width=90, elem_id=f"lv-{name}-cancel")
    status = gr.HTML(elem_classes="lv-status", elem_id=f"lv-{name}-status", padding=False)
    return Box(name, choice, facts, download, cancel, status)


def elsewhere(known: Mapping[str, Checkpoint]) -> list[tuple[str, str]]:
    """Title and id of every recogniser that can be fetched and is not here."""
    remote = (card for card in known.values() if card.kind == "recogniser" and card.source in REMOTE)
    return [(card.title, card.id) for card in remote if card.state == "trained" and not here(card)]


def said(choices: list[tuple[str, str]]) -> str:
    """The line above the list."""
    return "Nothing is fetched before you press Download." if choices else NOTHING


def size(card: Checkpoint) -> str:
    """How much there is to fetch."""
    return f"{card.bytes / 1e6:.1f} MB" if card.bytes else card.about or "size not known beforehand"


def facts(card: Checkpoint) -> str:
    """What a person should know before a download, as HTML."""
    check = "FRBench compares what comes with its own list of SHA-256"
    if card.sha256:
        check = f"SHA-256 pinned: {card.sha256[:16]}…"
    elif card.source == "hub":
        check = "SHA-256 not known beforehand: the Hub's is locked at the first download, and checked ever after"
    limits = ", ".join(f"{limit:.2f} at {scoreboard.percent(far)}" for far, limit in card.thresholds.items())
    lines = {
        "Size": size(card),
        "Licence": card.licence,
        "Trained on": card.trained_on,
        "From": f"{card.repo}, {'revision' if card.source == 'hub' else 'release'} {card.revision[:12]}",
        "Check": check,
        "Threshold": f"{limits} false matches ({card.threshold_data})"
        if limits
        else "none yet: likeness, no verdict",
        "Network": card.paper,
    }
    rows = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in lines.items() if text)
    return f'<dl class="lv-facts">{rows}</dl>'


def stopped(card: Checkpoint | None) -> str:
    """What Cancel says, and does."""
    return ENDED if card and card.source == "frbench" else STOPPED


class Stopped(CheckpointError):
    """Cancel was pressed. Raised where the bytes are counted, so that the download ends and its part is kept."""


class Pull(threading.Thread):
    """One download in a thread of its own."""

    def __init__(self, runtime: Runtime, card: Checkpoint, stop: threading.Event):
        super().__init__(daemon=True)
        self.runtime, self.card, self.stop = runtime, card, stop
        self.start_time, self.first = time.monotonic(), 0
        self.done, self.total = 0, None  # type: int, int | None
        self.error: Exception | None = None

    def run(self) -> None:
        """Fetch; the error is kept for whoever watches."""
        try:
            self.runtime.pull(self.card.id, self._heard)
        except Exception as error:
            self.error = error

    def _heard(self, done: int, total: int | None) -> None:
        if self.stop.is_set():
            raise Stopped("stopped")
        if not self.done:
            self.start_time, self.first = time.monotonic(), done
        self.done, self.total = done, total

    @property
    def bar(self) -> str:
        """Where it is, as HTML."""
        seconds, title = time.monotonic() - self.start_time, self.card.title
        if not self.done:
            return _bar(f"Asking for {title}: {seconds:.0f} s.", 0, None)
        if self.total is None:
            return _bar(f"{title}: {self.done / 1e6:.1f} MB so far.", 0, None)
        if self.done >= self.total:
            return _bar(f"{title}: checking what came.", self.done, self.total)
        pace = (self.done - self.first) / max(seconds, 1e-3)
        left = f", {max(1, round((self.total - self.done) / pace))} s left" if pace and seconds > 1 else ""
        return _bar(f"{title}: {self.done / 1e6:.1f} of {self.total / 1e6:.1f} MB{left}.", self.done, self.total)


def _bar(text: str, done: int, total: int | None) -> str:
    share = 100 * done / total if total else 0
    return (
        f'<div role="status">{escape(text)}</div><div class="lv-bar" role="progressbar" aria-valuemin="0" '
        f'aria-valuemax="100" aria-valuenow="{share:.0f}"><i style="width:{share:.0f}%"></i></div>'
    )


class PullEvents:
    """The handlers of one box."""

    def __init__(self, runtime: Runtime, box: Box, desk: Desk):
        self.runtime, self.box, self.desk = runtime, box, desk

    def choose(self, id: str | None) -> Updates:
        """Another recogniser on the list: what it is, and the button that fetches it."""
        box, card = self.box, self.runtime.cards.get(id or "")
        label = f"Download {size(card)}" if card and (card.bytes or card.about) else "Download"
        return {
            box.facts: facts(card) if card else "",
            box.download: gr.update(value=label, visible=card is not None),
            box.status: "",
        }

    def begin(self, request: gr.Request) -> Updates:
        """The press of Download, before any waiting."""
        self.desk.of(request).pulls[self.box.name] = threading.Event()
        return {
            self.box.choice: gr.update(interactive=False),
            self.box.download: gr.update(interactive=False),
            self.box.cancel: gr.update(visible=True),
            self.box.status: scoreboard.said("Starting."),
        }

    def run(self, id: str | None, request: gr.Request) -> Iterator[Updates]:
        """The download: the bar as it goes, and what came of it, also when it is stopped: a bar that was on its way
        when Cancel spoke would else stay."""
        pulls = self.desk.of(request).pulls
        stop = pulls.setdefault(self.box.name, threading.Event())
        card, told = self.runtime.cards.get(id or ""), ""
        if card is None:
            yield self._idle(scoreboard.alert("Choose a recogniser first."))
            return
        pull = Pull(self.runtime, card, stop)
        try:
            if not stop.is_set():
                pull.start()
            while pull.is_alive() and not stop.is_set():
                if pull.bar != told:
                    told = pull.bar
                    yield {self.box.status: told}
                pull.join(0.2)
            if not stop.is_set():
                yield self._end(pull)
            elif pulls.get(self.box.name) is stop:  # Download was not pressed again meanwhile
                yield self._idle(scoreboard.said(stopped(card)))
        finally:
            stop.set()  # a tab that closes takes its download with it

    def _end(self, pull: Pull) -> Updates:
        card, box = pull.card, self.box
        if pull.error:
            return self._idle(scoreboard.alert(sentence(pull.error)))
        choices = elsewhere(self.runtime.cards)
        done = f"{card.title} is here now, and off: switch it on in the panel."
        return {
            **self._idle(scoreboard.said(done)),
            box.choice: gr.update(choices=choices, value=None, info=said(choices), interactive=True),
            box.facts: "",
            box.download: gr.update(visible=False, interactive=True),
        }

    def cancel(self, id: str | None, request: gr.Request) -> Updates:
        """Throw the switch."""
        self.desk.of(request).pulls.setdefault(self.box.name, threading.Event()).set()
        return self._idle(scoreboard.said(stopped(self.runtime.cards.get(id or ""))))

    def _idle(self, status: str) -> Updates:
        return {
            self.box.choice: gr.update(interactive=True),
            self.box.download: gr.update(interactive=True),
            self.box.cancel: gr.update(visible=False),
            self.box.status: status,
        }
