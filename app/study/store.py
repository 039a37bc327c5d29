"""The store: studies, raters and answers in one database. Open one for each process; any thread may use it."""

from __future__ import annotations

from sqlmodel import Session, col, delete, select

from app.study.canonical import now
from app.study.database import Database
from app.study.enrolment import Enrolments, rater_of
from app.study.lookup import known, locked, stimuli_of
from app.study.model import Answer, Picture, Rater, Stimulus, Trial
from app.study.preview import Preview
from app.study.rating import Ratings
from app.study.studies import Studies


class Store(Studies, Enrolments, Ratings):
    """What is done with studies: `Studies` is the researcher's side, `Enrolments` and `Ratings` the rater's."""

    def __init__(self, url: str | None = None):
        """Open, and upgrade, DATABASE_URL or the SQLite file in LARVATUS_STUDIES. Raises StudyError."""
        self.database = Database(url)
        self._frozen = {}

    def withdraw(self, code: str) -> int:
        """Delete a rater's answers, and everything else about the rater, by the code: how many answers there were.

        The only deletion of answers there is. What stays is a count in the study; the numbers cannot be traced back.
        """
        with self.database.write() as session:
            rater = rater_of(session, code)
            study = locked(session, rater.study_id)
            rater.withdrawn_at = now()  # the database's guard lets the answers of no other rater go
            session.flush()
            gone = _delete(session, rater)
            study.withdrawn_raters += 1
            study.withdrawn_answers += gone
        self.database.checkpoint()
        return gone

    def preview(self, study_id: str, number: int = 0) -> Preview:
        """What rater `number` would see; works on drafts, and stores nothing."""
        with self.database.read() as session:
            query = select(Picture.sha256, Picture.width, Picture.height).join(Stimulus)
            rows = session.exec(query.where(Stimulus.study_id == study_id))
            sizes = {digest: (width, height) for digest, width, height in rows}
            return Preview(known(session, study_id), stimuli_of(session, study_id), number, sizes)

    def close_database(self) -> None:
        """Close the connections, at the end of a program."""
        self.database.close()


def _delete(session: Session, rater: Rater) -> int:
    answers = session.exec(select(Answer.trial_id).where(Answer.rater_id == rater.id)).all()
    for table in (Answer, Trial):
        session.execute(delete(table).where(col(table.rater_id) == rater.id))
    session.delete(rater)
    return len(answers)
