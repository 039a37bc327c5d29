"""Work that does not fit into the GPU's memory is done on the processor, and the person is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

from app.runtime import Runtime
from engines.pressed import ON_CPU

T = TypeVar("T")


def somewhere(runtime: Runtime, work: Callable[[Runtime], T]) -> tuple[T, str]:
    """`work` on the runtime's device, or where that is full on the processor; and what to tell, "" for nothing.

    Raises torch.OutOfMemoryError where the processor's memory is full, too.
    """
    try:
        return work(runtime), ""
    except torch.OutOfMemoryError:
        if runtime.device == "cpu":
            raise
    torch.cuda.empty_cache()  # outside of the except: the error holds on to what the attempt had taken
    return work(runtime.fallback), ON_CPU


def stepwise(runtime: Runtime, work: Callable[[Runtime, str], Iterator[T]]) -> Iterator[T]:
    """The same of work that yields, which is told what to tell; on the processor it begins anew."""
    try:
        yield from work(runtime, "")
        return
    except torch.OutOfMemoryError:
        if runtime.device == "cpu":
            raise
    torch.cuda.empty_cache()
    yield from work(runtime.fallback, ON_CPU)
