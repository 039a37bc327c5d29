"""What is compared: a method at some settings, under a name of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from app.scoring import JobError
from engines.method import MethodError
from engines.methods import METHODS
from engines.methods import method as method_of
from engines.params import Knob, ParamError

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

    @property
    def key(self) -> tuple[str, str]:
        """What it does, whatever its name: the method and every setting, defaults filled in. Raises ParamError."""
        return self.method, method_of(self.method).Params.read(self.params).model_dump_json()


USUAL = tuple(f"{id}:Balanced" for id in ("tip-im", "dip-watermark", "pgd") if id in METHODS)


def choices() -> list[str]:
    """Every method at every preset, as "id:preset"."""
    return [f"{id}:{preset}" for id, method in METHODS.items() for preset in method.presets]


def set_to(id: str, values: dict[str, Any]) -> str:
    """A method at settings of one's own as a choice: "id(gamma=1.7;epsilon=10)", what differs from the paper's."""
    params = method_of(id).Params.read(values)
    changed = [knob for knob in params.knobs() if getattr(params, knob.name) != knob.default]
    return f"{id}({';'.join(f'{knob.name}={_text(getattr(params, knob.name))}' for knob in changed)})"


def _text(value: Any) -> str:
    return "+".join(value) if isinstance(value, tuple) else f"{value:g}" if isinstance(value, float) else str(value)


def _own(id: str, told: str) -> Entry:
    """The entry of "id(knob=value;…)", named by what differs from the paper's. Raises MethodError, ParamError."""
    read = method_of(id).Params
    there = {knob.name: knob for knob in read.knobs()}
    pairs = [part.partition("=")[::2] for part in told.split(";") if part]
    split = {name: tuple(filter(None, text.split("+"))) for name, text in pairs}
    several = {name: parts for name, parts in split.items() if name in there and there[name].several}
    params = read.read({**dict(pairs), **several})
    values = {name: getattr(params, name) for name, _ in pairs}
    words = ", ".join(f"{there[name].symbol or there[name].label} {_text(value)}" for name, value in values.items())
    return Entry(id, words or "as published", values)


def known(choice: str) -> bool:
    """Whether there is such a preset, or such settings."""
    try:
        return bool(named(choice))
    except (MethodError, ParamError, JobError):
        return False


def named(choice: str) -> Entry:
    """The entry of "id:preset" or of "id(knob=value;…)". Raises MethodError, ParamError, JobError."""
    if choice.endswith(")") and "(" in choice:
        id, _, told = choice[:-1].partition("(")
        return _own(id, told)
    id, _, preset = choice.partition(":")
    method = method_of(id)
    if preset not in method.presets:
        raise JobError(f"{method.title} has no preset {preset!r}: choose from {', '.join(method.presets)}.")
    return Entry(id, preset, dict(method.presets[preset]))


def title(choice: str) -> str:
    """How a choice is shown."""
    return named(choice).title


def knobs(id: str) -> list[Knob]:
    """The knobs of a method that trade its looks for its protection, in the order of SWEPT."""
    ranges = (knob for knob in method_of(id).Params.knobs() if knob.low is not None and knob.high is not None)
    there = {knob.name: knob for knob in ranges if knob.low != knob.high}
    return [there[name] for name in SWEPT if name in there]


def sweeps() -> list[str]:
    """Every knob of every method that can be swept, as "id.knob"."""
    return [f"{id}.{knob.name}" for id in METHODS for knob in knobs(id)]


def swept(choice: str) -> Knob | None:
    """The knob that "id.knob" or "id" names, for the latter the method's first; None where there is none."""
    id, _, name = choice.partition(".")
    return next((knob for knob in knobs(id) if name in ("", knob.name)), None)


def sweep_title(choice: str) -> str:
    """How a knob to sweep is shown."""
    id, knob = choice.partition(".")[0], swept(choice)
    return f"{METHODS[id].title}, {knob.symbol} ({knob.label.lower()})" if knob else METHODS[id].title


def sweep(choice: str, steps: int) -> list[Entry]:
    """A method at so many values of a knob, evenly from the lowest to the highest. Raises JobError, MethodError."""
    id, knob = choice.partition(".")[0], swept(choice)
    if knob is None or knob.low is None or knob.high is None:
        raise JobError(f"{method_of(id).title} has no setting to sweep: choose another method.")
    if steps not in STEPS:
        raise JobError(f"A sweep has {STEPS.start} to {STEPS.stop - 1} steps.")
    values = [knob.low + (knob.high - knob.low) * i / (steps - 1) for i in range(steps)]
    grain = knob.step or 1e-6
    rounded = dict.fromkeys(round(min(knob.high, max(knob.low, grain * round(value / grain))), 6) for value in values)
    return [Entry(id, f"{knob.symbol or knob.label} {value:g}", {knob.name: value}) for value in rounded]


def checked(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """The entries; of those that do the same the first. JobError: none, or too many; ParamError: a wrong setting."""
    once: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        once.setdefault(entry.key, entry)
    if not once:
        raise JobError("There is nothing to compare: choose at least one method.")
    if len(once) > MOST:
        raise JobError(f"{len(once)} rows are too many for one board: choose at most {MOST}.")
    return tuple(once.values())
