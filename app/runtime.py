"""What a process holds once: the device, the detector, the recognisers, and the lock around heavy work."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import torch

from engines.checkpoints import CheckpointError, registry
from engines.detect import Detector
from engines.recognise import Recogniser, load

PANEL = ("sface", "dlib-resnet")  # what scores every result by default: a surrogate and a held-out judge


class Runtime:
    """Loads each network once, on first use. Safe to share between threads."""

    def __init__(self, device: str | None = None, panel: tuple[str, ...] = PANEL):
        self.device = device or os.environ.get("LARVATUS_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
        self.panel_ids = panel
        self.cards = registry()
        self.work = threading.Lock()  # one heavy job at a time: two on the same cores would both crawl
        self._loading = threading.RLock()
        self._recognisers: dict[str, Recogniser] = {}
        self._detector: Detector | None = None

    @property
    def detector(self) -> Detector:
        """The face detector."""
        with self._loading:
            self._detector = self._detector or Detector("cpu")
            return self._detector

    def recogniser(self, id: str) -> Recogniser:
        """The recogniser of that registry id; CheckpointError with one sentence where it cannot be had."""
        with self._loading:
            if id not in self._recognisers:
                self._recognisers[id] = load(id, device=self.device)
            return self._recognisers[id]

    def threshold(self, id: str, far: float) -> float:
        """The cosine at which a recogniser accepts a share `far` of strangers; CheckpointError where unmeasured."""
        limit = self.recogniser(id).thresholds.get(far)
        if limit is None:
            raise CheckpointError(f"{id} has no threshold at FAR {far:g} yet: measure it with `weights verify {id}`.")
        return limit

    def panel(self) -> tuple[Recogniser, ...]:
        """The recognisers that score every result: surrogates first, then judges."""
        members = [self.recogniser(id) for id in self.panel_ids]
        return tuple(sorted(members, key=lambda member: member.card.role == "judge"))


def gpu(function: Callable[..., Any]) -> Callable[..., Any]:
    """Ask for a ZeroGPU slot on Spaces; anywhere else the function itself."""
    if not os.environ.get("SPACES_ZERO_GPU"):
        return function
    import spaces  # only there: importing it elsewhere costs start-up time

    return spaces.GPU(duration=60)(function)
