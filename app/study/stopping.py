"""Whether a study has enough: its stopping rule, counted afresh."""

from __future__ import annotations

from sqlalchemy import func
from sqlmodel import Session, col, select

from app.study.freeze import items, read_design
from app.study.lookup import stimuli_of
from app.study.model import Answer, Rater, Study, Trial
from app.study.units import units


def enough(session: Session, study: Study) -> str:
    """Which stopping rule is met: its name, or "", as for a study that never opened."""
    if study.state == "draft":
        return ""
    rule = read_design(study.design).stopping
    if rule.raters is not None:
        count = session.exec(select(func.count()).select_from(Rater).where(Rater.study_id == study.id)).one()
        if count >= rule.raters:
            return "raters"
    if rule.answers is not None:
        count = session.exec(select(func.count()).select_from(Answer).where(Answer.study_id == study.id)).one()
        if count >= rule.answers:
            return "answers"
    if rule.answers_per_item is not None and _fewest(session, study) >= rule.answers_per_item:
        return "answers_per_item"
    return ""


def _fewest(session: Session, study: Study) -> int:
    """Main answers on the item that has fewest; an item is a unit of the schedule, whichever way round."""
    query = (
        select(Trial.first, Trial.second, func.count())
        .join(Answer, col(Answer.trial_id) == Trial.id)
        .where(Trial.study_id == study.id, Trial.kind == "main")
        .group_by(Trial.first, Trial.second)
    )
    counts: dict[frozenset[str], int] = {}
    for first, second, count in session.exec(query):
        item = frozenset((first, second))
        counts[item] = counts.get(item, 0) + count
    found = units(read_design(study.design), items(stimuli_of(session, study.id)))
    return min(counts.get(frozenset((unit.first, unit.second)), 0) for unit in found.main)
