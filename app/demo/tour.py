"""The guided tour: some steps of a sentence or two, each beside the place that it speaks of."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

SCRIPT = Path(__file__).with_name("tour.js").read_text()


@dataclass(frozen=True)
class Step:
    """`tab`: the id of the tab; `place`: a CSS selector of what is outlined."""

    tab: str
    place: str
    title: str
    words: str


STEPS = (
    Step(
        "protect",
        "#lv-photo-box",
        "Start with a face",
        "Drop in a photo, take one, or try a portrait. It stays in memory and goes when you close the page. "
        "Several faces? Click the one you mean.",
    ),
    Step(
        "protect",
        "#lv-method-box",
        "Pick a method",
        "Five published methods, each for another worry: not being recognised, being marked, wearing a mask that "
        "comes off again, breaking deepfakes. Presets move the knobs; each knob is the paper's own.",
    ),
    Step(
        "protect",
        "#lv-action",
        "Press Protect",
        "A bar shows how long it takes, Cancel stops it. What you see at the start is such a result, made on a "
        "public-domain portrait.",
    ),
    Step(
        "protect",
        "#lv-verdict",
        "Read the verdict",
        "One sentence says which recognisers still match the face, tested on the very file that you download. "
        "Held-out judges never took part in making it. Below: every score beside its threshold, what survives JPEG "
        "or a smaller size, and where recognisers look.",
    ),
    Step(
        "forge",
        "#lv-forge",
        "Let deepfake models try",
        "They edit the face as it was and as it is protected, side by side. Forge only your own face, or that of "
        "somebody who agreed.",
    ),
    Step(
        "authority",
        "#lv-authority-drop",
        "The way back",
        "Whoever has the key reads the mark, takes the mask off, or shows whose network made a picture.",
    ),
    Step(
        "compare",
        "#lv-compare",
        "Compare them all",
        "Say what you fear, and see which methods claim to help. Then run several on the same photo: one row each, "
        "zoomed together, ready for a paper.",
    ),
    Step(
        "about",
        "#lv-delete-all",
        "What is kept, and what is promised",
        "No result makes a photo safe for good: later recognisers may see through it. This tab says what is kept and "
        "for how long, and deletes everything of yours at once.",
    ),
)
BOX = """
<button id="lv-tour-start" type="button">Two-minute tour</button>
<div id="lv-tour" data-steps="{steps}" role="dialog" aria-labelledby="lv-tour-title"
  aria-describedby="lv-tour-words" hidden>
  <p class="lv-quiet" data-part="count"></p>
  <h2 id="lv-tour-title" data-part="title"></h2>
  <p id="lv-tour-words" data-part="words" aria-live="polite"></p>
  <div><button type="button" data-part="back">Back</button><button type="button" data-part="next">Next</button>
  <button type="button" data-part="close">Close</button></div>
</div>
"""


def draw(offered: set[str]) -> Any:
    """The button and the box; only steps on tabs that are `offered`."""
    steps = json.dumps([asdict(step) for step in STEPS if step.tab in offered])
    box = BOX.format(steps=escape(steps, quote=True))
    return gr.HTML(box, js_on_load=SCRIPT, padding=False, elem_id="lv-tour-box")


def tab_of(event: gr.EventData) -> Any:
    """The tab that a step asks for."""
    tab = getattr(event, "tab", None)
    return gr.Tabs(selected=tab) if tab in {step.tab for step in STEPS} else gr.skip()
