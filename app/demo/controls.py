"""Sliders, switches and menus generated from every method's declared hyperparameters.

Methods share most of their knobs, so there is one component for each distinct knob, and choosing
another method shows, hides and re-labels them. A knob that leaves nothing to choose is not shown.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from engines.methods import METHODS
from engines.params import Knob

Key = tuple[str, str, bool]  # name, widget, advanced


def key(knob: Knob) -> Key:
    """What tells one component from another."""
    widget = "switch" if knob.kind is bool else "boxes" if knob.several else "menu" if knob.choices else "slider"
    return knob.name, widget, knob.advanced


def fixed(knob: Knob) -> bool:
    """Whether the knob leaves nothing to choose."""
    return len(knob.choices) == 1 or (not knob.choices and knob.kind is not bool and knob.low == knob.high)


def free(method: str) -> dict[Key, Knob]:
    """The knobs of a method that leave something to choose."""
    return {key(knob): knob for knob in METHODS[method].Params.knobs() if not fixed(knob)}


class Controls:
    """The components of all knobs, in order: plain ones first, advanced ones in an accordion."""

    def __init__(self) -> None:
        self._first: dict[Key, Knob] = {}
        for method in METHODS.values():
            for knob in method.Params.knobs():
                if not fixed(knob):
                    self._first.setdefault(key(knob), knob)
        self.keys = sorted(self._first, key=lambda k: k[2])
        self.components: list[Any] = []

    def draw(self, method: str, advanced: bool) -> None:
        """Create the plain or the advanced components, showing those of `method`."""
        shown = free(method)
        for item in self.keys:
            if item[2] == advanced:
                self.components.append(component(shown.get(item, self._first[item]), item in shown))

    def updates(self, method: str, values: dict[str, Any] | None = None) -> list[Any]:
        """One update a component: the method's knobs at `values`, or at the paper's defaults."""
        shown, chosen = free(method), values or {}
        return [
            component(shown[item], True, chosen.get(item[0])) if item in shown else gr.update(visible=False)
            for item in self.keys
        ]

    def suggested(self, method: str, values: dict[str, Any]) -> dict[Any, Any]:
        """Updates of the knobs of which any number of choices may be taken, at what a photo brings along."""
        parts = zip(self.components, self.keys, strict=True)
        free_ones = free(method)
        return {
            part: list(values[k[0]]) for part, k in parts if k[1] == "boxes" and k in free_ones and k[0] in values
        }

    def read(self, method: str, values: tuple[Any, ...]) -> dict[str, Any]:
        """The method's settings from the components' values, in the components' order."""
        by_key = dict(zip(self.keys, values, strict=True))
        found = {}
        for knob in METHODS[method].Params.knobs():
            value = knob.default if fixed(knob) else by_key[key(knob)]
            value = tuple(value or ()) if knob.several else value
            found[knob.name] = int(value) if knob.kind is int and float(value).is_integer() else value
        return found


def component(knob: Knob, visible: bool = True, value: Any = None) -> Any:
    """A slider, switch or menu for a knob, at the paper's default or at `value`."""
    label = " ".join(part for part in (knob.label, knob.symbol) if part)
    label += f" ({knob.unit})" if knob.unit else ""
    common = {
        "label": label,
        "info": f"{knob.help} {'Paper' if knob.published else 'Usual'}: {shown_default(knob)}.",
        "visible": visible,
        "value": knob.default if value is None else value,
    }
    if knob.kind is bool:
        return gr.Checkbox(**common)
    if knob.several:
        words = [(choice.replace("_", " ").lower(), choice) for choice in knob.choices]
        chosen = {} if value is None else {"value": list(value)}  # left alone where nothing is said
        return gr.CheckboxGroup(choices=words, **{key: common[key] for key in ("label", "info", "visible")}, **chosen)
    if knob.choices:
        return gr.Radio(choices=list(knob.choices), **common)
    return gr.Slider(minimum=knob.low, maximum=knob.high, step=knob.step, buttons=[], **common)


def shown_default(knob: Knob) -> str:
    """The paper's default, with its unit."""
    if isinstance(knob.default, bool):
        return "on" if knob.default else "off"
    if knob.default is None:
        return "what the photo shows"
    value = f"{knob.default:g}" if isinstance(knob.default, int | float) else str(knob.default)
    if not knob.unit:
        return value
    return value + (knob.unit if knob.unit.startswith("/") else f" {knob.unit}")
