"""Anchors: deliberately bad versions that every attentive rater sees through, as BT.500 and MUSHRA use them.

Each is a pure function of the pixels, uint8 (H, W, 3); strengths scale with the shorter side, so that a small and a
large photo look equally bad.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

from app.study.errors import StudyError

JPEG_QUALITY = 4
BLUR = 0.03  # standard deviation, of the shorter side
BLOCKS = 24  # across the shorter side


def jpeg(pixels: np.ndarray) -> np.ndarray:
    """Compressed until blocks and bands show: JPEG quality 4, colour at half resolution."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=JPEG_QUALITY, subsampling="4:2:0")
    with Image.open(file, formats=("JPEG",)) as image:  # our own bytes, not a stranger's
        return np.asarray(image.convert("RGB"))


def blur(pixels: np.ndarray) -> np.ndarray:
    """Gaussian blur of 3 % of the shorter side."""
    radius = max(2.0, BLUR * min(pixels.shape[:2]))
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))


def pixelation(pixels: np.ndarray) -> np.ndarray:
    """Blocks of one colour, 24 across the shorter side."""
    height, width = pixels.shape[:2]
    scale = BLOCKS / min(height, width)
    small = Image.fromarray(pixels).resize(
        (max(1, round(width * scale)), max(1, round(height * scale))), Image.Resampling.BOX
    )
    return np.asarray(small.resize((width, height), Image.Resampling.NEAREST))


ANCHORS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"jpeg": jpeg, "blur": blur, "pixelation": pixelation}


def parameters(kind: str) -> dict[str, float]:
    """What made an anchor, for its provenance. Raises StudyError."""
    known: dict[str, dict[str, float]] = {
        "jpeg": {"quality": JPEG_QUALITY},
        "blur": {"sigma": BLUR},
        "pixelation": {"blocks": BLOCKS},
    }
    if kind not in known:
        raise StudyError(f"There is no anchor “{kind}”: choose from {', '.join(ANCHORS)}.")
    return dict(known[kind])
