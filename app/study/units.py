"""What can be asked about a study's stimuli: the units, from which a schedule draws.

A unit is one screen before its sides are decided.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import zip_longest

import numpy as np

from app.study.design import Design
from app.study.errors import StudyError
from app.study.schedule import generator, rounds

OTHER_SIDE = {"first": "second", "second": "first"}


@dataclass(frozen=True)
class Item:
    """A stimulus as far as planning needs it."""

    id: str
    photo: str
    person: str
    condition: str
    role: str


@dataclass(frozen=True)
class Unit:
    """`first` and `second` (left and right; "" for none) are stimulus ids, `truth` the right answer or ""."""

    first: str
    second: str
    photo: str
    truth: str = ""

    def swapped(self) -> Unit:
        """The same with left and right exchanged."""
        return replace(self, first=self.second, second=self.first, truth=OTHER_SIDE.get(self.truth, self.truth))


@dataclass(frozen=True)
class Units:
    """The circle of main units, what catch trials draw from, and how many main trials a rater has at most."""

    main: tuple[Unit, ...]
    catch: tuple[Unit, ...]
    most: int
    stride: int = 1  # sides change over after so many units


def units(design: Design, items: list[Item]) -> Units:
    """All units, in an order that the seed decides. Raises StudyError for stimuli that do not suffice."""
    items = sorted(items, key=lambda item: (item.photo, item.condition, item.id))
    if not [item for item in items if item.role == "test"]:
        raise StudyError("The study has no pictures to test: add at least one altered picture.")
    random = generator(design.seed, "units")
    if design.rules.needs_reference:
        _check_references(design, items)
    main = {"pairs": _pairs, "verification": _verification}.get(design.protocol, _single)(design, items, random)
    catch = _catch(design, items)
    if design.catch and not catch:
        raise StudyError(
            "Catch trials need a deliberately bad version of a photo and its reference: add anchors, or set the "
            "number of catch trials to 0."
        )
    if design.protocol == "verification":
        return Units(tuple(main), tuple(catch), len(main) // 2, stride=2)
    return Units(tuple(main), tuple(catch), len(main))


def references(items: list[Item]) -> dict[str, Item]:
    """Photo to its reference."""
    return {item.photo: item for item in items if item.role == "reference"}


def rated(design: Design, items: list[Item]) -> list[Item]:
    """The stimuli that main trials are about."""
    roles = {"test"}
    if design.include_reference and design.protocol in ("pairs", "acr", "dsis", "artefacts"):
        roles.add("reference")
    if design.rate_anchors:
        roles.add("anchor")
    return [item for item in items if item.role in roles]


def _check_references(design: Design, items: list[Item]) -> None:
    known = references(items)
    bare = sorted({item.photo for item in items if item.photo not in known})
    if bare:
        raise StudyError(f"The photo {bare[0]} has no reference, which this protocol needs: add the unaltered one.")
    if design.protocol == "verification" and len({item.person for item in known.values()}) < 2:
        raise StudyError("“Same person?” needs photos of at least two people: add another person's photo.")


def _single(design: Design, items: list[Item], random: np.random.Generator) -> list[Unit]:
    """One unit a rated stimulus: alone (ACR, artefacts) or after its reference (DSIS, detection)."""
    known = references(items)
    chosen = rated(design, items)
    order = [chosen[at] for at in random.permutation(len(chosen))]
    if not design.rules.needs_reference:
        return [Unit(item.id, "", item.photo) for item in order]
    truth = "second" if design.protocol == "detection" else ""
    return [Unit(known[item.photo].id, item.id, item.photo, truth) for item in order]


def _pairs(design: Design, items: list[Item], random: np.random.Generator) -> list[Unit]:
    """Every pair of conditions of each photo, in rounds: neighbours share no stimulus, photos take turns."""
    photos = defaultdict(list)
    for item in rated(design, items):
        photos[item.photo].append(item)
    lists = []
    for photo in (sorted(photos)[at] for at in random.permutation(len(photos))):
        here = [photos[photo][at] for at in random.permutation(len(photos[photo]))]
        lists.append([Unit(here[a].id, here[b].id, photo) for round_ in rounds(len(here)) for a, b in round_])
    main = [unit for turn in zip_longest(*lists) for unit in turn if unit is not None]
    if not main:
        raise StudyError("No photo has two versions to compare: add a second version, or the reference.")
    return main


def _verification(design: Design, items: list[Item], random: np.random.Generator) -> list[Unit]:
    """Turn about: an altered picture with a photo of the same person, and another with one of somebody else.

    The same person is shown in another photo where there is one: the very photo would be matched by its background.
    """
    known = list(references(items).values())
    chosen = rated(design, items)
    order = [chosen[at] for at in random.permutation(len(chosen))]
    away = order[len(order) // 2 :] + order[: len(order) // 2]  # far apart, so that one window rarely has both
    main = []
    for one, other in zip(order, away, strict=True):
        same = [item for item in known if item.person == one.person]
        same = [item for item in same if item.photo != one.photo] or same
        different = [item for item in known if item.person != other.person]
        main.append(Unit(same[random.integers(len(same))].id, one.id, one.photo, "same"))
        main.append(Unit(different[random.integers(len(different))].id, other.id, other.photo, "different"))
    return main


def _catch(design: Design, items: list[Item]) -> list[Unit]:
    """Trials with an obvious answer."""
    known = references(items)
    if design.protocol == "verification":
        return [Unit(item.id, item.id, photo, "same") for photo, item in sorted(known.items())]
    bad = [item for item in items if item.role in ("anchor", "catch")]
    if design.rules.pictures == 1:
        truth = "some" if design.protocol == "artefacts" else "1-2"
        return [Unit(item.id, "", item.photo, truth) for item in bad]
    truth = {"pairs": "first", "detection": "second", "dsis": "1-2"}[design.protocol]
    return [Unit(known[item.photo].id, item.id, item.photo, truth) for item in bad if item.photo in known]
