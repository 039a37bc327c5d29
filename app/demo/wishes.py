"""What a program may ask of an endpoint, checked by name before any work begins; each fault is one sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from app import gallery
from app.channel import CHANGES
from app.compare.entries import MOST
from app.compare.entries import USUAL as USUAL_ENTRIES
from app.compare.threats import THREATS
from app.demo.api_values import choice, entries_of, ids, number, read, text
from app.erase import erasable
from app.forge import ALL_EDITS, USUAL
from app.panel import PanelError, panel_of
from app.panel import check as check_panel
from app.reveal import readable
from app.scoring import FARS, JobError
from engines import manipulate
from engines.checkpoints import Checkpoint
from engines.methods import METHODS
from engines.methods import method as method_of
from engines.params import ParamError

FORMATS = ("PNG", "JPEG")
SEEDS = 2**53  # the first whole number that JSON no longer tells from the next
Cards = Mapping[str, Checkpoint]


def check(endpoint: str, given: Mapping[str, Any], cards: Cards) -> None:
    """Whether an endpoint can do what the values by name ask; what is left out or None has its usual value.

    Raises ParamError, MethodError, PanelError or JobError. Files are not looked at.
    """
    wishes = {name: value for name, value in given.items() if value is not None}
    for name in TEXTS & wishes.keys():
        text(name, wishes[name])
    CHECKS[endpoint](wishes, cards)


def _protect(wishes: Mapping[str, Any], cards: Cards) -> None:
    method_of(wishes.get("method", "tip-im")).Params.read(read(wishes.get("params")))
    _targets(wishes)
    choice("format", wishes.get("format", FORMATS[0]), FORMATS)
    _seed(wishes)
    number("quality", wishes.get("quality", 95), 1, 100, whole=True)
    _far(wishes)
    _recognisers((*ids(wishes.get("surrogates")), *ids(wishes.get("judges"))), cards)


def _score(wishes: Mapping[str, Any], cards: Cards) -> None:
    _far(wishes)
    _recognisers(ids(wishes.get("judges"), "Judges"), cards)


def _reveal(wishes: Mapping[str, Any], cards: Cards) -> None:
    readable(wishes.get("method", "dip-watermark"))


def _erase(wishes: Mapping[str, Any], cards: Cards) -> None:
    erasable(wishes.get("method", "erasable-mask"))
    _far(wishes)


def _forge(wishes: Mapping[str, Any], cards: Cards) -> None:
    if (edit := wishes.get("edit", USUAL)) not in ALL_EDITS:
        raise JobError(f"No forger makes the edit {edit!r}: choose {', '.join(ALL_EDITS)}.")
    for id in ids(wishes.get("forgers"), "Forgers", "stargan"):
        choice("forgers", id, manipulate.available())


def _compare(wishes: Mapping[str, Any], cards: Cards) -> None:
    entries_of(wishes.get("entries", list(USUAL_ENTRIES)), wishes.get("sweep", ""))
    _targets(wishes)
    _seed(wishes)
    _far(wishes)
    attacked, held_out = ids(wishes.get("surrogates")), ids(wishes.get("judges"))
    _recognisers((*attacked, *held_out), cards)
    if attacked or held_out:
        check_panel(panel_of(cards, attacked, held_out), cards)


def _survive(wishes: Mapping[str, Any], cards: Cards) -> None:
    bounds = {change.id: (change.low, change.high) for change in CHANGES}
    for name, value in read(wishes.get("changes")).items():
        choice("changes", name, tuple(bounds))
        number(f"changes.{name}", value, *bounds[name])
    _score(wishes, cards)


def _stolen(wishes: Mapping[str, Any], cards: Cards) -> None:
    choice("face", wishes.get("face", gallery.HOPPER), tuple(gallery.NAMES))


def _send_to_study(wishes: Mapping[str, Any], cards: Cards) -> None:
    _methods(wishes, cards)
    files, names = wishes.get("files") or [], ids(wishes.get("conditions"), "Conditions", "mild")
    if not 0 < len(files) <= MOST:
        raise JobError(f"A study is sent 1 to {MOST} files that methods made of the photo: give them as `files`.")
    for name in names:
        text("conditions", name)
    if len(names) not in (0, len(files)):
        raise ParamError("`conditions` must be a list with a name for each of the `files`.")


def _methods(wishes: Mapping[str, Any], cards: Cards) -> None:
    if wishes.get("method"):
        method_of(wishes["method"])


def _models(wishes: Mapping[str, Any], cards: Cards) -> None:
    choice("kind", wishes.get("kind", ""), ("", *sorted({card.kind for card in cards.values()})))


def _claims(wishes: Mapping[str, Any], cards: Cards) -> None:
    choice("threat", wishes.get("threat", THREATS[0]), THREATS)


def _identities(wishes: Mapping[str, Any], cards: Cards) -> None:
    """Names are texts, which is looked at before."""


def _targets(wishes: Mapping[str, Any]) -> None:
    for name in ids(wishes.get("targets"), "Targets", gallery.HOPPER):
        choice("targets", name, tuple(gallery.NAMES))


def _seed(wishes: Mapping[str, Any]) -> None:
    number("seed", wishes.get("seed", 0), 0, SEEDS, whole=True)


def _recognisers(asked: Sequence[str], cards: Cards) -> None:
    known = [card.id for card in cards.values() if card.kind == "recogniser"]
    if strange := next((id for id in asked if id not in known), None):
        raise PanelError(f"There is no recogniser called {strange!r}: choose from {', '.join(known)}.")


def _far(wishes: Mapping[str, Any]) -> None:
    if wishes.get("far", FARS[0]) not in FARS:
        raise JobError("Thresholds are known at a false-acceptance rate of 0.01 and 0.001: choose one of them.")


CHECKS: dict[str, Callable[[Mapping[str, Any], Cards], None]] = {
    "protect": _protect,
    "score": _score,
    "reveal": _reveal,
    "erase": _erase,
    "forge": _forge,
    "compare": _compare,
    "survive": _survive,
    "stolen": _stolen,
    "send_to_study": _send_to_study,
    "methods": _methods,
    "models": _models,
    "claims": _claims,
    "identities": _identities,
}
# What a value may be, where it is one of a few: by its name, or by the endpoint's and its own.
CHOICES: dict[str | tuple[str, str], Sequence[Any]] = {
    "format": FORMATS,
    "far": FARS,
    "edit": tuple(ALL_EDITS),
    "targets": tuple(gallery.NAMES),
    "face": tuple(gallery.NAMES),
    "threat": THREATS,
    "method": tuple(METHODS),
    ("reveal", "method"): tuple(id for id, method in METHODS.items() if hasattr(method, "read")),
    ("erase", "method"): tuple(id for id, method in METHODS.items() if hasattr(method, "erase")),
}
TEXTS = {
    *("method", "format", "identity", "key", "words", "claim", "restorer", "edit"),
    *("kind", "threat", "register", "forget", "sweep", "face"),
}
