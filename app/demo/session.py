"""One visitor's things, nobody else's: photo, targets, result, files, and the switch that stops the work.

Everything lives in memory or in the visitor's own folder. It goes a few minutes after the tab is closed (the pause
is for phones, which drop the connection whenever another app is in front), and in any case some time after the last
press of a button: LARVATUS_KEEP_MINUTES, 30 unless set.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from app.clock import age
from app.demo.faces import Sitter
from app.demo.uploads import PREFIX as UPLOAD
from app.demo.visitor import visitor_of
from app.identities import Identities
from app.made import Made
from app.photo import Photo, PhotoError
from app.report import Result
from app.scoring import Person
from app.to_study import measured

GRACE = 300.0  # seconds between the closing of a tab and the end of what it held
SWEEP = 60.0  # seconds between two looks for what is to go
KEPT = 20  # files of earlier runs that stay: the page may still be loading them
VIEW_SIDE = 1600  # whole photos are shown at this size at most; the download is the full one
FACE, WHOLE, CHANGE = "Face", "Whole photo", "Difference × 8"
VIEWS = (FACE, WHOLE, CHANGE)


@dataclass(eq=False)
class Session:
    """What one open tab holds."""

    folder: Path
    identities: Identities
    stop: threading.Event = field(default_factory=threading.Event)
    step: int = 0
    steps: int = 0
    sitter: Sitter | None = None
    reference: Person | None = None
    extras: tuple[Person, ...] = ()
    mark: Photo | None = None  # the picture that is to be the watermark
    words: str = ""  # the watermark's words in the last run
    made: Made | None = None  # the last result
    forging: Any = None  # what the Forge tab works on (forge_events.Forging)
    comparing: Any = None  # what the Compare tab works on (compare_events.Comparing)
    inspected: Any = None  # what the Authority tab looks at (authority_events.Inspection)
    erasing: Any = None  # what "Take a mask off" works on (eraser_events.Erasing)
    outlined: str = ""  # the photo on the left, a path
    views: dict[str, tuple[str, str]] = field(default_factory=dict)
    shown: dict[Any, Any] = field(default_factory=dict)  # component -> value of the last finished result
    pulls: dict[str, threading.Event] = field(default_factory=dict)  # the switch of each place's download
    seen: float = field(default_factory=time.monotonic)
    _count: int = 0

    def begin(self) -> threading.Event:
        """A fresh switch for a run that starts; the last run's is thrown."""
        self.stop.set()
        self.stop, self.step, self.steps = threading.Event(), 0, 0
        return self.stop

    def save(self, pixels: np.ndarray) -> str:
        """Write pixels (h, w, 3) losslessly for the page; a new name each time, or browsers keep the old."""
        image = Image.fromarray(pixels)
        image.thumbnail((VIEW_SIDE, VIEW_SIDE))
        path = self._path("view.png")
        image.save(path, "PNG", compress_level=1)
        return str(path)

    def keep(self, result: Result, person: Person) -> tuple[str, str]:
        """Write the views and downloads of what was made of a person; returns paths of the file and its settings."""
        old = sorted(self.folder.glob("*"))
        x0, y0, x1, y1 = result.window
        whole = self.save(result.before), self.save(result.after)
        shown = (result.before, result.after, result.difference)
        before, after, change = (self.save(pixels[y0:y1, x0:x1]) for pixels in shown)
        self.views = {FACE: (before, after), WHOLE: whole, CHANGE: (before, change)}
        method = result.settings["provenance"]["method"]
        known = (result.settings, measured(result), self.words, self.mark)
        self.made = Made(person, result.file, method, result.name, *known)
        file = self.write(result.name, result.file)
        settings = self.write(f"{Path(result.name).stem}.json", json.dumps(result.as_dict(), indent=1).encode())
        for path in old[:-KEPT]:
            if path != Path(self.outlined).parent:
                shutil.rmtree(path, ignore_errors=True)
        return file, settings

    def write(self, name: str, data: bytes) -> str:
        """Write a download; returns its path."""
        path = self._path(name)
        path.write_bytes(data)
        return str(path)

    def _path(self, name: str) -> Path:
        self._count += 1
        folder = self.folder / f"{self._count:05d}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / name


def kept_for() -> float:
    """Seconds after the last event after which a session goes."""
    return 60 * float(os.environ.get("LARVATUS_KEEP_MINUTES") or 30)


class Desk:
    """All open sessions of one process, by visitor and Gradio's session hash: nobody opens another's by its hash."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._private = tempfile.TemporaryDirectory(prefix="registries-", dir=folder.parent)  # beside what is served
        self._sessions: dict[tuple[str, str], Session] = {}
        self._line: list[Session] = []  # who pressed Protect and has no result yet, in order
        self._lock = threading.Lock()

    def of(self, request: gr.Request | None) -> Session:
        """The visitor's session; a new one at their first event."""
        key = _key(request)
        with self._lock:
            if key not in self._sessions:
                self._sessions[key] = Session(self.folder / key[0] / uuid.uuid4().hex, self._identities())
            session = self._sessions[key]
            session.seen = time.monotonic()
            return session

    def _identities(self) -> Identities:
        """A registry for one visitor; where LARVATUS_IDENTITIES names a file, that one for all of them."""
        shared = os.environ.get("LARVATUS_IDENTITIES")
        return Identities(Path(shared) if shared else Path(self._private.name) / f"{uuid.uuid4().hex}.sqlite")

    def queue_up(self, session: Session) -> int:
        """Put a session at the end of the line; returns how many runs are before it."""
        self.step_out(session)
        with self._lock:
            self._line.append(session)
            return len(self._line) - 1

    def step_out(self, session: Session) -> None:
        """Take a session out of the line, if it stands there."""
        with self._lock:
            self._line = [other for other in self._line if other is not session]

    def leave(self, request: gr.Request) -> None:
        """A tab closed: stop its work now, forget it after the pause."""
        key = _key(request)
        session = self._sessions.get(key)
        if session is None:
            return
        self._halt(session)
        self._later(GRACE, lambda: self.forget(key, time.monotonic() - GRACE / 2))

    def _halt(self, session: Session) -> None:
        for switch in (session.stop, *session.pulls.values()):
            switch.set()
        for work in filter(None, (session.comparing, session.forging)):
            work.stop.set()
        self.step_out(session)

    def forget(self, key: tuple[str, str], unseen_since: float) -> None:
        """Drop a session and its files, unless it was seen again after `unseen_since`."""
        with self._lock:
            session = self._sessions.get(key)
            if session is None or session.seen > unseen_since:
                return
            del self._sessions[key]
        self._halt(session)
        shutil.rmtree(session.folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # other tabs of the visitor may still have theirs
            session.folder.parent.rmdir()
        if session.identities.path.parent == Path(self._private.name):
            session.identities.path.unlink(missing_ok=True)

    def delete(self, request: gr.Request) -> tuple[int, int]:
        """Drop everything of the visitor, whatever tab it is in; how many files that were, and their bytes."""
        visitor = visitor_of(request)
        files = [path for path in (self.folder / visitor).rglob("*") if path.is_file()]
        found = len(files), sum(path.stat().st_size for path in files)
        for key in [key for key in self._sessions if key[0] == visitor]:
            self.forget(key, math.inf)
        shutil.rmtree(self.folder / visitor, ignore_errors=True)
        return found

    def sweep(self) -> None:
        """Drop what nobody has touched for `kept_for`, now and again every SWEEP seconds while the process lives."""
        for key in list(self._sessions):
            self.forget(key, time.monotonic() - kept_for())
        self._drop_unread()
        self._later(SWEEP, self.sweep)

    def _drop_unread(self) -> None:
        """Uploads, whole or broken off, that no event ever asked for."""
        visitors = {self.folder / key[0] for key in self._sessions}
        for path in {*self.folder.glob("*"), *self.folder.glob(f"*/{UPLOAD}*")} - visitors:
            with contextlib.suppress(OSError):  # another thread may have read it just now
                if age(path.stat().st_mtime) > kept_for():
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

    @staticmethod
    def _later(seconds: float, action: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, action)
        timer.daemon = True
        timer.start()


def _key(request: gr.Request | None) -> tuple[str, str]:
    return visitor_of(request), str(getattr(request, "session_hash", None))


def taken(path: str) -> bytes:
    """The bytes of an upload, exactly as they came; the upload's own file is removed at once.

    PhotoError where it was read before.
    """
    file = Path(path)
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise PhotoError("An upload is read once and removed: upload the photo again.") from None
    file.unlink(missing_ok=True)
    return data
