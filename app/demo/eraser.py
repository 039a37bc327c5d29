"""Authority, "Take a mask off": what is where. What happens is in eraser_events.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from html import escape
from typing import Any

import gradio as gr

from app.demo import scoreboard
from app.demo.photo_box import dropzone
from app.erased import Carried, Erased
from app.report import Score
from app.watermarks import USUAL
from engines.marks import NC
from engines.methods import METHODS

INTRO = (
    "A mask that its owner can take off: put in a masked photo, and see whether recognisers know the person again."
)
STRICTER = "Another photo of the person says who knows them again."


def erasers() -> tuple[str, ...]:
    """Ids of the methods whose change can be taken back."""
    return tuple(id for id, method in METHODS.items() if hasattr(method, "erase"))


def restorers(method: str) -> list[str]:
    """By whom a method's masks can be taken off."""
    return list(METHODS[method].restorers)  # type: ignore[attr-defined]


def carries(method: str) -> bool:
    """Whether a method's pictures carry a watermark that is a picture."""
    return hasattr(METHODS[method], "carried")


@dataclass
class EraserView:
    """Every component that an event reads or writes."""

    drop: Any
    reference: Any
    reference_line: Any
    method: Any
    restorer: Any
    mark_box: Any
    words: Any
    mark: Any
    mark_line: Any
    erase: Any
    other: Any
    unmasked: Any
    status: Any
    verdict: Any
    faces: Any
    marks: Any
    board: Any
    download: Any
    provenance: Any

    @property
    def everything(self) -> list[Any]:
        """All of them, for handlers that may change anything."""
        return [getattr(self, item.name) for item in fields(self)]


def draw() -> EraserView:
    """Lay it out: the photo on the left, what came of it on the right."""
    found: dict[str, Any] = {}
    with gr.Row(elem_id="lv-eraser", elem_classes="lv-two-columns", equal_height=False):
        with gr.Column(scale=5, elem_classes="lv-inputs"):
            _inputs(found)
        with gr.Column(scale=9, elem_classes="lv-outputs"):
            found["verdict"] = gr.HTML(f'<p class="lv-verdict">{INTRO}</p>', elem_id="lv-eraser-verdict")
            found["faces"] = gr.HTML(elem_id="lv-eraser-faces")
            found["marks"] = gr.HTML(elem_id="lv-eraser-marks")
            found["board"] = gr.HTML(elem_id="lv-eraser-board")
            found["download"] = gr.DownloadButton(
                "Download the photo without its mask", size="md", visible=False, elem_id="lv-eraser-download"
            )
            found["provenance"] = gr.HTML(elem_id="lv-eraser-provenance")
    return EraserView(**found)


def _inputs(found: dict[str, Any]) -> None:
    methods = erasers()
    gr.HTML("The masked photo, as the file that was exported.", elem_classes="lv-quiet")
    found["drop"] = dropzone("Masked photo", "lv-eraser-drop")
    found["method"] = gr.Radio(
        [(METHODS[id].title, id) for id in methods],
        value=methods[0],
        label="Masked by",
        elem_id="lv-eraser-method",
        visible=len(methods) > 1,
        info="A file of ours says which method masked it.",
    )
    choices = restorers(methods[0])
    found["restorer"] = gr.Radio(
        choices,
        value=choices[0],
        label="Restorer",
        elem_id="lv-eraser-restorer",
        info="Only the restorer that belongs to a mask takes it off. A file of ours says which.",
    )
    with gr.Column(visible=carries(methods[0])) as found["mark_box"]:
        found["words"] = gr.Textbox(
            USUAL,
            label="Expected watermark",
            max_lines=1,
            elem_id="lv-eraser-words",
            info="What the owner of the model wrote into its pictures: words, or below a picture.",
        )
        found["mark"] = dropzone("Watermark", "lv-eraser-mark")
        found["mark_line"] = gr.HTML(elem_classes="lv-quiet")
    gr.HTML(STRICTER, elem_classes="lv-quiet")
    found["reference"] = dropzone("Another photo of the person", "lv-eraser-reference")
    found["reference_line"] = gr.HTML(elem_classes="lv-quiet")
    off: dict[str, Any] = {"interactive": False, "min_width": 120}
    found["erase"] = gr.Button("Take the mask off", variant="primary", elem_id="lv-erase", **off)
    with gr.Row():
        found["other"] = gr.Button("Wrong-restorer test", size="md", elem_id="lv-eraser-other", **off)
        found["unmasked"] = gr.Button("Unmasked-photo test", size="md", elem_id="lv-eraser-unmasked", **off)
    found["status"] = gr.HTML(elem_classes="lv-status", elem_id="lv-eraser-status", padding=False)


def faces(found: Erased) -> str:
    """Before, masked and erased in a row; without an original the last two."""
    shown = ((found.original, "Before"), (found.masked, "Masked, as exported"), (found.erased, "Erased"))
    figures = "".join(
        f"<figure>{scoreboard.picture(pixels, 256, words)}<figcaption>{words}</figcaption></figure>"
        for pixels, words in shown
        if pixels is not None
    )
    return f'<div class="lv-trio">{figures}</div>'


def marks(carried: Sequence[Carried]) -> str:
    """The watermarks that were read, each beside its likeness to the expected one."""
    if not carried:
        return ""
    figures = "".join(_mark(one) for one in carried)
    note = f"NC: normalised correlation with the expected watermark; above {NC} it counts as extracted."
    return f'<h4>The model\'s watermark</h4><div class="lv-trio">{figures}</div><p class="lv-caption">{note}</p>'


def _mark(one: Carried) -> str:
    picture = scoreboard.picture(one.found, 128, f"Watermark in the {one.source}")
    return f"<figure>{picture}<figcaption>In the {escape(one.source)}: {escape(one.words)}</figcaption></figure>"


def board(found: Erased) -> str:
    """One row a recogniser: likeness to the person and to the target, masked and erased, against the threshold."""
    people = (found.compared_with, found.target)
    rows = "".join(_row(one, two, people) for one, two in zip(found.before, found.after, strict=True))
    far = scoreboard.percent(found.after[0].far) if found.after else ""
    names = ["Recogniser", *(f"To {name}, masked → erased" for name in people if name)]
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    note = f"Cosines; behind the stroke the threshold at {far} false matches. A filled disc matches."
    quality = (
        ""
        if found.psnr is None
        else f"Erased against the original: PSNR {found.psnr:.1f} dB, SSIM {found.ssim:.2f} (1 is identical)."
    )
    return (
        f'<table class="lv-table lv-board"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
        f'<p class="lv-caption">{escape(f"{note} {quality}".strip())}</p>'
    )


def _row(masked: Score, erased: Score, people: tuple[str, str]) -> str:
    role, why = scoreboard.ROLES.get(erased.role, (erased.role, ""))
    own = ((masked.to_self, masked.matches_self), (erased.to_self, erased.matches_self))
    away = ((masked.to_target, masked.matches_target), (erased.to_target, erased.matches_target))
    pairs = zip(people, (own, away), strict=True)
    cells = [_pair(pair, erased.threshold, name) for name, pair in pairs if name]
    name = f'<td><b>{escape(erased.title)}</b><small title="{escape(why)}">{escape(role)}</small></td>'
    return f"<tr>{name}{''.join(cells)}</tr>"


def _pair(two: Sequence[tuple[float | None, bool | None]], threshold: float | None, name: str) -> str:
    """Masked → erased against the threshold; `name` heads it where the table's own head does not fit."""
    shown = [
        scoreboard.mark(matches, "no face" if value is None else f"{value:.2f}")
        for value, matches in ((value, None if value is None else matches) for value, matches in two)
    ]
    limit = "no threshold yet" if threshold is None else f"{threshold:.2f}"
    return f'<td class="lv-num" data-head="To {escape(name)}">{shown[0]} → {shown[1]} / {limit}</td>'
