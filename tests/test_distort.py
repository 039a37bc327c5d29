"""The channel against PIL, OpenCV's σ and plain statistics."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter, median_filter
from skimage.data import astronaut

from engines import distort
from engines.distort import SURVIVAL


@pytest.fixture(scope="module")
def photo():
    """uint8 (1, 3, 224, 224): the astronaut's face."""
    return torch.from_numpy(astronaut()[:224, 112:336].copy()).permute(2, 0, 1)[None]


@pytest.fixture(scope="module")
def pixels(photo):
    return photo.float() / 255


def decibels(a, b):
    return float(-10 * torch.log10((a - b).square().mean()))


def pil_jpeg(photo, quality):
    file = io.BytesIO()
    Image.fromarray(photo[0].permute(1, 2, 0).numpy()).save(file, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)[None]


@pytest.mark.parametrize(("quality", "least"), [(30, 41), (50, 42.5), (75, 43)])
def test_differentiable_jpeg_is_close_to_the_real_one(photo, pixels, quality, least):
    real = pil_jpeg(photo, quality).float() / 255
    approximation = distort.jpeg(pixels, quality)
    assert decibels(approximation, real) > least
    assert decibels(approximation, real) > decibels(pixels, real) + 8  # nearer to it than no JPEG at all


def test_jpeg_is_differentiable(pixels):
    leaf = pixels.clone().requires_grad_(True)
    distort.jpeg(leaf, 50).square().sum().backward()
    assert leaf.grad.isfinite().all()
    assert leaf.grad.abs().mean() > 0.01


def test_real_jpeg_is_pils(photo):
    assert torch.equal(distort.real_jpeg(photo, 30), pil_jpeg(photo, 30))
    assert not torch.equal(distort.real_jpeg(photo, 30), pil_jpeg(photo, 60))


def test_noise_has_its_variance_and_its_seed():
    grey = torch.full((1, 3, 256, 256), 0.5)
    noisy = distort.noise(grey, 0.003, torch.Generator().manual_seed(1))
    assert noisy.var().item() == pytest.approx(0.003, rel=0.03)
    assert torch.equal(noisy, distort.noise(grey, 0.003, torch.Generator().manual_seed(1)))
    assert not torch.equal(noisy, distort.noise(grey, 0.003, torch.Generator().manual_seed(2)))


def test_blur_is_a_gaussian(pixels):
    blurred = distort.blur(pixels, 3)[0].numpy()
    expected = gaussian_filter(pixels[0].numpy(), sigma=(0, 0.8, 0.8), mode="mirror", radius=(0, 1, 1))
    assert np.abs(blurred - expected).max() < 1e-5


def test_resize_loses_detail_and_keeps_the_shape(pixels):
    halved = distort.resize(pixels, 0.5)
    assert halved.shape == pixels.shape
    assert decibels(halved, pixels) < 40


@pytest.mark.parametrize("scale", [0.5, 0.25])
def test_resize_is_pils_with_antialiasing(photo, pixels, scale):
    image, small = Image.fromarray(photo[0].permute(1, 2, 0).numpy()), round(224 * scale)
    bilinear = Image.Resampling.BILINEAR
    back = image.resize((small, small), bilinear).resize((224, 224), bilinear)
    expected = torch.from_numpy(np.array(back)).permute(2, 0, 1)[None].float()
    assert (distort.resize(photo, scale).float() - expected).abs().max() <= 1
    assert (distort.resize(pixels, scale) * 255 - expected).abs().max() <= 2  # PIL rounds four times


def test_median_rotate_crop(pixels):
    filtered = distort.median(pixels, 3)[0].numpy()
    expected = median_filter(pixels[0].numpy(), size=(1, 3, 3))
    assert np.abs(filtered - expected)[:, 1:-1, 1:-1].max() < 1e-6
    turned = distort.rotate(pixels, 90)
    assert (turned - pixels.rot90(1, (2, 3))).abs().max() < 1e-3
    assert torch.equal(distort.crop(pixels, 0.5), pixels[..., 56:168, 56:168])


def test_bands_leave_no_seam(monkeypatch, photo):
    whole = {d.id: d.apply(photo) for d in SURVIVAL}
    monkeypatch.setattr(distort, "BAND_PIXELS", 224 * 31)  # 31 rows a band: the last one is short
    banded = {d.id: d.apply(photo) for d in SURVIVAL}
    assert torch.equal(banded["blur3"], whole["blur3"])
    expected = (distort.blur(photo.float() / 255, 3) * 255).round().byte()
    assert torch.equal(whole["blur3"], expected)


@pytest.mark.parametrize("distortion", SURVIVAL, ids=lambda d: d.id)
def test_survival_makes_the_same_new_photo_every_time(distortion, photo):
    before = photo.clone()
    changed = distortion.apply(photo)
    assert changed.dtype == torch.uint8
    assert changed.shape == photo.shape
    assert torch.equal(photo, before)
    assert torch.equal(changed, distortion.apply(photo))
    assert 20 < decibels(changed.float() / 255, photo.float() / 255) < 45


def test_survival_takes_odd_sizes(photo):
    odd = photo[..., :101, :77]
    assert all(d.apply(odd).shape == odd.shape for d in SURVIVAL)


def test_survival_ids_and_labels_are_unique():
    assert len({d.id for d in SURVIVAL}) == len({d.label for d in SURVIVAL}) == len(SURVIVAL) == 4
