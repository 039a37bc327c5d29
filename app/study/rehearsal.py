"""A study of made-up pictures and raters that are a program: for the load test, the crash test and the tests."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from app.study.canonical import sha256
from app.study.incoming import Incoming, Prepared
from app.study.store import Store

SIDE = 48  # pixels


def picture(photo: str, condition: str, role: str = "test", person: str = "") -> Prepared:
    """Noise that is the same for the same names."""
    seed = int(sha256(f"{photo}/{condition}")[:8], 16)
    pixels = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    method = condition.split(" ")[0]
    source = Incoming(b"", photo, role, method, {"strength": 1}, condition, person, {"ssim": 0.9})
    return Prepared(file.getvalue(), sha256(file.getvalue()), SIDE, SIDE, source)


def pictures(photos: int, conditions: int) -> list[Prepared]:
    """`photos` x (`conditions` tests, the reference and two anchors)."""
    made = []
    for photo in (f"photo {number:02}" for number in range(photos)):
        made += [picture(photo, f"method {number:02}") for number in range(conditions)]
        made.append(picture(photo, "reference", "reference"))
        made += [picture(photo, f"anchor: {kind}", "anchor") for kind in ("blur", "jpeg")]
    return made


def study(store: Store, photos: int = 3, conditions: int = 3, opened: bool = True, **design: Any) -> str:
    """A study, open unless said otherwise: its id."""
    usual = {"title": "Rehearsal", "protocol": "acr", "minimum_view": 0.0, "simulated": True}
    made = store.create({**usual, **design})
    store.add(made.id, pictures(photos, conditions))
    if opened:
        store.open(made.id)
    return made.id


def answer(protocol: str, random: np.random.Generator, labels: tuple[str, ...] = ()) -> Any:
    """Any allowed answer, by lot."""
    if protocol in ("acr", "dsis"):
        return int(random.integers(1, 6))
    if protocol == "artefacts":
        x, y = (round(float(value), 6) for value in random.uniform(0, 0.5, 2))
        return [{"x0": x, "y0": y, "x1": x + 0.25, "y1": y + 0.25, "label": str(random.choice(labels))}]
    return str(random.choice(["same", "different"] if protocol == "verification" else ["first", "second"]))
