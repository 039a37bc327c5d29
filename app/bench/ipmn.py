"""`bench ipmn`: Tables 2, 3, 6, 7, 10 and 11 of IPMN on faces never trained on, and what the paper leaves out.

That is: what restoring gives after JPEG, resizing and noise, and from a photo never masked or another's network.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from app import weights_ipmn
from app.bench.hiding_scene import ATTACKS, CURVE, MARKS, Bench, Pictures, after, alike, celeba
from app.runtime import Runtime
from engines.checkpoints import CheckpointError, checkpoint
from engines.imitate import imitators
from engines.methods.ipmn import OTHER, Ipmn

JUDGES = ("compact-inception", "compact-edgenext", "dlib-resnet")
OURS, IMN, MOSAIC = "IPMN", "IMN", "Reversible mosaic"
Rows = Iterator[dict[str, Any]]


def restoring(bench: Bench, made: Pictures, name: str) -> Rows:
    """Tables 2 and 7: the three pairs of pictures."""
    pairs = {
        "(x_p, x'_p)": (bench.faces.protected, made.face),
        "(x_wm, x_wmf)": (made.carrier, made.masked),
        "(x_wm, x'_wm)": (made.carrier, made.back),
    }
    for row, pair in pairs.items():
        yield {"table": "Tables 2 and 7", "method": name, "row": row, **alike(*pair)}


def reading(bench: Bench, name: str, mark: Tensor, made: Pictures) -> Rows:
    """Table 3: the watermark in what is sent and in what is recovered; Table 6: the same put in later."""
    for method, pictures in ((OURS, made), ("IPMN, marked after masking", bench.marked_late(mark))):
        table = "Table 3" if method == OURS else "Table 6"
        for source, seen in (("x_wmf", pictures.masked), ("x'_wm", pictures.back)):
            yield {"table": table, "method": method, "row": f"{name}, {source}", **bench.read(seen, mark)}


def blanks(bench: Bench, made: Pictures) -> Rows:
    """What R reads where there is nothing."""
    unmarked = {"x_m": bench.faces.mask, "x_p": bench.faces.protected, "x'_p": made.face}
    for row, pictures in unmarked.items():
        yield {"table": "Blank", "method": OURS, "row": row, "blank": bench.blank(pictures)}


def stolen(bench: Bench) -> Rows:
    """Table 10: the watermark of the service in what its imitators draw."""
    try:
        found = imitators(Ipmn.checkpoint, "cpu")
    except CheckpointError:
        return
    for one in found.values():
        drawn = bench.imitated(one)
        figures = {**bench.read(drawn, one.watermark), **alike(drawn, bench.faces.mask)}
        yield {"table": "Table 10", "method": OURS, "row": one.title, **figures}


def recognised(bench: Bench, name: str, masked: Tensor) -> Rows:
    """Table 11: who is still taken for the person, clean and after each attack."""
    for row, pictures in {"none": masked, **after(masked, ATTACKS)}.items():
        yield {"table": "Table 11", "method": name, "row": row, **bench.hidden_from(pictures)}


def honest(bench: Bench, made: Pictures, mark: Tensor) -> Rows:
    """What the paper leaves out: after what files meet, and the controls."""
    face = bench.faces.protected
    for row, seen in after(made.masked, CURVE).items():
        figures = {**alike(bench.restored(seen), face), **bench.read(seen, mark)}
        yield {"table": "After a change", "method": OURS, "row": row, **figures}
    controls = {
        "a photo never masked": bench.restored(face),
        "the network of IMN": bench.restored(made.masked, OTHER),
        "nothing taken off": made.masked,
    }
    for row, pictures in controls.items():
        yield {"table": "Controls", "method": OURS, "row": row, **alike(pictures, face)}


def rows_of(bench: Bench) -> Rows:
    """All tables."""
    start = time.perf_counter()
    made = {name: bench.served(mark) for name, mark in MARKS.items()}
    seconds = (time.perf_counter() - start) / len(MARKS) / len(bench.faces.mask)
    first = next(iter(made))
    for row in restoring(bench, made[first], OURS):
        yield {**row, "seconds": seconds}
    for name, mark in MARKS.items():
        yield from reading(bench, name, mark, made[name])
    yield from blanks(bench, made[first])
    yield from stolen(bench)
    imn, mosaics = bench.unmarked(), bench.mosaics()
    yield from restoring(bench, imn, IMN)
    yield from list(restoring(bench, mosaics, MOSAIC))[:1]
    for name, masked in ((OURS, made[first].masked), (IMN, imn.masked), (MOSAIC, mosaics.masked)):
        yield from recognised(bench, name, masked)
    yield from honest(bench, made[first], MARKS[first])


def tables(args: Any) -> dict[str, Any]:
    """All rows; with --keep they become the figures of the registry's entries."""
    runtime = Runtime()
    bench = Bench(celeba(args.data, args.faces), [runtime.recogniser(id) for id in JUDGES])
    cards = [checkpoint(id) for id in (Ipmn.checkpoint, f"{Ipmn.checkpoint}-imn", "parser", *JUDGES)]
    provenance = {
        "command": f"python -m app bench ipmn --data DIR --faces {args.faces}",
        "data": "CelebA, people never trained on, masked by the geometric swap",
        "faces": len(bench.faces.mask),
        "checkpoints": [{"id": card.id, "sha256": card.sha256} for card in cards],
    }
    found = {"rows": list(rows_of(bench)), "provenance": provenance}
    if args.keep:
        weights_ipmn.keep(found)
    return found


def add_parser(names: Any) -> None:
    """`bench ipmn`."""
    parser = names.add_parser("ipmn", help="faces put on and taken off, and watermarks (Tables 2 to 11)")
    parser.add_argument("--data", type=Path, required=True, help="folder with the CelebA files")
    parser.add_argument("--faces", type=int, default=500)
    parser.add_argument("--keep", action="store_true", help="write the figures into the registry")
    parser.set_defaults(func=tables)
