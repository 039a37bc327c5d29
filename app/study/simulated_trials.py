"""What simulated raters are shown: the trials of one session, for every protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Condition:
    """A condition and its known `score`: points 1..5 (acr, dsis), log-strength (pairs), d' (detection,
    verification), or the chance that a rater marks the spot (artefacts)."""

    label: str
    score: float
    method: str = "method"
    parameters: dict[str, Any] = field(default_factory=dict)
    measures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Trial:
    first: str  # condition @ photo, "" for none
    second: str
    truth: str = ""


def condition_of(stimulus: str) -> str:
    return stimulus.rsplit("@", 1)[0]


def _one(conditions: Sequence[Condition], photos: int, rng: np.random.Generator) -> list[Trial]:
    trials = [Trial(f"{c.label}@p{photo}", "") for photo in range(photos) for c in conditions]
    return [trials[k] for k in rng.permutation(len(trials))]


def _beside(conditions: Sequence[Condition], photos: int, rng: np.random.Generator) -> list[Trial]:
    return [
        Trial(f"reference@{trial.first.rsplit('@', 1)[1]}", trial.first) for trial in _one(conditions, photos, rng)
    ]


def _two(conditions: Sequence[Condition], photos: int, rng: np.random.Generator) -> list[Trial]:
    labels = [c.label for c in conditions]
    both = [(a, b) for k, a in enumerate(labels) for b in labels[k + 1 :]]
    trials = [Trial(f"{a}@p{photo}", f"{b}@p{photo}") for photo in range(photos) for a, b in both]
    return [trials[k] if rng.random() < 0.5 else swapped(trials[k]) for k in rng.permutation(len(trials))]


def _find(conditions: Sequence[Condition], photos: int, rng: np.random.Generator) -> list[Trial]:
    """Each altered picture once on either side."""
    trials = []
    for altered in (c.label for c in conditions if c.label != "reference"):
        for photo in range(photos):
            trial = Trial(f"{altered}@p{photo}", f"reference@p{photo}", "first")
            trials += [trial, swapped(trial)]
    return [trials[k] for k in rng.permutation(len(trials))]


def _same(conditions: Sequence[Condition], photos: int, rng: np.random.Generator) -> list[Trial]:
    """Each altered picture beside the reference of its own photo, and beside that of the next: another person."""
    trials = []
    for altered in (c.label for c in conditions if c.label != "reference"):
        for photo in range(photos):
            trials.append(Trial(f"reference@p{photo}", f"{altered}@p{photo}", "same"))
            trials.append(Trial(f"reference@p{(photo + 1) % photos}", f"{altered}@p{photo}", "different"))
    return [trials[k] for k in rng.permutation(len(trials))]


PLANS: dict[str, Callable] = {
    "acr": _one,
    "dsis": _beside,
    "pairs": _two,
    "detection": _find,
    "verification": _same,
    "artefacts": _one,
}


def swapped(trial: Trial) -> Trial:
    truth = {"first": "second", "second": "first"}.get(trial.truth, trial.truth)
    return Trial(trial.second, trial.first, truth)


def catch_trial(protocol: str, number: int) -> Trial:
    """A trial with one right answer: a deliberately bad version, alone or beside the reference."""
    bad, good = "catch@p0", "reference@p0"
    if protocol == "acr":
        return Trial(bad, "", "1-2")
    if protocol == "artefacts":
        return Trial(bad, "", "some")
    if protocol == "dsis":
        return Trial(good, bad, "1-2")
    if protocol == "verification":
        return Trial(good, good, "same")
    trial = Trial(bad, good, "second" if protocol == "pairs" else "first")
    return swapped(trial) if number % 2 else trial
