"""Files out of an untrusted folder or ZIP: nothing outside it is read, and never more than the limits allow."""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from app.study.errors import StudyError

MOST_FILES = 5_000
MOST_BYTES = 1024**3  # unpacked, all files together
MOST_BYTES_EACH = 25 * 1024**2  # as for any photo here
MOST_ZIP_BYTES = 512 * 1024**2
MOST_RATIO = 200  # unpacked to packed: PNG, JPEG and WebP are packed already, and a manifest packs by 20
SMALL = 1024**2  # bytes below which no ratio is suspicious
CHUNK = 1024**2


class Source(Protocol):
    """Named files: paths with forward slashes, relative to the folder or ZIP."""

    def names(self) -> list[str]:
        """All files."""

    def read(self, name: str) -> bytes:
        """One file. Raises StudyError."""


def safe_name(name: str) -> str:
    """The path as it is written in a manifest, made plain. Raises StudyError for one that leaves the folder."""
    if not name.isprintable():
        raise StudyError("The name of a file holds characters that cannot be shown: rename it.")
    plain = name.replace("\\", "/")
    parts = PurePosixPath(plain).parts
    outside = plain.startswith("/") or ".." in parts or (parts and ":" in parts[0]) or "\0" in plain
    if outside or not parts:
        raise StudyError(f"The path “{name[:80]}” leads out of the folder: name files relative to the manifest.")
    return "/".join(parts)


@dataclass(frozen=True)
class Files:
    """Files that were sent one by one, by their paths in the folder that they come from."""

    files: Mapping[str, bytes]

    def names(self) -> list[str]:
        """All files."""
        if len(self.files) > MOST_FILES:
            raise StudyError(f"The folder holds more than {MOST_FILES:,} files: split it into several studies.")
        if sum(map(len, self.files.values())) > MOST_BYTES:
            raise StudyError("The folder holds more than 1 GB: save smaller pictures, or split the study.")
        return [safe_name(name) for name in self.files]

    def read(self, name: str) -> bytes:
        """One file. Raises StudyError."""
        found = {safe_name(one): data for one, data in self.files.items()}.get(safe_name(name))
        if found is None:
            raise StudyError(f"The file “{name}” is not in the folder: correct the manifest.")
        if len(found) > MOST_BYTES_EACH:
            raise StudyError(f"The file “{name}” is larger than 25 MB: save a smaller one.")
        return found


@dataclass(frozen=True)
class Folder:
    """A folder on this computer; links that lead out of it are refused."""

    root: Path

    def names(self) -> list[str]:
        """All files."""
        if not self.root.is_dir():
            raise StudyError(f"There is no folder {self.root.name}: check the path.")
        found = []
        for path in self.root.rglob("*"):
            if path.is_file():
                found.append(path.relative_to(self.root).as_posix())
            if len(found) > MOST_FILES:
                raise StudyError(f"The folder holds more than {MOST_FILES:,} files: split it into several studies.")
        return sorted(found)

    def read(self, name: str) -> bytes:
        """One file. Raises StudyError."""
        path = self.root / safe_name(name)
        if not path.resolve().is_relative_to(self.root.resolve()):
            raise StudyError(f"The file {name} is a link out of the folder: copy the picture into it.")
        if not path.is_file():
            raise _missing(name)
        try:
            with path.open("rb") as file:
                data = file.read(MOST_BYTES_EACH + 1)
        except OSError as error:
            raise StudyError(f"The file {name} cannot be opened: check that you may read it.") from error
        return _not_too_large(name, data)


class Zip:
    """A ZIP file, from its bytes or its path. What its directory says is checked first, and not believed later."""

    def __init__(self, source: bytes | Path):
        size = len(source) if isinstance(source, bytes) else _size(source)
        if size > MOST_ZIP_BYTES:
            raise StudyError(f"The ZIP file is larger than {MOST_ZIP_BYTES // 1024**2} MB: split it into several.")
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source)
        except Exception as error:  # its directory may claim anything
            raise StudyError("This is not a ZIP file, or it is cut short: make it again.") from error
        self._members: dict[str, zipfile.ZipInfo] = {}
        total = 0
        for member in self._zip.infolist():
            if not member.filename:
                raise StudyError("The ZIP holds a file without a name: make it again.")
            if member.is_dir() or _is_clutter(member.filename):
                continue
            total += member.file_size
            self._take(member, total)

    def names(self) -> list[str]:
        """All files."""
        return sorted(self._members)

    def read(self, name: str) -> bytes:
        """One file; unpacking stops at the limit, whatever size the directory claims. Raises StudyError."""
        member = self._members.get(safe_name(name))
        if member is None:
            raise _missing(name)
        data = bytearray()
        try:
            with self._zip.open(member) as file:
                while len(data) <= MOST_BYTES_EACH and (chunk := file.read(CHUNK)):
                    data += chunk
        except Exception as error:  # a broken member ends in whatever its reader raises
            raise StudyError(f"The file {name} in the ZIP is damaged or locked: make the ZIP again.") from error
        return _not_too_large(name, bytes(data))

    def _take(self, member: zipfile.ZipInfo, total: int) -> None:
        name = safe_name(member.filename)
        if member.flag_bits & 1:
            raise StudyError("The ZIP file is locked by a password: make it again without one.")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise StudyError(f"The ZIP holds a link, {name}: put the picture itself into it.")
        if name in self._members:
            raise StudyError(f"The ZIP holds the file {name} twice: make it again.")
        _not_too_large(name, member.file_size)
        swollen = member.file_size > SMALL and member.file_size > MOST_RATIO * max(member.compress_size, 1)
        if swollen or total > MOST_BYTES:
            raise StudyError("The ZIP unpacks to far more than pictures would: check where it comes from.")
        if len(self._members) >= MOST_FILES:
            raise StudyError(f"The ZIP holds more than {MOST_FILES:,} files: split it into several studies.")
        self._members[name] = member


def _not_too_large(name: str, data: bytes | int) -> bytes:
    if (data if isinstance(data, int) else len(data)) > MOST_BYTES_EACH:
        raise StudyError(f"The file {name} is larger than {MOST_BYTES_EACH // 1024**2} MB: save a smaller copy.")
    return b"" if isinstance(data, int) else data


def _missing(name: str) -> StudyError:
    return StudyError(f"The manifest names {name}, which is not there: add the file or correct the name.")


def _size(path: Path) -> int:
    if not path.is_file():
        raise StudyError(f"There is no file {path.name}: check the path.")
    return path.stat().st_size


def _is_clutter(name: str) -> bool:
    """What macOS adds to a ZIP."""
    return name.startswith("__MACOSX/") or name.rsplit("/", 1)[-1] == ".DS_Store"
