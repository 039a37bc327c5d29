"""A picture on its way into a study."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from app.study.canonical import canonical, new_id
from app.study.errors import StudyError
from app.study.model import ROLES, Stimulus

LONGEST_NAME = 200


@dataclass(frozen=True)
class Incoming:
    """Untrusted: the bytes of a picture file and what is said of it. Raises StudyError where that makes no sense.

    `photo` names the source photo (the same for all its versions), `person` who is in it (the photo's name where
    nothing is said); the condition is named after method and parameters where it has no name; `measures` are
    finite numbers such as {"ssim": 0.97}.
    """

    data: bytes
    photo: str
    role: str = "test"
    method: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    condition: str = ""
    person: str = ""
    measures: dict[str, float] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("photo", "method", "condition", "person"):
            said = getattr(self, name)
            if not isinstance(said, str) or len(said) > LONGEST_NAME or (said and not said.isprintable()):
                raise StudyError(f"A picture's {name} cannot be read: use at most {LONGEST_NAME} plain characters.")
        if not self.photo:
            raise StudyError("A picture does not say which photo it is a version of: fill in “photo”.")
        if self.role not in ROLES:
            raise StudyError(f"“{self.role}” is no role of a picture: use one of {', '.join(ROLES)}.")
        if self.role == "test" and not (self.method or self.condition):
            raise StudyError(f"A picture of the photo {self.photo} names no method and no condition: fill in one.")
        for name, value in self.measures.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise StudyError(f"The measure {name} of the photo {self.photo} is no finite number: correct it.")
        canonical([self.parameters, self.provenance, self.measures])

    @property
    def label(self) -> str:
        """The condition's name."""
        if self.role == "reference":
            return "reference"
        return self.condition or condition_of(self.method, self.parameters)


@dataclass(frozen=True)
class Prepared:
    """A picture that was decoded and written again as PNG without metadata, `width` x `height` pixels."""

    png: bytes
    sha256: str
    width: int
    height: int
    source: Incoming

    @property
    def photo(self) -> str:
        """The source photo's name."""
        return self.source.photo

    @property
    def condition(self) -> str:
        """The condition's name."""
        return self.source.label

    def row(self, study_id: str) -> Stimulus:
        """Its row in the table of stimuli."""
        source = self.source
        return Stimulus(
            id=new_id(9),
            study_id=study_id,
            photo=source.photo,
            person=source.person or source.photo,
            condition=source.label,
            method=source.method,
            parameters=source.parameters,
            role=source.role,
            sha256=self.sha256,
            measures={name: float(value) for name, value in source.measures.items()},
            provenance=source.provenance,
        )


def condition_of(method: str, parameters: dict[str, Any]) -> str:
    """A name such as "tip-im, epsilon 8, gamma 0.5"; parameters by name, so that their order does not matter."""
    said = ", ".join(f"{name} {parameters[name]}" for name in sorted(parameters))
    return (f"{method}, {said}" if said else method)[:LONGEST_NAME]
