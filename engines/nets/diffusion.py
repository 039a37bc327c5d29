"""DiffFace's ID-conditional denoising U-Net (Kim et al., 2022, arXiv 2212.13344), in the layout of its release.

The release is the U-Net of guided diffusion (Dhariwal and Nichol, 2021), to whose embedding of the time step it adds
one of the identity, made by two linear layers: `id_embed`. Names and shapes of the tensors are those of
github.com/hxngiee/DiffFace, of which the code was read; its file of weights was not seen. There the residual and
attention blocks compute in half precision; here everything is float32.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PERIOD = 10000  # of the slowest wave in the embedding of a time step


@dataclass(frozen=True)
class Sizes:
    """What a U-Net is made of.

    `side` of a picture in pixels; level k, at side / 2^k, has `width` · `multiples[k]` channels and `blocks` residual
    blocks down, one more up. Maps of the sides in `attention` attend, `head` channels a head. `identity` is the
    length of an embedding, `gain` what its unit row is multiplied by. `sigma`: the variance is predicted too.
    `resampling`: blocks with weights of their own change the resolution, else pooling and repetition do.
    """

    side: int
    width: int
    multiples: tuple[int, ...]
    blocks: int
    attention: tuple[int, ...]
    head: int
    identity: int
    sigma: bool = False
    resampling: bool = False
    groups: int = 32
    gain: float = 1.0


RELEASE = Sizes(256, 256, (1, 1, 2, 2, 4, 4), 2, (32, 16, 8), 64, 512, sigma=True, resampling=True)
SMALL = Sizes(64, 32, (1, 2, 3, 4), 1, (16, 8), 32, 128, gain=128**0.5)
"""For a processor: a core takes 0.9 s for a step of 16 faces; with 48 channels on three levels, and a tenth more
weights, it took 1.6. An embedding's 128 numbers are brought to a spread of 1, so that it is heard at once."""


def waves(times: Tensor, width: int) -> Tensor:
    """Time steps (N,) -> cosines, then sines, of `width` / 2 frequencies each, from 1 to 1 / PERIOD: (N, width)."""
    half = width // 2
    rates = torch.exp(-math.log(PERIOD) / half * torch.arange(half, device=times.device))
    angles = times[:, None].float() * rates
    return torch.cat([angles.cos(), angles.sin()], 1)


def still(layer: nn.Module) -> nn.Module:
    """The layer with zeros: a block begins as the identity, the whole network as silence."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def resampled(maps: Tensor, change: int) -> Tensor:
    """Half the side (`change` -1), the same (0), or twice (1)."""
    if not change:
        return maps
    return F.interpolate(maps, scale_factor=2, mode="nearest") if change > 0 else F.avg_pool2d(maps, 2)


class ResBlock(nn.Module):
    """(N, A, H, W) and an embedding (N, E) -> (N, B, H', W'); the embedding scales and shifts what is normalised."""

    def __init__(self, inputs: int, outputs: int, embedding: int, groups: int, change: int = 0):
        super().__init__()
        self.change = change
        conv = nn.Conv2d(inputs, outputs, 3, 1, 1)
        self.in_layers = nn.Sequential(nn.GroupNorm(groups, inputs), nn.SiLU(), conv)
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding, 2 * outputs))
        last = still(nn.Conv2d(outputs, outputs, 3, 1, 1))
        self.out_layers = nn.Sequential(nn.GroupNorm(groups, outputs), nn.SiLU(), nn.Identity(), last)
        same = inputs == outputs
        self.skip_connection: nn.Module = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1)

    def forward(self, maps: Tensor, embedding: Tensor) -> Tensor:
        norm, act, conv = self.in_layers
        inner = conv(resampled(act(norm(maps)), self.change))
        scale, shift = self.emb_layers(embedding)[:, :, None, None].chunk(2, 1)
        inner = self.out_layers[1:](self.out_layers[0](inner) * (1 + scale) + shift)
        return self.skip_connection(resampled(maps, self.change)) + inner


class AttentionBlock(nn.Module):
    """Self-attention over the places of maps (N, C, H, W), with a residual; qkv lies head by head."""

    def __init__(self, channels: int, head: int, groups: int):
        super().__init__()
        self.heads = channels // head
        self.norm = nn.GroupNorm(groups, channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = still(nn.Conv1d(channels, channels, 1))

    def forward(self, maps: Tensor, embedding: Tensor) -> Tensor:
        rows = maps.flatten(2)
        q, k, v = self.qkv(self.norm(rows)).unflatten(1, (self.heads, 3, -1)).unbind(2)
        # Written out: torch's own attention takes twice as long for maps this small on a CPU.
        shares = (q.transpose(2, 3) @ k * q.shape[2] ** -0.5).softmax(-1)
        seen = (v @ shares.transpose(2, 3)).flatten(1, 2)
        return maps + self.proj_out(seen).view_as(maps)


class Resample(nn.Module):
    """Half or twice the side, without weights."""

    def __init__(self, change: int):
        super().__init__()
        self.change = change

    def forward(self, maps: Tensor, embedding: Tensor) -> Tensor:
        return resampled(maps, self.change)


class First(nn.Conv2d):
    """The convolution that a picture meets first."""

    def forward(self, maps: Tensor, embedding: Tensor | None = None) -> Tensor:
        return super().forward(maps)


class Stack(nn.ModuleList):
    """Layers one after the other, each of which hears the embedding."""

    def forward(self, maps: Tensor, embedding: Tensor) -> Tensor:
        for layer in self:
            maps = layer(maps, embedding)
        return maps


class DiffusionUNet(nn.Module):
    """ε_θ(x_t, t, v_id): (N, 3, S, S) around [-1, 1], time steps (N,) and unit rows (N, D) -> (N, 3 or 6, S, S).

    The first three channels are the noise in x_t; with `sigma`, three more say how far the variance lies between its
    bounds, which DDIM does not read.
    """

    def __init__(self, sizes: Sizes = SMALL):
        super().__init__()
        self.sizes = sizes
        deep = 4 * sizes.width
        self.time_embed = nn.Sequential(nn.Linear(sizes.width, deep), nn.SiLU(), nn.Linear(deep, deep))
        self.id_embed = nn.Sequential(nn.Linear(sizes.identity, deep), nn.SiLU(), nn.Linear(deep, deep))
        widths = [sizes.width * multiple for multiple in sizes.multiples]
        self.input_blocks, kept = self._down(widths)
        bottom = widths[-1]
        middle = [self._block(bottom, bottom), self._attention(bottom), self._block(bottom, bottom)]
        self.middle_block = Stack(middle)
        self.output_blocks = self._up(widths, kept)
        last = still(nn.Conv2d(widths[0], 6 if sizes.sigma else 3, 3, 1, 1))
        self.out = nn.Sequential(nn.GroupNorm(sizes.groups, widths[0]), nn.SiLU(), last)

    def _block(self, inputs: int, outputs: int, change: int = 0) -> nn.Module:
        return ResBlock(inputs, outputs, 4 * self.sizes.width, self.sizes.groups, change)

    def _attention(self, channels: int) -> nn.Module:
        return AttentionBlock(channels, self.sizes.head, self.sizes.groups)

    def _change(self, channels: int, change: int) -> nn.Module:
        return self._block(channels, channels, change) if self.sizes.resampling else Resample(change)

    def _attends(self, level: int) -> bool:
        return self.sizes.side >> level in self.sizes.attention

    def _down(self, widths: list[int]) -> tuple[nn.ModuleList, list[int]]:
        """The way down, and the channels of the maps that it leaves for the way up."""
        blocks: list[list[nn.Module]] = [[First(3, widths[0], 3, 1, 1)]]
        kept = [widths[0]]
        for level, (before, width) in enumerate(pairwise((widths[0], *widths))):
            for k in range(self.sizes.blocks):
                layers = [self._block(width if k else before, width)]
                blocks.append(layers + ([self._attention(width)] if self._attends(level) else []))
                kept.append(width)
            if level < len(widths) - 1:
                blocks.append([self._change(width, -1)])
                kept.append(width)
        return nn.ModuleList(Stack(layers) for layers in blocks), kept

    def _up(self, widths: list[int], kept: list[int]) -> nn.ModuleList:
        blocks, inputs = [], widths[-1]
        for level, width in reversed(list(enumerate(widths))):
            for k in range(self.sizes.blocks + 1):
                layers = [self._block(inputs + kept.pop(), width)]
                layers += [self._attention(width)] if self._attends(level) else []
                layers += [self._change(width, 1)] if level and k == self.sizes.blocks else []
                blocks.append(Stack(layers))
                inputs = width
        return nn.ModuleList(blocks)

    def forward(self, noisy: Tensor, times: Tensor, identity: Tensor) -> Tensor:
        embedding = self.time_embed(waves(times, self.sizes.width)) + self.id_embed(self.sizes.gain * identity)
        maps, kept = noisy, []
        for stack in self.input_blocks:
            maps = stack(maps, embedding)
            kept.append(maps)
        maps = self.middle_block(maps, embedding)
        for stack in self.output_blocks:
            maps = stack(torch.cat([maps, kept.pop()], 1), embedding)
        return self.out(maps).float()
