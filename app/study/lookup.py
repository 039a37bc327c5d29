"""Studies and stimuli by id, inside a session that is open already."""

from __future__ import annotations

from sqlmodel import Session, select

from app.study.errors import StudyError
from app.study.model import Stimulus, Study
from app.study.strings import text


def known(session: Session, study_id: str) -> Study:
    """The study. Raises StudyError."""
    found = session.get(Study, study_id)
    if found is None:
        raise StudyError(text("error.unknown_study"))
    return found


def locked(session: Session, study_id: str) -> Study:
    """The study, held until the transaction ends. The row lock does not stop answers."""
    found = session.exec(select(Study).where(Study.id == study_id).with_for_update(key_share=True)).first()
    if found is None:
        raise StudyError(text("error.unknown_study"))
    return found


def draft(session: Session, study_id: str) -> Study:
    """The study, still open to change. Raises StudyError."""
    found = locked(session, study_id)
    if found.state != "draft":
        raise StudyError("This study has been opened, so its protocol is frozen: make a copy and change that.")
    return found


def stimuli_of(session: Session, study_id: str) -> list[Stimulus]:
    """The stimuli by photo and condition."""
    rows = session.exec(select(Stimulus).where(Stimulus.study_id == study_id)).all()
    return sorted(rows, key=lambda row: (row.photo, row.condition))
