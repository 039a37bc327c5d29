"""The photo on the left: its faces outlined, one of them chosen, or a box drawn by hand."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw

from app import photo as photos
from app.photo import Photo
from app.pictures import to_array
from app.runtime import Runtime
from app.scoring import JobError, Person, find_person, overlap
from engines.face import Face

SHOWN_SIDE = 900  # the photo is drawn on at this size at most
ACCENT, QUIET = (99, 102, 241), (255, 255, 255)
NO_FACE = "No face found. Try a photo where both eyes are visible, or click two opposite corners of the face."
EDGES = "Type four numbers from 0 to 100, such as 30, 10, 60, 50: the face's left, top, right and bottom edge in %."
TWO_CORNERS = "Click two opposite corners of the face in the picture."


@dataclass(frozen=True)
class Sitter:
    """A photo, the faces found in it, and the one that is meant. `corner`: the first of a box being drawn."""

    name: str
    photo: Photo
    faces: tuple[Face, ...]
    chosen: int | None
    boxing: bool = False
    corner: tuple[float, float] | None = None
    own: bool = True  # False for the example

    @property
    def person(self) -> Person | None:
        """The chosen face, or None while there is none."""
        return None if self.chosen is None else Person(self.name, self.photo, self.faces[self.chosen])

    @property
    def scale(self) -> float:
        """Shown pixels per photo pixel."""
        return min(1.0, SHOWN_SIDE / max(self.photo.width, self.photo.height))

    @property
    def sentence(self) -> str:
        """What was found, and what to do."""
        if self.boxing:
            return "Now click the opposite corner." if self.corner else TWO_CORNERS if self.faces else NO_FACE
        if len(self.faces) == 1:
            return "One face found; it is outlined."
        return f"{len(self.faces)} faces found. Face {self.chosen + 1} is chosen; click or choose another."


def look(runtime: Runtime, name: str, data: bytes) -> Sitter:
    """Decode a photo and find its faces, the largest chosen. Raises PhotoError."""
    picture = photos.load(data)
    faces = runtime.detector.faces(picture.pixels)
    return Sitter(name, picture, faces, 0 if faces else None, boxing=not faces)


def from_person(person: Person) -> Sitter:
    """The example's sitter."""
    return Sitter(person.name, person.photo, (person.face,), 0, own=False)


def restored(sitter: Sitter, box: list[float] | None) -> Sitter:
    """The sitter with the face chosen that a settings file's box names, where there is such a face."""
    if not sitter.faces or not isinstance(box, list) or len(box) != 4:
        return sitter
    try:
        like = Face(tuple(float(v) for v in box), (), 1.0)
    except (TypeError, ValueError):
        return sitter
    best = max(range(len(sitter.faces)), key=lambda i: overlap(sitter.faces[i], like))
    return replace(sitter, chosen=best) if overlap(sitter.faces[best], like) > 0.3 else sitter


def clicked(runtime: Runtime, sitter: Sitter, x: float, y: float) -> Sitter:
    """A click at shown pixel (x, y): choose the face there, or set a corner of the box.

    Raises JobError for a box in which no face can be placed; the sitter then keeps waiting for corners.
    """
    px, py = x / sitter.scale, y / sitter.scale
    if not sitter.boxing:
        hits = [i for i, face in enumerate(sitter.faces) if _inside(face, px, py)]
        return replace(sitter, chosen=min(hits, key=lambda i: sitter.faces[i].area)) if hits else sitter
    if sitter.corner is None:
        return replace(sitter, corner=(px, py))
    return _boxed(runtime, sitter, sitter.corner, (px, py))


def typed(runtime: Runtime, sitter: Sitter, text: str) -> Sitter:
    """A box around a face by its edges in % of the photo: "left, top, right, bottom". Raises JobError."""
    try:
        left, top, right, bottom = (float(part) / 100 for part in re.split(r"[\s,;%]+", text.strip(" %\t")))
    except ValueError:
        raise JobError(EDGES) from None
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise JobError(EDGES)
    width, height = sitter.photo.width, sitter.photo.height
    return _boxed(runtime, sitter, (left * width, top * height), (right * width, bottom * height))


def _boxed(runtime: Runtime, sitter: Sitter, one: tuple[float, float], other: tuple[float, float]) -> Sitter:
    """The face in the box between two corners, photo pixels, as one more of the sitter's, and chosen."""
    (ax, ay), (bx, by) = one, other
    box = (min(ax, bx), min(ay, by), max(ax, bx), max(ay, by))
    face = find_person(runtime, sitter.name, sitter.photo, box=box).face
    return replace(sitter, faces=(*sitter.faces, face), chosen=len(sitter.faces), boxing=False, corner=None)


def _inside(face: Face, x: float, y: float) -> bool:
    x0, y0, x1, y1 = face.box
    return x0 <= x <= x1 and y0 <= y <= y1


def outlined(sitter: Sitter) -> np.ndarray:
    """The photo as (h, w, 3) uint8: the chosen face in a solid accent line, the others dashed."""
    size = [max(1, round(n * sitter.scale)) for n in (sitter.photo.width, sitter.photo.height)]
    picture = Image.fromarray(to_array(sitter.photo.pixels)).resize(size, Image.Resampling.BILINEAR)
    pen, width = ImageDraw.Draw(picture), max(2, round(max(size) / 130))
    for i, face in enumerate(sitter.faces):
        box = [v * sitter.scale for v in face.box]
        if i == sitter.chosen and not sitter.boxing:
            pen.rectangle([v + d for v, d in zip(box, (-1, -1, 1, 1), strict=True)], outline=QUIET, width=width + 2)
            pen.rectangle(box, outline=ACCENT, width=width)
        else:
            _dashed(pen, box, width)
    if sitter.corner:
        x, y = (v * sitter.scale for v in sitter.corner)
        arm = 6 * width
        for line in ((x - arm, y, x + arm, y), (x, y - arm, x, y + arm)):
            pen.line(line, fill=QUIET, width=width + 2)
            pen.line(line, fill=ACCENT, width=width)
    return np.asarray(picture)


def _dashed(pen: ImageDraw.ImageDraw, box: list[float], width: int) -> None:
    x0, y0, x1, y1 = box
    dash = 5 * width
    for (ax, ay), (bx, by) in (
        ((x0, y0), (x1, y0)),
        ((x1, y0), (x1, y1)),
        ((x1, y1), (x0, y1)),
        ((x0, y1), (x0, y0)),
    ):
        length = max(abs(bx - ax), abs(by - ay), 1)
        for i, start in enumerate(np.arange(0, length, dash)):
            a, b = start / length, min(1.0, (start + dash) / length)
            ends = (ax + (bx - ax) * a, ay + (by - ay) * a, ax + (bx - ax) * b, ay + (by - ay) * b)
            pen.line(ends, fill=(20, 24, 32) if i % 2 else QUIET, width=width)
