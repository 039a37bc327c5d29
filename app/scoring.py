"""People, and how recognisers see them in a decoded file: always detected and aligned from scratch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from app import photo as photos
from app.panel import Member
from app.photo import Photo
from app.report import Score
from app.runtime import Runtime
from engines.face import Face, FaceCrop, align
from engines.frame import frame
from engines.recognise import Recogniser

FARS = (0.01, 0.001)


class JobError(ValueError):
    """A job that cannot be done, as one sentence that says what to do."""


@dataclass(frozen=True)
class Person:
    """A photo and the face in it that is meant. What recognisers saw in it stays with it, and goes with it."""

    name: str
    photo: Photo
    face: Face
    _rows: dict[tuple[str, str], Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def landmarks(self) -> Tensor:
        """(5, 2) float32, photo pixels."""
        return torch.tensor(self.face.landmarks, dtype=torch.float32)

    def crop(self, seen_by: Any) -> FaceCrop:
        """The face, cut to the template of a recogniser or a method; for a method that is exact, its frame."""
        if getattr(seen_by, "exact", False):
            return frame(self.photo.pixels, self.landmarks)
        return align(self.photo.pixels, self.landmarks, seen_by.template)

    def embedding(self, recogniser: Recogniser) -> Tensor:
        """The embedding (D,) on the CPU as the network gives it (its length kept), asked for once; no gradient."""
        key = recogniser.card.id, recogniser.card.sha256
        if key not in self._rows:
            # no_grad, not inference_mode: a row may later be the constant in a loss that is differentiated.
            with torch.no_grad():
                self._rows[key] = recogniser.raw(self.crop(recogniser).pixels)[0].cpu()
        return self._rows[key]


def find_person(
    runtime: Runtime,
    name: str,
    data: bytes | Photo,
    index: int = 0,
    box: tuple[float, float, float, float] | None = None,
) -> Person:
    """Decode a photo and find the face that is meant: the `index`-th largest, or the one in `box`.

    Raises PhotoError for a file that cannot be read and JobError where there is no such face.
    """
    picture = data if isinstance(data, Photo) else photos.load(data)
    if box is not None:
        try:
            return Person(name, picture, runtime.detector.in_box(picture.pixels, box))
        except ValueError as error:
            raise JobError(str(error)) from None
    faces = runtime.detector.faces(picture.pixels)
    if not faces:
        raise JobError(
            f"No face found in {name}. Try a photo where both eyes are visible, or draw a box around the face."
        )
    if not 0 <= index < len(faces):
        raise JobError(f"There is no face number {index + 1} in {name}: it shows {len(faces)}.")
    return Person(name, picture, faces[index])


def embed(recogniser: Recogniser, person: Person) -> Tensor:
    """The embedding (D,) of a person's face, as the network gives it (its length kept)."""
    return person.embedding(recogniser)


def cosine(a: Tensor, b: Tensor) -> float:
    """Cosine of two embeddings (D,), -1 to 1."""
    return float(torch.nn.functional.cosine_similarity(a, b, dim=0))


def overlap(a: Face, b: Face) -> float:
    """Intersection over union of two faces' boxes, 0 to 1."""
    width = min(a.box[2], b.box[2]) - max(a.box[0], b.box[0])
    height = min(a.box[3], b.box[3]) - max(a.box[1], b.box[1])
    shared = max(0.0, width) * max(0.0, height)
    return shared / max(a.area + b.area - shared, 1e-9)


class Scorer:
    """The members of a panel, who know one person and some targets, score files against them."""

    def __init__(
        self,
        runtime: Runtime,
        members: Sequence[Member],
        person: Person,
        targets: Sequence[Person] = (),
        far: float = 0.01,
    ):
        if far not in FARS:
            raise JobError("Thresholds are known at a false-acceptance rate of 0.01 and 0.001: choose one of them.")
        self.runtime, self.far, self.members = runtime, far, members
        self.own = {m.id: embed(m.recogniser, person) for m in members}
        self.targets = {m.id: {t.name: embed(m.recogniser, t) for t in targets} for m in members}

    def file(self, data: bytes | Photo, like: Face) -> tuple[Score, ...]:
        """Score a file: decode, detect, take the face that is where `like` was, align, embed; a row a recogniser."""
        picture = data if isinstance(data, Photo) else photos.load(data)
        face = self.find_again(picture, like)
        return tuple(self._row(member, face and Person("file", picture, face)) for member in self.members)

    def find_again(self, picture: Photo, like: Face) -> Face | None:
        """The face of `picture` where `like` was, or None. One that only a drawn box found is sought in that box."""
        faces = self.runtime.detector.faces(picture.pixels)
        best = max(faces, key=lambda face: overlap(face, like), default=None)
        if best is not None and overlap(best, like) > 0.3:
            return best
        return self.runtime.detector.in_box(picture.pixels, like.box) if like.score == 0 else None

    def cosines(self, id: str, row: Tensor) -> tuple[float, float | None, str | None]:
        """An embedding (D,) of recogniser `id` against the person and the nearest target: cosines and its name."""
        near = [(cosine(row, target), name) for name, target in self.targets[id].items()]
        to_target, name = max(near, default=(None, None))
        return cosine(row, self.own[id]), to_target, name

    def _row(self, member: Member, probe: Person | None) -> Score:
        card = member.recogniser.card
        limit = card.euclidean
        common = {
            **asdict(member.row(self.far)),
            "far": self.far,
            "threshold_data": card.threshold_data,
            "distance_threshold": limit,
        }
        if probe is None:
            return Score(**common, to_self=None, to_target=None, target=None)
        row = embed(member.recogniser, probe)
        to_self, to_target, name = self.cosines(card.id, row)
        distance = float((row - self.own[card.id]).norm()) if limit is not None else None
        return Score(**common, to_self=to_self, to_target=to_target, target=name, distance=distance)
