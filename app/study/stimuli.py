"""Pictures for a study: decoded as any untrusted photo is, kept as PNG, with anchors made from the references."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from app import photo as photos
from app.photo import PhotoError
from app.study import manifest
from app.study.anchors import ANCHORS, parameters
from app.study.archive import MOST_BYTES, Files, Folder, Source, Zip
from app.study.canonical import sha256
from app.study.errors import StudyError
from app.study.incoming import Incoming, Prepared
from app.study.model import Stimulus

MOST_SIDE = 4096  # pixels: what a browser shows at once without delay


def prepare(incoming: Incoming) -> Prepared:
    """Decode a JPEG, PNG, WebP, HEIF or AVIF, and write it as PNG without metadata. Raises StudyError.

    PNG, so that every browser shows the very same pixels, turned upright and in sRGB; the SHA-256 is that of the PNG.
    """
    try:
        photo = photos.load(incoming.data)
        if max(photo.width, photo.height) > MOST_SIDE:
            raise StudyError(f"it has {photo.width} x {photo.height} pixels: save one of at most {MOST_SIDE} a side.")
        png = photos.encode(photo.pixels, "PNG")
    except (PhotoError, StudyError) as error:
        name = incoming.provenance.get("file") or f"{incoming.photo}, {incoming.label}"
        raise StudyError(f"The picture {name} cannot be used: {str(error)[0].lower()}{str(error)[1:]}") from error
    notes = {"format": photo.source_format, **({"notes": list(photo.notes)} if photo.notes else {})}
    # Beside what the sender says of a picture stands what was seen of it; the original bytes are let go.
    source = replace(incoming, data=b"", provenance={**incoming.provenance, **notes})
    return Prepared(png, sha256(png), photo.width, photo.height, source)


def with_anchors(pictures: Iterable[Prepared], kinds: Sequence[str] = tuple(ANCHORS)) -> Iterator[Prepared]:
    """The same pictures, and after each reference its deliberately bad versions. Raises StudyError."""
    for one in pictures:
        yield one
        if one.source.role == "reference":
            for kind in kinds:
                yield _anchor(one, kind)


def unseen(pictures: Iterable[Prepared], there: Iterable[Stimulus]) -> list[Prepared]:
    """Without those that are among `there`: a second result of a photo brings the photo along again."""
    known = {(row.photo, row.sha256) for row in there}
    return [one for one in pictures if (one.photo, one.sha256) not in known]


def import_folder(folder: str | Path, anchors: Sequence[str] = tuple(ANCHORS)) -> list[Prepared]:
    """All pictures of a folder's manifest, with anchors. Raises StudyError."""
    return _all(Folder(Path(folder)), anchors)


def import_zip(source: bytes | str | Path, anchors: Sequence[str] = tuple(ANCHORS)) -> list[Prepared]:
    """All pictures of an untrusted ZIP's manifest, with anchors. Raises StudyError."""
    return _all(Zip(source if isinstance(source, bytes) else Path(source)), anchors)


def import_files(files: Mapping[str, bytes], anchors: Sequence[str] = tuple(ANCHORS)) -> list[Prepared]:
    """All pictures of the manifest in a folder whose files were uploaded, by their paths. Raises StudyError."""
    return _all(Files(files), anchors)


def _all(source: Source, anchors: Sequence[str]) -> list[Prepared]:
    found, size = [], 0
    for one in with_anchors(map(prepare, manifest.read(source)), anchors):
        found.append(one)
        size += len(one.png)
        if size > MOST_BYTES:  # a small JPEG may be a large PNG
            raise StudyError("The pictures take more than 1 GB as PNG: save smaller ones, or split the study.")
    return found


def _anchor(reference: Prepared, kind: str) -> Prepared:
    made_with = parameters(kind)
    pixels = photos.load(reference.png).pixels
    array = np.ascontiguousarray(pixels[0].permute(1, 2, 0).numpy())
    bad = ANCHORS[kind](array)
    png = photos.encode(pixels.new_tensor(bad).permute(2, 0, 1), "PNG")
    source = Incoming(
        png,
        photo=reference.photo,
        role="anchor",
        method=f"anchor-{kind}",
        parameters=made_with,
        condition=f"anchor: {kind}",
        person=reference.source.person,
        provenance={"made_from": reference.sha256},
    )
    return Prepared(png, sha256(png), reference.width, reference.height, source)
