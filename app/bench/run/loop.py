"""Who does which item next, whichever machines do it: one item under way per worker, a lost one tried once more.

Items of one bundle go to one worker, which holds the protected file that they share. A worker is given its next
item when it hands in the last one, so that no more photos are in memory than there are workers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from app.bench.run.plan import Item

TRIES = 2
LOST = "The worker died on this photo {times} times: it may need more memory than there is."
BARREN = 5  # workers that die one after another without a single row: then it is not the photos


class WorkerError(ValueError):
    """Workers that cannot work, as one sentence."""


@dataclass(frozen=True)
class Ready:
    """A worker that has its models and waits for an item."""

    worker: int


@dataclass(frozen=True)
class Done:
    """A worker's rows of the item that it was given."""

    worker: int
    rows: list[dict[str, Any]]


@dataclass(frozen=True)
class Gone:
    """A worker that died; a new one under another number is on its way."""

    worker: int


@dataclass(frozen=True)
class Broken:
    """A worker that could not even start, and why."""

    reason: str


Event = Ready | Done | Gone | Broken


class Backend(Protocol):
    """Workers. `start` begins to make them; each event is about one of them."""

    def start(self) -> None:
        """Begin; returns at once."""
        ...

    def give(self, worker: int, item: Item) -> None:
        """Hand an item to a worker that waits."""
        ...

    def events(self) -> Iterable[Event]:
        """Wait until something happens."""
        ...

    def close(self) -> None:
        """End the workers, whatever they are doing."""
        ...


@dataclass
class _Hand:
    """What a worker has: its bundle's items still to come, the one under way, and how often that was tried."""

    rest: deque[Item] = field(default_factory=deque)
    item: Item | None = None


def run(
    backend: Backend,
    bundles: Iterable[tuple[Item, ...]],
    loaded: Callable[[Item], Item],
    done: Callable[[Item, list[dict[str, Any]]], None],
    lost: Callable[[Item, str], list[dict[str, Any]]],
    seen: Callable[[Event], None] = lambda event: None,
) -> None:
    """Do all bundles. `loaded` puts the photo's file into an item just before it is given away; `done` gets its rows,
    or those of `lost` where its worker died twice. Raises WorkerError where workers do not work at all.
    """
    backend.start()
    try:
        _Loop(backend, iter(bundles), loaded, done, lost, seen).run()
    finally:
        backend.close()


class _Loop:
    def __init__(
        self,
        backend: Backend,
        bundles: Iterator[tuple[Item, ...]],
        loaded: Callable[[Item], Item],
        done: Callable[[Item, list[dict[str, Any]]], None],
        lost: Callable[[Item, str], list[dict[str, Any]]],
        seen: Callable[[Event], None],
    ):
        self.backend, self.bundles, self.loaded, self.done = backend, bundles, loaded, done
        self.lost, self.seen = lost, seen
        self.hands: dict[int, _Hand] = {}
        self.returned: deque[tuple[Item, ...]] = deque()  # bundles, or what is left of them, of workers that died
        self.tries: dict[str, int] = {}  # of items whose worker died, by their first key
        self.barren = 0
        self.idle: set[int] = set()

    def run(self) -> None:
        """Until every bundle is done."""
        while True:
            for event in self.backend.events():
                self.seen(event)
                self._meet(event)
            for worker in tuple(self.idle):
                if self._give(worker):
                    self.idle.discard(worker)
            if self.idle and all(hand.item is None for hand in self.hands.values()):
                return  # somebody waits, nothing is left to give, and nobody has anything under way

    def _meet(self, event: Event) -> None:
        if isinstance(event, Broken):
            raise WorkerError(event.reason)
        if isinstance(event, Ready):
            self.hands[event.worker] = _Hand()
            self.idle.add(event.worker)
        elif isinstance(event, Done):
            hand, self.barren = self.hands[event.worker], 0
            item, hand.item = hand.item, None
            assert item is not None
            self.done(item, event.rows)  # before anything else can go wrong
            if not self._give(event.worker):
                self.idle.add(event.worker)
        else:
            self._mourn(event.worker)

    def _give(self, worker: int) -> bool:
        """The next item of the worker's bundle, or of the next one; False where nothing is left."""
        hand = self.hands[worker]
        while not hand.rest:
            bundle = self.returned.popleft() if self.returned else next(self.bundles, None)
            if bundle is None:
                return False
            hand.rest.extend(bundle)
        hand.item = hand.rest.popleft()
        self.backend.give(worker, self.loaded(hand.item))
        return True

    def _mourn(self, worker: int) -> None:
        """Put back what a dead worker had; the item under way is tried once more, and then given up."""
        self.idle.discard(worker)
        self.barren += 1
        if self.barren >= BARREN:
            raise WorkerError(f"{BARREN} workers died one after another: is there enough memory for their models?")
        hand = self.hands.pop(worker, None)
        if hand is None:
            return
        item, rest = hand.item, tuple(hand.rest)
        if item is not None:
            key = item.wants[0].key
            self.tries[key] = self.tries.get(key, 0) + 1
            if self.tries[key] < TRIES:
                rest = (item, *rest)
            else:
                self.barren = 0  # it was this photo
                self.done(item, self.lost(item, LOST.format(times=TRIES)))
        if rest:
            self.returned.append(rest)


class Inline:
    """One worker: this very process. For tests, and for looking at what goes wrong."""

    def __init__(self, build: Callable[[Any], Callable[[Item], list[dict[str, Any]]]], setup: Any):
        self._build, self._setup = build, setup

    def start(self) -> None:
        """See Backend."""
        self._work = self._build(self._setup)
        self._item: Item | None = None

    def give(self, worker: int, item: Item) -> None:
        """See Backend."""
        self._item = item

    def events(self) -> Iterable[Event]:
        """See Backend; the work is done here."""
        return (Ready(0) if self._item is None else Done(0, self._work(self._item)),)

    def close(self) -> None:
        """See Backend."""
