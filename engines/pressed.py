"""A GPU whose memory is full: a batch is halved until it fits, and the person is told."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

SMALLER = "The GPU's memory was nearly full, so this was made in smaller batches."
ON_CPU = "The GPU's memory was full, so this was made on the processor, which takes longer."


def halved(work: Callable[[Tensor], Tensor], batch: Tensor, told: Callable[[], None]) -> Tensor:
    """`work` of a batch (N, ...) -> (N, ...), in halves where it does not fit; exact for what treats rows apart.

    `told` is called where it did not fit. Raises torch.OutOfMemoryError where not even one row fits.
    """
    try:
        return work(batch)
    except torch.OutOfMemoryError:
        if len(batch) < 2:
            raise
    told()  # outside of the except: the error holds on to what the attempt had taken
    torch.cuda.empty_cache()
    return torch.cat([halved(work, part, told) for part in batch.split((len(batch) + 1) // 2)])
