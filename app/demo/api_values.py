"""What the values of an endpoint may look like, each read from what a program sends; each fault is one sentence."""

from __future__ import annotations

import json
import math
from typing import Any

from app.compare.entries import USUAL, Entry, checked, named, sweep, sweeps, swept
from app.panel import PanelError
from engines.methods import method as method_of
from engines.params import ParamError

LONGEST = 200  # characters of a text
SWEEPS = "tip-im.gamma:5 or tip-im.gamma:0,0.5,2"


def text(name: str, value: Any) -> None:
    """A short text without control characters."""
    if not isinstance(value, str) or len(value) > LONGEST or not (value.isprintable() or not value):
        raise ParamError(f"`{name}` must be a text of at most {LONGEST} printable characters.")


def number(name: str, value: Any, low: float, high: float, whole: bool = False) -> None:
    """A finite number from `low` to `high`."""
    kind = "a whole number" if whole else "a number"
    fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not fits or not low <= value <= high or (whole and value != int(value)):
        raise ParamError(f"`{name}` must be {kind} from {low:,} to {high:,}.")


def choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    """One of these."""
    if value not in choices:
        raise ParamError(f"`{name}` must be one of {', '.join(choices)}.")


def read(params: Any) -> dict[str, Any]:
    """Settings given as an object or as JSON text. Raises ParamError."""
    try:
        values = json.loads(params) if isinstance(params, str) and params.strip() else params or {}
    except (ValueError, RecursionError):
        raise ParamError("The settings (params) are not valid JSON.") from None
    if not isinstance(values, dict):
        raise ParamError('The settings (params) must be an object such as {"gamma": 1.0}.')
    return values


def ids(given: Any, what: str = "Surrogates and judges", one: str = "sface") -> list[str]:
    """Ids given as a list. Raises PanelError."""
    if not isinstance(given or [], list) or not all(isinstance(id, str) for id in given or []):
        raise PanelError(f'{what} are lists of ids, such as ["{one}"].')
    return list(given or [])


def entries_of(given: Any, swept: str = "") -> tuple[Entry, ...]:
    """What is to be compared: texts "method:preset", or objects with `method`, `params` and a `name`; and a sweep.

    Raises ParamError, MethodError, JobError.
    """
    try:
        asked = json.loads(given) if isinstance(given, str) else given
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, list):
        raise ParamError(f'`entries` must be a list such as ["{USUAL[0]}"].')
    return checked([*(named(one) if isinstance(one, str) else _entry(one) for one in asked), *sweep_of(swept)])


def sweep_of(given: str) -> list[Entry]:
    """A method along one setting: "tip-im.gamma:5" in so many steps, "tip-im.gamma:0,0.5,2" at these values.

    Raises ParamError, JobError. Whether a value is in the setting's range is looked at by `entries_of`.
    """
    if not given:
        return []
    setting, _, asked = given.partition(":")
    knob = swept(setting) if setting in sweeps() else None
    try:
        values = [float(value) for value in asked.split(",")]
    except ValueError:
        values = []
    if knob is None or not values or (len(values) == 1 and not values[0].is_integer()):
        raise ParamError(f"`sweep` must be one of {', '.join(sweeps())} with steps or values, such as {SWEEPS}.")
    if len(values) == 1:
        return sweep(setting, int(values[0]))
    method = setting.partition(".")[0]
    return [Entry(method, f"{knob.symbol or knob.label} {value:g}", {knob.name: value}) for value in values]


def _entry(given: Any) -> Entry:
    if not isinstance(given, dict) or not given.keys() <= {"method", "name", "params"} or "method" not in given:
        raise ParamError(
            "An entry is a text such as tip-im:Balanced, or an object with `method`, `params` and a `name`."
        )
    params = read(given.get("params"))
    settings = ", ".join(f"{key} {value}" for key, value in params.items())[:LONGEST]
    name = given.get("name") or settings or "as published"
    text("method", given["method"])
    text("name", name)
    method_of(given["method"])
    return Entry(given["method"], name, params)
