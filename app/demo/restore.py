"""Settings out of a file that Larvatus wrote: untrusted, so everything is checked before it is used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app import gallery
from app.panel import usable
from engines.checkpoints import Checkpoint
from engines.methods import METHODS
from engines.params import ParamError

UNREADABLE = "The settings inside this file could not be used, so they were left out; the photo is used as it is."


@dataclass(frozen=True)
class Restored:
    """Checked settings, and the sentence that says so; `method` is None where they could not be used."""

    sentence: str
    method: str | None = None
    params: dict[str, Any] | None = None
    seed: int = 0
    format: str = "PNG"
    quality: int = 95
    targets: tuple[str, ...] = ()
    box: Any = None
    attacked: tuple[str, ...] = ()  # ids as the file names them: they may be unknown, or not here


def attacked(found: Restored, known: Mapping[str, Checkpoint]) -> tuple[tuple[str, ...], str]:
    """Those that the file's method attacked, as far as they are here; and a sentence about those that are not."""
    there = {card.id for card in usable(known)[0]}
    gone = [known[id].title if id in known else "one that this app does not know" for id in found.attacked]
    gone = [title for id, title in zip(found.attacked, gone, strict=True) if id not in there]
    names = " and ".join(dict.fromkeys(gone))
    said = f"It attacked recognisers that are not here: {names}." if names else ""
    return tuple(id for id in found.attacked if id in there), said


def read(settings: Any) -> Restored:
    """Settings as `app.jobs` wrote them into a file -> Restored. Never raises."""
    made = settings.get("provenance") if isinstance(settings, dict) else None
    named = made.get("method") if isinstance(made, dict) else None
    if not isinstance(named, str) or named not in METHODS or not isinstance(made.get("params"), dict):
        return Restored(UNREADABLE)
    method = METHODS[named]
    try:
        params = method.Params.read(made["params"]).model_dump()
    except ParamError as error:
        return Restored(f"{error} The settings inside this file were left out; the photo is used as it is.")
    targets = settings.get("targets") if isinstance(settings.get("targets"), list) else []
    known = tuple(name for name in gallery.NAMES if name in targets)
    missing = len(targets) - len(known)
    face = settings.get("face")
    return Restored(
        _sentence(method.title, missing),
        method.id,
        params,
        _whole(made.get("seed"), 0, 2**31 - 1, 0),
        "JPEG" if settings.get("format") == "JPEG" else "PNG",
        _whole(settings.get("quality"), 1, 100, 95),
        known,
        face.get("box") if isinstance(face, dict) else None,
        _ids(made.get("checkpoints")),
    )


def _ids(stamps: Any) -> tuple[str, ...]:
    """The ids of a provenance's checkpoints, each once, at most 20."""
    named = [stamp.get("id") for stamp in stamps if isinstance(stamp, dict)] if isinstance(stamps, list) else []
    return tuple(dict.fromkeys(id for id in named[:20] if isinstance(id, str)))


def _sentence(title: str, missing: int) -> str:
    first = f"Larvatus made this file with {title}: its settings are restored."
    if missing <= 0:
        return first
    if missing == 1:
        return f"{first} One of its targets was a photo, which the file does not hold: add it again."
    return f"{first} {missing} of its targets were photos, which the file does not hold: add them again."


def _whole(value: Any, low: int, high: int, otherwise: int) -> int:
    right = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
    return value if right else otherwise
