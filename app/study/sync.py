"""Studies on a Space, whose disk forgets: snapshots go to a private dataset on the Hub, and come back at the start.

A snapshot is `larvatus.sqlite` without the pictures' bytes, `pictures/<sha256>.png` (each sent once, since only
changed files are), and whatever `exports` writes. The dataset must be private: it holds answers of people. Deleted
answers leave the next snapshot; `forgets` makes the dataset's history forget older ones.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from httpx2 import HTTPError
from huggingface_hub import CommitScheduler, HfApi, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, RepositoryNotFoundError

from app.study.backup import backup
from app.study.database import FILE, data_folder
from app.study.errors import StudyError
from app.study.store import Store

VARIABLE = "LARVATUS_STUDY_DATASET"
MINUTES = 5.0
Exports = Callable[[Store, Path], None]


class SnapshotScheduler(CommitScheduler):
    """huggingface-hub's scheduler with a snapshot before each push; where nothing changed, nothing is pushed."""

    def __init__(
        self,
        store: Store,
        repo_id: str,
        folder: Path,
        every: float = MINUTES,
        token: str | None = None,
        endpoint: str | None = None,
        exports: Exports | None = None,
        forgets: bool = True,
    ):
        """Start pushing `folder`, every so many minutes. Raises StudyError for a dataset that is not private."""
        self.store, self.exports, self.forgets = store, exports, forgets
        self._pushed: tuple[object, ...] | None = None
        api = HfApi(endpoint=endpoint, token=token)
        try:
            made = api.create_repo(repo_id, repo_type="dataset", private=True, exist_ok=True)
            private = api.repo_info(made.repo_id, repo_type="dataset").private
        except (HfHubHTTPError, HTTPError, OSError, ValueError) as error:
            raise StudyError(f"The dataset {repo_id} cannot be used: check its name and the token.") from error
        if not private:
            raise StudyError(f"The dataset {repo_id} is public, and answers of people are not: make it private.")
        super().__init__(
            repo_id=repo_id,
            folder_path=folder,
            every=every,
            repo_type="dataset",
            private=True,
            token=token,
            hf_api=api,
        )

    def push_to_hub(self):  # type: ignore[no-untyped-def]
        """Called by the scheduler: nothing where nobody has written, else a snapshot and one commit."""
        state = _state(self.store)
        if state == self._pushed:
            return None
        with self.lock:
            snapshot(self.store, self.folder_path)
            if self.exports:
                self.exports(self.store, self.folder_path)
        pushed = super().push_to_hub()
        if pushed and self.forgets:
            self.api.super_squash_history(repo_id=self.repo_id, repo_type="dataset")
        self._pushed = state
        return pushed


def start(store: Store, exports: Exports | None = None) -> SnapshotScheduler | None:
    """Begin to push where LARVATUS_STUDY_DATASET names a dataset; None elsewhere. The token is HF_TOKEN."""
    repo_id = os.environ.get(VARIABLE)
    if not repo_id:
        return None
    token, endpoint = os.environ.get("HF_TOKEN"), os.environ.get("HF_ENDPOINT") or None
    folder = data_folder() / "hub"
    return SnapshotScheduler(store, repo_id, folder, token=token, endpoint=endpoint, exports=exports)


def wake() -> bool:
    """`restore` by the same settings, for a Space that starts: whether a snapshot came back. Raises StudyError."""
    repo_id = os.environ.get(VARIABLE)
    if not repo_id or os.environ.get("DATABASE_URL"):
        return False
    token, endpoint = os.environ.get("HF_TOKEN"), os.environ.get("HF_ENDPOINT") or None
    return restore(repo_id, data_folder() / FILE, data_folder() / "hub-restored", token, endpoint)


def snapshot(store: Store, folder: Path) -> Path:
    """Write the database without pictures' bytes, and each picture once, into `folder`. Raises StudyError."""
    pictures = folder / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    whole = folder.with_name(folder.name + ".whole")  # outside, so that it is never pushed
    backup(store.database, whole)
    try:
        with closing(sqlite3.connect(whole)) as base:
            for (digest,) in base.execute("SELECT sha256 FROM picture").fetchall():
                file = pictures / f"{digest}.png"
                if not file.exists():
                    (data,) = base.execute("SELECT data FROM picture WHERE sha256 = ?", (digest,)).fetchone()
                    _write(file, data)
            base.execute("UPDATE picture SET data = x''")
            base.commit()
            base.execute("VACUUM")
        os.replace(whole, folder / FILE)
    finally:
        whole.unlink(missing_ok=True)
    return folder / FILE


def restore(
    repo_id: str, target: Path, cache: Path, token: str | None = None, endpoint: str | None = None
) -> bool:
    """Put the newest snapshot at `target`, pictures included; False where there is none, or a database already.

    To be called before the store is opened. Raises StudyError.
    """
    if target.exists():
        return False

    def fetched(name: str) -> Path:
        kept = hf_hub_download(
            repo_id, name, repo_type="dataset", local_dir=cache, token=token, endpoint=endpoint
        )
        return Path(kept)

    try:
        base_file = fetched(FILE)
        _fill(base_file, lambda digest: fetched(f"pictures/{digest}.png").read_bytes())
    except (EntryNotFoundError, RepositoryNotFoundError):
        return False
    except (HfHubHTTPError, HTTPError, OSError, sqlite3.Error) as error:
        raise StudyError(f"The snapshot in {repo_id} cannot be fetched: check the token and start again.") from error
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.replace(base_file, target)
    return True


def _fill(base_file: Path, picture: Callable[[str], bytes]) -> None:
    with closing(sqlite3.connect(base_file)) as base:
        for (digest,) in base.execute("SELECT sha256 FROM picture WHERE data = x''").fetchall():
            base.execute("UPDATE picture SET data = ? WHERE sha256 = ?", (picture(digest), digest))
        base.commit()


def _write(file: Path, data: bytes) -> None:
    partial = file.with_suffix(".partial")
    partial.write_bytes(data)
    os.replace(partial, file)


def _state(store: Store) -> tuple[object, ...]:
    """What changes with every commit of any process: times and sizes of the file and its log."""
    path = store.database.path
    if path is None:
        raise StudyError("Only a SQLite database is kept on the Hub: PostgreSQL has its own backups.")
    log = path.with_name(path.name + "-wal")
    return tuple((f.stat().st_mtime_ns, f.stat().st_size) if f.exists() else None for f in (path, log))
