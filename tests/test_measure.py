"""Figures against independent computation: skimage, literal loops, finite differences."""

import math

import numpy as np
import pytest
import torch
from skimage.data import astronaut
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from engines import measure


@pytest.fixture(scope="module")
def pair():
    """Two different faces' windows (2, 3, 112, 112) and the same under noise, the second under more."""
    photo = torch.from_numpy(astronaut().copy()).permute(2, 0, 1).float() / 255
    original = torch.stack([photo[:, 0:112, 168:280], photo[:, 60:172, 180:292]])
    spread = torch.tensor([0.02, 0.1])[:, None, None, None]
    noise = torch.randn(original.shape, generator=torch.Generator().manual_seed(0))
    return original, (original + spread * noise).clamp(0, 1)


def test_psnr_and_ssim_are_skimages_for_each_image(pair):
    original, noisy = pair
    psnr, ssim = measure.psnr(noisy, original), measure.ssim(noisy, original)
    assert psnr.shape == ssim.shape == (2,)
    for row in range(2):
        a, b = original[row].numpy(), noisy[row].numpy()
        assert psnr[row].item() == pytest.approx(peak_signal_noise_ratio(a, b, data_range=1), abs=1e-3)
        expected = structural_similarity(
            a, b, data_range=1, channel_axis=0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        assert ssim[row].item() == pytest.approx(expected, abs=1e-4)


def test_equal_images_are_perfect(pair):
    original, _ = pair
    assert measure.psnr(original, original).isinf().all()
    assert torch.allclose(measure.ssim(original, original), torch.ones(2))


def literal_mmd(xp, xr, bandwidths):
    """Eq. 3 as a double loop over a kernel in plain Python."""

    def kernel(a, b):
        squared = sum((x - y) ** 2 for x, y in zip(a, b, strict=True))
        return sum(math.exp(-squared / (2 * s)) for s in bandwidths)

    def mean(first, second):
        return sum(kernel(a, b) for a in first for b in second) / (len(first) * len(second))

    return mean(xp, xp) + mean(xr, xr) - 2 * mean(xp, xr)


@pytest.fixture
def sets():
    generator = torch.Generator().manual_seed(3)
    xr = torch.rand(5, 3, 4, 4, generator=generator, dtype=torch.float64)
    return xr + 0.2 * torch.rand(xr.shape, generator=generator, dtype=torch.float64), xr


def test_mmd_is_the_double_loop(sets):
    xp, xr = sets
    flat = [s.flatten(1).tolist() for s in sets]
    assert measure.mmd(xp, xr, torch.tensor([2.0, 5.0])).item() == pytest.approx(
        literal_mmd(*flat, [2.0, 5.0]), abs=1e-12
    )
    squared = [
        sum((a - b) ** 2 for a, b in zip(flat[1][i], flat[1][j], strict=True)) for i in range(5) for j in range(i)
    ]
    scales = [float(np.median(squared)) * factor for factor in (0.25, 0.5, 1, 2, 4)]
    assert measure.median_bandwidths(xr).tolist() == pytest.approx(scales)
    assert measure.mmd(xp, xr).item() == pytest.approx(literal_mmd(*flat, scales), abs=1e-12)


def test_mmd_gradient_is_the_finite_difference(sets):
    xp, xr = sets
    xp[0] = xr[0]  # distance zero, where a square root has no slope
    assert torch.autograd.gradcheck(lambda x: measure.mmd(x, xr), xp.requires_grad_(True))


def test_mmd_gradient_is_zero_at_equal_sets(sets):
    _, xr = sets
    xp = xr.clone().requires_grad_(True)
    measure.mmd(xp, xr).backward()
    assert xp.grad.abs().max() < 1e-12


def test_mmd_is_zero_for_equal_sets_and_positive_for_others(sets):
    xp, xr = sets
    assert measure.mmd(xr, xr).item() == pytest.approx(0, abs=1e-12)
    assert measure.mmd(xr.flip(0), xr).item() == pytest.approx(0, abs=1e-12)
    near, far = measure.mmd(xr + 0.01, xr).item(), measure.mmd(xp, xr).item()
    assert 0 < near < far


def test_mmd_sees_a_small_mask_in_float32(pair):
    original, _ = pair
    xr = torch.cat([original, original.flip(3)])
    mask = 0.002 * torch.randn(xr.shape, generator=torch.Generator().manual_seed(0))
    expected = measure.mmd((xr + mask).double(), xr.double()).item()
    assert measure.mmd(xr + mask, xr).item() == pytest.approx(expected, rel=1e-3)


def test_bandwidths_are_detached_and_need_different_images(sets):
    assert not measure.median_bandwidths(sets[1].clone().requires_grad_(True)).requires_grad
    for images in (torch.rand(1, 3, 4, 4), torch.zeros(4, 3, 4, 4)):
        with pytest.raises(ValueError, match="two different images"):
            measure.median_bandwidths(images)
    doubled = torch.cat([sets[1], sets[1]])  # the zero distances of the doubles do not count
    assert torch.allclose(measure.median_bandwidths(doubled), measure.median_bandwidths(sets[1]))


def literal_rank_n(probe, gallery, labels, own, targets, n):
    """Sec. 5.1, one probe at a time, by Euclidean distance of unit rows."""
    targeted, untargeted = [], []
    unit = gallery / np.linalg.norm(gallery, axis=1, keepdims=True)
    for row, identity in zip(probe, own, strict=True):
        distances = np.linalg.norm(unit - row / np.linalg.norm(row), axis=1)
        top = [labels[i] for i in sorted(range(len(gallery)), key=lambda i: distances[i])[:n]]
        targeted.append(any(label in targets for label in top))
        untargeted.append(identity not in top)
    return targeted, untargeted


@pytest.mark.parametrize("n", [1, 2, 5])
def test_rank_n_is_the_loop(n):
    rng = np.random.default_rng(0)
    probe, gallery = rng.normal(size=(40, 4)), 3 * rng.normal(size=(30, 4))
    labels, own, targets = rng.integers(0, 12, 30), rng.integers(0, 8, 40), np.array([8, 9, 10])
    ranks = measure.rank_n(*map(torch.from_numpy, (probe, gallery, labels, own, targets)), n)
    targeted, untargeted = literal_rank_n(probe, gallery, labels.tolist(), own.tolist(), targets.tolist(), n)
    assert ranks.targeted.tolist() == targeted
    assert ranks.untargeted.tolist() == untargeted
    assert 0 < sum(targeted) < 40
    assert 0 < sum(untargeted) < 40


def test_rank_n_by_hand():
    """The nearest is a target, the second is the probe's own."""
    gallery = torch.tensor([[1.0, 0.1], [1.0, 0.2], [0.0, 1.0]])
    given = torch.tensor([[1.0, 0.0]]), gallery, torch.tensor([7, 3, 5]), torch.tensor([3]), torch.tensor([7])
    assert [r.item() for r in measure.rank_n(*given, 1)] == [True, True]
    assert [r.item() for r in measure.rank_n(*given, 2)] == [True, False]
    for n in (0, 4):
        with pytest.raises(ValueError, match="size of the gallery, 3"):
            measure.rank_n(*given, n)


def test_cosine():
    a, b = torch.tensor([[3.0, 4.0], [0.0, 2.0]]), torch.tensor([1.0, 0.0])
    assert measure.cosine(a, b).tolist() == pytest.approx([0.6, 0.0])
