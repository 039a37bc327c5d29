"""What a researcher decided about an analysis: with the same tables, the same result."""

from __future__ import annotations

from typing import Annotated

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.study.analysis import Analysis, analyse
from app.study.errors import StudyError
from app.study.intervals import LEVEL


class Choices(BaseModel):
    """The keywords of `analysis.analyse`: `exclusions` are rater ids; see there for `limits` and `directions`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    exclusions: tuple[str, ...] = ()
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    resamples: Annotated[int, Field(ge=1, le=10_000)] = 1000
    level: Annotated[float, Field(gt=0, lt=1)] = LEVEL
    limits: dict[str, float] = {}
    directions: dict[str, bool] = {}

    def but(self, **changed: object) -> Choices:
        """The same with some of them changed."""
        return self.model_copy(update=changed)

    def analysed(self, votes: pd.DataFrame, stimuli: pd.DataFrame) -> Analysis:
        """The result under these choices. Raises StudyError."""
        return analyse(votes, stimuli, **{name: getattr(self, name) for name in type(self).model_fields})


def read_choices(text: str | bytes) -> Choices:
    """What `Choices.model_dump_json` wrote. Raises StudyError."""
    try:
        return Choices.model_validate_json(text)
    except ValidationError as error:
        field = ".".join(map(str, error.errors()[0]["loc"])) or "all of it"
        raise StudyError(f"The choices of this analysis cannot be read ({field}): export the study again.") from error
