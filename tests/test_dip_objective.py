"""DIP-Watermark's losses by hand, and Algorithm 1: temporary parameters, second order, the noise pool."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.nets.dip import BITS, TARGETS, Cbam, DipDecoder, DipEncoder
from engines.nets.watermark import NETWORKS
from engines.train import dip_objective as objective
from engines.train.dip_objective import UNITS, Batch, Surrogate, Weights
from engines.train.noise_pool import VARIANCE, noise_pool, realign


class Painter(nn.Module):
    """The smallest encoder: a pattern of the bits and the target, added to the carrier; smooth in its parameters."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(BITS + len(TARGETS), 6), nn.Linear(6, 3 * 64)

    def forward(self, pixels: Tensor, bits: Tensor, target: Tensor) -> Tensor:
        drawn = self.second(torch.tanh(self.first(torch.cat([2 * bits - 1, target], 1))))
        return pixels + 0.05 * torch.tanh(drawn.view(-1, 3, 8, 8))


class Reader(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.read = nn.Linear(3 * 64, BITS)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.read(pixels.flatten(1))


def surrogate(seed: int) -> Surrogate:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 16), nn.Tanh(), nn.Linear(16, 5))
    net.double().requires_grad_(False)
    rows = F.normalize(torch.randn(len(TARGETS), 5, dtype=torch.float64), dim=1)
    return Surrogate(f"tiny-{seed}", lambda pixels: F.normalize(net(pixels), dim=1), rows)


@pytest.fixture
def scene():
    torch.manual_seed(5)
    bits = (torch.rand(4, BITS) < 0.5).double()
    target = F.one_hot(torch.tensor([0, 1, 2, 0]), len(TARGETS)).double()
    batch = Batch(0.3 + 0.4 * torch.rand(4, 3, 8, 8, dtype=torch.float64), bits, target)
    return Painter().double(), Reader().double(), [surrogate(k) for k in (10, 11, 12)], batch


def same(pixels: Tensor) -> Tensor:
    return pixels


def test_the_losses_are_those_of_the_paper(scene):
    encoder, decoder, surrogates, batch = scene
    marked = encoder(batch.pixels, batch.bits, batch.target)
    by_hand = sum((255 * (a - b)) ** 2 for a, b in zip(marked.flatten(), batch.pixels.flatten(), strict=True))
    expected = UNITS["invisibility"] * by_hand / marked.numel()
    assert objective.invisibility(marked, batch.pixels).item() == pytest.approx(expected.item())
    rows = surrogates[0].embed(marked)
    cosines = [(rows[i] @ surrogates[0].targets[k]).item() for i, k in enumerate((0, 1, 2, 0))]
    found = objective.adversarial(surrogates[0], marked, batch.target)
    assert found.item() == pytest.approx(1 - sum(cosines) / 4)
    logits = decoder(marked)
    share = torch.sigmoid(logits)
    bce = -(batch.bits * share.log() + (1 - batch.bits) * (1 - share).log()).mean()
    assert objective.watermark(logits, batch.bits).item() == pytest.approx(UNITS["watermark"] * bce.item())
    read = torch.tensor([[1.0, -1.0, 2.0, -2.0]])
    assert objective.bit_accuracy(read, torch.tensor([[1.0, 0.0, 0.0, 0.0]])).item() == 0.75


def test_direct_is_the_sum_over_all_surrogates(scene):
    encoder, decoder, surrogates, batch = scene
    marked = encoder(batch.pixels, batch.bits, batch.target)
    terms = objective.direct(encoder, decoder, surrogates, batch, same)
    total = sum(objective.adversarial(s, marked, batch.target) for s in surrogates)
    assert terms.adversarial.item() == pytest.approx(total.item())
    weights = Weights(2.0, 3.0, 5.0)
    by_hand = 2 * terms.adversarial + 3 * terms.invisibility + 5 * terms.watermark
    assert terms.total(weights).item() == pytest.approx(by_hand.item())
    alone = objective.direct(encoder, decoder, [], batch, same)
    assert alone.adversarial.item() == 0 and alone.watermark.item() == pytest.approx(terms.watermark.item())
    assert Weights() == Weights(100.0, 0.05, 0.05)


def test_temporary_parameters_are_one_gradient_step(scene):
    """Eq. 9 against an optimiser's step on a copy."""
    encoder, _, surrogates, batch = scene
    loss = objective.adversarial(surrogates[0], encoder(batch.pixels, batch.bits, batch.target), batch.target)
    temporary = objective.step(loss, dict(encoder.named_parameters()), 0.3)
    other = copy.deepcopy(encoder)
    optimiser = torch.optim.SGD(other.parameters(), lr=0.3)
    marked = other(batch.pixels, batch.bits, batch.target)
    objective.adversarial(surrogates[0], marked, batch.target).backward()
    optimiser.step()
    for name, value in other.named_parameters():
        assert torch.allclose(temporary[name], value, atol=1e-12), name
        assert temporary[name].requires_grad and not torch.equal(value, dict(encoder.named_parameters())[name])


def meta_total(encoder, decoder, surrogates, batch, rate=0.5):
    terms = objective.meta(encoder, decoder, surrogates[:2], surrogates[2:], batch, same, rate)
    return terms.total(Weights(1.0, 1e-3, 1e-3)), terms


def test_algorithm_1_by_hand(scene):
    """Eq. 11 to 17 with copies that took the step of Eq. 9 themselves."""
    encoder, decoder, surrogates, batch = scene
    _, terms = meta_total(encoder, decoder, surrogates, batch)
    marked = encoder(batch.pixels, batch.bits, batch.target)
    tra, tes, inv, wm = 0.0, 0.0, 0.0, 0.0
    for p in surrogates[:2]:
        other = copy.deepcopy(encoder)
        loss = objective.adversarial(p, other(batch.pixels, batch.bits, batch.target), batch.target)
        gradients = torch.autograd.grad(loss, list(other.parameters()))
        with torch.no_grad():
            for value, gradient in zip(other.parameters(), gradients, strict=True):
                value -= 0.5 * gradient
        moved = other(batch.pixels, batch.bits, batch.target)
        tra, tes = tra + loss.item(), tes + objective.adversarial(surrogates[2], moved, batch.target).item()
        inv += objective.invisibility(moved, batch.pixels).item() / 2
        wm = objective.watermark(decoder(moved), batch.bits).item()  # of the last p
    assert terms.adversarial.item() == pytest.approx(tra + tes)
    assert terms.invisibility.item() == pytest.approx((objective.invisibility(marked, batch.pixels).item() + inv) / 2)
    first = objective.watermark(decoder(marked), batch.bits).item()
    assert terms.watermark.item() == pytest.approx(first + wm)


def test_the_update_sees_through_the_temporary_parameters(scene):
    """The gradient of Eq. 18 against finite differences: right only if the second order is kept."""
    encoder, decoder, surrogates, batch = scene
    total, _ = meta_total(encoder, decoder, surrogates, batch)
    gradient = torch.autograd.grad(total, encoder.second.weight)[0]
    for place in ((0, 0), (17, 3), (100, 5)):
        values = []
        for sign in (1, -1):
            other = copy.deepcopy(encoder)
            with torch.no_grad():
                other.second.weight[place] += sign * 1e-5
            values.append(meta_total(other, decoder, surrogates, batch)[0].item())
        assert gradient[place].item() == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-4, abs=1e-8), place


def test_a_first_order_shortcut_would_be_noticed(scene, monkeypatch):
    encoder, decoder, surrogates, batch = scene
    right = torch.autograd.grad(meta_total(encoder, decoder, surrogates, batch)[0], encoder.second.weight)[0]
    step = objective.step

    def shortcut(loss, parameters, rate):
        moved = step(loss, parameters, rate)
        return {name: parameters[name] + (moved[name] - parameters[name]).detach() for name in moved}

    monkeypatch.setattr(objective, "step", shortcut)
    wrong = torch.autograd.grad(meta_total(encoder, decoder, surrogates, batch)[0], encoder.second.weight)[0]
    assert (wrong - right).abs().max() > 1e-3 * right.abs().max()


def test_the_noise_pool_is_deterministic_differentiable_and_of_its_strength():
    pixels = torch.full((4, 3, 112, 112), 0.5, requires_grad=True)
    kinds = set()
    for seed in range(12):
        out = noise_pool(pixels, torch.Generator().manual_seed(seed))
        assert out.shape == pixels.shape and out.min() >= 0 and out.max() <= 1
        assert torch.equal(out, noise_pool(pixels, torch.Generator().manual_seed(seed)))
        assert torch.autograd.grad(out.sum(), pixels)[0].abs().sum() > 0
        variance = float((out - pixels).var().detach())
        kinds.add("noise" if variance > VARIANCE / 2 else "none")
        if variance > VARIANCE / 2:
            assert variance == pytest.approx(VARIANCE, rel=0.03)
    assert kinds == {"noise", "none"}


def test_realign_moves_a_face_by_a_pixel_or_two():
    ramp = torch.arange(112.0).expand(64, 3, 112, 112) / 112
    moved = (realign(ramp, torch.Generator().manual_seed(0)) - ramp)[..., 56, 56] * 112
    assert 0.3 < moved[:, 0].std() < 3 and moved.abs().max() < 6


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_take_a_face_and_fifty_bits(name):
    torch.manual_seed(0)
    encoder, decoder = (net.eval() for net in NETWORKS[name].build())
    pixels, bits = torch.rand(2, 3, 112, 112), (torch.rand(2, BITS) < 0.5).float()
    target = torch.eye(len(TARGETS))[:2]
    marked = encoder(pixels, bits, target)
    assert marked.shape == pixels.shape and marked.min() >= 0 and marked.max() <= 1
    assert decoder(marked).shape == (2, BITS)
    assert not torch.equal(marked, encoder(pixels, 1 - bits, target)), "the message changes nothing"


def test_the_encoder_leaves_the_crops_edge_alone_and_reads_its_target():
    torch.manual_seed(0)
    encoder, pixels = DipEncoder(), torch.rand(1, 3, 112, 112)
    bits, targets = torch.zeros(1, BITS), torch.eye(len(TARGETS))
    change = encoder.change(pixels, bits, targets[:1])
    inner = change[..., 20:92, 20:92].abs().mean()
    assert change[..., 0, :].abs().max() < 0.05 * change.abs().max() and inner > 0
    assert not torch.equal(change, encoder.change(pixels, bits, targets[1:2]))


def test_cbam_weighs_channels_and_places():
    torch.manual_seed(0)
    cbam, maps = Cbam(16), torch.rand(2, 16, 7, 7)
    share = cbam(maps) / maps
    assert share.shape == maps.shape and share.min() > 0 and share.max() < 1
    by_channel, by_place = share[0, :, 0, 0] / share[0, 0, 0, 0], share[0, 0] / share[0, 0, 0, 0]
    assert torch.allclose(share[0], share[0, 0, 0, 0] * by_channel[:, None, None] * by_place, atol=1e-5)


def test_the_decoder_is_a_function_of_each_face_alone():
    torch.manual_seed(0)
    decoder, pixels = DipDecoder(), torch.rand(3, 3, 112, 112)
    assert torch.allclose(decoder(pixels)[1:2], decoder(pixels[1:2]), atol=1e-4)
