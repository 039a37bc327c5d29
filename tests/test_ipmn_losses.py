"""IPMN's losses, what each equation says, and the watermarks that training draws."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from engines.train import ipmn_losses as losses
from engines.train.ipmn_losses import Weights
from engines.train.ipmn_marks import drawn_marks
from engines.train.ipmn_perceptual import vgg


def features(pixels: torch.Tensor) -> torch.Tensor:
    """Stands in for VGG: differences to the right."""
    return pixels[..., 1:] - pixels[..., :-1]


def full(value: float) -> torch.Tensor:
    return torch.full((2, 3, 4, 4), value)


def test_the_embedding_losses_by_hand():
    mask = full(0.2)
    assert float(losses.basic(full(0.5), mask)) == pytest.approx(0.09)
    ramp = torch.arange(4.0).expand(2, 3, 4, 4) / 4
    assert float(losses.perceptual(ramp, mask, features)) == pytest.approx(1 / 16)
    logit = torch.tensor([1.5])
    assert float(losses.adversarial(logit)) == pytest.approx(-math.log(1 / (1 + math.exp(-1.5))))
    d = torch.sigmoid
    expected = -d(logit).log() - (1 - d(-logit)).log()
    assert float(losses.told_apart(logit, -logit)) == pytest.approx(float(expected))
    terms = losses.embedding(full(0.5), mask, features, lambda pixels: logit, Weights(wemd=2, bs=3, vgg=5, adv=7))
    assert float(terms["bs"]) == pytest.approx(2 * 3 * 0.09) and float(terms["vgg"]) == 0
    assert float(terms["adv"]) == pytest.approx(2 * 7 * float(losses.adversarial(logit)))


def test_the_extracting_losses_by_hand():
    found = torch.cat([full(0.4)[:1], full(0.6)[:1]])
    terms = losses.extracting(found, full(0.5), full(0.1), Weights(wext=2, wm=3, clean=5, cst=7))
    expected = {"wm": 2 * 3 * 0.01, "clean": 2 * 5 * 0.01, "cst": 2 * 7 * 0.04}
    assert {name: float(value) for name, value in terms.items()} == pytest.approx(expected)
    embedded = {"bs": torch.tensor(0.5)}
    assert float(losses.initial(embedded, terms)) == pytest.approx(0.5 + sum(expected.values()))


def test_the_protecting_losses_by_hand():
    weights = Weights(recover=2, guide=3, id=5)
    terms = losses.protecting(full(0.1), full(0.5), full(0.6), (full(0.3), full(0.2)), weights)
    expected = {"recover": 2 * 0.04, "guide": 3 * 0.09, "id": 5 * 0.01}
    assert {name: float(value) for name, value in terms.items()} == pytest.approx(expected)


def test_the_enhanced_losses_by_hand():
    found, marks = (full(0.1), full(0.2), full(0.3)), (full(0.0), full(0.5), full(0.3))
    unmarked, pairs = (full(0.1), full(0.0), full(0.2)), ((full(0.1), full(0.2)), (full(0.0), full(0.3)))
    terms = losses.enhanced(found, marks, unmarked, pairs, Weights(wm=2, clean=3, cst=5, stolen=0.5))
    expected = {"wm": 2 * (0.01 + 0.5 * 0.09), "clean": 3 * (0.01 + 0.04), "cst": 5 * (0.01 + 0.09) / 2}
    assert {name: float(value) for name, value in terms.items()} == pytest.approx(expected)


def test_the_perceptual_network_is_a_trained_one_and_has_a_slope_at_every_pixel():
    pixels = torch.rand(1, 3, 64, 64, requires_grad=True)
    maps = vgg()(pixels)
    assert maps.shape == (1, 80, 8, 8)
    maps.square().sum().backward()
    assert (pixels.grad != 0).float().mean() > 0.99 and torch.equal(vgg()(pixels), maps)


def test_watermarks_are_bright_on_black_differ_and_come_again_with_their_seed():
    one, two = (drawn_marks(12, 32, np.random.default_rng(s)) for s in (0, 1))
    assert one.shape == (12, 3, 32, 32) and one.min() >= 0 and one.max() <= 1
    assert torch.equal(one, drawn_marks(12, 32, np.random.default_rng(0))) and not torch.equal(one, two)
    assert (one.amax((1, 2, 3)) > 0.5).all() and (one[..., 0, 0] == 0).all()
    assert len({tuple(mark.flatten().tolist()) for mark in one}) == 12
