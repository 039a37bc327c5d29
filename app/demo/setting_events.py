"""Choosing a method, a preset or a view on the Protect tab."""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr

from app import photo as photos
from app.demo import scoreboard
from app.demo.controls import Controls, free
from app.demo.protect import View
from app.demo.session import Desk, taken
from app.erase import made_with
from app.errors import sentence
from app.identities import Identities, number_of
from app.pictures import eight_bit, to_array
from app.reveal import message
from app.watermarks import watermark_of
from engines.methods import METHODS


def preset_of(method: str, params: dict[str, Any]) -> str | None:
    """The name of the preset that these settings are, if any; what a photo brings along is no part of one."""
    defaults = {knob.name: knob.default for knob in METHODS[method].Params.knobs() if not knob.several}
    params = {name: value for name, value in params.items() if name in defaults}
    same = (
        name for name, change in METHODS[method].presets.items() if {**defaults, **change} == {**defaults, **params}
    )
    return next(same, None)


def settings(view: View, controls: Controls, method: str, params: dict[str, Any] | None = None) -> dict[Any, Any]:
    """Summary, presets and knobs of a method, at `params` or at the paper's defaults."""
    chosen = METHODS[method]
    knobs = dict(zip(controls.components, controls.updates(method, params), strict=True))
    presets = list(chosen.presets)
    preset = gr.update(choices=presets, value=preset_of(method, params or {}), visible=len(presets) > 1)
    folds = {
        view.settings: gr.update(visible=len(presets) > 1 or bool(free(method))),
        view.target_fold: gr.update(visible="targets" in chosen.needs),
        view.identity_fold: gr.update(visible="message" in chosen.needs),
        view.watermark_fold: gr.update(visible="watermark" in chosen.needs),
    }
    return {view.summary: escape(chosen.summary), view.preset: preset, **folds, **knobs}


def registered(identities: Identities, text: str, key: str) -> tuple[int, Any]:
    """The number and the 50 bits of an identity that a visitor gives; a name is registered on the way."""
    if number_of(text) is None:
        identities.register(text)
    return message(identities, text, key)


class SettingEvents:
    """The handlers of the settings."""

    def __init__(self, view: View, controls: Controls, desk: Desk):
        self.view, self.controls, self.desk = view, controls, desk

    def choose_method(self, method: str) -> dict[Any, Any]:
        """Another method, at its paper's settings; also what Reset does."""
        return settings(self.view, self.controls, method)

    def suggest(self, method: str, request: gr.Request) -> dict[Any, Any]:
        """What the chosen face brings to the method's settings: from its file if that says so, or by looking."""
        chosen, sitter = METHODS[method], self.desk.of(request).sitter
        person = sitter and sitter.person
        if person is None or not hasattr(chosen, "suggests"):
            return {self.view.status: gr.skip()}
        try:
            found = {**chosen.suggests(person.crop(chosen).pixels), **made_with(person.photo, method)}
            values = chosen.Params.read(found).model_dump()
        except Exception as error:
            return {self.view.status: scoreboard.alert(sentence(error))}
        return {self.view.status: gr.skip(), **self.controls.suggested(method, values)}

    def choose_preset(self, method: str, preset: str | None) -> dict[Any, Any]:
        """A preset's settings."""
        return settings(self.view, self.controls, method, dict(METHODS[method].presets.get(preset or "", {})))

    def name_identity(self, text: str, key: str, request: gr.Request) -> Any:
        """An identity was typed: it is registered for this visit, and its 50 bits are shown."""
        try:
            number, bits = registered(self.desk.of(request).identities, text, key)
        except Exception as error:
            return scoreboard.alert(sentence(error))
        code = "".join(str(int(bit)) for bit in bits)
        return f'<p>Number {number}. Its 50 bits under this key:</p><p class="lv-code">{code}</p>'

    def take_mark(self, path: str | None, request: gr.Request) -> dict[Any, Any]:
        """A picture that is to be the watermark."""
        view = self.view
        if path is None:
            return {view.mark_drop: gr.skip()}
        try:
            picture = photos.load(taken(path))
            shown = watermark_of("", picture)
        except Exception as error:
            return {view.mark_drop: None, view.mark_line: scoreboard.alert(sentence(error))}
        self.desk.of(request).mark = picture
        image = scoreboard.picture(to_array(eight_bit(shown)), 96, "The watermark")
        line = f"{image} This picture is the watermark."
        return {view.mark_drop: None, view.mark_line: line, view.mark_clear: gr.update(visible=True)}

    def drop_mark(self, request: gr.Request) -> dict[Any, Any]:
        """The words are the watermark again."""
        self.desk.of(request).mark = None
        line = "The words are the watermark."
        return {self.view.mark_line: line, self.view.mark_clear: gr.update(visible=False)}

    def choose_format(self, format: str) -> Any:
        """JPEG has a quality, PNG has none."""
        return gr.update(visible=format == "JPEG")

    def choose_view(self, name: str, request: gr.Request) -> Any:
        """Face, whole photo or difference."""
        views = self.desk.of(request).views
        return views.get(name, gr.skip())
