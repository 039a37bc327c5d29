"""A picture as it lies under a heat map: small enough that a report with many of them can be sent."""

from __future__ import annotations

import io
from base64 import b64encode

from PIL import Image

SIDE = 384  # pixels, at most: a heat map has 32 cells a side


def underlay(png: bytes, side: int = SIDE) -> str:
    """The picture, its longer side at most `side`, as a data: URI of a JPEG."""
    out = io.BytesIO()
    with Image.open(io.BytesIO(png)) as picture:
        small = picture.convert("RGB")
    small.thumbnail((side, side))
    small.save(out, "JPEG", quality=85)
    return "data:image/jpeg;base64," + b64encode(out.getvalue()).decode()
