"""Choosing a method, a preset or a view on the Protect tab."""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr

from app.demo.controls import Controls
from app.demo.protect import View
from app.demo.session import Desk
from engines.methods import METHODS


def preset_of(method: str, params: dict[str, Any]) -> str | None:
    """The name of the preset that these settings are, if any."""
    defaults = {knob.name: knob.default for knob in METHODS[method].Params.knobs()}
    same = (
        name for name, change in METHODS[method].presets.items() if {**defaults, **change} == {**defaults, **params}
    )
    return next(same, None)


def settings(view: View, controls: Controls, method: str, params: dict[str, Any] | None = None) -> dict[Any, Any]:
    """Method, summary, presets and knobs, at `params` or at the paper's defaults."""
    chosen = METHODS[method]
    knobs = dict(zip(controls.components, controls.updates(method, params), strict=True))
    preset = gr.update(choices=list(chosen.presets), value=preset_of(method, params or {}))
    return {view.method: method, view.summary: escape(chosen.summary), view.preset: preset, **knobs}


class SettingEvents:
    """The handlers of the settings."""

    def __init__(self, view: View, controls: Controls, desk: Desk):
        self.view, self.controls, self.desk = view, controls, desk

    def choose_method(self, method: str) -> dict[Any, Any]:
        """Another method, at its paper's settings; also what Reset does."""
        return settings(self.view, self.controls, method)

    def choose_preset(self, method: str, preset: str | None) -> dict[Any, Any]:
        """A preset's settings."""
        return settings(self.view, self.controls, method, dict(METHODS[method].presets.get(preset or "", {})))

    def choose_format(self, format: str) -> Any:
        """JPEG has a quality, PNG has none."""
        return gr.update(visible=format == "JPEG")

    def choose_view(self, name: str, request: gr.Request) -> Any:
        """Face, whole photo or difference."""
        views = self.desk.of(request).views
        return views.get(name, gr.skip())
