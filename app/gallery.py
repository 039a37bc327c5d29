"""Built-in target faces: public-domain portraits that ride inside packages, and one face that nobody has.

Grace Hopper (US Navy; matplotlib's sample data) and Eileen Collins (NASA; scikit-image). The
virtual face is the two portraits, aligned by their five landmarks and averaged.
"""

from __future__ import annotations

import io
from functools import lru_cache

import matplotlib.cbook
import numpy as np
import skimage.data
import torch
from PIL import Image
from torch import Tensor

from app import photo as photos
from app.runtime import Runtime
from app.scoring import JobError, Person, find_person
from engines.face import HEAD160, align

HOPPER, COLLINS, VIRTUAL = "Grace Hopper", "Eileen Collins", "Virtual face"
NAMES = (HOPPER, VIRTUAL, COLLINS)
CREDITS = {
    HOPPER: "Grace Hopper, US Navy portrait, public domain",
    COLLINS: "Eileen Collins, NASA portrait, public domain",
    VIRTUAL: "The average of the two portraits: a person who does not exist",
}
# Where MTCNN finds eyes, nose and corners of the mouth, in pixels: a page shows these heads before it is loaded.
LANDMARKS = {
    HOPPER: ((220.98, 190.61), (309.76, 185.99), (268.49, 237.30), (230.41, 276.82), (308.03, 272.72)),
    COLLINS: ((204.65, 100.54), (247.97, 103.96), (224.85, 129.36), (201.69, 138.85), (245.54, 142.58)),
}


def person(runtime: Runtime, name: str) -> Person:
    """A built-in face by name; JobError names the known ones."""
    if name not in NAMES:
        raise JobError(f"There is no built-in face called {name!r}: choose from {', '.join(NAMES)}, or give a photo.")
    return _person(runtime, name)


@lru_cache(maxsize=8)
def _person(runtime: Runtime, name: str) -> Person:
    return find_person(runtime, name, photos.load(portrait(name)))


@lru_cache(maxsize=3)
def portrait(name: str) -> bytes:
    """The file of a built-in face."""
    if name == HOPPER:
        with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file:
            return file.read()
    pixels = head(name) if name == VIRTUAL else np.asarray(skimage.data.astronaut())
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@lru_cache(maxsize=3)
def head(name: str) -> np.ndarray:
    """The head of a built-in face, upright, uint8 (160, 160, 3); the virtual one is the mean of the others'."""
    heads = [_aligned(one) for one in (LANDMARKS if name == VIRTUAL else [name])]
    return (torch.stack(heads).mean(0)[0] * 255).round().byte().permute(1, 2, 0).numpy()


def _aligned(name: str) -> Tensor:
    return align(photos.load(portrait(name)).pixels, torch.tensor(LANDMARKS[name]), HEAD160).pixels
