"""Group commit: what many raters send at the same moment is synced to the disk once.

SQLite has one writer, and every commit waits for the disk (4 ms on the machine this was written on): fifty raters one
after the other would wait a quarter of a second. One thread takes whatever waits, does it in one transaction, and
acknowledges each part only after that has been committed.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import Connection

from app.study.errors import StudyError

Work = Callable[[Connection], Any]
MOST = 100  # parts in one transaction


class Together:
    """A thread that runs `work(connection)` of many callers in transactions that `begin` opens and commits.

    A part may refuse with a StudyError before it has written anything; on any other error of a part the transaction
    is rolled back, and its parts are run again one by one.
    """

    def __init__(self, begin: Callable[[], AbstractContextManager[Connection]]):
        self._begin = begin
        self._waiting: queue.SimpleQueue[tuple[Work, Future[Any]] | None] = queue.SimpleQueue()
        self._start = threading.Lock()
        self._thread: threading.Thread | None = None

    def run(self, work: Work, timeout: float) -> Any:
        """What `work` returns, once it is committed. Raises what it raises, or TimeoutError."""
        with self._start:
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="larvatus-commits", daemon=True)
                self._thread.start()
        future: Future[Any] = Future()
        self._waiting.put((work, future))
        return future.result(timeout)

    def stop(self) -> None:
        """Finish what waits, and end the thread."""
        with self._start:
            if self._thread is not None:
                self._waiting.put(None)
                self._thread.join()
                self._thread = None

    def _serve(self) -> None:
        while (first := self._waiting.get()) is not None:
            parts, last = [first], False
            while len(parts) < MOST and not self._waiting.empty():
                part = self._waiting.get()
                if part is None:
                    last = True
                    break
                parts.append(part)
            self._commit(parts)
            if last:
                return

    def _commit(self, parts: list[tuple[Work, Future[Any]]]) -> None:
        outcomes: list[Any] = []
        try:
            with self._begin() as connection:
                outcomes = [_outcome(work, connection) for work, _ in parts]
        except Exception as error:
            if len(parts) > 1:
                for part in parts:
                    self._commit([part])
            else:
                parts[0][1].set_exception(error)
            return
        for (_, future), outcome in zip(parts, outcomes, strict=True):
            if isinstance(outcome, StudyError):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)


def _outcome(work: Work, connection: Connection) -> Any:
    try:
        return work(connection)
    except StudyError as refused:
        return refused
