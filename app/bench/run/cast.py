"""Which photo of the data plays which part: protected, target, gallery, or another photo of the same person."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from app.bench.run.sources import Row
from app.bench.run.spec import Spec, SpecError


@dataclass(frozen=True)
class Cast:
    """Indices into the source's rows. `references`: of each probe the photo that it is compared with, or nothing.

    `gallery` is empty where none is asked for; no probe and no target photo is in it.
    """

    probes: tuple[int, ...]
    targets: tuple[int, ...]
    gallery: tuple[int, ...]
    references: dict[int, int]


def cast(spec: Spec, rows: Sequence[Row]) -> Cast:
    """Draw the parts; the same spec and data give the same ones. Raises SpecError where the data are too few."""
    people = _people(spec, rows)
    targets = _target_people(spec, people)
    pool = _pool(spec, rows, people, set(targets))
    if spec.photos.shuffle is not None:
        random.Random(spec.photos.shuffle).shuffle(pool)
    probes = tuple(sorted(pool[: spec.photos.limit]))  # in the order of the data, which is quick to read
    if not probes:
        raise SpecError("No photo is left to protect: lower `targets.people`, or give more photos per person.")
    aimed = tuple(people[name][0] for name in targets)
    references = _references(spec, rows, people, probes)
    return Cast(probes, aimed, _gallery(spec, rows, people, probes, aimed), references)


def _people(spec: Spec, rows: Sequence[Row]) -> dict[str, list[int]]:
    """The photos of each person, by name, in the order of the data; none where nobody asks."""
    found: dict[str, list[int]] = defaultdict(list)
    if spec.photos.person:
        for index, row in enumerate(rows):
            if row.labels[spec.photos.person] is not None:
                found[str(row.labels[spec.photos.person])].append(index)
    return dict(found)


def _target_people(spec: Spec, people: dict[str, list[int]]) -> list[str]:
    several = sorted(name for name, own in people.items() if len(own) > 1)
    if spec.targets.people > len(several):
        raise SpecError(
            f"`targets.people` is {spec.targets.people}, but only {len(several)} people have two photos: lower it."
        )
    return sorted(random.Random(_seed(spec)).sample(several, spec.targets.people))


def _pool(spec: Spec, rows: Sequence[Row], people: dict[str, list[int]], targets: set[str]) -> list[int]:
    """What may be protected: nobody who is a target; where others' photos are needed, nobody who has only one."""
    if not people:
        return list(range(len(rows)))
    alone = spec.gallery is None and spec.against == "itself"
    own = [found for name, found in people.items() if name not in targets and (alone or len(found) > 1)]
    return sorted(index for found in own for index in found[: spec.photos.per_person])


def _references(
    spec: Spec, rows: Sequence[Row], people: dict[str, list[int]], probes: Sequence[int]
) -> dict[int, int]:
    """The first other photo of the same person."""
    if spec.against == "itself":
        return {}
    own = {probe: people[str(rows[probe].labels[spec.photos.person])] for probe in probes}
    return {probe: next(index for index in found if index != probe) for probe, found in own.items()}


def _gallery(
    spec: Spec, rows: Sequence[Row], people: dict[str, list[int]], probes: Sequence[int], aimed: Sequence[int]
) -> tuple[int, ...]:
    """The other photos of the probes' and the targets' people, and one photo of each distractor."""
    if spec.gallery is None:
        return ()
    shown = {str(rows[index].labels[spec.photos.person]) for index in (*probes, *aimed)}
    others = sorted(set(people) - shown)
    if spec.gallery.distractors > len(others):
        raise SpecError(
            f"`gallery.distractors` is {spec.gallery.distractors}, but only {len(others)} people are left: lower it."
        )
    drawn = random.Random(_seed(spec) + 1).sample(others, spec.gallery.distractors)
    found = {index for name in shown for index in people[name]} | {people[name][0] for name in drawn}
    return tuple(sorted(found - set(probes) - set(aimed)))


def _seed(spec: Spec) -> int:
    return spec.photos.shuffle or 0
