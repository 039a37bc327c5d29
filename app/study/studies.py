"""A researcher's side of the store: make a study, give it pictures, open it, close it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, select

from app.study import order
from app.study.canonical import canonical, new_id, now, sha256
from app.study.database import Database
from app.study.design import Design, design_from
from app.study.errors import StudyError
from app.study.freeze import check_frozen, frozen, items, read_design
from app.study.incoming import Prepared
from app.study.lookup import draft, known, locked, stimuli_of
from app.study.model import Answer, Picture, Rater, Stimulus, Study
from app.study.stopping import enough

MOST_STIMULI = 5_000


@dataclass(frozen=True)
class Progress:
    """How far a study is. `enough` names the stopping rule that is met: raters, answers, answers_per_item or ""."""

    raters: int
    finished: int
    answers: int
    withdrawn_raters: int
    withdrawn_answers: int
    enough: str


class Studies:
    """What is done before and around the rating. All methods raise StudyError."""

    database: Database

    def create(self, design: Design | dict[str, Any]) -> Study:
        """A new draft."""
        design = design_from(design)
        kept = canonical(design.model_dump(mode="json"))
        study = Study(id=new_id(9), title=design.title, design=kept, created_at=now())
        with self.database.write() as session:
            session.add(study)
        return study

    def edit(self, study_id: str, design: Design | dict[str, Any]) -> Study:
        """Replace a draft's design."""
        design = design_from(design)
        with self.database.write() as session:
            study = draft(session, study_id)
            study.title, study.design = design.title, canonical(design.model_dump(mode="json"))
        return study

    def studies(self) -> list[Study]:
        """All studies, the newest first."""
        with self.database.read() as session:
            return list(session.exec(select(Study).order_by(col(Study.created_at).desc(), col(Study.id))))

    def study(self, study_id: str) -> Study:
        """One study; its frozen protocol is checked against its hash."""
        with self.database.read() as session:
            found = known(session, study_id)
        check_frozen(found)
        return found

    def design(self, study_id: str) -> Design:
        """The design of a study."""
        return read_design(self.study(study_id).design)

    def add(self, study_id: str, pictures: Iterable[Prepared]) -> list[str]:
        """Give a draft its pictures, all or none of them: the stimulus ids. The same bytes are kept once."""
        pictures = list(pictures)
        with self.database.write() as session:
            draft(session, study_id)
            there = session.exec(select(Stimulus).where(Stimulus.study_id == study_id)).all()
            sizes = dict(_sizes(session, study_id))
            _check_new(pictures, there, sizes)
            for one in pictures:
                self._keep_picture(session, one)
            rows = [one.row(study_id) for one in pictures]
            session.flush()
            session.add_all(rows)
            return [row.id for row in rows]

    def remove_stimulus(self, study_id: str, stimulus_id: str) -> None:
        """Take a picture out of a draft."""
        with self.database.write() as session:
            draft(session, study_id)
            row = session.get(Stimulus, stimulus_id)
            if row is None or row.study_id != study_id:
                raise StudyError("This picture is not part of the study: reload the page.")
            session.delete(row)

    def stimuli(self, study_id: str) -> list[Stimulus]:
        """The stimuli by photo and condition."""
        with self.database.read() as session:
            return stimuli_of(session, study_id)

    def picture(self, digest: str) -> bytes:
        """The PNG with this SHA-256."""
        with self.database.read() as session:
            found = session.get(Picture, digest)
        if found is None:
            raise StudyError("This picture is not kept here: import it again.")
        return found.data

    def open(self, study_id: str) -> str:
        """Freeze the protocol and take raters from now on: its SHA-256. A closed study opens again as it is."""
        with self.database.write() as session:
            study = locked(session, study_id)
            if study.state == "draft":
                stimuli = stimuli_of(session, study_id)
                design = read_design(study.design)
                order.session(design, items(stimuli), 0)  # raises for what cannot be asked
                study.frozen = frozen(design, stimuli)
                study.protocol_hash, study.opened_at = sha256(study.frozen), now()
            check_frozen(study)
            study.state, study.closed_at = "open", None
            return str(study.protocol_hash)

    def close(self, study_id: str) -> None:
        """Take no more raters and no more answers."""
        with self.database.write() as session:
            study = locked(session, study_id)
            if study.state == "draft":
                raise StudyError("This study was never opened, so there is nothing to close: open it first.")
            if study.state == "open":
                study.state, study.closed_at = "closed", now()

    def progress(self, study_id: str) -> Progress:
        """Counts, and whether the stopping rule is met."""
        with self.database.read() as session:
            study = known(session, study_id)
            of = Rater.study_id == study_id
            raters = session.exec(select(func.count()).select_from(Rater).where(of)).one()
            finished = session.exec(
                select(func.count()).select_from(Rater).where(of, col(Rater.finished_at).is_not(None))
            ).one()
            answers = session.exec(select(func.count()).select_from(Answer).where(Answer.study_id == study_id)).one()
            gone = study.withdrawn_raters, study.withdrawn_answers
            return Progress(raters, finished, answers, *gone, enough(session, study))

    def _keep_picture(self, session: Session, one: Prepared) -> None:
        insert = sqlite.insert if self.database.is_sqlite else postgresql.insert
        row = {"sha256": one.sha256, "data": one.png, "width": one.width, "height": one.height}
        session.execute(insert(Picture).values(row).on_conflict_do_nothing())  # type: ignore[attr-defined]


def _sizes(session: Session, study_id: str) -> Iterable[tuple[str, tuple[int, int]]]:
    query = select(Stimulus.photo, Picture.width, Picture.height).join(Picture).where(Stimulus.study_id == study_id)
    return [(photo, (width, height)) for photo, width, height in session.exec(query)]


def _check_new(pictures: list[Prepared], there: Sequence[Stimulus], sizes: dict[str, tuple[int, int]]) -> None:
    """All versions of a photo have one size, and each condition is there once."""
    if len(pictures) + len(there) > MOST_STIMULI:
        raise StudyError(f"A study has at most {MOST_STIMULI:,} pictures: split it into several.")
    taken = {(row.photo, row.condition) for row in there}
    for one in pictures:
        if (one.photo, one.condition) in taken:
            raise StudyError(f"The photo {one.photo} has two pictures for “{one.condition}”: name them differently.")
        taken.add((one.photo, one.condition))
        size = (one.width, one.height)
        if sizes.setdefault(one.photo, size) != size:
            usual = "{} x {}".format(*sizes[one.photo])
            raise StudyError(
                f"The pictures of the photo {one.photo} differ in size ({usual}, and “{one.condition}” is "
                f"{one.width} x {one.height}): make them the same size."
            )
