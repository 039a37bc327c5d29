"""The next trial, and an answer: what happens at every click, so few statements, written out, and nothing read twice.

What an opened study shows is frozen, so it is kept in memory after the first look.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row
from sqlalchemy import text as sql

from app.study import pairing
from app.study.canonical import now
from app.study.database import Database
from app.study.design import Design
from app.study.errors import StudyError
from app.study.freeze import read_design
from app.study.screens import Receipt, Screen, Shown, Submission, checked, screen
from app.study.strings import text

TOTAL = "(SELECT count(*) FROM trial WHERE rater_id = :rater) AS total"
# The rater's study and its state, and the first trial without an answer: NULL where there is none left.
NEXT = sql(f"""
    SELECT rater.study_id, study.state, {TOTAL}, trial.id, trial.position, trial.kind, trial.first, trial.second
    FROM rater JOIN study ON study.id = rater.study_id
    LEFT JOIN trial ON trial.rater_id = rater.id
        AND NOT EXISTS (SELECT 1 FROM answer WHERE answer.trial_id = trial.id)
    WHERE rater.id = :rater ORDER BY trial.position LIMIT 1""")
# The same for one trial (NULL where it is not this rater's), its answer, and what else this token was used for.
STATE = sql(f"""
    SELECT rater.study_id, study.state, {TOTAL}, trial.id, trial.position, trial.first, answer.value,
        (SELECT count(*) FROM answer WHERE rater_id = :rater) AS answered,
        (SELECT trial_id FROM answer WHERE rater_id = :rater AND token = :token) AS used
    FROM rater JOIN study ON study.id = rater.study_id
    LEFT JOIN trial ON trial.id = :trial AND trial.rater_id = rater.id
    LEFT JOIN answer ON answer.trial_id = trial.id
    WHERE rater.id = :rater""")
AFTER = sql("""
    SELECT rater.study_id, trial.first, trial.second FROM rater JOIN trial ON trial.rater_id = rater.id
        AND NOT EXISTS (SELECT 1 FROM answer WHERE answer.trial_id = trial.id)
    WHERE rater.id = :rater ORDER BY trial.position LIMIT 1 OFFSET 1""")
LOCK = sql("SELECT id FROM rater WHERE id = :rater FOR NO KEY UPDATE")
KEEP = sql("""
    INSERT INTO answer
        (trial_id, rater_id, study_id, token, value, seconds, answered_at, screen_width, screen_height)
    VALUES (:trial, :rater, :study, :token, :value, :seconds, :now, :screen_width, :screen_height)""")
FINISH = sql("UPDATE rater SET finished_at = :now WHERE id = :rater")
DESIGN = sql("SELECT design FROM study WHERE id = :study")
PICTURES = sql("""
    SELECT stimulus.id, stimulus.sha256, picture.width, picture.height
    FROM stimulus JOIN picture ON picture.sha256 = stimulus.sha256 WHERE stimulus.study_id = :study""")
Frozen = tuple[Design, dict[str, Shown]]


class Ratings:
    """What a rater does on a screen. All methods raise StudyError, in the study's language."""

    database: Database
    _frozen: dict[str, Frozen]

    def next_trial(self, rater_id: str) -> Screen | None:
        """The first trial without an answer, the same one until it is answered; None after the last."""
        with self.database.look() as connection:
            trial = _rater_row(connection.execute(NEXT, {"rater": rater_id}).first())
            design, shown = self._look(connection, trial.study_id)
        if trial.id is None:
            return None
        _require_open(trial.state, design)
        if not trial.first:  # an actively sampled pair is chosen now, and kept
            trial = self._chosen(rater_id, trial, design)
        first, second = shown[trial.first], shown.get(trial.second)
        return screen(design, trial.id, trial.position, trial.total, trial.kind == "training", first, second)

    def upcoming(self, rater_id: str) -> tuple[Shown, ...]:
        """The pictures of the screen after the next, to be fetched meanwhile; () where they are not known yet."""
        with self.database.look() as connection:
            row = connection.execute(AFTER, {"rater": rater_id}).first()
            shown = self._look(connection, row.study_id)[1] if row else {}
        return tuple(shown[one] for one in (row.first, row.second) if one) if row else ()

    def record(
        self,
        rater_id: str,
        trial_id: str,
        answer: Any,
        token: str,
        seconds: float,
        screen_size: tuple[int, int] = (0, 0),
    ) -> Receipt:
        """Keep an answer; when this returns it is on the disk.

        `token` is made by the browser for each submission, `seconds` counts from when the pictures were visible. The
        same answer to the same trial again is acknowledged and counts once; another one is refused, and so is a token
        that was used for another trial, such as a double click that hits the next screen.
        """

        def work(connection: Connection) -> Receipt:
            _lock(connection, rater_id)
            ids = {"rater": rater_id, "trial": trial_id, "token": str(token)}
            there = _rater_row(connection.execute(STATE, ids).first())
            design = self._look(connection, there.study_id)[0]
            sent = checked(design, answer, token, seconds, screen_size)
            return _keep(connection, design, there, ids, sent)

        return self.database.write_together(work)

    def _look(self, connection: Connection, study_id: str) -> Frozen:
        """The design and pictures of a study that was opened; raters are in no other."""
        if study_id not in self._frozen:
            kept = connection.execute(DESIGN, {"study": study_id}).scalar_one()
            pictures = connection.execute(PICTURES, {"study": study_id})
            self._frozen[study_id] = read_design(kept), {row[0]: Shown(*row) for row in pictures}
        return self._frozen[study_id]

    def _chosen(self, rater_id: str, trial: Row[Any], design: Design) -> Row[Any]:
        with self.database.write() as session:
            _lock(session.connection(), rater_id)
            pairing.fill(session, design, trial.id)
            session.flush()
            return _rater_row(session.connection().execute(NEXT, {"rater": rater_id}).first())


def _keep(
    connection: Connection, design: Design, there: Row[Any], ids: dict[str, str], sent: Submission
) -> Receipt:
    """Write, unless there is a reason not to: all of them come before the first write, as `write_together` asks."""
    if there.id is None:
        raise StudyError(text("error.unknown_trial", design.language))
    if there.value is not None:
        if there.value != sent.value:
            raise StudyError(text("error.answered", design.language))
        return Receipt(there.id, True, there.answered, there.total)
    _require_open(there.state, design)
    if there.used is not None:
        raise StudyError(text("error.token", design.language))
    if there.position != there.answered or not there.first:
        raise StudyError(text("error.turn", design.language))
    connection.execute(KEEP, {**ids, "study": there.study_id, "now": now(), **vars(sent)})
    if there.answered + 1 == there.total:
        connection.execute(FINISH, {"rater": ids["rater"], "now": now()})
    return Receipt(there.id, False, there.answered + 1, there.total)


def _rater_row(row: Row[Any] | None) -> Row[Any]:
    if row is None:
        raise StudyError(text("error.unknown_rater"))
    return row


def _lock(connection: Connection, rater_id: str) -> None:
    """One answer of a rater at a time. A statement of its own, so that what PostgreSQL reads next is of after it."""
    if connection.dialect.name != "sqlite":
        connection.execute(LOCK, {"rater": rater_id})


def _require_open(state: str, design: Design) -> None:
    if state != "open":
        raise StudyError(text(f"error.{state}", design.language))
