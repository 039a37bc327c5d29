"""The files of photos, read so that a bad one stops no run, and their hashes before a run begins."""

from __future__ import annotations

from collections.abc import Iterable

from app.bench.run.plan import photo_hash
from app.bench.run.progress import told
from app.bench.run.sources import Source
from app.bench.run.work import sentence

EMPTY = "The data hold no file of this photo."
UNREAD = "The file could not be read from the data: {why}"


def file_of(source: Source, index: int) -> tuple[bytes, str]:
    """A photo's file, and ""; or an empty file, and why."""
    try:
        data = source.read(index)
    except Exception as error:  # of the disk, or of the library that reads the data
        return b"", UNREAD.format(why=getattr(error, "strerror", None) or sentence(error))
    return data, "" if data else EMPTY


def hashes(source: Source, indices: Iterable[int]) -> dict[int, str]:
    """The SHA-256 of each photo, read once and in the order of the data; says how far it is where that takes long."""
    return {index: _hash(source, index) for index in told(sorted(set(indices)), "photos", "Reading ")}


def _hash(source: Source, index: int) -> str:
    """Where there is no file, that of its place and name, or all of these would be one."""
    data, _ = file_of(source, index)
    return photo_hash(data or f"no file: {index} {source.rows[index].name}".encode())
