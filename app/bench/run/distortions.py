"""Distortions by name and strength: "jpeg30", "noise0.003", "blur3", "resize0.5", "median5", "rotate30", "crop0.875".

The survival strip's own ids are among them. Each works on a whole uint8 photo and gives the same every time.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from app.bench.run.spec import SpecError
from engines import distort
from engines.distort import Distortion

NONE = "none"
SAME = {"resize-half": "resize0.5"}


def _noise(photo: Tensor, variance: float) -> Tensor:
    generator = torch.Generator().manual_seed(distort.SEED)
    return distort.in_bands(photo, lambda band: distort.noise(band, variance, generator))


def _blur(photo: Tensor, kernel: float) -> Tensor:
    return distort.in_bands(photo, lambda band: distort.blur(band, int(kernel)), halo=int(kernel))


def _median(photo: Tensor, kernel: float) -> Tensor:
    return distort.in_bands(photo, lambda band: distort.median(band, int(kernel)), halo=int(kernel))


def _turned(photo: Tensor, degrees: float) -> Tensor:
    """By an angle of at most so many degrees, drawn by the picture itself."""
    angle = float(np.random.default_rng(int(photo.long().sum())).uniform(-degrees, degrees))
    return distort.in_bands(photo, lambda band: distort.rotate(band, angle), halo=photo.shape[-2])


def _cropped(photo: Tensor, keep: float) -> Tensor:
    """The middle of each side, enlarged to the size before."""
    inner = distort.crop(photo.float() / 255, keep)
    large = F.interpolate(inner, size=photo.shape[-2:], mode="bilinear", align_corners=False)
    return (large * 255).round().clamp(0, 255).byte()


KINDS: dict[str, tuple[str, float, float, Callable[[Tensor, float], Tensor]]] = {
    "jpeg": ("JPEG, quality {:g}", 1, 100, lambda photo, quality: distort.real_jpeg(photo, int(quality))),
    "noise": ("Noise, variance {:g}", 1e-9, 1, _noise),
    "blur": ("Blur, kernel {:g}", 3, 99, _blur),
    "resize": ("Size times {:g} and back", 0.01, 1, distort.resize),
    "median": ("Median filter, kernel {:g}", 3, 15, _median),
    "rotate": ("Rotation by up to {:g} degrees", 0, 180, _turned),
    "crop": ("Middle {:g} of each side", 0.1, 1, _cropped),
}
ODD = ("blur", "median")  # kernels
WHOLE = ("jpeg", *ODD)


def canonical(text: str) -> str:
    """The id under which rows know a distortion: its name and its number, as short as it goes. Raises SpecError."""
    if text == NONE:
        return NONE
    found = re.fullmatch(r"([a-z]+)\s*([0-9.]+(?:e-?[0-9]+)?)", SAME.get(text, text))
    if found is None or found[1] not in KINDS:
        raise SpecError(f"There is no distortion {text!r}: write {', '.join(KINDS)} and a number, as in jpeg30.")
    name = found[1]
    _, low, high, _ = KINDS[name]
    try:
        value = float(found[2])
    except ValueError:
        value = float("nan")
    whole = name not in WHOLE or value.is_integer()
    if not low <= value <= high or not whole or (name in ODD and value % 2 == 0):
        kind = "an odd whole number" if name in ODD else "a whole number" if name in WHOLE else "a number"
        raise SpecError(f"The distortion {text!r} needs {kind} from {low:g} to {high:g}.")
    return f"{name}{value:g}"


def distortion(id: str) -> Distortion:
    """The distortion of a canonical id. Raises SpecError for any other text."""
    name, number = re.fullmatch(r"([a-z]+)(.+)", canonical(id)).groups()  # type: ignore[union-attr]
    label, _, _, change = KINDS[name]
    return Distortion(id, label.format(float(number)), lambda photo: change(photo, float(number)))


def label(id: str) -> str:
    """What people read."""
    return "none" if id == NONE else distortion(id).label
