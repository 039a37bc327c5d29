"""A GPU lent for one job, as ZeroGPU Spaces of Hugging Face do; elsewhere nothing of this happens.

The job runs in a process of its own: what goes there and comes back is pickled, and an error would come back as the
name of its class alone. So errors travel as `Failed`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

from engines.checkpoints import registry
from engines.distort import SURVIVAL
from engines.masking import DIFFFACE
from engines.methods import method as method_of
from engines.methods.tip_im import TipIm
from engines.params import Params

if TYPE_CHECKING:
    from app.making import Request
    from app.panel import Panel

LOST = "The lent GPU was lost, or none was free, and nothing was exported: try again in a moment."
Work = Callable[..., Any]  # gives an iterator of what the job yields
# Seconds. Bounds, not measured on a lent GPU. Two processor cores took 8 s for a first job of 2 steps of TIP-IM, and
# 0.08 s for each further step against SFace.
BASE = 30  # the least: loading, detection, export, Grad-CAM
STEP = 0.1  # a candidate of an iterative method, against one recogniser
SCORE = 0.2  # a recogniser's look at a file
WALL = 20.0  # five forgers, and who judges what they make
LOADING, DENOISING = 20.0, 0.5  # DiffFace, and a step of it


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
        while True:
            try:
                item = next(stream)
            except StopIteration:
                return
            except Exception as error:  # its own errors come as Failed: the process itself is gone, or got no GPU
                from app.scoring import JobError  # which needs Runtime, and that `lent`

                raise JobError(LOST) from error
            if isinstance(item, Failed):
                raise item.error
            if cancelled():
                return
            yield item


def seconds(request: Request) -> int:
    """For how long a job asks for a GPU; one that cannot be done asks for the least, and says what is wrong."""
    from app.panel import as_seen_by  # which knows of runtimes, and they of this module

    try:
        method = method_of(request.method)
        params = method.Params.read(request.params)
        panel = as_seen_by(request.method, request.panel, registry())
    except ValueError:
        return BASE
    files = 2 + len(SURVIVAL) * request.survival  # before, after, and what survives
    scoring = SCORE * len(panel.ids) * files
    wall = WALL * bool(getattr(method, "disrupts", False))
    return math.ceil(BASE + scoring + wall + _making(method, params, panel, len(request.targets)))


def _making(method: Any, params: Params, panel: Panel, targets: int) -> float:
    """Of the mask itself. A network's single pass is in BASE.

    Lazy greedy insertion looks at every target in its first step and at hardly more than one afterwards: 59.2
    candidates in 50 steps with 10 targets (docs/tip-im.md).
    """
    steps: int = getattr(params, "steps", 0)
    if "surrogates" in method.needs:
        return STEP * len(panel.attacked) * (steps + targets * isinstance(method, TipIm))
    return LOADING + DENOISING * steps if getattr(params, "mask", None) == DIFFFACE else 0.0
