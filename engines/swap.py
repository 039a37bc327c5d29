"""The geometric face swap: a mask generator MG of IPMN (Eq. 1) that needs no training.

Points on both faces (`engines/swap_points.py`), a thin-plate spline (Bookstein, 1989) that brings the replacing face
onto the protected one, the colours of the protected face (Reinhard et al., 2001), and Poisson blending (Pérez et al.,
2003). What lies around the face stays as it is, hair over the forehead too. The same two faces give the same mask.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engines.face import CELEBA128, FaceError
from engines.parse import parts
from engines.swap_points import Points, mismatch, points

SIDE = CELEBA128.size  # what the parser sees
FLOW = 256  # pixels a side at which a spline is read at most; between them it is nearly straight
STIFF, LOOSE = 1e-3, 0.05  # what smoothness is worth in the spline at inner points and at the outline
MARGIN = 3  # pixels of the border that Poisson blending does not touch
FOREHEAD = 0.55  # distances between the eyes, that the mask reaches above the eyebrows


def swap(protected: Tensor, replacing: Tensor, five: Tensor | None = None, theirs: Tensor | None = None) -> Tensor:
    """x_m = MG(x_p, x_r): crops (1, 3, S, S) in [0, 1], cut about as CELEBA128 does -> x_p's, in steps of 1/255.

    `five` and `theirs`: landmarks (5, 2) of the two in crop pixels, where a detector found them; without them the
    parser's masks say where eyes, nose and mouth are. The two may have different sizes. Raises FaceError for crops
    of another shape and where no face can be made out.
    """
    for pixels in (protected, replacing):
        if pixels.ndim != 4 or pixels.shape[:2] != (1, 3) or pixels.shape[2] != pixels.shape[3]:
            raise FaceError(f"Faces are swapped in square crops (1, 3, S, S), not {tuple(pixels.shape)}.")
    return swapped(protected, replacing, found(protected, five), found(replacing, theirs))


def found(pixels: Tensor, five: Tensor | None = None) -> Points:
    """The points of a crop (1, 3, S, S) by the bundled parser; FaceError where no face can be made out."""
    size = pixels.shape[-1]
    if size == SIDE:
        return points(parts(pixels)[0].cpu(), five)
    seen = F.interpolate(pixels, (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)
    scale = SIDE / size
    five = None if five is None else (five + 0.5) * scale - 0.5
    return points(parts(seen)[0].cpu(), five).at(size)


def swapped(protected: Tensor, replacing: Tensor, ours: Points, other: Points) -> Tensor:
    """`swap` for faces whose points are known. The replacing face is mirrored where it then looks the same way."""
    if mismatch(ours, other.mirrored()) < mismatch(ours, other):
        replacing, other = replacing.flip(-1), other.mirrored()
    stiff = torch.tensor([STIFF] * len(ours.inner) + [LOOSE] * len(ours.outline))
    flow = spline(ours.all, other.all, stiff, protected.shape[-1], replacing.shape[-1])
    warped = warp(replacing.cpu(), flow)
    seen = warp(other.face[None, None].float(), flow)[0, 0] > 0.5
    where = region(ours, seen)
    face = _image(coloured(warped, protected.cpu(), where))
    return _tensor(blended(face, _image(protected.cpu()), where)).to(protected)


def spline(target: Tensor, source: Tensor, stiff: Tensor, size: int, other: int | None = None) -> Tensor:
    """The thin-plate spline from points `target` to `source`, both (n, 2), read at every pixel: (size, size, 2).

    `target` lies in a picture of `size` pixels a side, `source` in one of `other`. `stiff` (n,) says how little each
    point has to be met: 0 is exactly. FaceError where the points lie on a line.
    """
    other = other or size
    a, b, n = (target.double() + 0.5) / size, (source.double() + 0.5) / other, len(target)
    affine = torch.cat([torch.ones(n, 1), a], 1).double()
    system = torch.zeros(n + 3, n + 3).double()
    system[:n, :n] = _kernel(a, a) + stiff.double().diag()
    system[:n, n:], system[n:, :n] = affine, affine.T
    try:
        weights = torch.linalg.solve(system, torch.cat([b, torch.zeros(3, 2).double()]))
    except torch.linalg.LinAlgError:
        raise FaceError("The points of a face lie on one line: choose a photo from the front.") from None
    steps = min(size, FLOW)
    y, x = torch.meshgrid(torch.arange(steps), torch.arange(steps), indexing="ij")
    grid = (torch.stack([x, y], -1).view(-1, 2).double() + 0.5) / steps
    read = _kernel(grid, a) @ weights[:n] + weights[n] + grid @ weights[n + 1 :]
    flow = (read * other - 0.5).view(1, steps, steps, 2).permute(0, 3, 1, 2).float()
    if steps < size:
        flow = F.interpolate(flow, (size, size), mode="bilinear", align_corners=False)
    return flow[0].permute(1, 2, 0)


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    """r² log r of every pair, (n, m)."""
    squared = torch.cdist(a, b).square()
    return 0.5 * squared * (squared + 1e-12).log()


def warp(pixels: Tensor, flow: Tensor) -> Tensor:
    """(1, C, S, S) read at `flow` (S, S, 2) of every pixel, bicubic, bounded to [0, 1], its border repeated."""
    grid = (2 * flow + 1) / pixels.shape[-1] - 1
    return F.grid_sample(pixels, grid[None], "bicubic", "border", align_corners=False).clamp(0, 1)


def region(ours: Points, seen: Tensor) -> np.ndarray:
    """What is replaced: (S, S) uint8, 255 or 0.

    Within the outline and FOREHEAD above the eyebrows, where the protected crop shows face and `seen` (S, S) says
    that the warped one does too. Raises FaceError where that is next to nothing.
    """
    up = FOREHEAD * (ours.inner[1] - ours.inner[0]).norm() * torch.tensor([0.0, 1.0])
    hull = cv2.convexHull(torch.cat([ours.outline, ours.inner[5:7] - up]).round().int().numpy())
    within = np.zeros(ours.face.shape, np.uint8)
    cv2.fillConvexPoly(within, hull, 255)
    both = (ours.face & seen).numpy().astype(np.uint8) * 255
    closed = cv2.morphologyEx(both, cv2.MORPH_CLOSE, _brush(7, len(both)))
    kept = cv2.morphologyEx(np.minimum(within, closed), cv2.MORPH_OPEN, _brush(5, len(both)))
    kept[:MARGIN], kept[-MARGIN:], kept[:, :MARGIN], kept[:, -MARGIN:] = 0, 0, 0, 0
    if (kept > 0).mean() < 0.02:
        raise FaceError("The two faces have too little in common to be swapped: choose another replacement.")
    return kept


def _brush(width: int, side: int) -> np.ndarray:
    """A square as wide as `width` of SIDE pixels, odd."""
    wide = 2 * round((width * side / SIDE - 1) / 2) + 1
    return np.ones((wide, wide), np.uint8)


def coloured(warped: Tensor, protected: Tensor, where: np.ndarray) -> Tensor:
    """The warped face with mean and spread of the protected one's colours, in L*a*b*; both (1, 3, S, S).

    The spread is changed by half to twice at most.
    """
    one, two = (cv2.cvtColor(pixels[0].permute(1, 2, 0).numpy(), cv2.COLOR_RGB2Lab) for pixels in (warped, protected))
    inside = where > 0
    mean, other = one[inside].mean(0), two[inside].mean(0)
    factor = np.clip(two[inside].std(0) / np.maximum(one[inside].std(0), 1e-3), 0.5, 2)
    moved = cv2.cvtColor(((one - mean) * factor + other).astype(np.float32), cv2.COLOR_Lab2RGB)
    return torch.from_numpy(moved).permute(2, 0, 1)[None].clamp(0, 1)


def blended(face: np.ndarray, photo: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Poisson blending of a face into a photo, (S, S, 3) uint8 both, where `where` is not 0."""
    x, y, width, height = cv2.boundingRect(where)
    return cv2.seamlessClone(face, photo, where, (x + width // 2, y + height // 2), cv2.NORMAL_CLONE)


def _image(pixels: Tensor) -> np.ndarray:
    return (pixels[0].permute(1, 2, 0) * 255).round().byte().contiguous().numpy()


def _tensor(image: np.ndarray) -> Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None].float().contiguous() / 255
