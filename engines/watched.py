"""Work that may hang, in a thread of its own: nobody waits for it longer than its patience."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

Report = Callable[[int, int | None], None]  # bytes done, bytes in total or None where not known


class Abandoned(Exception):
    """Raised in the network's thread when nobody waits for it any more."""


class Watch:
    """How far a job in the network's thread is, seen by the one who waits for it."""

    def __init__(self) -> None:
        self.done = 0
        self.total: int | None = None
        self.moved_at = time.monotonic()
        self.abandoned = False
        self.error: Exception | None = None

    def moved(self, done: int, total: int | None) -> None:
        """Note the bytes so far; only new ones count as a sign of life."""
        if self.abandoned:
            raise Abandoned
        if done != self.done:
            self.done, self.moved_at = done, time.monotonic()
        self.total = total

    def local(self) -> None:
        """From here on nothing waits for the network: hashing a big file may take its time."""
        self.moved_at = math.inf

    def network(self) -> None:
        """From here on the network has to say something again."""
        self.moved_at = time.monotonic()


def watched(work: Callable[[Watch], None], patience: float, report: Report | None = None) -> None:
    """Run `work(watch)` in a thread; raises its error, or TimeoutError after `patience` seconds without a byte.

    `report(done, total)` is called from the caller's own thread.
    """
    watch, told = Watch(), 0

    def run() -> None:
        try:
            work(watch)
        except Exception as error:
            watch.error = error

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(0.05)
            if report and watch.done != told:
                told = watch.done
                report(told, watch.total)
            if thread.is_alive() and time.monotonic() - watch.moved_at > patience:
                raise TimeoutError
    finally:
        watch.abandoned = True
    if watch.error:
        raise watch.error
    if report and watch.done != told:
        report(watch.done, watch.total)
