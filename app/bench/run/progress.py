"""How far a run is, on stderr: rows done, failures, the pace, and the time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TextIO, TypeVar

T = TypeVar("T")
OFTEN, SELDOM = 0.2, 30.0  # seconds between two lines: on a screen, and in a log


class Progress:
    """One line that is drawn over on a terminal, and written anew now and then where nobody watches."""

    def __init__(
        self,
        of: int,
        there: int,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        what: str = "rows",
        doing: str = "",
    ):
        self._what, self._doing = what, doing
        self.of, self.there, self.failed, self.done = of, there, 0, 0
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._clock = clock
        self._start = self._said = clock()

    def step(self, rows: int, failed: int) -> None:
        """So many more rows, of which so many failed."""
        self.done += rows
        self.failed += failed
        now = self._clock()
        if now - self._said >= (OFTEN if self._live else SELDOM):
            self._said = now
            self._say(self.line(), end="\r" if self._live else "\n")

    def say(self, words: str) -> None:
        """A line of its own."""
        self._say(words, end="\n")

    def line(self) -> str:
        """What is shown now."""
        shown = self.there + self.done
        parts = [f"{self._doing}{shown} of {self.of} {self._what} ({shown / max(self.of, 1):.0%})"]
        if self.failed:
            parts.append(f"{self.failed} failed")
        pace = self.pace
        if pace:
            parts.append(f"{pace:.1f} {self._what}/s" if pace < 100 else f"{pace:.0f} {self._what}/s")
            parts.append(f"{duration((self.of - shown) / pace)} left")
        return ", ".join(parts)

    @property
    def seconds(self) -> float:
        """Since the start."""
        return self._clock() - self._start

    @property
    def pace(self) -> float:
        """Rows a second since the start, of those that were computed; 0 before the first."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    def _say(self, words: str, end: str) -> None:
        clear = "\r\x1b[K" if self._live else ""
        print(f"{clear}{words}", end=end, file=self._stream, flush=True)


def told(items: Sequence[T], what: str, doing: str, **more: Any) -> Iterator[T]:
    """The items one by one; says how far they are now and then, which for a quick matter is never."""
    progress = Progress(len(items), 0, what=what, doing=doing, **more)
    for item in items:
        yield item
        progress.step(1, 0)


def duration(seconds: float) -> str:
    """1 h 5 min, 3 min 20 s, 12 s."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
