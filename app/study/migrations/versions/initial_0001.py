"""The first tables, and the triggers that keep answers and frozen studies as they are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# table, event, when it is refused (OLD and NEW are the row before and after), what is said
GUARDS = (
    ("answer", "UPDATE", "1 = 1", "answers are append-only"),
    (
        "answer",
        "DELETE",
        "(SELECT withdrawn_at FROM rater WHERE id = OLD.rater_id) IS NULL",
        "answers are deleted by the withdrawal of their rater only",
    ),
    (
        "study",
        "UPDATE",
        "OLD.state <> 'draft' AND (NEW.state = 'draft' OR NEW.design <> OLD.design OR NEW.title <> OLD.title"
        " OR NEW.frozen IS NULL OR NEW.frozen <> OLD.frozen"
        " OR NEW.protocol_hash IS NULL OR NEW.protocol_hash <> OLD.protocol_hash)",
        "the protocol is frozen",
    ),
    ("study", "DELETE", "OLD.state <> 'draft'", "an opened study is kept"),
    *(
        (
            "stimulus",
            event,
            f"(SELECT state FROM study WHERE id = {row}.study_id) <> 'draft'",
            "the stimuli are frozen",
        )
        for event, row in (("INSERT", "NEW"), ("UPDATE", "OLD"), ("DELETE", "OLD"))
    ),
)


def upgrade() -> None:
    """Make the seven tables and their guards."""
    _studies()
    _raters()
    _answers()
    for table, event, refused, said in GUARDS:
        _guard(table, event, refused, said)


def downgrade() -> None:
    """Drop everything."""
    for table in ("answer", "trial", "rater", "stimulus", "picture", "setting", "study"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        for table, event, _, _ in GUARDS:
            op.execute(f"DROP FUNCTION {_name(table, event)}()")


def _text(name: str, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sa.String(), nullable=nullable)


def _number(name: str) -> sa.Column:
    return sa.Column(name, sa.Integer(), nullable=False)


def _json(name: str) -> sa.Column:
    return sa.Column(name, sa.JSON(), nullable=False)


def _studies() -> None:
    op.create_table(
        "study",
        *map(_text, ("id", "title", "state")),
        sa.Column("design", sa.Text(), nullable=False),
        sa.Column("frozen", sa.Text(), nullable=True),
        _text("protocol_hash", nullable=True),
        _text("created_at"),
        _text("opened_at", nullable=True),
        _text("closed_at", nullable=True),
        _number("withdrawn_raters"),
        _number("withdrawn_answers"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "picture",
        _text("sha256"),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        _number("width"),
        _number("height"),
        sa.PrimaryKeyConstraint("sha256"),
    )
    op.create_table(
        "stimulus",
        *map(_text, ("id", "study_id", "photo", "person", "condition", "method")),
        _json("parameters"),
        *map(_text, ("role", "sha256")),
        *map(_json, ("measures", "provenance")),
        sa.ForeignKeyConstraint(["sha256"], ["picture.sha256"]),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("study_id", "photo", "condition", name="stimulus_once"),
    )
    op.create_index("ix_stimulus_study_id", "stimulus", ["study_id"])
    op.create_table("setting", _text("key"), _text("value"), sa.PrimaryKeyConstraint("key"))


def _raters() -> None:
    op.create_table(
        "rater",
        *map(_text, ("id", "study_id")),
        _number("number"),
        _text("code_hash"),
        _text("external_id", nullable=True),
        _json("external"),
        _text("consent_version"),
        _json("demographics"),
        _text("enrolled_at"),
        _text("finished_at", nullable=True),
        _text("paused_at", nullable=True),
        _number("pauses"),
        _text("withdrawn_at", nullable=True),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("code_hash"),
        sa.UniqueConstraint("study_id", "number", name="rater_number_once"),
        sa.UniqueConstraint("study_id", "external_id", name="rater_external_once"),
    )
    op.create_index("ix_rater_study_id", "rater", ["study_id"])


def _answers() -> None:
    op.create_table(
        "trial",
        *map(_text, ("id", "study_id", "rater_id")),
        _number("position"),
        *map(_text, ("kind", "first", "second", "photo", "truth", "repeat_of")),
        sa.ForeignKeyConstraint(["rater_id"], ["rater.id"]),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("rater_id", "position", name="trial_position_once"),
    )
    op.create_index("ix_trial_study_id", "trial", ["study_id"])
    op.create_table(
        "answer",
        *map(_text, ("trial_id", "rater_id", "study_id", "token")),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        _text("answered_at"),
        *map(_number, ("screen_width", "screen_height")),
        sa.ForeignKeyConstraint(["rater_id"], ["rater.id"]),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"]),
        sa.ForeignKeyConstraint(["trial_id"], ["trial.id"]),
        sa.PrimaryKeyConstraint("trial_id"),
        sa.UniqueConstraint("rater_id", "token", name="answer_token_once"),
    )
    op.create_index("ix_answer_study_id", "answer", ["study_id"])


def _name(table: str, event: str) -> str:
    return f"guard_{table}_{event.lower()}"


def _guard(table: str, event: str, refused: str, said: str) -> None:
    """A trigger that refuses `event` where the condition holds; `%` is doubled nowhere, since none is used."""
    name = _name(table, event)
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {event} ON {table} WHEN {refused} "
            f"BEGIN SELECT RAISE(ABORT, '{said}'); END"
        )
        return
    kept = "OLD" if event == "DELETE" else "NEW"
    op.execute(
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ "
        f"BEGIN IF {refused} THEN RAISE EXCEPTION '{said}'; END IF; RETURN {kept}; END $$"
    )
    op.execute(f"CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()")
