"""Faces in a photograph: templates, differentiable alignment, and pasting an edit back.

A face is cut out by the similarity (rotation, uniform scale, shift) that brings its five
landmarks closest to a template's, in the least-squares sense (Umeyama, 1991). An edited
crop goes back as a *residual*: only what the edit added is upsampled, feathered and put
onto the photograph, so that every pixel outside the crop keeps its exact value.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

ARCFACE_POINTS = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)


class FaceError(ValueError):
    """A face that cannot be cut out, as one sentence that says what to do."""


@dataclass(frozen=True)
class Template:
    """Where the five landmarks (eyes, nose, mouth corners) land in a square crop, in pixels."""

    name: str
    size: int
    points: tuple[tuple[float, float], ...]

    def tensor(self) -> Tensor:
        """The five points, (5, 2) float32."""
        return torch.tensor(self.points, dtype=torch.float32)


def _moved(name: str, size: int, scale: float, origin: tuple[float, float], to: tuple[float, float]) -> Template:
    points = tuple(((x - origin[0]) * scale + to[0], (y - origin[1]) * scale + to[1]) for x, y in ARCFACE_POINTS)
    return Template(name, size, points)


ARCFACE112 = Template("arcface112", 112, ARCFACE_POINTS)
DLIB150 = _moved("dlib150", 150, 1.4926, (38.2946, 51.6), (47.7, 47.1))
# The whole head: the ArcFace crop at its own scale in the middle of 160 pixels, a little low
# so that the hair fits.
HEAD160 = _moved("head160", 160, 1.0, (56.0, 56.0), (80.0, 88.0))
# The 178 x 178 centre of CelebA's aligned release at 128 pixels, which forgers are trained on: where MTCNN finds
# the points of its 19,975 training faces, on average.
CELEBA128 = Template("celeba128", 128, ((50.4, 66.2), (78.3, 66.1), (64.1, 83.3), (51.7, 96.1), (76.7, 96.0)))


def celeba(size: int) -> Template:
    """CELEBA128 at another number of pixels a side, for forgers whose releases see 256."""
    scale = size / CELEBA128.size
    points = tuple(((x + 0.5) * scale - 0.5, (y + 0.5) * scale - 0.5) for x, y in CELEBA128.points)
    return CELEBA128 if size == CELEBA128.size else Template(f"celeba{size}", size, points)


def ffhq(size: int) -> Template:
    """The cut of FFHQ (Karras et al., CVPR 2019): the face of CELEBA128 in FFHQ's square.

    Its middle lies a tenth of the way from the eyes to the mouth; its side is four distances between the eyes, or
    3.6 from the eyes to the mouth, whichever is more.
    """
    points = CELEBA128.tensor()
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    side = max(4 * (points[1] - points[0]).norm(), 3.6 * (mouth - eyes).norm())
    corner = eyes + 0.1 * (mouth - eyes) - side / 2
    moved = (points - corner) * size / side - 0.5
    return Template(f"ffhq{size}", size, tuple((x, y) for x, y in moved.tolist()))


TEMPLATES = {template.name: template for template in (ARCFACE112, DLIB150, HEAD160, CELEBA128)}


@dataclass(frozen=True)
class Face:
    """One face: `box` (x0, y0, x1, y1) and five `landmarks` in photo pixels, `score` in [0, 1]."""

    box: tuple[float, float, float, float]
    landmarks: tuple[tuple[float, float], ...]
    score: float

    @property
    def area(self) -> float:
        """Area of the box in square pixels."""
        return max(0.0, self.box[2] - self.box[0]) * max(0.0, self.box[3] - self.box[1])


@dataclass(frozen=True)
class FaceCrop:
    """`pixels` (1, 3, S, S) float32 in [0, 1]; `to_crop` (2, 3) maps photo pixels to crop pixels."""

    pixels: Tensor
    to_crop: Tensor
    template: Template


def similarity(source: Tensor, target: Tensor) -> Tensor:
    """The least-squares similarity from `source` to `target`, both (5, 2), as a (2, 3) matrix.

    Raises FaceError when the source points fall together: there is no scale to find.
    """
    source, target = source.double(), target.double()
    mean_s, mean_t = source.mean(0), target.mean(0)
    a, b = source - mean_s, target - mean_t
    norm = (a * a).sum()
    if norm < 1e-6:
        raise FaceError("The five landmarks fall on one point: draw a larger box around the face.")
    cos = (a * b).sum() / norm
    sin = (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / norm
    linear = torch.stack([torch.stack([cos, -sin]), torch.stack([sin, cos])])
    return torch.cat([linear, (mean_t - linear @ mean_s)[:, None]], dim=1).float()


def invert(matrix: Tensor) -> Tensor:
    """The inverse of a (2, 3) affine map."""
    linear = torch.linalg.inv(matrix[:, :2])
    return torch.cat([linear, -(linear @ matrix[:, 2:])], dim=1)


def compose(second: Tensor, first: Tensor) -> Tensor:
    """The (2, 3) affine map `second` after `first`."""
    shift = second[:, :2] @ first[:, 2:] + second[:, 2:]
    return torch.cat([second[:, :2] @ first[:, :2], shift], dim=1)


def sample(
    pixels: Tensor, to_source: Tensor, size: tuple[int, int], mode: str = "bilinear", padding: str = "border"
) -> Tensor:
    """Read (N, C, H, W) `pixels` at `to_source` (2, 3) of every pixel of a `size` = (h, w) output."""
    height, width = pixels.shape[-2:]
    y, x = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    points = torch.stack([x, y], dim=-1).to(pixels) @ to_source[:, :2].to(pixels).T + to_source[:, 2].to(pixels)
    grid = (2 * points + 1) / points.new_tensor([width, height]) - 1
    grid = grid.expand(pixels.shape[0], -1, -1, -1)
    return F.grid_sample(pixels, grid, mode=mode, padding_mode=padding, align_corners=False)


def _bounds(to_crop: Tensor, size: int, width: int, height: int, margin: float) -> tuple[int, int, int, int]:
    """The photo rectangle (x0, y0, x1, y1) that holds the crop's square and `margin` pixels around it."""
    low, high = -0.5 - margin, size - 0.5 + margin
    corners = torch.tensor([[low, low], [high, low], [low, high], [high, high]])
    inverse = invert(to_crop)
    points = corners @ inverse[:, :2].T + inverse[:, 2]
    x0, y0 = torch.floor(points.min(0).values).int().tolist()
    x1, y1 = (torch.ceil(points.max(0).values).int() + 1).tolist()
    return max(0, x0), max(0, y0), min(width, x1), min(height, y1)


def _shifted(matrix: Tensor, x0: int, y0: int) -> Tensor:
    """`matrix`, taking coordinates that count from (x0, y0)."""
    return compose(matrix, torch.tensor([[1.0, 0.0, x0], [0.0, 1.0, y0]]))


def align(pixels: Tensor, landmarks: Tensor, template: Template = ARCFACE112) -> FaceCrop:
    """Cut the face out of a photo to the template; differentiable in float `pixels`.

    `pixels`: (1, 3, H, W), uint8 or float in [0, 1]; `landmarks`: (5, 2) in photo pixels.
    A face larger than the crop is shrunk with an antialiasing filter first; beyond the
    photo's edge its border is repeated. Raises FaceError for degenerate landmarks or when
    the face lies outside the photo.
    """
    to_crop = similarity(torch.as_tensor(landmarks, dtype=torch.float32), template.tensor())
    height, width = pixels.shape[-2:]
    x0, y0, x1, y1 = _bounds(to_crop, template.size, width, height, margin=4)
    if x1 - x0 < 2 or y1 - y0 < 2:
        raise FaceError("The face lies outside the photo: draw the box inside the picture.")
    region = pixels[..., y0:y1, x0:x1]
    region = region.float() / 255 if region.dtype == torch.uint8 else region
    crop = _seen(region, _shifted(to_crop, x0, y0), template.size).clamp(0, 1)
    return FaceCrop(crop, to_crop, template)


def _seen(region: Tensor, to_crop: Tensor, size: int) -> Tensor:
    """A region of a photo as a crop shows it: shrunk with an antialiasing filter where needed, then sampled."""
    scale = float(torch.linalg.det(to_crop[:, :2]).clamp_min(1e-12).sqrt())
    if scale < 1:
        h, w = (max(2, round(n * scale)) for n in region.shape[-2:])
        shrink = torch.tensor([w / region.shape[-1], h / region.shape[-2]])
        region = F.interpolate(region, size=(h, w), mode="bilinear", antialias=True, align_corners=False)
        # Pixel centres sit at half-integers: u' = (u + 1/2) s - 1/2.
        grow = torch.cat([torch.diag(1 / shrink), ((1 / shrink - 1) / 2)[:, None]], dim=1)
        to_crop = compose(to_crop, grow)
    return sample(region, invert(to_crop), (size, size))


def retarget(pixels: Tensor, source: Template, target: Template) -> Tensor:
    """Crops (N, 3, S, S) of one template as another template cuts them; differentiable."""
    if source == target:
        return pixels
    matrix = similarity(target.tensor(), source.tensor())
    return sample(pixels, matrix, (target.size, target.size))


def feather(size: int, border: int = 6) -> Tensor:
    """A (1, 1, S, S) mask: 1 inside, falling smoothly to 0 over `border` pixels at the edges."""
    ramp = ((torch.arange(size) + 0.5) / border).clamp(max=1)
    ramp = torch.minimum(ramp, ramp.flip(0))
    ramp = ramp * ramp * (3 - 2 * ramp)
    return (ramp[:, None] * ramp[None, :])[None, None]


def paste(pixels: Tensor, crop: FaceCrop, edited: Tensor, where: Tensor | None = None) -> Tensor:
    """The photo with the edit's residual `edited - crop.pixels` added, at the photo's resolution.

    `pixels`: (1, 3, H, W), uint8 or float in [0, 1]; `edited`: (1, 3, S, S) in [0, 1]; `where`: (1, 1, S, S), how
    much of the edit each pixel takes, 0 to 1, such as `engines.parse.head` gives; without it all take all of it.
    Returns the same type. The residual is feathered and upsampled (bicubic, never beyond its
    own largest value, so an ε-bound on the crop holds on the photo); every pixel outside the
    crop's square is bit-identical to the input.
    """
    size = crop.template.size
    residual = (edited - crop.pixels) * feather(size).to(edited)
    residual = residual if where is None else residual * where.to(edited)
    bound = residual.abs().amax()
    x0, y0, x1, y1 = _bounds(crop.to_crop, size, pixels.shape[-1], pixels.shape[-2], margin=0)
    added = sample(residual, _shifted(crop.to_crop, x0, y0), (y1 - y0, x1 - x0), mode="bicubic", padding="zeros")
    added = added.clamp(-bound, bound)
    region = pixels[..., y0:y1, x0:x1]
    out = pixels.clone()
    if pixels.dtype == torch.uint8:
        limit = torch.floor(bound * 255 + 1e-3)  # rounding must not leave the ε-ball either
        whole = (added * 255).round().clamp(-limit, limit)
        out[..., y0:y1, x0:x1] = (region + whole).clamp(0, 255).to(torch.uint8)
    else:
        out[..., y0:y1, x0:x1] = (region + added).clamp(0, 1)
    return out
