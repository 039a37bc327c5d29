"""Workers that are actors of Ray, on this computer or on a cluster that runs already.

Ray is optional: `pip install -r requirements-cluster.txt`. Photos travel inside the items, so that no disk need be
shared; each node needs this project and its requirements.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from app.bench.run.loop import Broken, Done, Event, Gone, Ready
from app.bench.run.plan import Item

ROOT = Path(__file__).resolve().parents[3]
ADVICE = "The backend ray needs Ray: pip install -r requirements-cluster.txt, or use --backend local."
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
Work = Callable[[Item], list[dict[str, Any]]]


class RayError(ValueError):
    """Ray that is not there, as one sentence that says what to do."""


def ray_module() -> Any:
    """The library; RayError where it is not installed."""
    try:
        import ray
    except ImportError:
        raise RayError(ADVICE) from None
    return ray


class _Actor:
    """Lives on some node: makes the work once, then does items."""

    def __init__(self, build: Callable[[Any], Work], setup: Any):
        self._work = build(setup)

    def pid(self) -> int:
        return os.getpid()

    def do(self, item: Item) -> list[dict[str, Any]]:
        return self._work(item)


class Cluster:
    """`workers` actors (None: one a core), each one core and, where the cluster has GPUs, a share of one.

    `address`: of a running cluster, such as "auto"; None starts Ray here and stops it at the end.
    """

    def __init__(self, workers: int | None, build: Callable[[Any], Work], setup: Any, address: str | None = None):
        self._ray = ray_module()
        self._count, self._build, self._given_setup, self._address = workers, build, setup, address
        self._actors: dict[int, Any] = {}
        self._waiting: dict[Any, tuple[int, bool]] = {}  # a result to come -> its worker, and whether it is the first
        self._next = 0
        self.pids: dict[int, int] = {}

    def start(self) -> None:
        """See Backend. Raises RayError where no cluster answers at the address."""
        ray = self._ray
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody is told that faces are measured here
        if not ray.is_initialized():
            here = {} if self._count is None else {"num_cpus": self._count}
            options: dict[str, Any] = {"address": self._address} if self._address else here
            try:
                ray.init(**options, include_dashboard=False, log_to_driver=False, configure_logging=False)
            except (ConnectionError, ValueError):
                raise RayError(f"No Ray answers at {self._address}: start it, or leave --address out.") from None
        there = ray.cluster_resources()
        workers = self._count or max(1, int(there.get("CPU", 1)))
        share = min(1.0, there.get("GPU", 0) / workers)
        environment = {"env_vars": {**ONE_THREAD, "PYTHONPATH": str(ROOT)}}
        self._class = ray.remote(num_cpus=1, num_gpus=share, max_restarts=0, runtime_env=environment)(_Actor)
        self._setup = ray.put(self._given_setup)
        for _ in range(workers):
            self._make()

    def _make(self) -> None:
        self._actors[self._next] = self._class.remote(self._build, self._setup)
        self._waiting[self._actors[self._next].pid.remote()] = (self._next, True)
        self._next += 1

    def give(self, worker: int, item: Item) -> None:
        """See Backend."""
        self._waiting[self._actors[worker].do.remote(item)] = (worker, False)

    def events(self) -> Iterable[Event]:
        """See Backend."""
        ready, _ = self._ray.wait(list(self._waiting), num_returns=1)
        for reference in ready:
            worker, first = self._waiting.pop(reference)
            yield self._event(reference, worker, first)

    def _event(self, reference: Any, worker: int, first: bool) -> Event:
        errors = self._ray.exceptions
        try:
            value = self._ray.get(reference)
        except errors.RayTaskError as error:
            return Broken(_last_line(error))
        except errors.RayError as error:  # killed, its node lost, out of memory
            if first and "creation task" in str(error):  # its models cannot be had: nor could another's
                return Broken(_last_line(error))
            self._ray.kill(self._actors.pop(worker))
            self.pids.pop(worker, None)
            self._make()
            return Gone(worker)
        if first:
            self.pids[worker] = value
            return Ready(worker)
        return Done(worker, value)

    def close(self) -> None:
        """See Backend. A cluster that ran before goes on running."""
        for actor in self._actors.values():
            self._ray.kill(actor)
        self._actors.clear()
        self._ray.shutdown()


def _last_line(error: Exception) -> str:
    """Ray's messages end with the sentence of the error in the worker."""
    return str(error).strip().splitlines()[-1]
