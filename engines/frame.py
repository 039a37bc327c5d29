"""A face's frame: the square of a photo's very pixels around it, for methods whose output must come back bit for bit.

`engines.face.align` resamples, and so does pasting an edit back: what is hidden in the last bits of a crop would not
outlive either. A frame lies straight in the photo, as large as the face makes it; nothing is interpolated on the way
out or back.
"""

from __future__ import annotations

import torch
from torch import Tensor

from engines.face import CELEBA128, FaceCrop, FaceError, Template, invert, similarity

LEAST, MOST = 64, 768  # pixels a side
MULTIPLE = 8  # of a frame's side, for networks that halve it
EVEN = 2  # a frame begins at even pixels: whoever cuts it anew sees the same wavelets


def frame(pixels: Tensor, landmarks: Tensor) -> FaceCrop:
    """The frame of the face with these landmarks (5, 2): as much of a photo as CELEBA128 shows, cut straight.

    `pixels`: (1, 3, H, W) uint8. Near the photo's edge it moves inwards, and in a small photo it shrinks. Raises
    FaceError for a face of fewer than LEAST or more than MOST pixels, and for degenerate landmarks.
    """
    points = torch.as_tensor(landmarks, dtype=torch.float32)
    to_crop = similarity(points, CELEBA128.tensor())
    wanted = CELEBA128.size / float(torch.linalg.det(to_crop[:, :2]).sqrt())
    if wanted > MOST:
        share = MOST / wanted
        raise FaceError(f"The face is too large for this method: make the photo smaller, to {share:.0%} of its size.")
    height, width = pixels.shape[-2:]
    side = int(min(MULTIPLE * round(wanted / MULTIPLE), MULTIPLE * (min(height, width) // MULTIPLE)))
    if side < LEAST:
        raise FaceError(
            f"The face is too small for this method: choose a photo where it takes {LEAST} pixels or more."
        )
    middle = (CELEBA128.size - 1) / 2
    back = invert(to_crop)
    centre = back[:, :2] @ torch.tensor([middle, middle]) + back[:, 2]
    x, y = (_placed(float(at), side, most) for at, most in zip(centre, (width, height), strict=True))
    return framed(pixels, x, y, side, points)


def _placed(centre: float, side: int, most: int) -> int:
    """Where a frame begins along one axis."""
    start = min(max(round(centre - (side - 1) / 2), 0), most - side)
    return start - start % EVEN


def framed(pixels: Tensor, x: int, y: int, side: int, landmarks: Tensor) -> FaceCrop:
    """The frame of `side` pixels that begins at (x, y). Raises FaceError where that is none of this photo."""
    height, width = pixels.shape[-2:]
    outside = x < 0 or y < 0 or x + side > width or y + side > height
    if outside or not LEAST <= side <= MOST or side % MULTIPLE or x % EVEN or y % EVEN:
        raise FaceError("The frame that the file names does not lie in this photo: it was cut or resized since.")
    cut = pixels[..., y : y + side, x : x + side].float() / 255
    own = landmarks - torch.tensor([x, y])
    template = Template(f"frame{side}", side, tuple((float(a), float(b)) for a, b in own))
    return FaceCrop(cut, torch.tensor([[1.0, 0.0, -x], [0.0, 1.0, -y]]), template)


def place(crop: FaceCrop) -> tuple[int, int, int]:
    """Where a frame lies: x and y of its first pixel, and its side."""
    return -int(crop.to_crop[0, 2]), -int(crop.to_crop[1, 2]), crop.template.size


def settle(pixels: Tensor, crop: FaceCrop, edited: Tensor) -> Tensor:
    """The photo (1, 3, H, W), uint8, its frame replaced by `edited` (1, 3, S, S) in [0, 1], rounded."""
    x, y, side = place(crop)
    out = pixels.clone()
    out[..., y : y + side, x : x + side] = (edited.clamp(0, 1) * 255).round().to(torch.uint8)
    return out
