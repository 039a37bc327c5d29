"""docs/api.md and the README's table, from the endpoints themselves: `python -m app.demo.api_page` (`make api`)."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import get_type_hints

from gradio.utils import get_function_description

from app.demo.api import Api
from app.demo.calls import kind
from app.demo.wishes import CHECKS
from engines.methods import METHODS
from engines.params import Knob

ROOT = Path(__file__).resolve().parents[2]
PAGE, README = ROOT / "docs" / "api.md", ROOT / "README.md"
MARKED = re.compile(r"(?<=<!-- api -->\n).*?(?=<!-- /api -->)", re.S)
HEAD = """# The API

Written by `make api` from the endpoints' own descriptions; a test fails when it is stale. An example in Python is in
the [README](../README.md#from-a-program). Over HTTP send the values in this order as `data` to
`/gradio_api/call/NAME`, or by name to `/gradio_api/call/v2/NAME`; files are uploaded first. What cannot be is refused
with 400 and `{"detail": one sentence}`. `/erase` is there where a method is that can be taken back. Assistants find
the same as tools of the Model Context Protocol at `/mcp`, where files are texts in base64.
"""
SETTINGS = """## Settings

What `params` of `/protect` may hold, by method; what is left out has the usual value.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *map(described, CHECKS), SETTINGS, *map(settings, METHODS)])


def table() -> str:
    """The README's table: a row an endpoint, with one line of what it does."""
    rows = [
        f"| [`/{name}`](docs/api.md#{name}) | {get_function_description(getattr(Api, name))[0]} |" for name in CHECKS
    ]
    return "\n".join(["| Endpoint | What it does |", "|---|---|", *rows, ""])


def described(name: str) -> str:
    """One endpoint: what it does, a row a parameter, and what it returns."""
    work = getattr(Api, name)
    does, words, returns = get_function_description(work)
    hints = get_type_hints(work)
    rows = [
        f"| `{one.name}` | {kind(one.name, hints[one.name])} | {usual(one)} | {words[one.name]} |"
        for one in inspect.signature(work).parameters.values()
        if one.name not in ("self", "request")
    ]
    head = "| Parameter | Kind | Usual | Meaning |\n|---|---|---|---|\n"
    return f"## /{name}\n\n{does}\n\n{head}" + "\n".join(rows) + f"\n\nReturns: {' '.join(returns)}\n"


def settings(id: str) -> str:
    """A method's knobs, a row each."""
    rows = [
        f"| `{knob.name}` | {reach(knob)} | `{knob.default}` | {knob.help} |" for knob in METHODS[id].Params.knobs()
    ]
    head = f"### {METHODS[id].title} (`{id}`)\n\n| Setting | Values | Usual | Meaning |\n|---|---|---|---|\n"
    return head + "\n".join(rows) + "\n"


def reach(knob: Knob) -> str:
    """What a knob may be set to."""
    if knob.kind is bool:
        return "`true`, `false`"
    if knob.choices:
        return ("any of " if knob.several else "") + ", ".join(f"`{choice}`" for choice in knob.choices)
    unit = f" {knob.unit}" if knob.unit else ""
    if knob.low == knob.high:
        return f"{knob.low:g}{unit}"
    return f"{knob.low:g} to {knob.high:g}{unit}" + (", whole" if knob.kind is int else "")


def usual(parameter: inspect.Parameter) -> str:
    """What is taken where it is left out."""
    if parameter.default is inspect.Parameter.empty:
        return "needed"
    return f"`{parameter.default}`" if parameter.default not in (None, "") else ""


if __name__ == "__main__":
    PAGE.write_text(page())
    README.write_text(MARKED.sub(lambda _: table(), README.read_text()))
