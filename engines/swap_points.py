"""Where the parts of a face are in a crop: points for a warp, from five landmarks and the face parser's masks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from engines.face import CELEBA128, FaceError, similarity
from engines.nets.parser import COMPONENTS, FACE, mask

RAYS = 17  # of the outline, from the right of the face over the chin to its left
MIRROR = [1, 0, 2, 4, 3, 6, 5, 7, 8]  # where each inner point goes in the mirror
LEAST = 0.04  # of a crop's pixels that must be face


@dataclass(frozen=True)
class Points:
    """`inner` (n, 2) and `outline` (RAYS, 2): x, y in the crop's pixels; `face` (S, S) booleans, hair left out."""

    inner: Tensor
    outline: Tensor
    face: Tensor

    @property
    def all(self) -> Tensor:
        """Both, (n + RAYS, 2)."""
        return torch.cat([self.inner, self.outline])

    def at(self, size: int) -> Points:
        """Those of the crop at another size."""
        scale = size / self.face.shape[-1]
        inner, outline = ((rows + 0.5) * scale - 0.5 for rows in (self.inner, self.outline))
        face = F.interpolate(self.face[None, None].float(), (size, size), mode="bilinear", align_corners=False)
        return Points(inner, outline, face[0, 0] > 0.5)

    def mirrored(self) -> Points:
        """Those of the crop turned left to right."""
        side = self.face.shape[-1] - 1
        inner, outline = (torch.stack([side - rows[:, 0], rows[:, 1]], 1) for rows in (self.inner, self.outline))
        return Points(inner[MIRROR], outline.flip(0), self.face.flip(-1))


def mismatch(ours: Points, other: Points) -> float:
    """How differently two faces look at the camera: the mean distance of inner points after the best similarity.

    In distances between the eyes; the larger, the more a swap bends the face.
    """
    matrix = similarity(other.inner, ours.inner)
    moved = other.inner @ matrix[:, :2].T + matrix[:, 2]
    eyes = (ours.inner[1] - ours.inner[0]).norm().clamp_min(1)
    return float((moved - ours.inner).norm(dim=1).mean() / eyes)


def points(parts: Tensor, five: Tensor | None = None) -> Points:
    """The points of a crop, from the class of each pixel (S, S) and its five landmarks (5, 2), if they are known.

    Without landmarks eyes, nose and mouth are taken from the parser, and where it sees none of a kind, from
    CELEBA128. Raises FaceError where hardly any of the crop is a face.
    """
    parts, size = parts[None] if parts.ndim == 2 else parts, parts.shape[-1]
    face = mask(parts, FACE)[0, 0] > 0
    if face.float().mean() < LEAST or not (mask(parts, COMPONENTS) > 0).any():
        raise FaceError("No face can be made out in the crop: choose a photo with a whole face in it.")
    five = _five(parts, size) if five is None else five.float()
    return Points(torch.cat([five, _brows(parts, five), _lips(parts, five)]), _outline(face, five), face)


def _places(parts: Tensor, *names: str) -> Tensor:
    """x, y of every pixel of these classes, (n, 2)."""
    return (mask(parts, names)[0, 0] > 0).nonzero().flip(1).float()


def _five(parts: Tensor, size: int) -> Tensor:
    """Eyes, nose, corners of the mouth; the parser's left is the person's, MTCNN's the picture's."""
    found = (CELEBA128.tensor() + 0.5) * size / CELEBA128.size - 0.5
    for row, name in ((0, "right_eye"), (1, "left_eye")):
        if len(seen := _places(parts, name)) > 5:
            found[row] = seen.mean(0)
    if len(nose := _places(parts, "nose")) > 20:
        found[2] = torch.stack([nose[:, 0].mean(), nose[:, 1].quantile(0.8)])
    if len(mouth := _places(parts, "mouth", "upper_lip", "lower_lip")) > 20:
        for row, share in ((3, 0.02), (4, 0.98)):
            x = mouth[:, 0].quantile(share)
            found[row] = torch.stack([x, mouth[(mouth[:, 0] - x).abs() < 3, 1].mean()])
    return found


def _brows(parts: Tensor, five: Tensor) -> Tensor:
    """The middle of each eyebrow; where none is seen, above the eye."""
    above = 0.35 * (five[1] - five[0]).norm()
    rows = []
    for eye, name in ((five[0], "right_brow"), (five[1], "left_brow")):
        seen = _places(parts, name)
        rows.append(seen.mean(0) if len(seen) > 5 else eye - torch.stack([above * 0, above]))
    return torch.stack(rows)


def _lips(parts: Tensor, five: Tensor) -> Tensor:
    """Top and bottom of the lips, in the middle of the mouth."""
    middle, reach = five[3:].mean(0), 0.2 * (five[1] - five[0]).norm()
    seen = _places(parts, "mouth", "upper_lip", "lower_lip")
    near = seen[(seen[:, 0] - middle[0]).abs() < reach]
    ends = (middle[1] - reach, middle[1] + reach)
    if len(near) > 10:
        ends = (near[:, 1].quantile(0.02), near[:, 1].quantile(0.98))
    return torch.stack([torch.stack([middle[0], end]) for end in ends])


def _outline(face: Tensor, five: Tensor) -> Tensor:
    """Where rays from the middle of the eyes and the mouth leave the face, along ±25° above the eyes and all below.

    A ray ends at the last face pixel before ten in a row that are not; the lengths are smoothed by the median of
    three, since hair and hands cut into a face.
    """
    middle = (five[:2].mean(0) + five[3:].mean(0)) / 2
    turn = math.atan2(float(five[1, 1] - five[0, 1]), float(five[1, 0] - five[0, 0]))
    angles = turn + torch.linspace(-math.radians(25), math.pi + math.radians(25), RAYS)
    ways = torch.stack([angles.cos(), angles.sin()], 1)
    steps = torch.arange(0, face.shape[-1], 0.5)
    at = (middle + steps[:, None, None] * ways).round().long()
    inside = ((at >= 0) & (at < face.shape[-1])).all(-1)
    seen = face[at[..., 1].clamp(0, face.shape[-1] - 1), at[..., 0].clamp(0, face.shape[-1] - 1)] & inside
    gone = F.max_pool1d(F.pad(seen.float().T[:, None], (0, 19)), 20, 1)[:, 0] == 0  # no face in the next ten pixels
    ends = torch.where(gone.any(1), gone.float().argmax(1), len(steps) - 1)
    lengths = steps[ends].clamp_min(0.6 * float((five[1] - five[0]).norm()))
    lengths = F.pad(lengths[None, None], (1, 1), mode="replicate")[0, 0].unfold(0, 3, 1).median(1).values
    return (middle + lengths[:, None] * ways).clamp(1, face.shape[-1] - 2)
