"""Filling an actively sampled trial: which pair to show, given all answers of the study so far."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
from sqlalchemy import func
from sqlmodel import Session, col, select

from app.study import active
from app.study.design import Design
from app.study.freeze import items
from app.study.model import Answer, Rater, Stimulus, Trial
from app.study.schedule import generator
from app.study.units import Unit, units


def fill(session: Session, design: Design, trial_id: str) -> None:
    """Write a pair into the trial: a repeat's from its original with sides swapped, else the one that tells most."""
    trial = session.get_one(Trial, trial_id)
    if trial.first:  # another tab was faster
        return
    if trial.repeat_of:
        source = session.get(Trial, trial.repeat_of)
        assert source is not None and source.first  # it comes earlier, so it was shown
        _write(trial, Unit(source.second, source.first, source.photo))
        return
    stimuli = session.exec(select(Stimulus).where(Stimulus.study_id == trial.study_id)).all()
    condition = {one.id: one.condition for one in stimuli}
    names = sorted(set(condition.values()))
    number = {name: at for at, name in enumerate(names)}
    left, wins = _so_far(session, trial.study_id, condition, number)
    main = units(design, items(stimuli)).main
    own = select(Trial.first, Trial.second).where(Trial.rater_id == trial.rater_id, Trial.kind == "main")
    seen = {frozenset(row) for row in session.exec(own)}
    fresh = [unit for unit in main if frozenset((unit.first, unit.second)) not in seen]
    pairs = [(number[condition[unit.first]], number[condition[unit.second]]) for unit in fresh]
    shown = [left[unit.first, unit.second] + left[unit.second, unit.first] for unit in fresh]
    random = generator(design.seed, "active", session.get_one(Rater, trial.rater_id).number, trial.position)
    unit = fresh[active.choose(wins, pairs, shown, random)]
    # On the left comes whichever was there less often; between equals the lot decides.
    balance = left[unit.first, unit.second] - left[unit.second, unit.first]
    _write(trial, unit.swapped() if balance > 0 or (balance == 0 and random.integers(2)) else unit)


def _so_far(
    session: Session, study_id: str, condition: dict[str, str], number: dict[str, int]
) -> tuple[Counter[tuple[str, str]], np.ndarray]:
    """How often each (left, right) was shown in main trials, and who won against whom: (n, n), ties half each."""
    main = (Trial.study_id == study_id, Trial.kind == "main", Trial.first != "")
    shown = select(Trial.first, Trial.second, func.count()).where(*main).group_by(Trial.first, Trial.second)
    left = Counter({(first, second): count for first, second, count in session.exec(shown)})
    query = (
        select(Trial.first, Trial.second, Answer.value, func.count())
        .join(Answer, col(Answer.trial_id) == Trial.id)
        .where(*main)
        .group_by(Trial.first, Trial.second, Answer.value)
    )
    wins = np.zeros((len(number), len(number)))
    for first, second, value, count in session.exec(query):
        a, b = number[condition[first]], number[condition[second]]
        share = {"first": 1.0, "second": 0.0, "tie": 0.5}[json.loads(value)]
        wins[a, b] += share * count
        wins[b, a] += (1 - share) * count
    return left, wins


def _write(trial: Trial, unit: Unit) -> None:
    trial.first, trial.second, trial.photo, trial.truth = unit.first, unit.second, unit.photo, unit.truth
