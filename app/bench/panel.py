"""What the panel costs: a photo's scoring, each network's passes, and TIP-IM's steps: `make bench-panel`.

Times are medians after a warm-up; where two things are compared their runs alternate, so that a
change of the machine's speed meets both, and the ratio is the median of the pairs'.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F

from app import gallery, panel
from app import photo as photos
from app.panel import Panel
from app.photo import Photo
from app.runtime import Runtime
from app.scoring import Scorer, find_person
from engines.architectures import ARCHITECTURES
from engines.checkpoints import Checkpoint, load_state
from engines.method import Scene, run
from engines.methods import method
from engines.recognise import Recogniser

BATCH, STEPS = 32, 50


def bundled(runtime: Runtime) -> list[str]:
    """The bundled recognisers, and dlib's judge."""
    cards = runtime.cards.values()
    return [c.id for c in cards if c.kind == "recogniser" and (c.source == "bundled" or c.id == "dlib-resnet")]


def measure(repeats: int = 15) -> dict[str, Any]:
    """A row for the scoring of a photo by the whole panel, then a row a recogniser."""
    runtime = Runtime()
    ids = bundled(runtime)
    rows: list[dict[str, Any]] = [{"what": f"score a photo: {len(ids)} networks", **scoring(runtime, ids, repeats)}]
    rows += [{"what": f"embed {BATCH} crops: {id}", **passes(runtime.recogniser(id), repeats)} for id in ids]
    attacked = [id for id in ids if runtime.cards[id].role == "surrogate"]
    rows += [{"what": f"TIP-IM, {STEPS} steps: {id}", **tip_im(runtime, [id])} for id in attacked]
    if len(attacked) > 1:
        rows.append({"what": f"TIP-IM, {STEPS} steps: {len(attacked)} together", **tip_im(runtime, attacked)})
    stamps = {id: runtime.recogniser(id).card.sha256 for id in ids}
    made = {"command": "make bench-panel", "threads": torch.get_num_threads(), "checkpoints": stamps}
    return {"rows": rows, "provenance": made}


def scoring(runtime: Runtime, ids: Sequence[str], repeats: int) -> dict[str, float]:
    """Seconds from a photo's bytes to its scores: decode, detect, align and embed, for each of `ids`."""
    sitter = gallery.person(runtime, gallery.COLLINS)
    large = F.interpolate(sitter.photo.pixels, size=(1000, 1000), mode="bilinear", antialias=True)
    person = find_person(runtime, "portrait", Photo(large, "PNG"))
    members, _ = panel.members(runtime, Panel((), tuple(ids)))
    scorer, found = Scorer(runtime, members, person), []
    # A new file each time, as embeddings of crops already seen are kept.
    files = [photos.encode(large.clamp(max=255 - i)) for i in range(repeats + 1)]
    for file in files:
        start = time.perf_counter()
        scorer.file(file, person.face)
        found.append(time.perf_counter() - start)
    return {"seconds": median(found[1:])}


@torch.inference_mode()
def passes(recogniser: Recogniser, repeats: int) -> dict[str, float]:
    """Seconds to embed a batch, and to send it through the bare network, prepared as that wants it."""
    card = recogniser.card
    net, pixels, ready = _bare(card), _batch(recogniser), _prepared(card, _batch(recogniser))
    ours, bare = alternate(lambda: recogniser.embed(pixels), lambda: net(ready), repeats)
    ratio = median(one / other for one, other in zip(ours, bare, strict=True))
    return {"seconds": median(ours), "bare_s": median(bare), "ratio": ratio}


def alternate(one: Callable[[], Any], other: Callable[[], Any], repeats: int) -> tuple[list[float], list[float]]:
    """Seconds of `repeats` calls of each, in turn, after a first one of each."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(repeats + 1):
        for work, kept in zip((one, other), times, strict=True):
            start = time.perf_counter()
            work()
            if turn:
                kept.append(time.perf_counter() - start)
    return times


def _bare(card: Checkpoint) -> torch.nn.Module:
    return ARCHITECTURES[card.network].build(load_state(card)).eval().requires_grad_(False)


def _batch(recogniser: Recogniser) -> torch.Tensor:
    size = recogniser.template.size
    return torch.rand(BATCH, 3, size, size, generator=torch.Generator().manual_seed(0))


def _prepared(card: Checkpoint, pixels: torch.Tensor) -> torch.Tensor:
    architecture = ARCHITECTURES[card.network]
    return pixels * architecture.scale + architecture.offset


def tip_im(runtime: Runtime, surrogates: Sequence[str]) -> dict[str, float]:
    """Seconds of TIP-IM's default run on a crop, two targets, STEPS steps, against `surrogates`."""
    chosen = method("tip-im")
    face, *targets = (gallery.person(runtime, n).crop(chosen).pixels for n in (gallery.COLLINS, *gallery.NAMES[:2]))
    scene = Scene([runtime.recogniser(id) for id in surrogates], torch.cat(targets))
    times = []
    for _ in range(4):
        start = time.perf_counter()
        for _ in run(chosen, face, {"steps": STEPS}, scene):
            pass
        times.append(time.perf_counter() - start)
    return {"seconds": median(times[1:])}


def add_parser(names: Any) -> None:
    """`bench panel`."""
    parser = names.add_parser("panel", help="seconds of a photo's scoring and of each bundled recogniser")
    parser.add_argument("--repeats", type=int, default=15, help="timed runs of each")
    parser.set_defaults(func=lambda args: measure(max(1, args.repeats)))
