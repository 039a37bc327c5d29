"""What is compared: a method at some settings, under a name of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

from app.scoring import JobError
from engines.methods import METHODS
from engines.methods import method as method_of
from engines.params import Knob

MOST = 24  # entries in one comparison
STEPS = range(3, 13)  # of a sweep
SWEPT = ("gamma", "beta", "epsilon", "strength")  # the knobs that trade looks for protection, the first there first


@dataclass(frozen=True)
class Entry:
    """One line of the board: a method's id and its settings; what is left out has the paper's value."""

    method: str
    name: str
    params: dict[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """ "TIP-IM, Balanced"."""
        return f"{METHODS[self.method].title}, {self.name}"


USUAL = tuple(f"{id}:Balanced" for id in ("tip-im", "dip-watermark", "pgd") if id in METHODS)


def choices() -> list[str]:
    """Every method at every preset, as "id:preset"."""
    return [f"{id}:{preset}" for id, method in METHODS.items() for preset in method.presets]


def named(choice: str) -> Entry:
    """The entry of "id:preset". Raises MethodError, JobError."""
    id, _, preset = choice.partition(":")
    method = method_of(id)
    if preset not in method.presets:
        raise JobError(f"{method.title} has no preset {preset!r}: choose from {', '.join(method.presets)}.")
    return Entry(id, preset, dict(method.presets[preset]))


def title(choice: str) -> str:
    """How a choice is shown."""
    return named(choice).title


def swept(id: str) -> Knob | None:
    """The knob of a method that trades its looks for its protection; None where it has none."""
    ranges = (knob for knob in method_of(id).Params.knobs() if knob.low is not None and knob.high is not None)
    knobs = {knob.name: knob for knob in ranges if knob.low != knob.high}
    return next((knobs[name] for name in SWEPT if name in knobs), None)


def sweep(id: str, steps: int) -> list[Entry]:
    """A method at so many values of its knob, evenly from the lowest to the highest. Raises JobError."""
    knob = swept(id)
    if knob is None or knob.low is None or knob.high is None:
        raise JobError(f"{method_of(id).title} has no setting to sweep: choose another method.")
    if steps not in STEPS:
        raise JobError(f"A sweep has {STEPS.start} to {STEPS.stop - 1} steps.")
    values = [knob.low + (knob.high - knob.low) * i / (steps - 1) for i in range(steps)]
    grain = knob.step or 1e-6
    rounded = dict.fromkeys(round(min(knob.high, max(knob.low, grain * round(value / grain))), 6) for value in values)
    return [Entry(id, f"{knob.symbol or knob.label} {value:g}", {knob.name: value}) for value in rounded]


def checked(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """The entries, each once. Raises JobError for none or too many, ParamError for settings that are wrong."""
    once = {(e.method, tuple(sorted(e.params.items(), key=str))): e for e in entries}
    if not once:
        raise JobError("There is nothing to compare: choose at least one method.")
    if len(once) > MOST:
        raise JobError(f"{len(once)} rows are too many for one board: choose at most {MOST}.")
    for entry in once.values():
        method_of(entry.method).Params.read(entry.params)
    return tuple(once.values())


@dataclass(frozen=True)
class Link:
    """What a permalink brings back: choices, the method that is swept ("" for none), in how many steps, the FAR."""

    chosen: tuple[str, ...]
    swept: str = ""
    steps: int = 5
    far: float = 0.01

    @property
    def query(self) -> str:
        """The address's end; no photo is in it."""
        sweep = {"sweep": f"{self.swept}:{self.steps}"} if self.swept else {}
        return "?" + urlencode({"compare": ",".join(self.chosen), **sweep, "far": f"{self.far:g}"})


def linked(query: str) -> Link | None:
    """What a query asks for, as far as it is known here; None where it names no board."""
    asked = dict(parse_qsl(query.lstrip("?")))
    known = choices()
    chosen = tuple(choice for choice in asked.get("compare", "").split(",") if choice in known)
    method, _, steps = asked.get("sweep", "").partition(":")
    swept_here = method in METHODS and swept(method) is not None and steps in map(str, STEPS)
    far = {f"{rate:g}": rate for rate in (0.01, 0.001)}.get(asked.get("far", ""), 0.01)
    if not chosen and not swept_here:
        return None
    return Link(chosen, method, int(steps), far) if swept_here else Link(chosen, far=far)
