"""A GPU lent for one job, as ZeroGPU Spaces of Hugging Face do; elsewhere nothing of this happens.

The job runs in a process of its own: what goes there and comes back is pickled, and an error would come back as the
name of its class alone. So errors travel as `Failed`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from app.making import Request

Work = Callable[..., Any]  # gives an iterator of what the job yields
BASE, STEP = 40, 0.1
"""Seconds: for loading, scoring, survival and Grad-CAM; and for a step of a method against one recogniser.

Bounds, not measured on a lent GPU. Two processor cores took 8 s for a first job of 2 steps of TIP-IM, and 0.08 s for
each further step against SFace.
"""


def lent() -> bool:
    """Whether GPUs are lent here, a job at a time."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


@dataclass(frozen=True)
class Failed:
    """An error on its way back from the process that had the GPU."""

    error: Exception


def lend(work: Work, seconds: Callable[..., int]) -> Work:
    """`work`, which then has a GPU for `seconds` of the same arguments. Where none is lent, `work` itself.

    Called while modules are imported: a ZeroGPU Space that finds nobody to lend to when it starts does not start.
    """
    if not lent():
        return work
    import spaces  # only there: importing it elsewhere costs start-up time

    @wraps(work)
    def told(*given: Any) -> Iterator[Any]:
        try:
            yield from work(*given)
        except Exception as error:
            yield Failed(error)

    return spaces.GPU(duration=seconds)(told)  # type: ignore[no-any-return]


def followed(stream: Any, cancelled: Callable[[], bool]) -> Iterator[Any]:
    """What a lent job yields; raises what it failed with, and gives the GPU back when cancelled."""
    with closing(stream):
        for item in stream:
            if isinstance(item, Failed):
                raise item.error
            if cancelled():
                return
            yield item


def seconds(request: Request) -> int:
    """For how long a job asks for a GPU; one with steps out of reason asks for the least, and says what is wrong."""
    steps = request.params.get("steps", 50)
    count = steps if isinstance(steps, int | float) and 0 < steps <= 1000 else 0
    return BASE + round(STEP * count * max(1, len(request.panel.attacked if request.panel else ())))
