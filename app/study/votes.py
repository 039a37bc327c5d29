"""Answers and stimuli as tables, for the statistics: the one door between the store and the analysis."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
from sqlmodel import col, select

from app.study.canonical import pseudonym
from app.study.enrolment import EXTERNAL
from app.study.model import Answer, Rater, Trial
from app.study.store import Store

SIMULATED = "simulated-"  # raters that are a program say so in every table
VOTES = (
    *("rater", "trial", "kind", "index", "protocol", "first", "second", "photo", "answer", "truth", "repeat_of"),
    *("seconds", "answered_at", "screen_width", "screen_height"),
)
STIMULI = (
    *("stimulus", "photo", "condition", "method", "parameters", "role", "sha256", "measures"),
    *("person", "provenance"),
)
RATERS = {
    "rater": "str",
    "number": "int64",
    "consent_version": "str",
    "demographics": "object",
    "enrolled_at": "str",
    "finished_at": "str",
    "pauses": "int64",
    **dict.fromkeys(EXTERNAL, "str"),
}


def votes(store: Store, study_id: str) -> pd.DataFrame:
    """One row an answer, by rater and place in the session. Raises StudyError for an unknown study.

    `rater` is a pseudonym, the same in all tables, and starts with "simulated-" in a study of simulated raters.
    `index` counts a session's screens from 0; `answer` is "first", "second" or "tie" (pairs), 1..5 (acr, dsis),
    "first" or "second" (detection), "same" or "different" (verification), or a list of boxes (artefacts: x0, y0,
    x1, y1 as fractions of the picture, label). `truth` is "" where no answer is right; `seconds` count from when the
    pictures were visible; `answered_at` is UTC, ISO 8601; a screen size of 0 is unknown.
    """
    design = store.design(study_id)
    query = (
        select(Answer, Trial)
        .join(Trial, col(Trial.id) == Answer.trial_id)
        .join(Rater, col(Rater.id) == Answer.rater_id)
        .where(Answer.study_id == study_id)
        .order_by(col(Rater.number), col(Trial.position))
    )
    with store.database.read() as session:
        rows = [_vote(answer, trial, design.protocol, design.simulated) for answer, trial in session.exec(query)]
    table = pd.DataFrame(rows, columns=list(VOTES))
    numbers = {"index": "int64", "seconds": "float64", "screen_width": "int64", "screen_height": "int64"}
    return table.astype({**dict.fromkeys(set(VOTES) - {"answer"}, "str"), **numbers, "answer": "object"})


def stimuli(store: Store, study_id: str) -> pd.DataFrame:
    """One row a stimulus; `parameters`, `measures` and `provenance` are dicts. Raises StudyError."""
    store.study(study_id)
    rows = [(one.id, *(getattr(one, name) for name in STIMULI[1:])) for one in store.stimuli(study_id)]
    table = pd.DataFrame(rows, columns=list(STIMULI))
    objects = dict.fromkeys(("parameters", "measures", "provenance"), "object")
    return table.astype({**dict.fromkeys(STIMULI, "str"), **objects})


def raters(store: Store, study_id: str) -> pd.DataFrame:
    """One row a rater, with Prolific's ids: for the researcher's payments, not for publication."""
    simulated = store.design(study_id).simulated
    query = select(Rater).where(Rater.study_id == study_id).order_by(col(Rater.number))
    with store.database.read() as session:
        rows = [_rater(one, simulated) for one in session.exec(query)]
    return pd.DataFrame(rows, columns=list(RATERS))


def _name(rater: str, simulated: bool) -> str:
    return SIMULATED * simulated + pseudonym(rater)


def _vote(answer: Answer, trial: Trial, protocol: str, simulated: bool) -> dict[str, Any]:
    return {
        "rater": _name(answer.rater_id, simulated),
        "trial": trial.id,
        "kind": trial.kind,
        "index": trial.position,
        "protocol": protocol,
        "first": trial.first,
        "second": trial.second,
        "photo": trial.photo,
        "answer": json.loads(answer.value),
        "truth": trial.truth,
        "repeat_of": trial.repeat_of,
        "seconds": answer.seconds,
        "answered_at": answer.answered_at,
        "screen_width": answer.screen_width,
        "screen_height": answer.screen_height,
    }


def _rater(one: Rater, simulated: bool) -> dict[str, Any]:
    kept = {name: getattr(one, name) for name in RATERS if name not in ("rater", *EXTERNAL)}
    external = {name: one.external.get(name, "") for name in EXTERNAL}
    return {**kept, "rater": _name(one.id, simulated), "finished_at": one.finished_at or "", **external}
