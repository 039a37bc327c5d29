"""Networks that methods need beside the recognisers: made once for each id and device, for any thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from torch import nn

from engines.checkpoints import Checkpoint, CheckpointError, checkpoint

Made = TypeVar("Made")


class Once(Generic[Made]):
    """Calls `make(id, device)` the first time that a pair is asked for, and keeps what it gave."""

    def __init__(self, make: Callable[[str, str], Made]):
        self._make, self._lock = make, threading.Lock()
        self._made: dict[tuple[str, str], Made] = {}

    def __call__(self, id: str, device: str = "cpu") -> Made:
        """Raises CheckpointError as `make` does; a failure is not kept."""
        with self._lock:
            if (id, device) not in self._made:
                self._made[id, device] = self._make(id, device)
            return self._made[id, device]


def trained(id: str, kind: str) -> Checkpoint:
    """The card of an id; CheckpointError where it is of another kind, or not trained."""
    card = checkpoint(id)
    if card.kind != kind:
        raise CheckpointError(f"{id} is not a {kind}: choose one of kind {kind}.")
    if card.state != "trained":
        raise CheckpointError(f"{id} is not trained, so it makes no result: choose a trained checkpoint.")
    return card


def frozen(net: nn.Module, device: str) -> nn.Module:
    """The network on a device, in use: nothing of it is trained any more."""
    return net.to(device).eval().requires_grad_(False)
