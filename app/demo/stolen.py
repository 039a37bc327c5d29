"""Authority, "A stolen model": imitators of IPMN at work, and what is read of the watermark in what they draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from html import escape
from typing import Any

import gradio as gr

from app import gallery, stolen
from app.demo import scoreboard
from app.demo.photo_box import dropzone
from app.demo.protect import CONSENT
from app.demo.session import taken
from app.errors import sentence
from app.runtime import Runtime
from app.scoring import Person, find_person
from app.stolen import Stolen
from engines.marks import NC

INTRO = (
    "Somebody buys the service, asks it for pictures, and trains a network of their own to draw the same. "
    "By the paper their network learns the watermark on the way. Press the button and see whether these did."
)
NOTE = f"NC: normalised correlation with the watermark of the service that was stolen; above {NC} it counts as read."


@dataclass
class StolenView:
    """Every component that an event reads or writes."""

    drop: Any
    replacing: Any
    draw: Any
    status: Any
    rows: Any

    @property
    def everything(self) -> list[Any]:
        """All of them, for handlers that may change anything."""
        return [getattr(self, item.name) for item in fields(self)]


def draw() -> StolenView:
    """Lay it out: whose face and which other one on the left, the imitators' pictures on the right."""
    found: dict[str, Any] = {}
    with gr.Row(elem_id="lv-stolen", elem_classes="lv-two-columns", equal_height=False):
        with gr.Column(scale=5, elem_classes="lv-inputs"):
            gr.HTML("Without a photo of your own, the example's is used.", elem_classes="lv-quiet")
            found["drop"] = dropzone("Photo", "lv-stolen-drop")
            found["replacing"] = gr.Radio(
                list(gallery.NAMES), value=gallery.HOPPER, label="Face to put on", elem_id="lv-stolen-face"
            )
            gr.HTML(CONSENT, elem_classes="lv-quiet")
            found["draw"] = gr.Button("Let the imitators draw", variant="primary", elem_id="lv-stolen-draw")
            found["status"] = gr.HTML(elem_classes="lv-status", elem_id="lv-stolen-status", padding=False)
        with gr.Column(scale=9, elem_classes="lv-outputs"):
            found["rows"] = gr.HTML(f'<p class="lv-verdict">{INTRO}</p>', elem_id="lv-stolen-rows")
    return StolenView(**found)


class StolenEvents:
    """The handlers."""

    def __init__(self, runtime: Runtime, view: StolenView):
        self.runtime, self.view = runtime, view

    def take(self, path: str | None, face: str) -> dict[Any, Any]:
        """A photo of the visitor's own."""
        if path is None:
            return {self.view.status: gr.skip()}
        data = taken(path)
        return {self.view.drop: None, **self._drawn(lambda: find_person(self.runtime, "the photo", data), face)}

    def example(self, face: str) -> dict[Any, Any]:
        """The example's face, or where that one is to be put on another built-in one."""
        name = next(name for name in (gallery.COLLINS, gallery.HOPPER) if name != face)
        return self._drawn(lambda: gallery.person(self.runtime, name), face)

    def _drawn(self, person: Any, face: str) -> dict[Any, Any]:
        try:
            who: Person = person()
            rows = stolen.demonstrate(self.runtime, who, gallery.person(self.runtime, face))
        except Exception as error:
            return {self.view.status: scoreboard.alert(sentence(error))}
        return {self.view.status: "", self.view.rows: shown(rows)}


def verdict(rows: Sequence[Stolen]) -> str:
    """What the watermark says of them."""
    imitators = [row for row in rows if row.expected is not None]
    given_away = sum(bool(row.carried.extracted) for row in imitators)
    clean = sum(row.carried.blank for row in rows if row.expected is None)
    said = (
        f"The watermark gives {given_away} of {len(imitators)} imitators away; "
        f"{clean} of {len(rows) - len(imitators)} pictures that nobody marked read as blank."
    )
    return " ".join((said, *{row.note for row in rows if row.note}))


def shown(rows: Sequence[Stolen]) -> str:
    """A row a picture: the face, what is read in it, what should be."""
    lines = "".join(
        f'<tr><th scope="row">{escape(row.drawn_by)}</th>'
        f"<td>{scoreboard.picture(row.picture, 128, row.drawn_by)}</td>"
        f"<td>{scoreboard.picture(row.carried.found, 128, 'What is read')}<small>{escape(_words(row))}</small></td>"
        f"<td>{_expected(row)}</td></tr>"
        for row in rows
    )
    head = "<th></th><th>Picture</th><th>What is read in it</th><th>Watermark of the stolen service</th>"
    return (
        f'<p class="lv-verdict">{escape(verdict(rows))}</p><table class="lv-table lv-stolen">'
        f'<thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table><p class="lv-caption">{NOTE}</p>'
    )


def _words(row: Stolen) -> str:
    return ("nothing" if row.carried.blank else "a watermark") if row.expected is None else row.carried.words


def _expected(row: Stolen) -> str:
    return "none" if row.expected is None else scoreboard.picture(row.expected, 128, "The service's watermark")
