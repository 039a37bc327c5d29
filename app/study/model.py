"""What is kept: the tables. JSON columns hold what `canonical.canonical` accepts; times are UTC, ISO 8601.

Answers are append-only, and what was frozen stays: triggers in the database hold both (`migrations`), so that not
even a slip in this program can change them.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Column, LargeBinary, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

KINDS = ("training", "main", "catch", "repeat")
ROLES = ("test", "reference", "anchor", "catch")
STATES = ("draft", "open", "closed")


class Study(SQLModel, table=True):
    """A study: `design` is a `design.Design` as canonical JSON, `protocol_hash` the SHA-256 of the text `frozen`."""

    __tablename__ = "study"
    id: str = Field(primary_key=True)
    title: str
    state: str = "draft"
    design: str = Field(sa_column=Column(Text, nullable=False))
    frozen: str | None = Field(default=None, sa_column=Column(Text))
    protocol_hash: str | None = None
    created_at: str
    opened_at: str | None = None
    closed_at: str | None = None
    withdrawn_raters: int = 0  # the tombstones: how many asked for their answers to be deleted
    withdrawn_answers: int = 0


class Picture(SQLModel, table=True):
    """The bytes of a PNG, once for each SHA-256, whichever studies show it."""

    __tablename__ = "picture"
    sha256: str = Field(primary_key=True)
    data: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    width: int
    height: int


class Stimulus(SQLModel, table=True):
    """A picture in a study: of which source `photo`, under which `condition`, in which `role`, and from where."""

    __tablename__ = "stimulus"
    __table_args__ = (UniqueConstraint("study_id", "photo", "condition", name="stimulus_once"),)
    id: str = Field(primary_key=True)
    study_id: str = Field(foreign_key="study.id", index=True)
    photo: str
    person: str
    condition: str
    method: str
    parameters: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    role: str
    sha256: str = Field(foreign_key="picture.sha256")
    measures: dict[str, float] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    provenance: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))


class Rater(SQLModel, table=True):
    """A person in one study. `id` opens the session, so it is shown to that person only; the code is kept hashed."""

    __tablename__ = "rater"
    __table_args__ = (
        UniqueConstraint("study_id", "number", name="rater_number_once"),
        UniqueConstraint("study_id", "external_id", name="rater_external_once"),
    )
    id: str = Field(primary_key=True)
    study_id: str = Field(foreign_key="study.id", index=True)
    number: int  # from 0: the row of the balanced order
    code_hash: str = Field(unique=True)
    external_id: str | None = None
    external: dict[str, str] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    consent_version: str
    demographics: dict[str, str] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    enrolled_at: str  # when the consent was given, too
    finished_at: str | None = None
    paused_at: str | None = None
    pauses: int = 0
    withdrawn_at: str | None = None  # set for a moment only, inside the transaction that deletes


class Trial(SQLModel, table=True):
    """One screen of one rater. `first` is "" until an actively sampled pair is chosen: when it is first shown."""

    __tablename__ = "trial"
    __table_args__ = (UniqueConstraint("rater_id", "position", name="trial_position_once"),)
    id: str = Field(primary_key=True)
    study_id: str = Field(foreign_key="study.id", index=True)
    rater_id: str = Field(foreign_key="rater.id")
    position: int  # from 0
    kind: str
    first: str
    second: str
    photo: str
    truth: str
    repeat_of: str


class Answer(SQLModel, table=True):
    """An answer: one a trial, since the trial is its key. `value` is canonical JSON; `token` names the submission."""

    __tablename__ = "answer"
    __table_args__ = (UniqueConstraint("rater_id", "token", name="answer_token_once"),)
    trial_id: str = Field(primary_key=True, foreign_key="trial.id")
    rater_id: str = Field(foreign_key="rater.id")
    study_id: str = Field(foreign_key="study.id", index=True)
    token: str
    value: str = Field(sa_column=Column(Text, nullable=False))
    seconds: float
    answered_at: str
    screen_width: int
    screen_height: int


class Setting(SQLModel, table=True):
    """What the workbench remembers of itself, such as the hash of the admin token."""

    __tablename__ = "setting"
    key: str = Field(primary_key=True)
    value: str
