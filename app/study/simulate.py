"""Simulated raters with known scores, for every protocol: to try the statistics, and for the worked example.

Whoever is simulated says so: every rater's id starts with "simulated-", and the analysis and its report show it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from app.study.simulated_rater import Rater, Raters, at_catch
from app.study.simulated_trials import PLANS, Condition, Trial, catch_trial, swapped

MARK = "simulated-"
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Simulation:
    """Votes and stimuli as `tables` has them. `score`: condition -> what was put in."""

    votes: pd.DataFrame
    stimuli: pd.DataFrame
    score: dict[str, float]
    seed: int


def is_simulated(votes: pd.DataFrame) -> bool:
    """Whether any of these raters was simulated: one is enough to say so."""
    return bool(votes["rater"].str.startswith(MARK).any())


def simulate(
    protocol: str,
    conditions: Sequence[Condition],
    photos: int = 4,
    raters: Raters = Raters(),  # noqa: B008
    catches: int = 0,
    repeats: int = 0,
    seed: int = 0,
) -> Simulation:
    """One session a rater: a training trial, every condition (pairs: every pair) on every photo in random order,
    `catches` catch trials among them, and the first `repeats` again at the end with sides exchanged.

    The condition "reference" (score 5 for acr and dsis, the best for pairs, else 0) is added if it is not among
    `conditions`; dsis, detection and verification show it beside the other. Raises KeyError for an unknown protocol.
    """
    listed = list(conditions)
    if all(condition.label != "reference" for condition in listed):
        best = {"acr": 5.0, "dsis": 5.0, "pairs": max((c.score for c in listed), default=0.0)}
        listed.append(Condition("reference", best.get(protocol, 0.0), "none"))
    rng = np.random.default_rng(seed)
    stimuli = _stimuli(listed, photos)
    by_label = {condition.label: condition for condition in listed}
    rows: list[dict[str, Any]] = []
    for number in range(raters.count):
        rater = Rater(rng, raters, by_label, number >= raters.count - raters.inattentive)
        plan = PLANS[protocol](listed, photos, rng)
        rows += _session(f"{MARK}{number:03d}", protocol, plan, rater, catches, repeats)
    return Simulation(pd.DataFrame(rows), stimuli, {c.label: c.score for c in listed}, seed)


def _session(
    name: str, protocol: str, plan: list[Trial], rater: Rater, catches: int, repeats: int
) -> list[dict[str, Any]]:
    steps = [("training", plan[0], "")] + [("main", trial, "") for trial in plan]
    for number in range(catches):
        steps.insert(
            2 + (number + 1) * (len(plan) - 1) // (catches + 1), ("catch", catch_trial(protocol, number), "")
        )
    main = [k for k, step in enumerate(steps) if step[0] == "main"][:repeats]
    turned = swapped if protocol in ("pairs", "detection") else lambda trial: trial
    steps += [("repeat", turned(steps[k][1]), f"{name}-{k}") for k in main]
    rows, clock = [], START
    for index, (kind, trial, repeat_of) in enumerate(steps):
        answer = at_catch(protocol, trial, rater) if kind == "catch" else rater.answer(protocol, trial)
        seconds = float(np.round(4 * rater.pace * np.exp(0.3 * rater.rng.normal()) * (1 + 2 / (index + 2)), 3))
        clock += timedelta(seconds=seconds)
        rows.append(
            {
                "rater": name,
                "trial": f"{name}-{index}",
                "kind": kind,
                "index": index,
                "protocol": protocol,
                "first": trial.first,
                "second": trial.second,
                "photo": trial.first.rsplit("@", 1)[1],
                "answer": answer,
                "truth": trial.truth,
                "repeat_of": repeat_of,
                "seconds": seconds,
                "answered_at": clock.isoformat(timespec="milliseconds"),
                "screen_width": 1440,
                "screen_height": 900,
            }
        )
    return rows


def _stimuli(conditions: Sequence[Condition], photos: int) -> pd.DataFrame:
    listed = [*conditions, Condition("catch", 1.0, "none")]
    rows = []
    for condition in listed:
        for photo in range(photos):
            name = f"{condition.label}@p{photo}"
            shift = 0.01 * (photo - (photos - 1) / 2)  # photos differ a little, conditions' means stay
            rows.append(
                {
                    "stimulus": name,
                    "photo": f"p{photo}",
                    "condition": condition.label,
                    "method": condition.method,
                    "parameters": dict(condition.parameters),
                    "role": condition.label if condition.label in ("reference", "catch") else "test",
                    "sha256": hashlib.sha256(name.encode()).hexdigest(),
                    "measures": {key: value + shift for key, value in condition.measures.items()},
                }
            )
    return pd.DataFrame(rows)
