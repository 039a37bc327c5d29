"""The registry of identities: who is behind which number of a watermark (DIP-Watermark, Sec. 3.3).

One SQLite file. A name is found by its scrypt hash under the registry's own salt; the name itself is
kept only where the registry must be able to say it ("identify"). Where it only has to check a claim
("verify only"), the hash is all there is. A number is drawn when a name is registered, and says nothing of it.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sqlite3
import unicodedata
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from engines.identity import BITS, LARGEST, NUMBER_BITS, IdentityError, chance_of_agreement, encode

NAME_LENGTH = 60
SURE = 1e-6  # a chance agreement must be rarer than this for damaged bits to count as a registered identity
SCHEMA = """
CREATE TABLE IF NOT EXISTS registry (salt BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS identity (
    hash BLOB PRIMARY KEY, number INTEGER NOT NULL UNIQUE, name TEXT, registered TEXT NOT NULL);
"""


@dataclass(frozen=True)
class Identity:
    """A registered person: `name` is None where the registry keeps only its hash."""

    number: int
    name: str | None
    registered: str  # UTC, ISO 8601

    @property
    def called(self) -> str:
        """What to call it in a sentence."""
        return f"“{self.name}”" if self.name else f"number {self.number} (its name is not kept)"


@dataclass(frozen=True)
class Nearest:
    """The registered identity whose code agrees best with 50 bits, and the probability that random bits would."""

    identity: Identity
    agreeing: int
    chance: float


def default_file() -> Path:
    """LARVATUS_IDENTITIES, or `larvatus/identities.sqlite` in the user's folder of data."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(os.environ.get("LARVATUS_IDENTITIES") or Path(base) / "larvatus" / "identities.sqlite")


class Identities:
    """A registry in one file, made on first use; for any thread. What goes wrong is an IdentityError."""

    def __init__(self, path: Path):
        self.path = Path(path)

    def register(self, name: str, keep_name: bool = True) -> Identity:
        """A number for a name; the same one for a name that is there already."""
        name = checked(name)
        with self._open() as base:
            found = self._row(base, self._hash(base, name))
            if found is None:
                self._insert(base, name, keep_name)
                found = self._row(base, self._hash(base, name))
        assert found is not None
        return found

    def look_up(self, name: str) -> Identity:
        """Who is registered under a name."""
        name = checked(name)
        with self._open() as base:
            found = self._row(base, self._hash(base, name))
        if found is None:
            raise IdentityError(f"“{name}” is not registered here: register the name first.")
        return found

    def of_number(self, number: int) -> Identity | None:
        """Who has this number, if anybody."""
        return next((one for one in self.all() if one.number == number), None)

    def delete(self, name: str) -> None:
        """Forget a name: marks that carry its number can no longer be told whose they are."""
        found = self.look_up(name)
        with self._open() as base:
            base.execute("DELETE FROM identity WHERE number = ?", (found.number,))

    def all(self) -> list[Identity]:
        """Everybody, in the order of registration."""
        with self._open() as base:
            rows = base.execute("SELECT number, name, registered FROM identity ORDER BY rowid").fetchall()
        return [Identity(*row) for row in rows]

    def nearest(self, bits: tuple[int, ...], key: str) -> Nearest | None:
        """The registered identity whose code under `key` agrees with the most bits; None in an empty registry."""
        everybody = self.all()
        scores = [sum(a == b for a, b in zip(encode(one.number, key), bits, strict=True)) for one in everybody]
        if not scores:
            return None
        best = max(range(len(scores)), key=scores.__getitem__)
        return Nearest(everybody[best], scores[best], chance_of_agreement(scores[best], len(scores)))

    def _insert(self, base: sqlite3.Connection, name: str, keep_name: bool) -> None:
        taken = {row[0] for row in base.execute("SELECT number FROM identity")}
        if len(taken) > LARGEST // 2:
            raise IdentityError("This registry is full: start another one.")
        number = next(n for n in iter(lambda: secrets.randbelow(LARGEST + 1), None) if n not in taken)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        row = (self._hash(base, name), number, name if keep_name else None, now)
        base.execute("INSERT INTO identity VALUES (?, ?, ?, ?)", row)

    @staticmethod
    def _row(base: sqlite3.Connection, hashed: bytes) -> Identity | None:
        row = base.execute("SELECT number, name, registered FROM identity WHERE hash = ?", (hashed,)).fetchone()
        return row and Identity(*row)

    @staticmethod
    def _hash(base: sqlite3.Connection, name: str) -> bytes:
        (salt,) = base.execute("SELECT salt FROM registry").fetchone()
        return hashlib.scrypt(name.casefold().encode(), salt=salt, n=2**13, r=8, p=1, dklen=32)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection with a transaction around what is done; the file and its salt are made where missing."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path, timeout=10)) as base, base:
                base.executescript(SCHEMA)
                if base.execute("SELECT count(*) FROM registry").fetchone() == (0,):
                    base.execute("INSERT INTO registry VALUES (?)", (secrets.token_bytes(16),))
                yield base
        except (sqlite3.Error, OSError):
            raise IdentityError(
                f"The registry {self.path.name} cannot be used: choose another file, or wait for who writes to it."
            ) from None


def checked(name: str) -> str:
    """A name as it is stored: normalised, without space around it. Raises IdentityError."""
    name = unicodedata.normalize("NFKC", name).strip()
    if not name or not name.isprintable():
        raise IdentityError("The identity is empty: enter a name, or its number as 24 bits.")
    if len(name) > NAME_LENGTH:
        raise IdentityError(f"This identity is too long: a name has at most {NAME_LENGTH} characters.")
    return name


def number_of(text: str) -> int | None:
    """The number that is written as bits, such as 000000000000000000101010; None for anything else.

    Raises IdentityError for more bits than an identity has.
    """
    digits = text.strip()
    if len(digits) < 8 or set(digits) - {"0", "1"}:
        return None
    if len(digits) > NUMBER_BITS:
        raise IdentityError(
            f"This identity is too long: {NUMBER_BITS} of the {BITS} bits are for it, and these are {len(digits)}."
        )
    return int(digits, 2)
