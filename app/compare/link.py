"""A permalink of the Compare tab: the settings of a board, without any photo."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from app.compare import threats, tradeoff
from app.compare.entries import STEPS, known, sweeps
from app.scoring import FARS

BORROWED = {"targets": "targets", "attacked": "attacked", "held": "held_out"}  # words of an address, fields of a Link
LONGEST = 64  # names of one kind that are read
WORRIES = dict(zip(("search", "train", "forge", "trace", "back"), threats.THREATS, strict=True))


@dataclass(frozen=True)
class Link:
    """What is chosen; the knob that is swept ("" for none) and in how many steps; the FAR; how it is looked at.

    Then names of the built-in faces that methods lead to, and ids of recognisers; None where a link does not say.
    """

    chosen: tuple[str, ...]
    swept: str = ""
    steps: int = 5
    far: float = FARS[0]
    threat: str = threats.SEARCH
    natural: str = "SSIM"
    blind: bool = False
    targets: tuple[str, ...] | None = None
    attacked: tuple[str, ...] | None = None
    held_out: tuple[str, ...] | None = None

    @property
    def query(self) -> str:
        """The address's end; how it is looked at only where that is not the usual way."""
        worry = next((word for word, threat in WORRIES.items() if threat == self.threat), "")
        unusual = {
            "threat": worry if self.threat != Link.threat else "",
            "looks": self.natural if self.natural != Link.natural else "",
            "blind": "1" if self.blind else "",
        }
        sweep = {"sweep": f"{self.swept}:{self.steps}"} if self.swept else {}
        asked = {"compare": ",".join(self.chosen), **sweep, "far": f"{self.far:g}"}
        borrowed = {word: getattr(self, name) for word, name in BORROWED.items()}
        told = {word: ",".join(names) for word, names in borrowed.items() if names is not None}
        return "?" + urlencode(asked | {name: value for name, value in unusual.items() if value} | told)


def linked(query: str) -> Link | None:
    """What a query asks for, as far as it is known here; None where it names no board."""
    asked = dict(parse_qsl(query.lstrip("?"), keep_blank_values=True))
    natural, asked_for = asked.get("looks", ""), asked.get("compare", "").split(",")[:LONGEST]
    chosen = tuple(dict.fromkeys(choice for choice in asked_for if known(choice)))
    knob, steps = _sweep(asked.get("sweep", ""))
    if not chosen and not knob:
        return None
    return Link(
        chosen,
        knob,
        steps,
        next((far for far in FARS if f"{far:g}" == asked.get("far")), Link.far),
        WORRIES.get(asked.get("threat", ""), Link.threat),
        natural if natural in tradeoff.natural() else Link.natural,
        asked.get("blind") == "1",
        *(_names(asked.get(word)) for word in BORROWED),
    )


def _names(asked: str | None) -> tuple[str, ...] | None:
    return None if asked is None else tuple(dict.fromkeys(filter(None, asked.split(",")[:LONGEST])))


def _sweep(asked: str) -> tuple[str, int]:
    """Of "id.knob:steps" the knob, "" where it is unknown, and the steps; a plain id means its first knob."""
    name, _, steps = asked.partition(":")
    knob = next((one for one in sweeps() if name in (one, one.partition(".")[0])), "")
    return (knob, int(steps)) if knob and steps in map(str, STEPS) else ("", Link.steps)
