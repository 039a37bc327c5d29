"""IPMN's networks: exact inverses, what each equation says, shapes and ranges, the 8-bit file, watermarks."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from engines.marks import LONGEST, MarkError, blank, extracted, nc, text_mark
from engines.nets.ceilnet import CeilNet, Residual, edges
from engines.nets.invertible import CLAMP, Block, Invertible
from engines.nets.ipmn import PAPER, SMALL, Discriminator, Ipmn, Sizes, random_matrix
from engines.nets.ipmn_unet import UNet
from engines.nets.stealing import THIEVES, thief
from engines.nets.wavelet import dwt, iwt
from engines.train.quantise import exported, rounded

TINY = Sizes(2, 4, 3, (4, 6), 4, 1, 4, 32)


def stirred(net: nn.Module, spread: float = 0.02, seed: int = 0) -> nn.Module:
    """With random weights in the layers that start at 0."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in net.parameters():
            if not value.any():
                value.copy_(spread * torch.randn(value.shape, generator=generator))
    return net.requires_grad_(False)


def pictures(count: int = 2, size: int = 32, seed: int = 1) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def test_the_wavelet_transform_is_exactly_undone_and_keeps_energy():
    pixels = pictures(2, 24).double()
    subbands = dwt(pixels)
    assert subbands.shape == (2, 12, 12, 12)
    torch.testing.assert_close(iwt(subbands), pixels, atol=1e-14, rtol=0)
    torch.testing.assert_close(subbands.square().sum(), pixels.square().sum())


def test_subbands_come_in_order_low_horizontal_vertical_diagonal():
    quad = torch.tensor([[5.0, 1.0], [2.0, 0.0]])
    found = dwt(torch.stack([quad, torch.full((2, 2), 0.5)])[None]).flatten().tolist()
    assert found == [4.0, 1.0, 3.0, 0.0, 2.0, 0.0, 1.0, 0.0]


def test_a_wavelet_transform_of_odd_sides_or_channels_is_refused():
    with pytest.raises(ValueError, match="needs even sides, not \\(5, 4\\)"):
        dwt(torch.rand(1, 3, 5, 4))
    with pytest.raises(ValueError, match="6 channels are not fours"):
        iwt(torch.rand(1, 6, 4, 4))


def test_with_the_papers_sixteen_blocks_the_way_back_is_exact_to_a_ten_thousandth():
    net = stirred(Invertible(16, 8), 0.01)
    protected, carrier = pictures(seed=1), pictures(seed=2)
    masked, lost = net(protected, carrier)
    assert 0.1 < (masked - carrier).abs().max() < 100 and 0.1 < (lost - protected).abs().max() < 100
    back, mask = net.inverse(masked, lost)
    assert (back - protected).abs().max() < 1e-4 and (mask - carrier).abs().max() < 1e-4


def test_the_way_there_undoes_the_way_back_too():
    net = stirred(Invertible(3, 4))
    masked, random = pictures(seed=1), random_matrix(pictures(), torch.Generator().manual_seed(0))
    again, lost = net(*net.inverse(masked, random))
    assert (again - masked).abs().max() < 1e-4 and (lost - random).abs().max() < 1e-4


def test_an_untrained_network_changes_nothing():
    protected, carrier = pictures(seed=1), pictures(seed=2)
    masked, lost = Invertible(2, 4)(protected, carrier)
    torch.testing.assert_close(masked, carrier)
    torch.testing.assert_close(lost, protected)


def test_a_block_is_equations_3_and_4_and_its_scale_is_clamped():
    block = stirred(Block(4, 3), 0.3)
    carrier, secret = (10 * torch.randn(1, 12, 8, 8, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    moved, hidden = block(carrier, secret)
    torch.testing.assert_close(moved, carrier + block.add(secret))
    alpha = CLAMP * (2 * torch.sigmoid(block.scale(moved)) - 1)
    torch.testing.assert_close(hidden, secret * torch.exp(alpha) + block.shift(moved))
    assert alpha.abs().max() > 0.9 * CLAMP and alpha.abs().max() <= CLAMP


def test_equation_7_takes_the_shift_off_before_it_scales():
    block = stirred(Block(4, 3), 0.3)
    carrier, secret = torch.randn(2, 1, 12, 8, 8, generator=torch.Generator().manual_seed(0)).unbind()
    before, found = block.inverse(carrier, secret)
    alpha = CLAMP * (2 * torch.sigmoid(block.scale(carrier)) - 1)
    torch.testing.assert_close(found, (secret - block.shift(carrier)) * torch.exp(-alpha))
    torch.testing.assert_close(before, carrier - block.add(found))


def test_the_small_networks_fit_a_file_and_the_papers_sizes_are_its_own():
    numbers = sum(value.numel() for value in Ipmn(SMALL).parameters())
    assert 2 * numbers < 12e6 and SMALL.side == 128
    assert (PAPER.blocks, PAPER.residuals, PAPER.side) == (16, 9, 256)


def test_a_marked_mask_is_a_picture_that_both_mask_and_watermark_move():
    torch.manual_seed(0)
    net, mask, watermark = Ipmn(TINY), pictures(seed=1), pictures(seed=2)
    marked = net.marked(mask, watermark)
    assert marked.shape == mask.shape and marked.min() >= 0 and marked.max() <= 1
    assert not torch.equal(marked, net.marked(mask, pictures(seed=3)))
    assert not torch.equal(marked - mask, net.marked(pictures(seed=3), watermark) - pictures(seed=3))
    assert net.extract(marked).shape == mask.shape


def test_putting_on_hides_the_second_picture_in_the_first_and_taking_off_gives_both():
    torch.manual_seed(0)
    net = Ipmn(TINY)
    stirred(net.invertible)
    protected, carrier = pictures(seed=1), pictures(seed=2)
    masked, lost = net.put_on(protected, carrier)
    assert (masked - carrier).abs().mean() < (masked - protected).abs().mean()
    back, mask = net.take_off(masked, lost)
    torch.testing.assert_close(back, protected, atol=1e-4, rtol=0)
    torch.testing.assert_close(mask, carrier, atol=1e-4, rtol=0)


def test_the_random_matrix_is_drawn_by_its_generator_at_its_spread():
    pixels = pictures(8)
    one, two = (random_matrix(pixels, torch.Generator().manual_seed(5), 0.5) for _ in range(2))
    assert torch.equal(one, two) and one.shape == pixels.shape
    assert float(one.std()) == pytest.approx(0.5, rel=0.03) and abs(float(one.mean())) < 0.02
    assert not torch.equal(one, random_matrix(pixels, torch.Generator().manual_seed(6), 0.5))


def test_the_extractor_sees_a_pictures_edges_and_has_nine_blocks():
    step = torch.zeros(1, 3, 6, 8)
    step[..., 4:] = 1
    expected = torch.zeros(1, 1, 6, 8)
    expected[..., 3:5] = 0.25
    torch.testing.assert_close(edges(step), expected)
    assert len(CeilNet(4).residual) == 9 and CeilNet(4)(step).shape == step.shape


def test_the_embedding_network_uses_every_level():
    torch.manual_seed(0)
    net, maps = UNet(6, (4, 6, 8)), torch.rand(1, 6, 16, 16)
    drawn = net(maps)
    drawn.square().sum().backward()
    assert drawn.shape == (1, 3, 16, 16) and all(value.grad.any() for value in net.parameters())


def test_a_discriminator_judges_patches():
    assert Discriminator(4)(pictures(2, 64)).shape == (2, 1, 8, 8)


@pytest.mark.parametrize("kind", list(THIEVES))
def test_every_stealing_model_draws_a_picture_of_both_of_its_inputs(kind):
    torch.manual_seed(0)
    net, protected, replacing = thief(kind, 4), pictures(seed=1), pictures(seed=2)
    made = net(protected, replacing)
    assert made.shape == protected.shape and made.min() >= 0 and made.max() <= 1
    assert not torch.equal(made, net(protected, pictures(seed=3)))
    assert not torch.equal(made - protected, net(replacing, replacing) - replacing)


def test_an_unknown_stealing_model_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match="called 'vgg': choose from cnet, res9, res16, unet"):
        thief("vgg")
    found = {kind: sum(isinstance(part, Residual) for part in thief(kind, 2).modules()) for kind in THIEVES}
    assert found == {"cnet": 0, "res9": 9, "res16": 16, "unet": 0}


def test_what_a_file_keeps_is_rounded_and_its_slope_is_that_of_the_identity():
    pixels = torch.tensor([-0.2, 0.0, 0.1234, 0.5, 1.3], requires_grad=True)
    kept = exported(pixels)
    torch.testing.assert_close(kept.detach() * 255, torch.tensor([0.0, 0.0, 31.0, 128.0, 255.0]), atol=2e-5, rtol=0)
    (kept * torch.arange(5)).sum().backward()
    assert pixels.grad.tolist() == [0, 1, 2, 3, 4]
    assert not rounded(pixels).requires_grad


def test_training_sees_through_the_file_to_the_network_before_it():
    net = stirred(Invertible(1, 4))
    net.requires_grad_(True)
    masked, _ = net(pictures(seed=1), pictures(seed=2))
    net.inverse(exported(masked), torch.zeros_like(masked))[0].square().sum().backward()
    assert all(value.grad.any() for value in net.blocks[0].add.parameters())


def test_text_is_drawn_large_on_black_in_its_colour():
    mark = text_mark("Buyer 7", 64, (1.0, 0.5, 0.0))
    assert mark.shape == (1, 3, 64, 64) and mark[0, 0].max() == 1 and not mark[0, 2].any()
    torch.testing.assert_close(mark[0, 1], mark[0, 0] / 2)
    columns = (mark[0, 0] > 0.5).any(0).nonzero().flatten()
    assert not mark[0, 0, 0].any() and columns[-1] - columns[0] > 0.7 * 64
    assert not torch.equal(mark, text_mark("Buyer 8", 64, (1.0, 0.5, 0.0)))


@pytest.mark.parametrize(
    ("text", "colour", "says"),
    [
        ("  ", (1, 1, 1), "needs some text"),
        ("x" * (LONGEST + 1), (1, 1, 1), "at most 40 characters"),
        ("a", (0.1, 0.1, 0.1), "brighter colour"),
    ],
)
def test_a_watermark_that_cannot_be_drawn_is_refused(text, colour, says):
    with pytest.raises(MarkError, match=says):
        text_mark(text, 64, colour)


def test_normalised_correlation_by_hand():
    watermark = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
    found = torch.tensor([[0.5, 0.0, 0.0], [0.6, 0.8, -3.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]).view(4, 3, 1, 1)
    assert nc(found, watermark.expand_as(found)).tolist() == pytest.approx([1.0, 0.6, 0.0, 0.0])
    assert extracted(found, watermark.expand_as(found)).tolist() == [True, False, False, False]


def test_a_blank_is_nearly_black_all_over():
    dim, spot = torch.full((1, 3, 8, 8), 0.05), torch.zeros(1, 3, 8, 8)
    spot[..., :2, :] = 1
    assert blank(torch.cat([dim, 3 * dim, spot, -spot])).tolist() == [True, False, False, True]
    assert not extracted(dim, text_mark("Larvatus")[..., ::16, ::16]).any()
