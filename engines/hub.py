"""Files from the Hugging Face Hub at a pinned revision: fetched so that they can go on, checked, then kept.

huggingface-hub's client asks, signs and judges the answers. The body is read here, because the
client's `hf_hub_download` throws a half-finished file away, hands the body over in pieces of
10 MB and tries a dead network for a minute. All that touches the network runs in a thread of its
own, so that nobody waits longer than PATIENCE without a byte, not even for a name server.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from filelock import FileLock, Timeout

from engines.checkpoints import Checkpoint, CheckpointError, cache_folder, locked_sha256, sha256_of_file, write_whole
from engines.hub_errors import FULL, Unreachable, explain, with_stand_in
from engines.watched import Report, Watch, watched

if TYPE_CHECKING:
    from huggingface_hub.hf_api import HfFileMetadata

PATIENCE = 9.0  # seconds without a byte before giving up
TRIES = 8  # connections that may break before a download is left for the next time
PAUSE = 0.5  # seconds between them


def fetch(card: Checkpoint, report: Report | None = None) -> Path:
    """The file of a hub entry at its revision, whole and checked; no network where it is already here.

    `report(done, total)` hears of the bytes. Raises CheckpointError, within PATIENCE seconds where
    the network is dead. A download that broke off goes on where it stopped.
    """
    path = kept(card)
    if path and sha256_of_file(path) == (card.sha256 or locked_sha256(card)):
        return path
    target = folder(card) / card.file
    if offline():
        raise Unreachable(with_stand_in(card, f"{card.id} must be fetched from the Hub, but offline mode is on"))
    try:
        watched(lambda watch: _download(card, target, watch), PATIENCE, report)
    except Exception as error:  # the client also lets its transport's own exceptions through
        raise explain(card, error, _size(_partial(card))) from None
    return target


def offline() -> bool:
    """Whether the network is switched off: LARVATUS_OFFLINE=1, or HF_HUB_OFFLINE for all of the Hub's clients."""
    from huggingface_hub import constants

    return os.environ.get("LARVATUS_OFFLINE") == "1" or constants.is_offline_mode()


def endpoint() -> str | None:
    """HF_ENDPOINT as it is now; the client itself reads it only when it is imported."""
    return os.environ.get("HF_ENDPOINT") or None


def folder(card: Checkpoint) -> Path:
    """Where the files of its revision are kept; a file is there under its own name only once it is checked."""
    return cache_folder() / "hub" / card.repo.replace("/", "--") / card.revision


def kept(card: Checkpoint) -> Path | None:
    """Its file on this computer: ours, or the one in the cache of the Hub's clients. Not hashed."""
    from huggingface_hub import try_to_load_from_cache

    if not (card.sha256 or locked_sha256(card)):
        return None  # nothing to check it against
    ours = folder(card) / card.file
    if ours.is_file():
        return ours
    theirs = try_to_load_from_cache(card.repo, card.file, revision=card.revision)
    return Path(theirs) if isinstance(theirs, str) else None


def lock_key(card: Checkpoint) -> str:
    """The name of its file in the lock."""
    return f"{card.repo}@{card.revision}/{card.file}"


def locks() -> dict[str, str]:
    """The local lock: SHA-256 by file, for the entries whose SHA-256 the registry does not know."""
    try:
        found = json.loads((cache_folder() / "lock.json").read_text())
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}


def _download(card: Checkpoint, target: Path, watch: Watch) -> None:
    """In the network's thread: bring `target` about, through a partial file that nothing else reads."""
    partial = _partial(card)
    partial.parent.mkdir(parents=True, exist_ok=True)
    with _alone(partial, watch):
        watch.local()
        known = card.sha256 or locked_sha256(card)
        if target.is_file():
            if sha256_of_file(target) == known:  # another process has just brought it
                return
            target.unlink()
        watch.network()
        url, meta = _ask(card)
        expected, total = known or meta.etag or "", meta.size or card.bytes or None
        if not re.fullmatch("[0-9a-f]{64}", expected):
            raise CheckpointError(f"The Hub gives no SHA-256 for the file of {card.id}: pin one in the registry.")
        came = _read_whole(url, partial, total, watch)
        watch.local()
        if total is not None and came < total:
            _refuse(card, partial, "came truncated from the Hub")
        if sha256_of_file(partial) != expected:
            _refuse(card, partial, "that came from the Hub is not the pinned file (its SHA-256 differs)")
        if not known:
            _lock(card, expected)
        os.replace(partial, target)


def _partial(card: Checkpoint) -> Path:
    path = folder(card) / card.file
    return path.with_name(path.name + ".partial")


def _refuse(card: Checkpoint, partial: Path, why: str) -> NoReturn:
    partial.unlink()
    raise CheckpointError(
        with_stand_in(card, f"The file of {card.id} {why}, so it was removed: try again, it starts afresh")
    )


def _lock(card: Checkpoint, sha256: str) -> None:
    """Record the SHA-256 that the Hub gave, before the file can be used."""
    path = cache_folder() / "lock.json"
    with FileLock(path.with_name("lock.json.lock"), timeout=PATIENCE):
        write_whole(path, json.dumps({**locks(), lock_key(card): sha256}, indent=1).encode())


@contextmanager
def _alone(partial: Path, watch: Watch) -> Iterator[None]:
    """One thread of one process at a time; who waits shares the progress of the one who is ahead."""
    lock = FileLock(partial.with_name(partial.name + ".lock"))
    while True:
        try:
            lock.acquire(timeout=0.1)
            break
        except Timeout:
            watch.moved(_size(partial), watch.total)
    try:
        yield
    finally:
        lock.release()


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _ask(card: Checkpoint) -> tuple[str, HfFileMetadata]:
    """The file's address, and what the Hub says of it: its SHA-256 (the etag of an LFS file) and size."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    url = hf_hub_url(card.repo, card.file, revision=card.revision, endpoint=endpoint())
    meta = get_hf_file_metadata(url, timeout=PATIENCE, endpoint=endpoint())
    if meta.commit_hash != card.revision:
        raise ConnectionError("a login page of the network answered, not the Hub")
    return url, meta


def _read_whole(url: str, partial: Path, total: int | None, watch: Watch) -> int:
    """Read into `partial` until the server says that it is all, going on after broken connections; its size."""
    import httpx2

    for attempt in count(1):
        have = _size(partial)
        if total is not None and have >= total:  # all of it, or more than there can be: its SHA-256 will tell
            return total
        try:
            if shutil.disk_usage(partial.parent).free < (total or 0) - have:
                raise OSError(errno.ENOSPC, "disk full")
            return _read(url, partial, have, total, watch)
        except (httpx2.RemoteProtocolError, httpx2.NetworkError):
            if attempt == TRIES:
                raise
            time.sleep(PAUSE)
        except OSError as error:
            if error.errno in FULL:
                partial.unlink(missing_ok=True)  # it would only keep the disk full
            raise
    raise AssertionError


def _read(url: str, partial: Path, have: int, total: int | None, watch: Watch) -> int:
    """One connection: append to `partial` from byte `have` on; returns its size at the end."""
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with get_session().stream("GET", url, headers=headers, timeout=PATIENCE) as response:
        if response.status_code == 416:  # nothing can follow what is here, so it is wrong
            partial.unlink(missing_ok=True)
        hf_raise_for_status(response)
        if response.status_code != 206:  # the server does not go on in the middle
            have = 0
        with partial.open("ab" if have else "wb") as file:
            for piece in response.iter_raw():
                file.write(piece)
                have += len(piece)
                watch.moved(have, total)
    return have
