"""The Protect tab: what is where. What happens is in protect_events.py."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import gradio as gr

from app import gallery
from app.demo import photo_box
from app.demo.controls import Controls
from app.demo.photo_box import comparison, dropzone
from app.demo.scoreboard import CURVES
from app.demo.session import FACE, VIEWS
from app.reveal import DEFAULT_KEY
from app.watermarks import USUAL
from engines.marks import LONGEST
from engines.methods import METHODS

FIRST = next(iter(METHODS))
CONSENT = "Only use targets who agreed to it, or who do not exist. Recognisers may take the result for them."
HINT = "Left of the handle: before. Right of it: after. Drag the handle; scroll or pinch to zoom."
RATES = [("1 %", 0.01), ("0.1 %", 0.001)]


@dataclass
class View:
    """Every component of the tab that an event reads or writes."""

    timer: Any
    photo: Any
    drop: Any
    ways: Any
    faces_line: Any
    face: Any
    edges: Any
    box: Any
    method: Any
    summary: Any
    protect: Any
    cancel: Any
    status: Any
    preset: Any
    reset: Any
    settings: Any
    targets: Any
    target_strip: Any
    extra: Any
    extra_line: Any
    extra_clear: Any
    target_fold: Any
    identity: Any
    key: Any
    identity_line: Any
    identity_fold: Any
    words: Any
    mark_drop: Any
    mark_line: Any
    mark_clear: Any
    watermark_fold: Any
    reference: Any
    reference_line: Any
    reference_clear: Any
    far: Any
    format: Any
    quality: Any
    seed: Any
    more_fold: Any
    verdict: Any
    view: Any
    slider: Any
    download: Any
    settings_file: Any
    to_authority: Any
    to_eraser: Any
    to_forge: Any
    to_study: Any
    sent: Any
    wall: Any
    wall_fold: Any
    hidden: Any
    hidden_fold: Any
    board: Any
    board_fold: Any
    curves: Any
    curves_fold: Any
    survival: Any
    survival_fold: Any
    cams: Any
    cams_fold: Any
    provenance: Any
    mark: Any
    mark_fold: Any
    save: Any
    details: Any

    @property
    def everything(self) -> list[Any]:
        """All of them, for handlers that may change anything."""
        return [getattr(self, item.name) for item in fields(self)]


def draw(controls: Controls) -> View:
    """Lay the tab out: inputs on the left, results on the right."""
    found: dict[str, Any] = {"timer": gr.Timer(0.8, active=False)}
    with gr.Row(elem_id="lv-columns", equal_height=False):
        with gr.Column(scale=5, elem_id="lv-left"):
            photo_box.draw(found)
            _method(found)
            _settings(found, controls)
            _targets(found)
            _identity(found)
            _watermark(found)
            _more(found)
            _action(found)
        with gr.Column(scale=9, elem_id="lv-right"):
            _result(found)
            with gr.Column(visible=False, elem_id="lv-details") as found["details"]:
                _details(found)
    return View(**found)


def _method(found: dict[str, Any]) -> None:
    with gr.Column(elem_id="lv-method-box"):
        gr.HTML("Method", elem_classes="lv-head")
        found["method"] = gr.Radio(
            [(m.title, id) for id, m in METHODS.items()],
            value=FIRST,
            label="Method",
            show_label=False,
            elem_id="lv-method",
            container=False,
        )
        found["summary"] = gr.HTML(METHODS[FIRST].summary, elem_classes="lv-quiet")


def _settings(found: dict[str, Any], controls: Controls) -> None:
    with gr.Accordion("Settings", open=True) as found["settings"]:
        found["preset"] = gr.Radio(
            list(METHODS[FIRST].presets),
            value="Balanced",
            label="Preset",
            container=False,
            elem_id="lv-preset",
        )
        controls.draw(FIRST, advanced=False)
        with gr.Accordion("Advanced settings", open=False):
            controls.draw(FIRST, advanced=True)
        found["reset"] = gr.Button("Reset to the paper's settings", size="sm", elem_classes="lv-link")


def _targets(found: dict[str, Any]) -> None:
    with gr.Accordion("Target: who recognisers should see", open=True) as found["target_fold"]:
        found["target_strip"] = gr.HTML()
        found["targets"] = gr.CheckboxGroup(
            list(gallery.NAMES),
            value=[gallery.HOPPER],
            label="Built-in faces",
            elem_id="lv-targets",
            container=False,
        )
        found["extra"] = dropzone("Target photos", "lv-extra", file_count="multiple")
        found["extra_line"] = gr.HTML(elem_classes="lv-quiet")
        found["extra_clear"] = gr.Button("Remove my target photos", size="sm", elem_classes="lv-link", visible=False)
        gr.HTML(CONSENT, elem_classes="lv-quiet")


def _identity(found: dict[str, Any]) -> None:
    with gr.Accordion("Identity: what the mark says", open=True, visible=False) as found["identity_fold"]:
        found["identity"] = gr.Textbox(
            "Visitor",
            label="Identity",
            max_lines=1,
            elem_id="lv-identity",
            info="A name, or a number as 24 bits. Only the number is written into the photo, never the name.",
        )
        found["identity_line"] = gr.HTML(elem_classes="lv-quiet", elem_id="lv-identity-line")
        found["key"] = gr.Textbox(
            DEFAULT_KEY,
            label="Key",
            max_lines=1,
            elem_id="lv-key",
            info="Whoever reads the mark needs the same key. This one is known to everybody.",
        )


def _watermark(found: dict[str, Any]) -> None:
    with gr.Accordion("Watermark: whose network this is", open=True, visible=False) as found["watermark_fold"]:
        found["words"] = gr.Textbox(
            USUAL,
            label="Words",
            max_lines=1,
            max_length=LONGEST,
            elem_id="lv-words",
            info="Every picture that the network makes carries them.",
        )
        found["mark_drop"] = dropzone("Watermark", "lv-watermark")
        found["mark_line"] = gr.HTML("Or a picture of your own, such as a logo on black.", elem_classes="lv-quiet")
        found["mark_clear"] = gr.Button("Remove this picture", size="sm", elem_classes="lv-link", visible=False)


def _more(found: dict[str, Any]) -> None:
    with gr.Accordion("Stricter test, file format, seed", open=False) as found["more_fold"]:
        gr.HTML(
            "Another photo of the same person makes a stricter test: scores compare the result with it.",
            elem_classes="lv-quiet",
        )
        found["reference"] = dropzone("Another photo of the person", "lv-reference")
        found["reference_line"] = gr.HTML(elem_classes="lv-quiet")
        found["reference_clear"] = gr.Button("Remove this photo", size="sm", elem_classes="lv-link", visible=False)
        found["far"] = gr.Radio(
            RATES,
            value=0.01,
            label="False matches allowed",
            container=False,
            info=("Thresholds are set so that this share of different people would wrongly match."),
        )
        found["format"] = gr.Radio(
            ["PNG", "JPEG"],
            value="PNG",
            label="File format",
            container=False,
            info="PNG keeps every pixel. JPEG is smaller and weakens the protection a little.",
        )
        found["quality"] = gr.Slider(1, 100, value=95, step=1, label="JPEG quality", visible=False)
        found["seed"] = gr.Number(
            0,
            label="Seed",
            precision=0,
            minimum=0,
            maximum=2**31 - 1,
            info="The same seed and settings give the same file.",
        )


def _action(found: dict[str, Any]) -> None:
    with gr.Column(elem_id="lv-action", elem_classes="lv-action"):
        with gr.Row():
            found["protect"] = gr.Button("Protect", variant="primary", scale=3, elem_id="lv-protect")
            found["cancel"] = gr.Button("Cancel", scale=1, interactive=False, min_width=90, elem_id="lv-cancel")
        found["status"] = gr.HTML(elem_classes="lv-status", elem_id="lv-status", padding=False)


def _result(found: dict[str, Any]) -> None:
    found["verdict"] = gr.HTML(elem_id="lv-verdict")
    found["view"] = gr.Radio(
        list(VIEWS),
        value=FACE,
        label="Show",
        show_label=False,
        container=False,
        visible=False,
        elem_id="lv-view",
    )
    found["slider"] = comparison("lv-slider", visible=False)
    with gr.Column(elem_id="lv-save", visible=False) as found["save"]:
        gr.HTML(HINT, elem_classes="lv-quiet")
        with gr.Row():
            found["download"] = gr.DownloadButton("Download PNG", interactive=False, elem_id="lv-download", size="md")
            found["settings_file"] = gr.DownloadButton(
                "Settings and scores", interactive=False, size="md", elem_id="lv-settings-file"
            )
            found["to_authority"] = gr.Button(
                "Read the mark back", size="md", visible=False, elem_id="lv-to-authority"
            )
            found["to_eraser"] = gr.Button("Take the mask off", size="md", visible=False, elem_id="lv-to-eraser")
            found["to_forge"] = gr.Button("Send to Forge", size="md", visible=False, elem_id="lv-to-forge")
            found["to_study"] = gr.Button("Send to a study", size="md", visible=False, elem_id="lv-to-study")
        found["sent"] = gr.HTML(elem_classes="lv-quiet", elem_id="lv-sent", padding=False)


def _details(found: dict[str, Any]) -> None:
    with gr.Accordion("What forgers make of it", open=True, visible=False) as found["wall_fold"]:
        found["wall"] = gr.HTML(elem_id="lv-protect-wall")
    with gr.Accordion("What the file hides", open=True, visible=False) as found["hidden_fold"]:
        found["hidden"] = gr.HTML(elem_id="lv-hidden")
    with gr.Accordion("Scoreboard", open=True, elem_id="lv-board-fold") as found["board_fold"]:
        found["board"] = gr.HTML(elem_id="lv-board")
    with gr.Accordion("What the mark says", open=True, visible=False) as found["mark_fold"]:
        found["mark"] = gr.HTML(elem_id="lv-mark")
    with gr.Accordion("Likeness while the mask forms", open=True) as found["curves_fold"]:
        found["curves"] = gr.Plot(show_label=False, container=False, elem_id="lv-curves")
        gr.HTML(CURVES, elem_classes="lv-quiet")
    with gr.Accordion("What survives", open=True) as found["survival_fold"]:
        found["survival"] = gr.HTML(elem_id="lv-survival")
    with gr.Accordion("Where recognisers look", open=True) as found["cams_fold"]:
        found["cams"] = gr.HTML(elem_id="lv-cams")
    found["provenance"] = gr.HTML(elem_id="lv-provenance")
