"""The channel: what happens to a picture between its maker and a stranger's recogniser.

Two families. The functions on float pixels (N, 3, H, W) in [0, 1] are differentiable, for methods
that train or optimise through them (DIP-Watermark and ErasableMask, noise pools). `SURVIVAL` works
on whole 8-bit photos with the real JPEG codec, in bands, so that 50 megapixels cost little memory.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import kornia
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

BAND_PIXELS = 2**20  # pixels of a photo that are float32 at any one time: 12 MB
SEED = 0  # the survival strip draws the same noise every time, so that scores can be compared


def jpeg(pixels: Tensor, quality: float) -> Tensor:
    """JPEG with 4:2:0 chroma, differentiable (Reich et al., 2024, through kornia): same shape, in [0, 1].

    `quality` is libjpeg's, 1 to 100. Against PIL's codec (skimage's astronaut, whole and a 224-pixel
    face) the result is 41.3 / 42.9 / 43.7 dB or more at quality 30 / 50 / 75, where JPEG itself
    leaves 30.5 / 32.1 / 34.0 dB. Its soft rounding keeps some of what is lost: it is 0.6 to 0.9 dB
    milder than the real codec, so measure survival with `real_jpeg`.
    """
    return kornia.enhance.jpeg_codec_differentiable(pixels, torch.tensor([float(quality)]).to(pixels))


def noise(pixels: Tensor, variance: float, generator: torch.Generator) -> Tensor:
    """Add white Gaussian noise of `variance` (on the [0, 1] scale) and clip to [0, 1]: same shape.

    The generator must live on the pixels' device; the same state gives the same noise.
    """
    draw = torch.randn(pixels.shape, generator=generator, dtype=pixels.dtype, device=pixels.device)
    return (pixels + variance**0.5 * draw).clamp(0, 1)


def blur(pixels: Tensor, kernel: int) -> Tensor:
    """Gaussian blur, mirrored at the borders: same shape.

    The odd width `kernel` gives σ = 0.3 ((kernel - 1) / 2 - 1) + 0.8, as in OpenCV: σ = 0.8 for 3.
    """
    sigma = 0.3 * ((kernel - 1) / 2 - 1) + 0.8
    return kornia.filters.gaussian_blur2d(pixels, (kernel, kernel), (sigma, sigma))


def resize(pixels: Tensor, scale: float) -> Tensor:
    """Scale down by `scale` in (0, 1] and back up, bilinear with antialiasing: same shape; float or uint8."""
    height, width = pixels.shape[-2:]
    small = (max(1, round(height * scale)), max(1, round(width * scale)))
    shrunk = F.interpolate(pixels, size=small, mode="bilinear", align_corners=False, antialias=True)
    return F.interpolate(shrunk, size=(height, width), mode="bilinear", align_corners=False, antialias=True)


def median(pixels: Tensor, kernel: int) -> Tensor:
    """The median of each odd `kernel` x `kernel` window, channel by channel: same shape."""
    return kornia.filters.median_blur(pixels, (kernel, kernel))


def rotate(pixels: Tensor, degrees: float) -> Tensor:
    """Rotate anti-clockwise about the centre, bilinear; black where nothing was: same shape."""
    return kornia.geometry.transform.rotate(pixels, torch.tensor([float(degrees)]).to(pixels))


def crop(pixels: Tensor, keep: float) -> Tensor:
    """The central `keep` (0 to 1) of each side, untouched: (N, 3, round(keep H), round(keep W))."""
    height, width = pixels.shape[-2:]
    rows, columns = round(height * keep), round(width * keep)
    top, left = (height - rows) // 2, (width - columns) // 2
    return pixels[..., top : top + rows, left : left + columns]


def real_jpeg(photo: Tensor, quality: int) -> Tensor:
    """Encode and decode a uint8 photo (1, 3, H, W) with PIL (libjpeg, 4:2:0 chroma): uint8, same shape."""
    file = io.BytesIO()
    Image.fromarray(photo[0].permute(1, 2, 0).contiguous().numpy()).save(file, "JPEG", quality=quality)
    with Image.open(file) as decoded:
        return torch.from_numpy(np.array(decoded)).permute(2, 0, 1)[None].contiguous()


def in_bands(photo: Tensor, change: Callable[[Tensor], Tensor], halo: int = 0) -> Tensor:
    """Apply a float `change` of the same shape to a uint8 photo (1, 3, H, W), a band of rows at a time.

    `halo`: how many rows the change looks up and down; a band gets that many more, so that no seam
    shows. Bands come from top to bottom, so a change that draws from a generator is deterministic.
    """
    height, width = photo.shape[-2:]
    rows = max(2 * halo + 2, BAND_PIXELS // width)
    result = torch.empty_like(photo)
    for top in range(0, height, rows):
        bottom = min(height, top + rows)
        above = min(top, halo)
        band = change(photo[..., top - above : bottom + halo, :].float() / 255)
        inner = band[..., above : above + bottom - top, :]
        result[..., top:bottom, :] = (inner * 255).round().clamp(0, 255).byte()
    return result


@dataclass(frozen=True)
class Distortion:
    """One named change: `apply` makes of a uint8 photo (1, 3, H, W) a new one; the same one every time."""

    id: str
    label: str
    apply: Callable[[Tensor], Tensor]


def _half(photo: Tensor) -> Tensor:
    return resize(photo, 0.5)


def _jpeg30(photo: Tensor) -> Tensor:
    return real_jpeg(photo, 30)


def _blur3(photo: Tensor) -> Tensor:
    return in_bands(photo, lambda band: blur(band, 3), halo=1)


def _noise003(photo: Tensor) -> Tensor:
    generator = torch.Generator(photo.device).manual_seed(SEED)
    return in_bands(photo, lambda band: noise(band, 0.003, generator))


SURVIVAL: tuple[Distortion, ...] = (
    Distortion("jpeg30", "JPEG, quality 30", _jpeg30),
    Distortion("resize-half", "Half size and back", _half),
    Distortion("blur3", "Blur, 3 × 3, σ 0.8", _blur3),
    Distortion("noise0.003", "Noise, variance 0.003", _noise003),
)
