"""Grad-CAM on a network whose map can be worked out by hand."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from engines import explain


class LeftHalf:
    """A recogniser that sees the left half only: 1x1 convolution, mean over space, unit length."""

    def __init__(self, frozen=False):
        generator = torch.Generator().manual_seed(5)
        self.features_layer = nn.Conv2d(3, 4, 1, bias=False)
        self.head = nn.Linear(4, 4)
        for parameter in (*self.features_layer.parameters(), *self.head.parameters()):
            parameter.data = torch.randn(parameter.shape, generator=generator)
            parameter.requires_grad_(not frozen)

    def embed(self, pixels):
        mask = torch.zeros_like(pixels)
        mask[..., : pixels.shape[-1] // 2] = 1
        return F.normalize(self.head(self.features_layer(pixels * mask).mean((2, 3))), dim=1)


@pytest.fixture
def pixels():
    return torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def reference():
    return F.normalize(torch.tensor([-0.7, -0.4, -0.6, 0.0]), dim=0)


def literal_cam(network, image, reference):
    """Selvaraju et al., Eq. 1 and 2, with the gradient of the cosine by central differences."""
    weight = network.features_layer.weight.detach().double()[:, :, 0, 0]
    masked = image.double().clone()
    masked[..., image.shape[-1] // 2 :] = 0
    features = torch.einsum("kc,chw->khw", weight, masked)
    matrix, bias = network.head.weight.detach().double(), network.head.bias.detach().double()

    def score(pooled):
        embedding = matrix @ pooled + bias
        return float(embedding @ reference.double() / embedding.norm() / reference.double().norm())

    pooled, step = features.mean((1, 2)), 1e-5
    slopes = [(score(pooled + d) - score(pooled - d)) / (2 * step) for d in step * torch.eye(4).double()]
    alpha = torch.tensor(slopes).double() / features[0].numel()  # the mean of the gradient over space
    return (alpha[:, None, None] * features).sum(0).clamp_min(0).float()


def test_map_is_the_one_worked_out_by_hand(pixels, reference):
    network = LeftHalf()
    maps = explain.cosine_cam(network, pixels, reference)
    assert maps.shape == (2, 8, 8)
    for image, cam in zip(pixels, maps, strict=True):
        expected = literal_cam(network, image, reference)
        assert torch.allclose(cam, expected, rtol=1e-3, atol=1e-7)
        assert expected[:, :4].max() > 0
        assert expected[:, :4].min() == 0  # so the ReLU had work to do
    assert maps[..., 4:].abs().max() == 0
    assert maps.min() >= 0


def test_maps_are_not_scaled_each_on_its_own(pixels, reference):
    """The same map alone or in a batch, and not stretched to 1."""
    network = LeftHalf()
    together = explain.cosine_cam(network, pixels, reference[None])
    alone = torch.cat([explain.cosine_cam(network, p[None], reference) for p in pixels])
    assert torch.allclose(together, alone, atol=1e-7)
    assert together[0].max() != pytest.approx(together[1].max().item(), rel=0.01)
    assert together.max() < 0.9


class Coarse(LeftHalf):
    """The same at a quarter of the resolution."""

    def embed(self, pixels):
        return super().embed(F.avg_pool2d(pixels, 4))


def test_map_is_upsampled_to_the_crop(pixels, reference):
    big = pixels.repeat_interleave(4, 2).repeat_interleave(4, 3)
    fine = explain.cosine_cam(LeftHalf(), pixels, reference)
    coarse = explain.cosine_cam(Coarse(), big, reference)
    expected = F.interpolate(fine[:, None], size=(32, 32), mode="bilinear")[:, 0]
    assert torch.allclose(coarse, expected, atol=1e-6)


def test_own_embedding_as_reference_is_refused(pixels):
    network = LeftHalf()
    with torch.no_grad():
        own = network.embed(pixels[1:])
    with pytest.raises(ValueError, match="a different photo") as refusal:
        explain.cosine_cam(network, pixels, own)
    assert refusal.tb is not None  # it keeps the frames alive, so that no destructor tidies up
    assert not network.features_layer._forward_hooks


def test_a_layer_off_the_path_is_refused(pixels, reference):
    network = LeftHalf()
    network.features_layer, used = nn.Conv2d(3, 4, 1), network.features_layer
    network.embed = lambda x: F.normalize(used(x).mean((2, 3)), dim=1)
    with pytest.raises(ValueError, match="no part"):
        explain.cosine_cam(network, pixels, reference)


def test_the_network_is_left_as_it_was(pixels, reference):
    network = LeftHalf()
    network.head.weight.grad = torch.ones(4, 4)
    network.features_layer.train()
    given = pixels.clone()
    explain.cosine_cam(network, given, reference)
    assert torch.equal(network.head.weight.grad, torch.ones(4, 4))
    assert network.features_layer.weight.grad is None
    assert network.features_layer.training
    assert not network.features_layer._forward_hooks
    assert not given.requires_grad
    assert torch.equal(given, pixels)


def test_a_recogniser_may_be_a_module_and_keeps_its_mode(pixels, reference):
    class AsModule(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = LeftHalf()
            self.features_layer = self.inner.features_layer
            self.embed = self.inner.embed

    network = AsModule().train()
    expected = explain.cosine_cam(LeftHalf(), pixels, reference)
    assert torch.equal(explain.cosine_cam(network, pixels, reference), expected)
    assert network.training


def test_frozen_parameters_and_inference_mode_change_nothing(pixels, reference):
    expected = explain.cosine_cam(LeftHalf(), pixels, reference)
    frozen = LeftHalf(frozen=True)
    assert torch.equal(explain.cosine_cam(frozen, pixels, reference), expected)
    with torch.no_grad():
        assert torch.equal(explain.cosine_cam(LeftHalf(), pixels, reference), expected)
    with torch.inference_mode():
        inputs = pixels * 1, reference * 1  # inference tensors, which refuse to enter a graph
        assert torch.equal(explain.cosine_cam(frozen, *inputs), expected)
    assert torch.equal(explain.cosine_cam(LeftHalf(), *inputs), expected)


def test_overlay_shares_a_scale():
    crop = torch.full((3, 2, 4), 0.5)
    cam = torch.tensor([[0.0, 1.0, 2.0, 3.0]] * 2)
    shown = explain.overlay(crop, cam, 2.0)
    assert shown.shape == (2, 4, 3)
    assert shown.dtype == np.uint8
    assert np.array_equal(shown[:, 2], shown[:, 3])  # above the top of the scale: the top's colour
    assert np.array_equal(explain.overlay(crop, cam * 10, 20.0), shown)
    brightness = shown[0].mean(-1)
    assert brightness[0] < brightness[1] < brightness[2]
    assert np.array_equal(explain.overlay(crop, 0 * cam, 0.0), explain.overlay(crop, 0 * cam, 1.0))
