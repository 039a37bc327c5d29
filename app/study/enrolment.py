"""How raters come and go: consent, a place in the balanced order, a pause, and coming back by code or link."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import insert
from sqlmodel import Session, select

from app.study import order
from app.study.canonical import code_hash, new_code, new_id, now, pseudonym
from app.study.database import Database
from app.study.design import Design
from app.study.errors import StudyError
from app.study.freeze import items, read_design, require_open
from app.study.model import Rater, Study, Trial
from app.study.screens import Enrolment
from app.study.strings import text
from app.study.studies import enough, locked, stimuli_of

EXTERNAL = ("PROLIFIC_PID", "STUDY_ID", "SESSION_ID")  # Prolific's names; the first one names the person
LONGEST_EXTERNAL = 200


class Enrolments:
    """What a rater does before and between answers. All methods raise StudyError."""

    database: Database

    def enrol(
        self,
        study_id: str,
        consent_version: str,
        external: Mapping[str, str] | None = None,
        demographics: Mapping[str, str] | None = None,
    ) -> Enrolment:
        """A new rater with all trials planned; the same rater as before for a known PROLIFIC_PID.

        `external` are the address's parameters, of which Prolific's three are kept. The consent is to the version
        of the text that was shown. `demographics` may leave out anything.
        """
        kept = _external(external or {})
        with self.database.write() as session:
            study = locked(session, study_id)
            design = read_design(study.design)
            require_open(study, design.language)
            person = kept.get(EXTERNAL[0])
            if person and (back := _returning(session, study_id, person)):
                return back
            if consent_version != design.consent_version:
                raise StudyError(text("error.consent", design.language))
            if enough(session, study):
                raise StudyError(text("error.enough", design.language))
            about = _demographics(design, demographics or {})
            return _enrol(session, study, Rater(
                id=new_id(), study_id=study_id, number=_free_number(session, study_id), code_hash="",
                external_id=person, external=kept, consent_version=consent_version, demographics=about,
                enrolled_at=now(),
            ))  # fmt: skip

    def pause(self, rater_id: str) -> None:
        """Note a pause. Nothing has to be saved: every answer is."""
        with self.database.write() as session:
            rater = _known(session, rater_id)
            rater.paused_at, rater.pauses = now(), rater.pauses + 1

    def resume(self, code: str) -> str:
        """The rater's session id for a code, on whatever device."""
        with self.database.write() as session:
            rater = rater_of(session, code)
            rater.paused_at = None
            return rater.id

    def renew_code(self, rater_id: str) -> str:
        """A new code in place of a lost one, for who came back by link; the old one no longer works."""
        code = new_code()
        with self.database.write() as session:
            rater = _known(session, rater_id)
            rater.code_hash = code_hash(code)
        return code

    def study_of(self, rater_id: str) -> str:
        """Which study a session belongs to."""
        with self.database.read() as session:
            return _known(session, rater_id).study_id

    def label_of(self, rater_id: str) -> str:
        """How this rater is called in tables and exports."""
        return pseudonym(rater_id)


def rater_of(session: Session, code: str) -> Rater:
    """The rater who holds this code, held until the transaction ends. Raises StudyError."""
    query = select(Rater).where(Rater.code_hash == code_hash(code))
    rater = session.exec(query.with_for_update(key_share=True)).first()
    if rater is None:
        raise StudyError(text("error.unknown_code"))
    return rater


def _enrol(session: Session, study: Study, rater: Rater) -> Enrolment:
    """Keep the rater and all trials of the plan."""
    code = new_code()
    rater.code_hash = code_hash(code)
    session.add(rater)
    session.flush()
    plan = order.session(read_design(study.design), items(stimuli_of(session, study.id)), rater.number)
    ids = [new_id(12) for _ in plan]
    rows = []
    for position, planned in enumerate(plan):
        unit = planned.unit
        rows.append({
            "id": ids[position], "study_id": study.id, "rater_id": rater.id, "position": position,
            "kind": planned.kind, "first": unit.first if unit else "", "second": unit.second if unit else "",
            "photo": unit.photo if unit else "", "truth": unit.truth if unit else "",
            "repeat_of": "" if planned.repeat_of is None else ids[planned.repeat_of],
        })  # fmt: skip
    session.execute(insert(Trial), rows)
    return Enrolment(rater.id, code, returning=False)


def _known(session: Session, rater_id: str) -> Rater:
    rater = session.exec(select(Rater).where(Rater.id == rater_id).with_for_update(key_share=True)).first()
    if rater is None:
        raise StudyError(text("error.unknown_rater"))
    return rater


def _returning(session: Session, study_id: str, person: str) -> Enrolment | None:
    rater = session.exec(select(Rater).where(Rater.study_id == study_id, Rater.external_id == person)).first()
    return Enrolment(rater.id, "", returning=True) if rater else None


def _free_number(session: Session, study_id: str) -> int:
    """The lowest free one: who withdraws leaves a row of the balanced order to the next rater."""
    taken = set(session.exec(select(Rater.number).where(Rater.study_id == study_id)))
    return next(number for number in range(len(taken) + 1) if number not in taken)


def _external(given: Mapping[str, str]) -> dict[str, str]:
    kept = {name: given[name] for name in EXTERNAL if given.get(name)}
    for value in kept.values():
        if not isinstance(value, str) or len(value) > LONGEST_EXTERNAL or not value.isprintable():
            raise StudyError(text("error.external"))
    return kept


def _demographics(design: Design, given: Mapping[str, str]) -> dict[str, str]:
    choices = {question.name: question.choices for question in design.demographics}
    kept = {name: value for name, value in given.items() if value}
    if any(value not in choices.get(name, ()) for name, value in kept.items()):
        raise StudyError(text("error.demographics", design.language))
    return kept
