"""Read the mark of a photo found in the wild: which identity it carries, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from app.fits import somewhere
from app.identities import SURE, Identities, Identity, Nearest, number_of
from app.photo import Photo
from app.runtime import Runtime
from app.scoring import JobError, Person
from engines.face import Face
from engines.identity import BITS, Decoded, decode, encode
from engines.methods import METHODS
from engines.methods import method as method_of

DEFAULT_KEY = "larvatus"
NO_FACE = "No face found in this photo. Try one where both eyes are visible: the mark lies in the face."


@dataclass(frozen=True)
class Found:
    """What one face of a photo says."""

    face: Face
    bits: tuple[int, ...]
    confidence: tuple[float, ...]  # of each bit, 0.5 to 1
    decoded: Decoded | None  # by the code alone
    nearest: Nearest | None  # by the registry, which also knows damaged codes
    marked: bool  # the decoder is as sure of its bits as on marked faces
    note: str = ""  # how it was read, where that is unusual

    @property
    def number(self) -> int | None:
        """The identity's number; None where none is found."""
        if self.decoded is not None:
            return self.decoded.number
        return self.nearest.identity.number if self.recognised else None

    @property
    def recognised(self) -> bool:
        """Whether damaged bits agree with somebody registered better than chance would."""
        return self.nearest is not None and self.nearest.chance < SURE

    @property
    def identity(self) -> Identity | None:
        """Who is registered under the number, if anybody."""
        same = self.nearest is not None and self.nearest.identity.number == self.number
        return self.nearest.identity if self.nearest and same else None

    @property
    def agreeing(self) -> int | None:
        """How many of the 50 bits are as they were written."""
        if self.decoded is not None:
            return BITS - self.decoded.corrected
        return self.nearest.agreeing if self.nearest and self.recognised else None

    @property
    def chance(self) -> float | None:
        """The probability that an unmarked face would read like this."""
        if self.decoded is not None:
            return self.decoded.chance
        return self.nearest.chance if self.nearest and self.recognised else None

    @property
    def verdict(self) -> str:
        """All of it in plain words."""
        return f"{self._says} {self.note}".strip()

    @property
    def _says(self) -> str:
        if self.chance is None and self.marked:
            return (
                "There seems to be a watermark, but no identity can be read with this key: "
                "try the key that it was made with, or a better copy of the photo."
            )
        if self.chance is None:
            return "No watermark found: this face was not marked with this key, or was changed too much since."
        who = f"registered here as {self.identity.called}" if self.identity else "which is not registered here"
        return (
            f"Watermark found: identity number {self.number}, {who}. {self.agreeing} of {BITS} bits are as they were "
            f"written; a face without a mark reads like this once in {in_words(1 / self.chance)}."
        )

    def short(self) -> dict[str, Any]:
        """What fits into a line."""
        return {
            "found": self.number is not None,
            "number": self.number,
            "name": self.identity.name if self.identity else None,
            "agreeing": self.agreeing,
            "chance": self.chance,
        }

    def as_dict(self) -> dict[str, Any]:
        """All of it, JSON-able."""
        return {
            **self.short(),
            "verdict": self.verdict,
            "bits": "".join(map(str, self.bits)),
            "confidence": [round(value, 4) for value in self.confidence],
            "box": [round(value, 1) for value in self.face.box],
        }


@dataclass(frozen=True)
class Claim:
    """The impersonation check of Sec. 3.3: whether whoever shows this photo is the one that its mark names."""

    accepted: bool
    sentence: str

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def reveal(runtime: Runtime, photo: Photo, identities: Identities, key: str, method: str) -> tuple[Found, ...]:
    """Every face's mark, the largest face first. Raises JobError, MethodError or IdentityError, one sentence each."""
    reader = readable(method)
    faces = runtime.detector.faces(photo.pixels)
    if not faces:
        raise JobError(NO_FACE)
    return tuple(read(runtime, reader, Person("photo", photo, face), identities, key) for face in faces)


def readable(id: str) -> Any:
    """The method of that id, which must be one whose mark can be read. Raises MethodError, JobError."""
    found = method_of(id)
    if not hasattr(found, "read"):
        able = ", ".join(name for name, other in METHODS.items() if hasattr(other, "read"))
        raise JobError(f"{found.title} leaves no mark that could be read: choose from {able}.")
    return found


def read(runtime: Runtime, reader: Any, person: Person, identities: Identities, key: str) -> Found:
    """The mark of one face."""
    pixels = person.crop(reader).pixels
    reading, note = somewhere(runtime, lambda where: reader.read(pixels.to(where.device)))
    bits = tuple(reading.bits[0].tolist())
    confidence = reading.confidence[0]
    marked = float(confidence.mean()) >= reader.sure
    return Found(
        person.face, bits, tuple(confidence.tolist()), decode(bits, key), identities.nearest(bits, key), marked, note
    )


def check_claim(found: Sequence[Found], claimed: str, identities: Identities, key: str) -> Claim:
    """Accept or reject who claims to be `claimed` with this photo. Raises IdentityError for an unknown name.

    A photo without a readable mark is neither: nothing speaks for the claim, so it is rejected, and says why.
    """
    number = number_of(claimed)
    identity = Identity(number, None, "") if number is not None else identities.look_up(claimed)
    name = f"“{claimed.strip()}”"
    face = next((one for one in found if one.number is not None), None)
    if face is None:
        return Claim(False, f"Not accepted as {name}: no identity can be read from this photo, so nothing proves it.")
    agreeing = sum(a == b for a, b in zip(encode(identity.number, key), face.bits, strict=True))
    if face.number == identity.number:
        return Claim(True, f"Accepted: the mark names {name} ({agreeing} of {BITS} bits agree).")
    said = face.identity.called if face.identity else f"number {face.number}"
    return Claim(
        False, f"Rejected: the mark names {said}, not {name} (only {agreeing} of {BITS} bits agree with the claim)."
    )


def message(identities: Identities, text: str, key: str) -> tuple[int, torch.Tensor]:
    """An identity as text or bits -> its number and the 50 bits to write. Raises IdentityError."""
    number = number_of(text)
    if number is None:
        number = identities.look_up(text).number
    return number, torch.tensor(encode(number, key), dtype=torch.float32)


def in_words(odds: float) -> str:
    """1.3e6 -> "1.3 million"."""
    for size, word in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if odds >= size:
            return f"{odds / size:,.1f} {word}" if odds < 100 * size else f"{odds / size:,.0f} {word}"
    return f"{odds:,.0f}"
