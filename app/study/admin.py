"""Who may see the admin pages: the holder of one token.

LARVATUS_ADMIN_TOKEN where it is set; otherwise a token is made once, shown once, and only its SHA-256 is kept in the
database, so that several processes share it. (A plain hash is enough for 256 random bits: they cannot be guessed.)
"""

from __future__ import annotations

import hmac
import os
import secrets

from app.study.canonical import sha256
from app.study.errors import StudyError
from app.study.model import Setting
from app.study.store import Store

VARIABLE = "LARVATUS_ADMIN_TOKEN"
KEY = "admin_token_sha256"
SHORTEST = 12  # characters of a token that a person chose


def ensure_token(store: Store) -> str | None:
    """A new token, to be printed this once; None where there is one already. Raises StudyError for a weak one."""
    if _from_environment() is not None:
        return None
    token = secrets.token_urlsafe(32)
    with store.database.write() as session:
        if session.get(Setting, KEY) is not None:
            return None
        session.add(Setting(key=KEY, value=sha256(token)))
    return token


def announce(store: Store) -> None:
    """Make the token where there is none, and print it."""
    if token := ensure_token(store):
        print(f"Admin token, shown only now: {token}\nSet {VARIABLE} to use one of your own.", flush=True)


def is_admin(store: Store, given: str) -> bool:
    """Whether this is the token; hashes are compared in constant time. Raises StudyError for a weak variable."""
    expected = _from_environment()
    if expected is not None:
        return hmac.compare_digest(sha256(expected), sha256(str(given)))
    with store.database.read() as session:
        kept = session.get(Setting, KEY)
    return kept is not None and hmac.compare_digest(kept.value, sha256(str(given)))


def replace_token(store: Store) -> str:
    """A new token in place of a lost one; whoever can run this can read the database anyway."""
    token = secrets.token_urlsafe(32)
    with store.database.write() as session:
        session.merge(Setting(key=KEY, value=sha256(token)))
    return token


def _from_environment() -> str | None:
    token = os.environ.get(VARIABLE)
    if not token:
        return None
    if len(token) < SHORTEST:
        raise StudyError(f"{VARIABLE} is too short to be safe: use at least {SHORTEST} characters.")
    return token
