"""What a researcher decides about a study; frozen and hashed when the study opens."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from app.study.errors import StudyError
from app.study.protocols import PROTOCOLS, Protocol
from app.study.strings import ENGLISH, TEXTS, text

Line = Annotated[str, Field(max_length=300)]
Paragraphs = Annotated[str, Field(max_length=20_000)]
LABELS = tuple(caption for key, caption in ENGLISH.items() if key.startswith("label."))


class Strict(BaseModel):
    """Unknown names are refused, values cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, allow_inf_nan=False)


class Question(Strict):
    """An optional question about the rater, answered from `choices`."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
    caption: Line
    choices: Annotated[tuple[Line, ...], Field(min_length=2, max_length=300)]


class Stopping(Strict):
    """When the study has enough: whichever comes first; None is no limit. An item is a stimulus or a pair."""

    raters: Annotated[int, Field(ge=1)] | None = None
    answers: Annotated[int, Field(ge=1)] | None = None
    answers_per_item: Annotated[int, Field(ge=1)] | None = None


class Design(Strict):
    """Everything that decides what raters see, except the pictures.

    `trials` is the number of main trials for each rater, None for one of every item. Training trials come first and
    do not count; catch trials show a deliberately bad version (same person: the same picture twice); repeats show a
    trial again, at least `repeat_gap` main trials later, with sides swapped.
    """

    title: Annotated[str, Field(min_length=1, max_length=300)]
    protocol: Literal["pairs", "acr", "dsis", "detection", "verification", "artefacts"]
    question: Line = ""  # "" asks the protocol's own question
    instructions: Paragraphs = ""
    language: Annotated[str, Field(max_length=10)] = "en"
    tie: bool = False
    labels: Annotated[tuple[Line, ...], Field(min_length=1, max_length=30)] = LABELS
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    trials: Annotated[int, Field(ge=1, le=2000)] | None = None
    training: Annotated[int, Field(ge=0, le=50)] = 3
    catch: Annotated[int, Field(ge=0, le=100)] = 2
    repeats: Annotated[int, Field(ge=0, le=100)] = 2
    repeat_gap: Annotated[int, Field(ge=1, le=200)] = 5
    sampling: Literal["balanced", "active"] = "balanced"
    include_reference: bool = True  # hidden among the conditions: ACR-HR, and likewise for pairs, DSIS and artefacts
    rate_anchors: bool = False  # anchors among the main trials, too
    minimum_view: Annotated[float, Field(ge=0, le=60)] = 0.5  # seconds
    consent: Paragraphs = ENGLISH["consent.default"]
    consent_version: Annotated[str, Field(min_length=1, max_length=50)] = "1"
    demographics: tuple[Question, ...] = ()
    completion_url: Annotated[str, Field(max_length=500, pattern=r"^(|https://\S+)$")] = ""
    stopping: Stopping = Stopping()
    simulated: bool = False  # its raters are a program: every page and export says so

    @field_validator("language")
    @classmethod
    def _known_language(cls, value: str) -> str:
        if value not in TEXTS:
            raise ValueError(f"there is no translation into {value}")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Design:
        if self.protocol != "pairs" and (self.tie or self.sampling == "active"):
            raise ValueError("a tie and active sampling are for pairwise comparison only")
        if self.repeats and self.trials is not None and self.repeats > self.trials // 2:
            raise ValueError("at most half of the main trials can be repeated")
        return self

    @property
    def rules(self) -> Protocol:
        """The protocol that the design names."""
        return PROTOCOLS[self.protocol]

    @property
    def asked(self) -> str:
        """The question that raters read."""
        return self.question or text(f"question.{self.protocol}", self.language)


def design_from(values: dict[str, Any] | Design) -> Design:
    """A validated design. Raises StudyError: one sentence that names the first field at fault."""
    if isinstance(values, Design):
        return values
    try:
        return Design(**values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "together"
        reason = first["msg"].removeprefix("Value error, ")
        raise StudyError(f"The design cannot be used ({field}: {reason}): change this and save again.") from error
    except TypeError as error:
        raise StudyError("The design cannot be read: give its fields by name.") from error
