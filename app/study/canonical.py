"""One spelling of a JSON value, so that a hash of it means something; ids, codes and times."""

from __future__ import annotations

import hashlib
import json
import secrets
from datetime import UTC, datetime
from typing import Any

from app.study import strings
from app.study.errors import StudyError

ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # no 0, 1, I, L, O, U: codes are copied by hand
CODE_LENGTH = 12  # 30 ** 12 = 5e17 codes


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces. Raises StudyError for what JSON cannot hold, NaN and NUL included."""
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        text.encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise StudyError("A value cannot be written as JSON: use text, finite numbers, lists and objects.") from error
    if "\\u0000" in text:  # PostgreSQL keeps no NUL in a text
        raise StudyError("A text contains a NUL character: remove it.")
    return text


def sha256(data: bytes | str) -> str:
    """64 hex digits."""
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()


def new_id(size: int = 16) -> str:
    """An unguessable id of `size` random bytes, safe in an address."""
    return secrets.token_urlsafe(size)


def new_code() -> str:
    """A code to come back with, such as 7KQM-2XHW-R9TC: 58 bits, easy to copy."""
    letters = "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH))
    return "-".join(letters[at : at + 4] for at in range(0, CODE_LENGTH, 4))


def code_hash(code: str) -> str:
    """What is kept of a code: its SHA-256, whatever its case, spaces and dashes. Raises StudyError."""
    letters = "".join(code.upper().split()).replace("-", "") if isinstance(code, str) else ""
    if len(letters) != CODE_LENGTH or set(letters) - set(ALPHABET):
        raise StudyError(strings.text("error.code", length=CODE_LENGTH))
    return sha256(f"larvatus-code:{letters}")


def pseudonym(rater: str) -> str:
    """How a rater is called in tables and exports: the id itself would let its reader answer in the rater's place."""
    return f"R{sha256(f'larvatus-rater:{rater}')[:16]}"


def now() -> str:
    """UTC, ISO 8601 with milliseconds: the same text in every database."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
