"""The Forge tab: what is where. What happens is in forge_events.py, what it looks like in wall.py."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import gradio as gr

from app.demo import wall
from app.demo.controls import component
from app.demo.photo_box import comparison, dropzone
from app.forge import ALL_EDITS, USUAL
from engines import manipulate
from engines.methods import METHODS

HERE, SENT = "made here", "sent from Protect"
CONSENT = (
    "A forgery shows somebody as they never were. Forge your own face, or one whose owner has agreed, and do not "
    "pass the pictures off as real: each carries a label."
)
ENLARGE = (
    "element.addEventListener('click', event => {"
    " const tile = event.target.closest('[data-forger]');"
    " if (tile) trigger('click', {forger: tile.dataset.forger}); })"
)
SCROLL = "() => document.querySelector('#lv-closer').scrollIntoView({behavior: 'smooth', block: 'nearest'})"


def guards() -> tuple[str, ...]:
    """Ids of the methods that work against forgers."""
    return tuple(id for id, method in METHODS.items() if getattr(method, "disrupts", False))


def offered() -> bool:
    """Whether there is a tab at all: a trained forger to forge."""
    return bool(manipulate.available())


@dataclass
class ForgeView:
    """Every component of the tab that an event reads or writes."""

    sitter: Any
    drop: Any
    source: Any
    edit: Any
    knobs_fold: Any
    knobs: dict[str, Any]
    forge: Any
    cancel: Any
    status: Any
    verdict: Any
    faces: Any
    wall: Any
    closer: Any
    closer_line: Any
    slider: Any
    save: Any
    download: Any
    download_file: Any
    provenance: Any

    @property
    def everything(self) -> list[Any]:
        """All of them, for handlers that may change anything."""
        return [getattr(self, item.name) for item in fields(self) if item.name != "knobs"]

    @property
    def inputs(self) -> list[Any]:
        """What a wall is made of: the edit, the protection and its settings."""
        return [self.edit, self.source, *self.knobs.values()]


def draw() -> ForgeView:
    """Lay the tab out: the photo and its protection on the left, the wall on the right."""
    found: dict[str, Any] = {}
    with gr.Row(elem_id="lv-forge", elem_classes="lv-two-columns", equal_height=False):
        with gr.Column(scale=5, elem_classes="lv-inputs"):
            _inputs(found)
        with gr.Column(scale=9, elem_classes="lv-outputs"):
            _outputs(found)
    return ForgeView(**found)


def _inputs(found: dict[str, Any]) -> None:
    found["sitter"] = gr.HTML(elem_id="lv-forge-sitter")
    made_here = guards()
    found["drop"] = dropzone("Photo", "lv-forge-drop", visible=bool(made_here))
    gr.HTML(CONSENT, elem_classes="lv-quiet")
    found["edit"] = gr.Radio(
        list(ALL_EDITS), value=USUAL, label="Forge", elem_id="lv-edit", info="What forgers change."
    )
    found["source"] = gr.Radio(
        [(f"{METHODS[id].title}, {HERE}", id) for id in made_here],
        value=made_here[0] if made_here else None,
        label="Protected by",
        elem_id="lv-forge-source",
        visible=False,
    )
    with gr.Column() as found["knobs_fold"]:
        knobs = METHODS[made_here[0]].Params.knobs() if made_here else ()
        found["knobs"] = {knob.name: component(knob) for knob in knobs if not knob.advanced}
    with gr.Column(elem_classes="lv-action"):
        with gr.Row():
            found["forge"] = gr.Button("Forge", variant="primary", scale=3, elem_id="lv-forge-button")
            found["cancel"] = gr.Button("Cancel", scale=1, interactive=False, min_width=90, elem_id="lv-forge-cancel")
        found["status"] = gr.HTML(elem_classes="lv-status", elem_id="lv-forge-status", padding=False)


def _outputs(found: dict[str, Any]) -> None:
    found["verdict"] = gr.HTML(f'<p class="lv-verdict">{wall.INTRO}</p>', elem_id="lv-forge-verdict")
    found["faces"] = gr.HTML(elem_id="lv-forge-faces")
    found["wall"] = gr.HTML(elem_id="lv-wall", js_on_load=ENLARGE)
    with gr.Column(visible=False, elem_id="lv-closer") as found["closer"]:
        found["closer_line"] = gr.HTML(elem_id="lv-closer-line")
        found["slider"] = comparison("lv-closer-slider")
    with gr.Row(visible=False) as found["save"]:
        found["download"] = gr.DownloadButton("Download the wall", size="md", elem_id="lv-wall-download")
        found["download_file"] = gr.DownloadButton("Download the protected photo", size="md", elem_id="lv-forge-file")
    found["provenance"] = gr.HTML(elem_id="lv-forge-provenance")
