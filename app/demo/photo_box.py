"""Where photos come in: a place to drop them, a phone's camera, portraits to try; and two pictures under a handle."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from app import gallery
from app.demo.scoreboard import picture

PHOTO_TYPES = ["image", ".heic", ".heif", ".avif"]
TRIED = (gallery.COLLINS, gallery.HOPPER, gallery.VIRTUAL)
SCRIPT = Path(__file__).with_name("ways_in.js").read_text()
# On a phone `capture` opens the camera at once; elsewhere the button is not shown (style.css).
CAMERA = (
    '<label class="lv-camera">Take a photo<input type="file" accept="image/*" capture="user" '
    'aria-label="Take a photo with the camera"></label>'
)


def dropzone(label: str, name: str, **more: Any) -> Any:
    """A place to drop photos, `name` its element's id."""
    look: dict[str, Any] = {"show_label": False, "file_types": PHOTO_TYPES, "height": 74, "container": False}
    return gr.File(label=label, elem_id=name, elem_classes="lv-drop", **look, **more)


def comparison(name: str, **more: Any) -> Any:
    """Two pictures under one handle, `name` the element's id."""
    look: dict[str, Any] = {"type": "filepath", "format": "png", "show_label": False, "container": False}
    return gr.ImageSlider(interactive=False, max_height=440, buttons=["fullscreen"], elem_id=name, **look, **more)


def draw(found: dict[str, Any]) -> None:
    """The photo and the ways to it: components `photo`, `faces_line`, `face`, `edges`, `drop`, `ways`, `box`.

    `face` and `edges` do without a mouse what clicks on the photo do.
    """
    with gr.Column(elem_id="lv-photo-box"):
        found["photo"] = gr.Image(
            type="filepath",
            show_label=False,
            interactive=False,
            height=250,
            buttons=[],
            container=False,
            elem_id="lv-photo",
            alt_text="The photo with its faces outlined",
        )
        found["faces_line"] = gr.HTML(elem_classes="lv-quiet", elem_id="lv-faces-line")
        found["face"] = gr.Radio([], label="Face", visible=False, elem_id="lv-face", container=False)
        found["edges"] = gr.Textbox(
            label="Or type its left, top, right and bottom edge, in % of the photo",
            placeholder="30, 10, 60, 50",
            visible=False,
            max_lines=1,
            elem_id="lv-edges",
        )
        found["drop"] = dropzone("Photo", "lv-drop")
        found["ways"] = gr.HTML(CAMERA, elem_id="lv-ways", js_on_load=SCRIPT, padding=False)
        found["box"] = gr.Button(
            "Draw a box around the face instead", size="sm", elem_classes="lv-link", visible=False, elem_id="lv-box"
        )


def ways() -> str:
    """The camera, and the portraits to try, as HTML."""
    tried = "".join(map(_tried, TRIED))
    return f'<div class="lv-ways">{CAMERA}<span class="lv-quiet">No photo at hand? Try</span>{tried}</div>'


def _tried(name: str) -> str:
    face = picture(gallery.head(name), 88, f"Try {name}")
    return f'<button type="button" data-example="{escape(name)}" title="{escape(name)}">{face}</button>'
