"""Networks that methods need beside the recognisers: made once for each id and device, for any thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Generic, TypeVar

from torch import nn

from engines.checkpoints import Checkpoint, CheckpointError, checkpoint

Made = TypeVar("Made")


class Once(Generic[Made]):
    """Calls `make(id, device)` the first time that a pair is asked for, and keeps what it gave."""

    everywhere: ClassVar[list[Once[Any]]] = []

    def __init__(self, make: Callable[[str, str], Made]):
        self._make, self._lock = make, threading.Lock()
        self._made: dict[tuple[str, str], Made] = {}
        self.everywhere.append(self)

    def __call__(self, id: str, device: str = "cpu") -> Made:
        """Raises CheckpointError as `make` does; a failure is not kept."""
        with self._lock:
            if (id, device) not in self._made:
                self._made[id, device] = self._make(id, device)
            return self._made[id, device]


def loaded() -> dict[tuple[str, str], int]:
    """The bytes of every network that was made, by id and device."""
    found: dict[tuple[str, str], int] = {}
    for once in Once.everywhere:
        for key, made in list(once._made.items()):
            found[key] = found.get(key, 0) + sum(map(nbytes, {id(net): net for net in _networks(made)}.values()))
    return found


def _networks(made: Any) -> Iterator[nn.Module]:
    """A network, or those in the fields or values of what holds several."""
    if isinstance(made, nn.Module):
        yield made
    elif isinstance(made, dict | list | tuple) or hasattr(made, "__dict__"):
        parts = made if isinstance(made, list | tuple) else (made if isinstance(made, dict) else vars(made)).values()
        for part in parts:
            if isinstance(part, nn.Module | dict | list | tuple):
                yield from _networks(part)


def nbytes(net: nn.Module) -> int:
    """The bytes that a network's parameters and buffers take."""
    return sum(tensor.nbytes for tensor in (*net.parameters(), *net.buffers()))


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
