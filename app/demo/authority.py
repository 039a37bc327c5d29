"""The Authority tab: what is where. What happens is in authority_events.py."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import gradio as gr

from app.channel import CHANGES
from app.demo.photo_box import dropzone
from app.reveal import DEFAULT_KEY

INTRO = (
    "A protected photo carries a number that only its key reads. Drop any photo here: one that you found, one of "
    "your own, or send one over from Protect."
)
REGISTRY = (
    "Who is behind which number. This registry lives for this visit only, unless whoever runs this app keeps one. A "
    "name registered as “verify only” is kept as a hash, which can check a claim but cannot say the name."
)


@dataclass
class AuthorityView:
    """Every component of the tab that an event reads or writes."""

    drop: Any
    key: Any
    claim: Any
    again: Any
    control: Any
    status: Any
    name: Any
    verify_only: Any
    register: Any
    look_up: Any
    delete: Any
    registry_line: Any
    registry: Any
    verdict: Any
    photo: Any
    marks: Any
    channel_fold: Any
    change: Any
    sliders: dict[str, Any]
    left: Any
    curve: Any

    @property
    def everything(self) -> list[Any]:
        """All of them, for handlers that may change anything."""
        parts = [getattr(self, item.name) for item in fields(self) if item.name != "sliders"]
        return [*parts, *self.sliders.values()]


def draw() -> AuthorityView:
    """Lay the tab out: the photo and the registry on the left, what was read on the right."""
    found: dict[str, Any] = {}
    with gr.Row(elem_id="lv-authority", equal_height=False):
        with gr.Column(scale=5, elem_id="lv-authority-left"):
            _inputs(found)
            _registry(found)
        with gr.Column(scale=9, elem_id="lv-authority-right"):
            found["verdict"] = gr.HTML(f'<p class="lv-verdict">{INTRO}</p>', elem_id="lv-authority-verdict")
            found["photo"] = gr.HTML(elem_id="lv-authority-photo")
            found["marks"] = gr.HTML(elem_id="lv-authority-marks")
            with gr.Accordion("What the mark survives", open=True, visible=False) as found["channel_fold"]:
                _channel(found)
    return AuthorityView(**found)


def _inputs(found: dict[str, Any]) -> None:
    found["drop"] = dropzone("Photo", "lv-authority-drop")
    found["status"] = gr.HTML(elem_classes="lv-status", elem_id="lv-authority-status", padding=False)
    found["key"] = gr.Textbox(
        DEFAULT_KEY, label="Key", max_lines=1, elem_id="lv-authority-key", info="The one that the mark was made with."
    )
    found["claim"] = gr.Textbox(
        "",
        label="Claimed identity",
        max_lines=1,
        elem_id="lv-claim",
        placeholder="a registered name, or 24 bits",
        info="Who the person with this photo says to be: accepted or rejected by the mark.",
    )
    with gr.Row():
        off: dict[str, Any] = {"interactive": False, "min_width": 120}
        found["again"] = gr.Button("Read the mark", variant="primary", size="md", elem_id="lv-read", **off)
        found["control"] = gr.Button("Wrong-key test", size="md", elem_id="lv-control", **off)


def _registry(found: dict[str, Any]) -> None:
    with gr.Accordion("Registry", open=True, elem_id="lv-registry-fold"):
        gr.HTML(REGISTRY, elem_classes="lv-quiet")
        found["name"] = gr.Textbox("", label="Name", max_lines=1, elem_id="lv-registry-name")
        found["verify_only"] = gr.Checkbox(False, label="Verify only: keep a hash of the name")
        with gr.Row():
            found["register"] = gr.Button("Register", size="sm", min_width=80, elem_id="lv-register")
            found["look_up"] = gr.Button("Look up", size="sm", min_width=80, elem_id="lv-look-up")
            found["delete"] = gr.Button("Delete", size="sm", min_width=80, elem_id="lv-delete")
        found["registry_line"] = gr.HTML(elem_classes="lv-status", elem_id="lv-registry-line")
        found["registry"] = gr.HTML(elem_id="lv-registry")


def _channel(found: dict[str, Any]) -> None:
    gr.HTML(
        "Move a slider: the largest face is read and compared again after the change. The curve shows one change "
        "alone: the share of the bits that is still read as written and, dotted, each recogniser's likeness to the "
        "photo before. The large markers: all sliders together.",
        elem_classes="lv-quiet",
    )
    found["sliders"] = {}
    with gr.Row():
        for change in CHANGES:
            label = f"{change.label} ({change.unit})" if change.unit else change.label
            found["sliders"][change.id] = gr.Slider(
                change.low,
                change.high,
                change.none,
                step=change.step,
                label=label,
                buttons=[],
                min_width=150,
                elem_id=f"lv-slider-{change.id}",
            )
    found["left"] = gr.HTML(elem_id="lv-remains")
    found["change"] = gr.Radio(
        [(change.label, change.id) for change in CHANGES],
        value=CHANGES[0].id,
        label="Curve of",
        container=False,
        elem_id="lv-change",
    )
    found["curve"] = gr.Plot(show_label=False, container=False, elem_id="lv-channel")
