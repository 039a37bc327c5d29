"""What a photo goes through between its owner and the authority, one slider a change; what is left after it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from app.identities import Identities
from app.photo import Photo
from app.report import PanelRow
from app.reveal import Found, read
from app.runtime import Runtime
from app.scoring import Person, Scorer
from engines import distort
from engines.identity import encode


@dataclass(frozen=True)
class Change:
    """One slider: `none` leaves the photo alone, `points` are where the curve is measured."""

    id: str
    label: str
    unit: str
    low: float
    high: float
    step: float
    none: float
    points: tuple[float, ...]


CHANGES = (
    Change("jpeg", "JPEG quality", "", 5, 100, 1, 100, (5, 10, 20, 30, 50, 70, 90)),
    Change("noise", "Noise, variance", "", 0, 0.02, 0.001, 0, (0.001, 0.003, 0.006, 0.01, 0.015, 0.02)),
    Change("scale", "Size", "%", 10, 100, 5, 100, (10, 20, 30, 50, 75, 100)),
    Change("blur", "Blur, kernel", "px", 1, 21, 2, 1, (3, 5, 7, 11, 15, 21)),
)


def changed(photo: Photo, values: dict[str, float]) -> Photo:
    """The photo after blur, resizing, noise and JPEG, in that order, each at its slider's value."""
    pixels = photo.pixels
    if (kernel := int(values.get("blur", 1)) | 1) > 1:
        pixels = distort.in_bands(pixels, lambda band: distort.blur(band, kernel), halo=kernel)
    if (share := values.get("scale", 100.0)) < 100:
        pixels = distort.resize(pixels, share / 100)
    if (variance := values.get("noise", 0.0)) > 0:
        pixels = distort.in_bands(pixels, _noise(variance))
    if (quality := int(values.get("jpeg", 100))) < 100:
        pixels = distort.real_jpeg(pixels, quality)
    return Photo(pixels, photo.source_format, (), None)


def _noise(variance: float) -> Any:
    generator = torch.Generator().manual_seed(distort.SEED)
    return lambda band: distort.noise(band, variance, generator)


@dataclass(frozen=True)
class Left:
    """What is left after a change: bits that read as before it, and each recogniser's cosine to the photo before."""

    value: float
    agreeing: int | None  # None where the face is no longer found
    total: int
    cosines: dict[str, float | None]
    found: Found | None


class Witness:
    """Looks at one face of a photo through changes. `members`: the recognisers that compare."""

    def __init__(
        self, runtime: Runtime, reader: Any, person: Person, members: Sequence[Any], identities: Identities, key: str
    ):
        self.runtime, self.reader, self.person, self.identities, self.key = runtime, reader, person, identities, key
        self.scorer = Scorer(runtime, members, person)
        self.rows: tuple[PanelRow, ...] = tuple(member.row(self.scorer.far) for member in members)
        self.first = read(runtime, reader, person, identities, key)
        number = self.first.number
        self.written = self.first.bits if number is None else encode(number, key)

    def look(self, values: dict[str, float], value: float = 0.0) -> tuple[Left, Photo]:
        """The photo after the sliders' changes, and what is left in it."""
        photo = changed(self.person.photo, values)
        face = self.scorer.find_again(photo, self.person.face)
        if face is None:
            nothing: dict[str, float | None] = {row.recogniser: None for row in self.rows}
            return Left(value, None, len(self.written), nothing, None), photo
        found = read(self.runtime, self.reader, Person("file", photo, face), self.identities, self.key)
        scores = self.scorer.file(photo, self.person.face)
        agreeing = sum(a == b for a, b in zip(self.written, found.bits, strict=True))
        return Left(value, agreeing, len(self.written), {s.recogniser: s.to_self for s in scores}, found), photo

    def sweep(self, change: Change) -> Iterator[Left]:
        """One change at each of its points, the others at none."""
        for value in change.points:
            yield self.look({change.id: value}, value)[0]
