"""The Compare tab: what is where. What happens is in compare_events.py, what the board looks like in board.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import gradio as gr

from app.compare import entries, threats
from app.compare.entries import STEPS, USUAL, choices
from app.compare.tradeoff import natural
from app.demo.photo_box import dropzone
from app.demo.protect import CONSENT

SCRIPT = (Path(__file__).parent / "compare.js").read_text()
INTRO = "One photo, several methods: choose them on the left, and see what each hides and what it costs in looks."
THREAT = "What worries you? Papers claim to help against some threats and not against others."
BORROWED = "Targets and thresholds are those of Protect, recognisers those of the panel."
FILLED = "It is filled in when Compare is pressed."
LINK = "A link to these settings, no photo in it"


@dataclass(frozen=True)
class Borrowed:
    """Components of Protect and of the panel's drawer that the tab reads, and that a link sets."""

    far: Any
    targets: Any
    attacked: Any
    held_out: Any

    @property
    def everything(self) -> list[Any]:
        """All of them."""
        return [getattr(self, item.name) for item in fields(self)]


@dataclass
class CompareView:
    """Every component of the tab that an event reads or writes."""

    sitter: Any
    drop: Any
    clear: Any
    threat: Any
    claims: Any
    suited: Any
    chosen: Any
    add: Any
    swept: Any
    steps: Any
    compare: Any
    cancel: Any
    status: Any
    verdict: Any
    tools: Any
    blind: Any
    photo: Any
    board: Any
    plot_fold: Any
    natural: Any
    plot: Any
    step_box: Any
    step: Any
    step_view: Any
    export: Any
    pack: Any
    png: Any
    pdf: Any
    latex: Any
    markdown: Any
    study: Any
    sent: Any
    link: Any

    @property
    def everything(self) -> list[Any]:
        """All of them, for handlers that may change anything."""
        return [getattr(self, item.name) for item in fields(self)]


def draw() -> CompareView:
    """Lay the tab out: the threat on top; photos and methods on the left, the board and its figures on the right."""
    found: dict[str, Any] = {}
    _threat(found)
    with gr.Row(elem_id="lv-compare", elem_classes="lv-two-columns", equal_height=False):
        with gr.Column(scale=5, elem_classes="lv-inputs"):
            _photos(found)
            _methods(found)
        with gr.Column(scale=9, elem_classes="lv-outputs"):
            _board(found)
            _exports(found)
    return CompareView(**found)


def _photos(found: dict[str, Any]) -> None:
    found["sitter"] = gr.HTML(elem_id="lv-compare-sitter")
    found["drop"] = dropzone("Photos", "lv-compare-drop", file_count="multiple")
    found["clear"] = gr.Button("Compare the photo of Protect again", size="sm", elem_classes="lv-link", visible=False)


def _threat(found: dict[str, Any]) -> None:
    with (
        gr.Accordion("Which methods claim to help?", open=True, elem_id="lv-threats"),
        gr.Row(elem_classes="lv-two-columns", equal_height=False),
    ):
        with gr.Column(scale=5, elem_classes="lv-inputs"):
            gr.HTML(THREAT, elem_classes="lv-quiet")
            found["threat"] = gr.Dropdown(
                list(threats.THREATS), value=threats.SEARCH, label="Threat", show_label=False, elem_id="lv-threat"
            )
            found["suited"] = gr.Button("Compare those that claim to help", size="sm", elem_classes="lv-link")
        with gr.Column(scale=9, elem_classes="lv-outputs"):
            found["claims"] = gr.HTML(elem_id="lv-claims")


def offered(chosen: Sequence[str] = ()) -> list[tuple[str, str]]:
    """What can be chosen: presets, and of settings of one's own those that are."""
    return [(entries.title(choice), choice) for choice in dict.fromkeys((*choices(), *chosen))]


def _methods(found: dict[str, Any]) -> None:
    found["chosen"] = gr.Dropdown(
        offered(),
        value=list(USUAL),
        multiselect=True,
        label="Methods and settings",
        elem_id="lv-compare-methods",
        info="Each is a line of the board.",
    )
    found["add"] = gr.Button(
        "Add what Protect is set to", size="sm", elem_classes="lv-link", elem_id="lv-compare-add"
    )
    with gr.Accordion("Sweep a setting", open=False):
        knobs = [(entries.sweep_title(knob), knob) for knob in entries.sweeps()]
        found["swept"] = gr.Dropdown(
            [("none", ""), *knobs], value="", label="Which one", elem_id="lv-swept", info="From least to most."
        )
        found["steps"] = gr.Slider(STEPS.start, STEPS.stop - 1, 5, step=1, label="Steps", buttons=[])
    gr.HTML(f"{BORROWED} {CONSENT}", elem_classes="lv-quiet")
    with gr.Row():
        found["compare"] = gr.Button("Compare", variant="primary", scale=3, elem_id="lv-compare-button")
        found["cancel"] = gr.Button("Cancel", scale=1, interactive=False, min_width=90, elem_id="lv-compare-cancel")
    found["status"] = gr.HTML(elem_classes="lv-status", elem_id="lv-compare-status", padding=False)
    copied: dict[str, Any] = {"interactive": False, "max_lines": 1, "buttons": ["copy"]}
    found["link"] = gr.Textbox(label=LINK, placeholder=FILLED, elem_id="lv-permalink", **copied)


def _board(found: dict[str, Any]) -> None:
    found["verdict"] = gr.HTML(f'<p class="lv-verdict">{INTRO}</p>', elem_id="lv-compare-verdict")
    with gr.Row(visible=False) as found["tools"]:
        found["blind"] = gr.Checkbox(False, label="Hide the methods' names", elem_id="lv-blind", min_width=220)
        found["photo"] = gr.Radio([], label="Photo", show_label=False, visible=False, elem_id="lv-compare-photo")
    found["board"] = gr.HTML(elem_id="lv-compare-board", js_on_load=SCRIPT)
    with gr.Accordion("Looks against protection", open=True, visible=False) as found["plot_fold"]:
        found["natural"] = gr.Radio(natural(), value="SSIM", label="Looks", container=False, elem_id="lv-natural")
        found["plot"] = gr.Plot(show_label=False, container=False, elem_id="lv-tradeoff")
    with gr.Accordion("The sweep, step by step", open=True, visible=False) as found["step_box"]:
        found["step"] = gr.Slider(1, 2, 1, step=1, label="Step", buttons=[], elem_id="lv-step")
        found["step_view"] = gr.HTML(elem_id="lv-step-view")


def _exports(found: dict[str, Any]) -> None:
    with gr.Accordion("Take it with you", open=True, visible=False) as found["export"]:
        with gr.Row():
            found["pack"] = gr.DownloadButton("Everything (ZIP)", size="md", elem_id="lv-compare-zip", min_width=140)
            found["png"] = gr.DownloadButton("Figure (PNG)", size="md", elem_id="lv-compare-png", min_width=140)
            found["pdf"] = gr.DownloadButton("Figure (PDF)", size="md", elem_id="lv-compare-pdf", min_width=140)
            found["study"] = gr.Button("Send to a study", size="md", elem_id="lv-compare-study", min_width=140)
        found["sent"] = gr.HTML(elem_classes="lv-quiet", padding=False)
        code: dict[str, Any] = {"interactive": False, "lines": 4, "buttons": ["copy"], "max_lines": 14}
        found["latex"] = gr.Code(label="LaTeX", language="latex", elem_id="lv-latex", **code)
        found["markdown"] = gr.Code(label="Markdown", language="markdown", elem_id="lv-markdown", **code)
