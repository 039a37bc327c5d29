"""A training on several processes, as `accelerate launch` starts them: each takes its part of every batch.

    accelerate launch --num_processes 4 -m engines.train.diffface --data DIR --out FOLDER

Every process draws the whole batch of a step and keeps its rows, so that together they see what one alone would;
gradients are averaged before they are cut and used. `drawn` and `another` keep noise and the next face's attributes
as they would be for one. What else couples the faces of a batch (a statistic of the batch, RelGAN's wrong pairs, a
noise pool's draws) is of a process's own part. Only the first process writes and prints. Alone, nothing of this
happens.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

T = TypeVar("T")


@cache
def _state() -> Any:
    """accelerate's view of the processes; None for a training that is alone."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return None
    from accelerate import PartialState  # of requirements-cluster.txt

    return PartialState(cpu=not torch.cuda.is_available())


def count() -> int:
    """How many processes there are."""
    state = _state()
    return 1 if state is None else int(state.num_processes)


def first() -> bool:
    """Whether this is the one that writes and prints."""
    state = _state()
    return state is None or bool(state.is_main_process)


def device() -> str:
    """Where this process trains unless told otherwise: a GPU of its own where there is one."""
    state = _state()
    if state is not None:
        return "cpu" if state.device.type == "cpu" else str(state.device)
    return "cuda" if torch.cuda.is_available() else "cpu"


def part(whole: T) -> T:
    """This process's rows of an array, of a tensor, or of every tensor of a dataclass.

    Raises ValueError for a batch that cannot be divided.
    """
    state = _state()
    if state is None:
        return whole
    if dataclasses.is_dataclass(whole) and not isinstance(whole, type):
        rows = {f.name: getattr(whole, f.name) for f in dataclasses.fields(whole) if f.init}
        return dataclasses.replace(
            whole, **{name: part(value) for name, value in rows.items() if isinstance(value, Tensor) and value.dim()}
        )
    if not isinstance(whole, Tensor | np.ndarray) or len(whole) % state.num_processes:
        size = len(whole) if isinstance(whole, Tensor | np.ndarray) else 0
        raise ValueError(
            f"A batch of {size} cannot be divided among {state.num_processes} processes: choose another --batch."
        )
    return whole[state.process_index :: state.num_processes]  # type: ignore[return-value]


def drawn(sample: Callable[..., Tensor], rows: int, *shape: int, **given: Any) -> Tensor:
    """`sample(rows, *shape)` (rows, ...): this process's rows of what one process alone would draw for all."""
    whole = sample(rows * count(), *shape, **given)
    return whole if _state() is None else part(whole)


def another(rows: Tensor) -> Tensor:
    """Every face's row (N, ...) becomes that of the face before it in the whole batch; no gradient goes through."""
    if _state() is None:
        return rows.roll(1, 0)
    parts = [torch.empty_like(rows) for _ in range(count())]
    torch.distributed.all_gather(parts, rows.contiguous())
    whole = torch.stack(parts, 1).flatten(0, 1)  # undoes part(), which deals the rows out in turn
    return part(whole.roll(1, 0))


def average(parameters: Iterable[nn.Parameter]) -> None:
    """Each gradient becomes its mean over the processes; call it after backward(), before anything is cut."""
    if _state() is None:
        return
    found = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([grad.flatten().float() for grad in found])
    torch.distributed.all_reduce(flat)
    for grad, mean in zip(found, (flat / count()).split([grad.numel() for grad in found]), strict=True):
        grad.copy_(mean.view_as(grad))


def mean(values: dict[str, float]) -> dict[str, float]:
    """Each figure's mean over the processes, which all have the same."""
    if _state() is None:
        return values
    rows = torch.tensor(list(values.values()), dtype=torch.float64, device=device())
    torch.distributed.all_reduce(rows)
    return dict(zip(values, (rows / count()).tolist(), strict=True))


def say(text: str) -> None:
    """Print, once for all processes."""
    if first():
        print(text, flush=True)
