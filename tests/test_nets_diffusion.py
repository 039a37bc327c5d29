"""DiffFace's U-Net and its ArcFace: the releases' names and shapes, and what the blocks compute."""

from __future__ import annotations

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from engines import diffface_network
from engines.checkpoints import CheckpointError, checkpoint
from engines.diffface_network import KINDS, from_state
from engines.nets import arcface_pool
from engines.nets.diffusion import RELEASE, SMALL, AttentionBlock, DiffusionUNet, ResBlock, Sizes, waves

TINY = Sizes(16, 8, (1, 2), 1, (8,), 8, 12, sigma=True, resampling=True, groups=4)


@pytest.fixture(scope="module")
def release() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the release's layout."""
    with torch.device("meta"):
        net = DiffusionUNet(RELEASE)
    return {name: tuple(value.shape) for name, value in net.state_dict().items()}


def drawn(sizes: Sizes = TINY, seed: int = 0) -> DiffusionUNet:
    """A network that is not silent."""
    torch.manual_seed(seed)
    net = DiffusionUNet(sizes)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return net.eval()


def asked(sizes: Sizes = TINY, count: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    noisy = torch.randn(count, 3, sizes.side, sizes.side, generator=generator)
    rows = F.normalize(torch.randn(count, sizes.identity, generator=generator))
    return noisy, torch.tensor([3, 700])[:count], rows


def res(prefix: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    """A residual block of the release: its embedding has 1,024 numbers."""
    found = {
        "in_layers.0.weight": (inputs,),
        "in_layers.2.weight": (outputs, inputs, 3, 3),
        "in_layers.2.bias": (outputs,),
        "emb_layers.1.weight": (2 * outputs, 1024),
        "out_layers.0.bias": (outputs,),
        "out_layers.3.weight": (outputs, outputs, 3, 3),
    }
    found |= {"skip_connection.weight": (outputs, inputs, 1, 1)} if inputs != outputs else {}
    return {f"{prefix}.{name}": shape for name, shape in found.items()}


def attention(prefix: str, channels: int) -> dict[str, tuple[int, ...]]:
    found = {"norm.weight": (channels,), "qkv.weight": (3 * channels, channels, 1)}
    found |= {"qkv.bias": (3 * channels,), "proj_out.weight": (channels, channels, 1)}
    return {f"{prefix}.{name}": shape for name, shape in found.items()}


def test_the_release_has_its_size_and_no_other_tensors(release):
    """552,814,086 numbers are those of the 256-pixel network of guided diffusion without classes."""
    count = {name: torch.Size(shape).numel() for name, shape in release.items()}
    own = sum(value for name, value in count.items() if name.startswith("id_embed"))
    assert sum(count.values()) - own == 552_814_086 and own == 512 * 1024 + 1024 + 1024**2 + 1024
    assert {name.split(".")[0] for name in release} == {
        "time_embed", "id_embed", "input_blocks", "middle_block", "output_blocks", "out",
    }  # fmt: skip


def test_the_release_has_its_layout(release):
    expected = {"time_embed.0.weight": (1024, 256), "id_embed.0.weight": (1024, 512), "id_embed.2.bias": (1024,)}
    expected |= {"input_blocks.0.0.weight": (256, 3, 3, 3), "out.0.weight": (256,), "out.2.weight": (6, 256, 3, 3)}
    down = [256, 256, 256, 256, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024, 1024, 1024, 1024]
    for k, (inputs, outputs) in enumerate(zip([256, *down], down, strict=False), start=1):
        expected |= res(f"input_blocks.{k}.0", inputs, outputs)
    for k, channels in {10: 512, 11: 512, 13: 1024, 14: 1024, 16: 1024, 17: 1024}.items():
        expected |= attention(f"input_blocks.{k}.1", channels)
    middle = [res("middle_block.0", 1024, 1024), attention("middle_block.1", 1024), res("middle_block.2", 1024, 1024)]
    for part in middle:
        expected |= part
    up = [1024] * 6 + [512] * 6 + [256] * 6
    for k, (inputs, skip, outputs) in enumerate(zip([1024, *up], [256, *down][::-1], up, strict=False)):
        expected |= res(f"output_blocks.{k}.0", inputs + skip, outputs)
        expected |= attention(f"output_blocks.{k}.1", outputs) if k < 9 else {}
        expected |= res(f"output_blocks.{k}.{2 if k < 9 else 1}", outputs, outputs) if k in (2, 5, 8, 11, 14) else {}
    assert {name: release.get(name) for name in expected} == expected
    known = {name.rsplit(".", 1)[0] for name in expected}
    assert {name for name in release if name.rsplit(".", 1)[0] not in known} == {
        "time_embed.2.weight",
        "time_embed.2.bias",
    }


def test_the_small_one_is_small_and_of_the_same_class():
    net = DiffusionUNet(SMALL)
    count = sum(parameter.numel() for parameter in net.parameters())
    assert 3e6 < count < 5e6 and 2 * count < 8e6
    assert net(*asked(SMALL)).shape == (2, 3, 64, 64)


def test_time_steps_become_waves_cosines_first():
    found = waves(torch.tensor([0, 10]), 8)
    rates = torch.tensor([1, 0.1, 0.01, 0.001])
    torch.testing.assert_close(found[1], torch.cat([(10 * rates).cos(), (10 * rates).sin()]))
    assert found[0].tolist() == [1, 1, 1, 1, 0, 0, 0, 0]


def test_a_new_network_is_silent_and_a_drawn_one_hears_time_and_identity():
    noisy, times, rows = asked()
    assert not DiffusionUNet(TINY)(noisy, times, rows).any()
    net = drawn()
    found = net(noisy, times, rows)
    assert found.shape == (2, 6, 16, 16) and found.dtype == torch.float32
    assert (net(noisy, times + 100, rows) - found).abs().max() > 1e-3
    assert (net(noisy, times, rows.flip(0)) - found).abs().max() > 1e-3
    torch.testing.assert_close(net(noisy[:1], times[:1], rows[:1]), found[:1], atol=1e-4, rtol=1e-4)


def test_the_embedding_of_the_identity_is_added_to_that_of_the_time():
    net, (noisy, times, rows) = drawn(), asked()
    found = net(noisy, times, rows)
    told = net.id_embed(rows)
    net.id_embed[2].weight.data.zero_(), net.id_embed[2].bias.data.zero_()
    net.time_embed.register_forward_hook(lambda layer, given, out: out + told)
    torch.testing.assert_close(net(noisy, times, rows), found)


def test_the_gain_multiplies_the_row():
    net, (noisy, times, rows) = drawn(), asked()
    loud = drawn(dataclasses.replace(TINY, gain=3.0))
    torch.testing.assert_close(loud(noisy, times, rows), net(noisy, times, 3 * rows))


@pytest.mark.parametrize(("change", "side"), [(-1, 4), (0, 8), (1, 16)])
def test_a_block_changes_the_side_and_is_scaled_and_shifted(change, side):
    torch.manual_seed(0)
    block, maps, row = ResBlock(8, 12, 5, 4, change), torch.randn(2, 8, 8, 8), torch.randn(2, 5)
    torch.nn.init.normal_(block.out_layers[3].weight)
    found = block(maps, row)
    assert found.shape == (2, 12, side, side)
    other = {
        -1: lambda m: F.avg_pool2d(m, 2),
        0: lambda m: m,
        1: lambda m: m.repeat_interleave(2, 2).repeat_interleave(2, 3),
    }
    inner = block.in_layers[2](other[change](F.silu(block.in_layers[0](maps))))
    scale, shift = block.emb_layers[1](F.silu(row)).split(12, 1)
    inner = block.out_layers[0](inner) * (1 + scale[..., None, None]) + shift[..., None, None]
    expected = block.skip_connection(other[change](maps)) + block.out_layers[3](F.silu(inner))
    torch.testing.assert_close(found, expected)


def test_attention_is_torch_s_own_with_the_channels_head_by_head():
    torch.manual_seed(0)
    block, maps = AttentionBlock(12, 4, 4), torch.randn(2, 12, 4, 4)
    torch.nn.init.normal_(block.proj_out.weight)
    rows = block.qkv(block.norm(maps.flatten(2)))
    heads = [rows[:, 12 * k : 12 * k + 12].split(4, 1) for k in range(3)]
    seen = [
        F.scaled_dot_product_attention(*(part.transpose(1, 2) for part in head)).transpose(1, 2) for head in heads
    ]
    expected = maps + block.proj_out(torch.cat(seen, 1)).view_as(maps)
    torch.testing.assert_close(block(maps, torch.empty(0)), expected)


def test_tensors_are_loaded_by_name_and_shape_and_others_refused(monkeypatch):
    monkeypatch.setitem(KINDS, "diffface", dataclasses.replace(KINDS["diffface"], sizes=TINY))
    card = dataclasses.replace(checkpoint("parser"), id="mine", network="diffface")
    net = drawn()
    again = from_state(card, net.state_dict())
    torch.testing.assert_close(again(*asked()), net(*asked()))
    state = net.state_dict()
    del state["id_embed.0.weight"]
    with pytest.raises(CheckpointError, match="id_embed.0.weight is missing"):
        from_state(card, state)
    with pytest.raises(CheckpointError, match=r"id_embed.0.weight is \(32, 10\) instead of \(32, 12\)"):
        from_state(card, {**state, "id_embed.0.weight": torch.zeros(32, 10)})
    with pytest.raises(CheckpointError, match="'parser' of mine is unknown: use one of diffface, diffface-small"):
        diffface_network.from_state(dataclasses.replace(card, network="parser"), state)


@pytest.mark.parametrize("attends", [False, True])
def test_the_arcface_of_the_release_is_built_from_its_tensors(attends):
    torch.manual_seed(0)
    net = arcface_pool.ArcFacePool((1, 2, 1, 1), (16, 16, 32, 32), attends, 24).eval()
    again = arcface_pool.from_state(net.state_dict()).eval()
    pixels = torch.rand(2, 3, 112, 112)
    assert net(pixels).shape == (2, 24) and torch.equal(again(pixels), net(pixels))
    names = set(net.state_dict())
    assert {"layer2.1.bn0.weight", "layer2.0.downsample.1.bias", "layer1.0.prelu.weight", "bn3.bias"} <= names
    assert ("layer1.0.se.fc.2.weight" in names) is attends and "layer1.0.downsample.0.weight" not in names


def test_other_tensors_are_not_taken_for_that_arcface():
    with pytest.raises(CheckpointError, match="not DiffFace's ArcFace"):
        arcface_pool.from_state({"conv1.weight": torch.zeros(1)})
