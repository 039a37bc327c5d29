"""The folder of this process, in which all that visitors bring and make lies; gone when it ends.

A process that was killed leaves its folder behind: the next one that starts removes it.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX, LOCK, FILES = "larvatus-", ".lock", "files"
_held: list[FileLock] = []  # as long as the process lives


@cache
def room() -> Path:
    """This process's folder of files, in GRADIO_TEMP_DIR or the system's; Gradio's own lie there from now on, too."""
    base = Path(os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir())
    base.mkdir(parents=True, exist_ok=True)
    clear(base)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
    _held.append(FileLock(folder / LOCK))
    _held[-1].acquire()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    files = folder / FILES
    files.mkdir()
    os.environ["GRADIO_TEMP_DIR"] = str(files)
    return files


def clear(base: Path) -> list[Path]:
    """Remove the folders whose processes are gone; returns them."""
    gone = []
    for folder in sorted(base.glob(f"{PREFIX}*")):
        lock = FileLock(folder / LOCK)
        if not (folder / LOCK).is_file():
            continue  # not a room, or one that is just being made
        try:
            with lock.acquire(timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
        except (Timeout, OSError):
            continue
        gone.append(folder)
    return gone
