"""What a process holds once: the device, the detector, the recognisers, and the lock around heavy work."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from functools import cached_property

import torch

from app.lease import lent
from engines.checkpoints import Checkpoint, checkpoint, here, locate, registry
from engines.detect import Detector
from engines.recognise import Recogniser, load
from engines.watched import Report

REMOTE = ("hub", "frbench")  # sources whose files come over the network
MEMORY_MB = 1024.0  # what loaded recognisers may take where LARVATUS_MEMORY_MB says nothing else


class Runtime:
    """Loads each network on first use, and drops the least recently used above its budget. For any thread.

    `budget`: bytes that loaded recognisers may take together.
    """

    def __init__(self, device: str | None = None, budget: int | None = None):
        usual = "cuda" if torch.cuda.is_available() and not lent() else "cpu"  # a lent GPU is not this process's
        self.device = device or os.environ.get("LARVATUS_DEVICE") or usual
        self.budget = _budget() if budget is None else budget
        self.work = threading.Lock()  # one heavy job at a time: two on the same cores would both crawl
        self._loading = threading.RLock()
        self._recognisers: OrderedDict[str, Recogniser] = OrderedDict()
        self._sizes: dict[str, int] = {}  # bytes of memory by id, of all that were ever loaded
        self._detector: Detector | None = None

    @cached_property
    def fallback(self) -> Runtime:
        """The same on the processor, for what does not fit into the GPU's memory; still one heavy job at a time."""
        found = Runtime("cpu", self.budget)
        found.work = self.work
        return found

    @property
    def cards(self) -> dict[str, Checkpoint]:
        """The registry as it is now."""
        return registry()

    @property
    def detector(self) -> Detector:
        """The face detector."""
        with self._loading:
            self._detector = self._detector or Detector("cpu")
            return self._detector

    def recogniser(self, id: str) -> Recogniser:
        """The recogniser of that registry id; CheckpointError with one sentence where it cannot be had."""
        card = checkpoint(id)
        if card.source in REMOTE and not self._has(id) and not here(card):
            self.pull(id)  # outside the lock: a slow download must not keep the others waiting
        with self._loading:
            if id not in self._recognisers:
                self._recognisers[id] = load(id, device=self.device)
                self._sizes[id] = self._recognisers[id].nbytes
            self._recognisers.move_to_end(id)
            self._drop()
            return self._recognisers[id]

    def pull(self, id: str, report: Report | None = None) -> None:
        """Bring a network's file here, checked; `report(done, total)` hears of the bytes. Raises CheckpointError."""
        locate(checkpoint(id), report)

    def loaded(self) -> dict[str, int]:
        """The bytes that each loaded recogniser takes, the least recently used first."""
        with self._loading:
            return {id: member.nbytes for id, member in self._recognisers.items()}

    def memory(self, card: Checkpoint) -> int:
        """The bytes that it takes when loaded; its file's size where it never was (then the least it can take)."""
        return self._sizes.get(card.id, card.bytes)

    def _has(self, id: str) -> bool:
        with self._loading:
            return id in self._recognisers

    def _drop(self) -> None:
        """Forget the least recently used above the budget; the one just asked for always stays."""
        while len(self._recognisers) > 1 and sum(self.loaded().values()) > self.budget:
            self._recognisers.popitem(last=False)


def _budget() -> int:
    """LARVATUS_MEMORY_MB in bytes; ValueError in one sentence where it is no positive number."""
    text = os.environ.get("LARVATUS_MEMORY_MB") or str(MEMORY_MB)
    try:
        megabytes = float(text)
    except ValueError:
        megabytes = 0.0
    if not 0 < megabytes < float("inf"):
        raise ValueError(f"LARVATUS_MEMORY_MB is {text!r}: give the megabytes for recognisers, for example 1024.")
    return int(megabytes * 1e6)
