"""Workers that are processes of this computer, forked from a server that has imported torch once.

Each has one thread of torch, so that as many can work as there are cores and every figure is the same to the bit
however many there are. A pipe a worker: a process that is killed holds no lock that others wait for.
"""

from __future__ import annotations

import multiprocessing as mp
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from multiprocessing import connection
from typing import Any

from app.bench.run.loop import Broken, Done, Event, Gone, Ready
from app.bench.run.plan import Item

START = "forkserver" if "forkserver" in mp.get_all_start_methods() else "spawn"
PRELOAD = "app.bench.run.work"  # brings torch and all else that a worker needs
Work = Callable[[Item], list[dict[str, Any]]]


class Local:
    """`workers` processes; `build(setup)` makes the callable that does an item, once in each of them."""

    def __init__(self, workers: int, build: Callable[[Any], Work], setup: Any):
        self._count, self._build, self._setup = workers, build, setup
        self._context: Any = mp.get_context(START)
        if START == "forkserver":
            self._context.set_forkserver_preload([PRELOAD])
        self._workers: dict[int, tuple[Any, connection.Connection]] = {}
        self._next = 0

    @property
    def pids(self) -> list[int]:
        """The processes."""
        return [process.pid for process, _ in self._workers.values()]

    def start(self) -> None:
        """See Backend."""
        for _ in range(self._count):
            self._make()

    def _make(self) -> None:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, self._build, self._setup), daemon=True)
        process.start()
        theirs.close()  # so that its end closes with the process
        self._workers[self._next] = (process, ours)
        self._next += 1

    def give(self, worker: int, item: Item) -> None:
        """See Backend. A worker that has died meanwhile is told of by `events`."""
        with suppress(OSError):
            self._workers[worker][1].send(("item", item))

    def events(self) -> Iterable[Event]:
        """See Backend."""
        pipes = {pipe: worker for worker, (_, pipe) in self._workers.items()}
        for pipe in connection.wait(list(pipes)):
            yield self._event(pipes[pipe], pipe)  # type: ignore[index, arg-type]

    def _event(self, worker: int, pipe: connection.Connection) -> Event:
        try:
            kind, value = pipe.recv()
        except (EOFError, OSError):
            self._bury(worker)
            self._make()
            return Gone(worker)
        if kind == "broken":
            return Broken(value)
        return Ready(worker) if kind == "ready" else Done(worker, value)

    def _bury(self, worker: int) -> None:
        process, pipe = self._workers.pop(worker)
        pipe.close()
        process.join(timeout=5)

    def close(self) -> None:
        """See Backend."""
        for process, _ in self._workers.values():
            process.terminate()
        for worker in tuple(self._workers):
            self._bury(worker)


def _serve(pipe: connection.Connection, build: Callable[[Any], Work], setup: Any) -> None:
    """A worker's life: its models, then an item after another until whoever gave them hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    try:
        work = build(setup)
    except Exception as error:
        pipe.send(("broken", str(error) or type(error).__name__))
        return
    try:
        pipe.send(("ready", None))
        while True:
            _, item = pipe.recv()
            pipe.send(("done", work(item)))
    except (EOFError, OSError):
        return
