"""A rater's session, from first to last screen: training, then main trials with catch trials and repeats among them.

Determined by the design, the stimuli and the rater's number alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.study.design import Design
from app.study.schedule import generator, latin_order, placed, shown_before, window_start
from app.study.units import Item, Unit, Units, units

VERSION = 1  # of the algorithm; part of the frozen protocol, so a change here never changes an old study's hash


@dataclass(frozen=True)
class Planned:
    """One screen. `repeat_of` is the place of the trial that it repeats; `unit` None is an active pair to come."""

    kind: str
    unit: Unit | None
    repeat_of: int | None = None


def session(design: Design, items: Sequence[Item], number: int) -> list[Planned]:
    """The plan for rater `number` (from 0). Raises StudyError for stimuli that do not suffice."""
    found = units(design, list(items))
    random = generator(design.seed, "session", number)
    main: list[Unit | None] = list(_main(design, found, number, random))
    if design.sampling == "active":
        main = [None] * len(main)
    training = [Planned("training", unit) for unit in _training(design, found)]
    order = placed(len(main), design.catch, design.repeats, design.repeat_gap, random)
    at = {key: len(training) + place for place, key in enumerate(order)}
    plan = []
    for kind, which in order:
        if kind == "main":
            plan.append(Planned("main", main[which]))
        elif kind == "catch":
            plan.append(Planned("catch", _catch(design, found, number, which)))
        else:
            plan.append(Planned("repeat", _other_way(design, main[which]), at["main", which]))
    return training + plan


def length(design: Design, items: Sequence[Item]) -> int:
    """How many main trials each rater has."""
    most = units(design, list(items)).most
    return most if design.trials is None else min(design.trials, most)


def exposures(design: Design, items: Sequence[Item], raters: int) -> dict[tuple[str, str], int]:
    """How often raters 0..raters-1 see each unit in main trials, whichever way round: for the design page."""
    counts: dict[tuple[str, str], int] = {}
    for number in range(raters):
        for planned in session(design, items, number):
            if planned.kind == "main" and planned.unit:
                first, second = sorted((planned.unit.first, planned.unit.second))
                counts[first, second] = counts.get((first, second), 0) + 1
    return counts


def _main(design: Design, found: Units, number: int, random: np.random.Generator) -> list[Unit]:
    """The rater's share of the circle: in Latin-square order, or shuffled where sides must not be foreseeable."""
    size = len(found.main)
    many = found.most if design.trials is None else min(design.trials, found.most)
    if not design.rules.swaps:
        return [found.main[place] for place in latin_order(size, many, number)]
    start = window_start(size, many, number)
    places = [(start + step) % size for step in range(many)]
    turned = []
    for place in (places[at] for at in random.permutation(many)):
        times = shown_before(size, many, number, place)
        unit = found.main[place]
        turned.append(unit.swapped() if (times + place // found.stride) % 2 else unit)
    return turned


def _catch(design: Design, found: Units, number: int, which: int) -> Unit:
    """Catch trials go round the bad versions, and change sides within a rater and from rater to rater."""
    turn = number * design.catch + which
    order = generator(design.seed, "catch").permutation(len(found.catch))
    unit = found.catch[int(order[turn % len(order)])]
    side = (which + number + turn // len(order)) % 2
    return unit.swapped() if design.rules.swaps and side else unit


def _training(design: Design, found: Units) -> list[Unit]:
    """The same for all raters, as P.910 asks: bad versions and ordinary trials in turn, so that the range is seen."""
    random = generator(design.seed, "training")
    bad = [found.catch[at] for at in random.permutation(len(found.catch))]
    usual = [found.main[at] for at in random.permutation(len(found.main))]
    chosen: list[Unit] = []
    while len(chosen) < design.training and (bad or usual):
        chosen.append((bad if bad and (len(chosen) % 2 == 0 or not usual) else usual).pop(0))
    if not design.rules.swaps:
        return chosen
    return [unit.swapped() if random.integers(2) else unit for unit in chosen]


def _other_way(design: Design, unit: Unit | None) -> Unit | None:
    return unit.swapped() if unit is not None and design.rules.swaps else unit
