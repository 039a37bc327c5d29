"""A finished file on its way from one tab to another, or to a study."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from app.photo import Photo
from app.scoring import Person


@dataclass(frozen=True)
class Made:
    """A protected file, what it was made of, the id of the method, and what is known of it.

    `words` and `mark`: the watermark that it carries, for a method whose watermark is a picture.
    """

    person: Person
    file: bytes
    method: str
    name: str  # of the download
    settings: dict[str, Any] = field(default_factory=dict)
    measures: dict[str, float] = field(default_factory=dict)
    words: str = ""
    mark: Photo | None = None
