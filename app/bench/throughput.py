"""Faces a second of every method and recogniser, in batches, on a GPU or the processor: `make bench-gpu`.

    python -m app bench throughput --device cuda

The ratio says how much there is beside the networks: the seconds of the whole over those inside the outermost
forward pass of any network. An iterative method's backward passes count as beside.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from app import gallery
from app.runtime import Runtime
from app.watermarks import USUAL, watermark_of
from engines.checkpoints import here
from engines.identity import BITS
from engines.method import Scene, run
from engines.methods import METHODS

NO_GPU = "There is no GPU here: give --device cpu, or run it where there is one."


def measure(device: str, batch: int, repeats: int) -> dict[str, Any]:
    """A row a recogniser, then a row a method with its usual settings."""
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise SystemExit(NO_GPU)
    runtime = Runtime(device)
    works = {id: embedding(runtime, id, batch) for id in recognisers(runtime)}
    works |= {id: protecting(runtime, id, batch) for id in METHODS}
    rows = [{"what": id, **timed(work, batch, repeats, device)} for id, work in works.items()]
    name = torch.cuda.get_device_name() if device.startswith("cuda") else "processor"
    return {"rows": rows, "provenance": {"device": name, "batch": batch, "threads": torch.get_num_threads()}}


def recognisers(runtime: Runtime) -> list[str]:
    """Those that are on this computer and trained."""
    cards = runtime.cards.values()
    return [card.id for card in cards if card.kind == "recogniser" and card.state == "trained" and here(card)]


def embedding(runtime: Runtime, id: str, batch: int) -> Callable[[], Any]:
    """A recogniser's work on a batch of crops that lie on the device."""
    recogniser = runtime.recogniser(id)
    size = recogniser.template.size
    pixels = torch.rand(batch, 3, size, size, generator=torch.Generator().manual_seed(0)).to(runtime.device)

    def work() -> None:
        with torch.inference_mode():
            recogniser.embed(pixels)

    return work


def protecting(runtime: Runtime, id: str, batch: int) -> Callable[[], Any]:
    """A method's work on a batch of the same face, with all that any method asks for."""
    method = METHODS[id]
    face, *others = (crop(runtime, name, method) for name in (gallery.COLLINS, gallery.HOPPER, gallery.VIRTUAL))
    one = "watermark" in method.needs
    scene = Scene(
        [runtime.recogniser("sface")],
        torch.cat(others[:1] if one else others),
        torch.zeros(BITS, dtype=torch.int, device=runtime.device),
        watermark_of(USUAL).to(runtime.device),
    )
    faces = face.repeat(batch, 1, 1, 1)
    return lambda: [*run(method, faces, {}, scene)]


def crop(runtime: Runtime, name: str, method: Any) -> Tensor:
    """A built-in face (1, 3, S, S) as the method wants it."""
    return gallery.person(runtime, name).crop(method).pixels.to(runtime.device)


def timed(work: Callable[[], Any], batch: int, repeats: int, device: str) -> dict[str, float]:
    """Medians after a warm-up: faces a second and seconds; apart from those, seconds inside networks and the ratio.

    The ratio is one of the same pass: a busy computer's moods cancel out, and it is at least 1.
    """
    work()
    took = median(seconds(work, device) for _ in range(repeats))
    inside, ratios = [], []
    for _ in range(repeats):
        with forwards(device) as spent:
            whole = seconds(work, device)
        inside.append(sum(spent))
        ratios.append(whole / inside[-1] if inside[-1] else float("nan"))  # compiled networks call no hooks
    return {"faces/s": batch / took, "seconds": took, "forward_s": median(inside), "ratio": median(ratios)}


def seconds(work: Callable[[], Any], device: str) -> float:
    """How long it takes, until the device is done."""
    start = _now(device)
    work()
    return _now(device) - start


@contextmanager
def forwards(device: str) -> Iterator[list[float]]:
    """Seconds of each outermost forward pass of any network meanwhile."""
    spent: list[float] = []
    starts: list[float] = []

    def before(module: nn.Module, given: Any) -> None:
        starts.append(_now(device) if not starts else 0.0)

    def after(module: nn.Module, given: Any, made: Any) -> None:
        start = starts.pop()
        if not starts:
            spent.append(_now(device) - start)

    hooks = [
        nn.modules.module.register_module_forward_pre_hook(before),
        nn.modules.module.register_module_forward_hook(after),
    ]
    try:
        yield spent
    finally:
        for hook in hooks:
            hook.remove()


def _now(device: str) -> float:
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter()


def add_parser(names: Any) -> None:
    """`bench throughput`."""
    parser = names.add_parser("throughput", help="faces a second of every method and recogniser, on a GPU or not")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=5)
    parser.set_defaults(func=lambda args: measure(args.device, max(1, args.batch), max(1, args.repeats)))
