"""One trial on a rater's screen: what `trial.js` is told, and what it sends back."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from app.study.protocols import PROTOCOLS
from app.study.screens import Screen, Shown
from app.study.strings import text

HERE = Path(__file__).parent
KEYS = {
    "first": (["ArrowLeft", "a", "A"], "←"),
    "second": (["ArrowRight", "b", "B"], "→"),
    "tie": ([" ", "ArrowDown"], "Space"),
    "same": (["ArrowLeft", "s", "S"], "←"),
    "different": (["ArrowRight", "d", "D"], "→"),
}
KEY = "trial"

_component = st.components.v2.component(
    "larvatus_trial",
    html='<div class="trial"></div>',
    css=(HERE / "trial.css").read_text(),
    js=(HERE / "trial.js").read_text(),
)


def show(
    screen: Screen,
    ahead: Sequence[Shown],
    picture: Callable[[str], bytes],
    answered: Callable[[dict[str, Any]], None],
    language: str = "en",
) -> None:
    """Mount the trial; `answered` is called with what the rater sent.

    `ahead` are the next trial's pictures, which the browser fetches while the rater looks at these. A picture goes to
    a browser once: `trial.js` keeps it by its SHA-256.
    """

    def sent() -> None:
        if (value := st.session_state[KEY].answer) is not None:
            answered(value)

    pictures = [one for one in (screen.first, screen.second) if one is not None]
    _component(key=KEY, on_answer_change=sent, data=told(screen, pictures, ahead, picture, language))


def told(
    screen: Screen, pictures: Sequence[Shown], ahead: Sequence[Shown], picture: Callable[[str], bytes], language: str
) -> dict[str, Any]:
    """What `trial.js` needs of a screen; texts come from the strings of the study."""
    sources = _sources([*pictures, *ahead], picture)
    return {
        "trial": screen.trial,
        "refused": st.session_state.get("refused", 0),
        "question": screen.question,
        "note": text("training", language) if screen.training else "",
        "pictures": [
            {"id": one.sha256, "width": one.width, "height": one.height, **named}
            for one, named in zip(pictures, _names(screen, language), strict=True)
        ],
        "sources": sources,
        "answers": _answers(screen, language),
        "scale": screen.protocol in ("acr", "dsis"),
        "boxes": _boxes(screen, language),
        "minimum": screen.minimum_view,
        "progress": {
            "done": screen.index,
            "of": screen.total,
            "text": text("progress", language, done=screen.index + 1, total=screen.total),
        },
        "words": {
            name: text(f"trial.{name}", language)
            for name in ("loading", "look", "help", "saving", "lost", "again", "broken")
        },
    }


def _sources(shown: Sequence[Shown], picture: Callable[[str], bytes]) -> dict[str, str]:
    """Data URLs by SHA-256 of the pictures that this browser session was not sent before."""
    known: set[str] = st.session_state.setdefault("sent pictures", set())
    fresh = {one.sha256 for one in shown} - known
    known |= fresh
    return {name: "data:image/png;base64," + base64.b64encode(picture(name)).decode() for name in sorted(fresh)}


def _names(screen: Screen, language: str) -> list[dict[str, str]]:
    """Alternative texts that give nothing away, and names under the pictures where there are two."""
    if screen.second is None:
        return [{"alt": text("picture.only", language), "name": ""}]
    reference = screen.protocol == "dsis"
    first = text("picture.reference" if reference else "answer.first", language)
    second = text("picture.judged" if reference else "answer.second", language)
    alts = ("picture.reference" if reference else "picture.first", "picture.second")
    return [{"alt": text(alt, language), "name": name} for alt, name in zip(alts, (first, second), strict=True)]


def _answers(screen: Screen, language: str) -> list[dict[str, Any]]:
    if screen.protocol == "artefacts":
        given: list[tuple[str, str, list[str], str]] = [
            ("boxes", text("next", language), ["Enter"], ""),
            ("none", text("nothing", language), ["0"], "0"),
        ]
        return [{"value": v, "label": label, "keys": keys, "hint": hint} for v, label, keys, hint in given]
    rules = PROTOCOLS[screen.protocol]
    found = []
    for value in sorted(screen.answers, reverse=True) if isinstance(screen.answers[0], int) else screen.answers:
        keys, hint = ([str(value)], str(value)) if isinstance(value, int) else KEYS[value]
        found.append({"value": value, "label": rules.caption(value, language), "keys": keys, "hint": hint})
    return found


def _boxes(screen: Screen, language: str) -> dict[str, Any] | None:
    if screen.protocol != "artefacts":
        return None
    names = ("add", "box", "keys", "what", "choose", "bare", "empty")
    words = {name: text(f"boxes.{name}", language) for name in names}
    return {"labels": list(screen.labels), "remove": text("remove", language), **words}
