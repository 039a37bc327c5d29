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
from PIL import Image

from app import photo as photos
from app.photo import Photo
from app.runtime import Runtime
from app.scoring import JobError, Person, find_person
from engines.face import HEAD160

HOPPER, COLLINS, VIRTUAL = "Grace Hopper", "Eileen Collins", "Virtual face"
NAMES = (HOPPER, VIRTUAL, COLLINS)
CREDITS = {
    HOPPER: "Grace Hopper, US Navy portrait, public domain",
    COLLINS: "Eileen Collins, NASA portrait, public domain",
    VIRTUAL: "The average of the two portraits: a person who does not exist",
}


def person(runtime: Runtime, name: str) -> Person:
    """A built-in face by name; JobError names the known ones."""
    if name not in NAMES:
        raise JobError(f"There is no built-in face called {name!r}: choose from {', '.join(NAMES)}, or give a photo.")
    return _person(runtime, name)


@lru_cache(maxsize=8)
def _person(runtime: Runtime, name: str) -> Person:
    return find_person(runtime, name, _blend(runtime) if name == VIRTUAL else photos.load(portrait(name)))


@lru_cache(maxsize=2)
def portrait(name: str) -> bytes:
    """The file of a built-in portrait."""
    if name == HOPPER:
        with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file:
            return file.read()
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(skimage.data.astronaut())).save(buffer, "PNG")
    return buffer.getvalue()


def _blend(runtime: Runtime) -> Photo:
    """The average of the two aligned portraits as a photo of its own."""
    from engines.face import align

    heads = [
        align(p.photo.pixels, p.landmarks, HEAD160).pixels
        for p in map(lambda n: _person(runtime, n), (HOPPER, COLLINS))
    ]
    mean = (sum(heads) / len(heads) * 255).round().byte()
    return photos.load(photos.encode(mean))
