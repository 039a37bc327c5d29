"""The first screen's example: a default job on a public-domain portrait, run once at start-up."""

from __future__ import annotations

import logging
import threading

from app import gallery
from app.jobs import protect
from app.making import Request
from app.report import Progress, Result
from app.runtime import Runtime
from app.scoring import Person

SITTER, TARGETS = gallery.COLLINS, (gallery.HOPPER,)


class Example:
    """Runs in the background, and so warms the networks up too. Read `result`, `failed` or `progress`."""

    def __init__(self, runtime: Runtime):
        self.runtime = runtime
        self.person: Person | None = None
        self.result: Result | None = None
        self.progress: Progress | None = None
        self.failed = False

    def start(self) -> None:
        """Begin, without waiting."""
        threading.Thread(target=self._run, name="example", daemon=True).start()

    def _run(self) -> None:
        try:
            self.person = gallery.person(self.runtime, SITTER)
            targets = tuple(gallery.person(self.runtime, name) for name in TARGETS)
            for item in protect(self.runtime, Request(self.person, targets=targets)):
                if isinstance(item, Result):
                    self.result = item
                else:
                    self.progress = item
        except Exception:  # the demo works without its example, and says so
            logging.getLogger(__name__).exception("The example could not be made")
            self.failed = True
