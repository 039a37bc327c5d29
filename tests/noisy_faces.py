"""Pictures of noise in place of CelebA, for trainings that need no faces."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from engines.nets.attributes import NAMES
from engines.train.celeba import Celeba


def noisy_faces() -> Celeba:
    """48 pictures with random attributes, always the same."""
    rng = np.random.default_rng(0)

    def picture() -> bytes:
        file = io.BytesIO()
        Image.fromarray(rng.integers(256, size=(20, 20, 3), dtype=np.uint8)).save(file, "PNG")
        return file.getvalue()

    shown = rng.random((48, 40)) < 0.4
    return Celeba(tuple(f"{i}.png" for i in range(48)), tuple(picture() for _ in range(48)), NAMES, shown)
