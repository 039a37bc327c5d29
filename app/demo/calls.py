"""What a program sends to a named endpoint over plain HTTP, refused before it waits in line."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any

from app.demo.api import Api
from app.demo.wishes import CHECKS, Cards, check
from app.errors import sentence

NAMED = re.compile(r"^(?:/gradio_api)?/(?:call|run|api)/(v2/)?(\w+)/?$")
LISTS = {"target_photos", "photos", "files"}
FILES = {"photo", "reference", "watermark", "original", "protected", "against", *LISTS}
PLAIN = {"str": "text", "float": "number", "list[str]": "list of texts", "Any": "object or JSON text"}
FEW = "Send a value for each of the {} parameters of /{}, in order; or name some of them at /call/v2/{}."
META = {"_type": "gradio.FileData"}  # how Gradio wants a file marked
NO_LIST = "Send the values as a list called `data`, in the order of the endpoint's parameters."


def fault(path: str, event: Any, cards: Cards) -> str | None:
    """What is wrong with a call of an endpoint, in one sentence; None for nothing, or for another path."""
    found = NAMED.match(path)
    if found is None or found[2] not in CHECKS:
        return None
    names, few = _names(found[2]), False
    if not found[1]:
        event = event.get("data") if isinstance(event, dict) else None
        if not isinstance(event, list) or len(event) > len(names):
            return NO_LIST
        few, event = len(event) < len(names), dict(zip(names, event, strict=False))
    if not isinstance(event, dict):
        return NO_LIST
    if strange := next((name for name in event if name not in names), None):
        return f"There is no parameter {strange!r}: choose from {', '.join(names)}."
    try:
        wrong = _files(names, event) or check(found[2], event, cards)
    except Exception as error:
        return sentence(error)
    return wrong or (FEW.format(len(names), found[2], found[2]) if few else None)


def _names(endpoint: str) -> dict[str, bool]:
    """An endpoint's parameters, and whether it cannot do without one."""
    parameters = inspect.signature(getattr(Api, endpoint)).parameters.values()
    return {one.name: one.default is one.empty for one in parameters if one.name not in ("self", "request")}


def _files(names: dict[str, bool], given: dict[str, Any]) -> str | None:
    for name in (name for name in names if name in FILES):
        value = given.get(name)
        if value is None and names[name]:
            return f"There is no photo: give one as `{name}`."
        if value is not None and isinstance(value, list) != (name in LISTS):
            return f"`{name}` must be {'a list of files' if name in LISTS else 'one file'}."
        for one in value if isinstance(value, list) else [value]:
            if one is not None and not (isinstance(one, dict) and one.get("path")):
                return f"`{name}` must be a file: upload it first, and send what the upload returns."
            if one is not None and one.get("meta") != META:
                return f'`{name}` must say that it is a file: send {{"path": ..., "meta": {json.dumps(META)}}}.'
    return None


def kind(name: str, hint: Any) -> str:
    """A parameter's type in plain words."""
    if name in FILES:
        return "list of files" if "list" in str(hint) else "file"
    plain = re.sub(r"typing\.|\s*\|\s*None", "", hint.__name__ if isinstance(hint, type) else str(hint))
    return PLAIN[plain]
