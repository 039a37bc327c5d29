"""HiSD (Li et al., CVPR 2021): each kind of edit ("tag") has a translator, each of its values a style.

Pixels are (N, 3, S, S) in [-1, 1], S a multiple of 4. Tensor names are those of the release, whose celeba-hq
checkpoints have the tags bangs, eyeglasses and hair colour and the sizes of `OFFICIAL`. A style comes from noise
(`map`) or from a reference photo (`extract`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.nets.moments import moments, scaled

TAGS = {"bangs": ("with", "without"), "eyeglasses": ("with", "without"), "hair": ("black", "blond", "brown")}


@dataclass(frozen=True)
class Sizes:
    """Channels of each part; `values`: how many values each tag has, `given`: labels beside the tag (gender, age)."""

    coder: tuple[int, ...]  # encoder, and reversed the decoder
    translator: tuple[int, ...]
    critic: tuple[int, ...]  # extractors and discriminator
    mapper: int
    style: int
    noise: int = 32
    values: tuple[int, ...] = tuple(len(names) for names in TAGS.values())
    given: int = 2


OFFICIAL = {
    128: Sizes((64, 128, 256), (64,) * 8, (64, 128, 256, 512, 1024, 2048), 256, 256),
    256: Sizes((64, 128, 256), (64,) * 8, (32, 64, 128, 256, 512, 512, 512), 256, 256),
}
SMALL = Sizes((24, 48, 96), (32,) * 6, (16, 32, 64, 96, 128, 128), 64, 64)


def _normal(maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Each channel at mean 0 and deviation 1, then times `weight` and plus `bias`, both (N or 1, C, 1)."""
    mean, variance = moments(maps)
    factor = weight[..., None] / (variance.sqrt() + 1e-5)
    return scaled(maps, factor, bias[..., None] - factor * mean)


class InstanceNorm(nn.Module):
    """Its own weight and bias."""

    def __init__(self, channels: int):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(1, channels, 1)), nn.Parameter(torch.zeros(1, channels, 1))

    def forward(self, maps: Tensor) -> Tensor:
        return _normal(maps, self.weight, self.bias)


class Block(nn.Module):
    """A residual block of two convolutions, √½ of the sum; resized to `scale` between them."""

    def __init__(self, inputs: int, outputs: int, middle: int, scale: float, norm: bool):
        super().__init__()
        self.scale = scale
        self.conv1, self.conv2 = nn.Conv2d(inputs, middle, 3, 1, 1), nn.Conv2d(middle, outputs, 3, 1, 1)
        if norm:
            self.in1, self.in2 = InstanceNorm(inputs), InstanceNorm(middle)
        self.norm = norm
        self.sc = nn.Conv2d(inputs, outputs, 1, bias=False)

    def _resized(self, maps: Tensor) -> Tensor:
        if self.scale < 1:
            return F.avg_pool2d(maps, 2)
        return F.interpolate(maps, scale_factor=2, mode="nearest")

    def forward(self, maps: Tensor) -> Tensor:
        first = F.leaky_relu(self.in1(maps) if self.norm else maps, 0.2)
        inner = self._resized(self.conv1(first)) if self.scale < 1 else self.conv1(self._resized(first))
        inner = F.leaky_relu(self.in2(inner) if self.norm else inner, 0.2)
        return (self._resized(self.sc(maps)) + self.conv2(inner)) / math.sqrt(2)


def down(inputs: int, outputs: int, norm: bool) -> Block:
    """Half the size."""
    return Block(inputs, outputs, inputs, 0.5, norm)


def up(inputs: int, outputs: int) -> Block:
    """Twice the size."""
    return Block(inputs, outputs, outputs, 2.0, True)


class Middle(nn.Module):
    """A residual block whose normalisations get weight and bias from the style."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(inputs, outputs, 3, 1, 1), nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.sc = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.sizes = (inputs, outputs)

    def forward(self, maps: Tensor, styled: Tensor) -> Tensor:
        """`styled`: (N, 2 (inputs + outputs)), bias and weight - 1 of the first normalisation, then the second."""
        first, second = styled.split([2 * size for size in self.sizes], 1)
        inner = self.conv1(F.leaky_relu(self._adapted(maps, first), 0.2))
        inner = self.conv2(F.leaky_relu(self._adapted(inner, second), 0.2))
        return (self.sc(maps) + inner) / math.sqrt(2)

    @staticmethod
    def _adapted(maps: Tensor, styled: Tensor) -> Tensor:
        bias, weight = styled[:, :, None].float().chunk(2, 1)
        return _normal(maps, weight + 1, bias)


class Translator(nn.Module):
    """Features (N, C, H, W) and a style (N, D) -> features; a mask says where."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        steps = list(zip(sizes.translator, sizes.translator[1:], strict=False))
        middles = [Middle(a, b) for a, b in steps]
        self.model = nn.Sequential(nn.Conv2d(sizes.coder[-1], sizes.translator[0], 1), *middles)
        self.parts = [2 * (a + b) for a, b in steps]
        self.style_to_params = nn.Linear(sizes.style, sum(self.parts))
        self.features = nn.Sequential(nn.Conv2d(sizes.translator[-1], sizes.coder[-1], 1))
        self.masks = nn.Sequential(nn.Conv2d(sizes.translator[-1], sizes.coder[-1], 1), nn.Sigmoid())

    def forward(self, maps: Tensor, style: Tensor) -> Tensor:
        first, *middles = self.model
        inner, styled = first(maps), self.style_to_params(style)
        for middle, part in zip(middles, styled.split(self.parts, 1), strict=True):
            inner = middle(inner, part)
        mask = self.masks(inner)
        return self.features(inner) * mask + maps * (1 - mask)


class LinearBlock(nn.Module):
    """ReLU, then a linear layer."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)

    def forward(self, rows: Tensor) -> Tensor:
        return self.linear(F.relu(rows))


class Mapper(nn.Module):
    """Noise (N, Z) -> the style (N, D) of a tag's value."""

    def __init__(self, sizes: Sizes, values: int):
        super().__init__()
        width = sizes.mapper
        blocks = [[LinearBlock(width, width) for _ in range(2)] for _ in range(values + 1)]
        self.pre_model = nn.Sequential(nn.Linear(sizes.noise, width), *blocks[0])
        self.post_models = nn.ModuleList(nn.Sequential(*some, nn.Linear(width, sizes.style)) for some in blocks[1:])

    def forward(self, noise: Tensor, value: int) -> Tensor:
        return self.post_models[value](self.pre_model(noise))


class Extractors(nn.Module):
    """A photo (N, 3, S, S) -> its style (N, D) for a tag."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.tags, width = len(sizes.values), sizes.critic
        blocks = [down(a, b, False) for a, b in zip(width, width[1:], strict=False)]
        last = [nn.AdaptiveAvgPool2d(1), nn.Conv2d(width[-1], sizes.style * self.tags, 1)]
        self.model = nn.Sequential(nn.Conv2d(3, width[0], 1), *blocks, *last)

    def forward(self, pixels: Tensor, tag: int) -> Tensor:
        return self.model(pixels).view(len(pixels), self.tags, -1)[:, tag]


class Hisd(nn.Module):
    """The generator: encode, translate by a style, decode."""

    def __init__(self, sizes: Sizes = SMALL):
        super().__init__()
        self.sizes, coder = sizes, sizes.coder
        self.encoder = nn.Sequential(
            nn.Conv2d(3, coder[0], 1), *[down(a, b, True) for a, b in zip(coder, coder[1:], strict=False)]
        )
        back = coder[::-1]
        self.decoder = nn.Sequential(
            *[up(a, b) for a, b in zip(back, back[1:], strict=False)], nn.Conv2d(coder[0], 3, 1)
        )
        self.extractors = Extractors(sizes)
        self.translators = nn.ModuleList(Translator(sizes) for _ in sizes.values)
        self.mappers = nn.ModuleList(Mapper(sizes, values) for values in sizes.values)

    def features(self, pixels: Tensor) -> Tensor:
        """E_k of ID-Guard Eq. 8, the network up to its bottleneck: (N, C, S / 4, S / 4)."""
        return self.encoder(pixels)

    def drawn_from(self, maps: Tensor, style: Tensor, tag: int) -> Tensor:
        """The picture that `features` become in a style."""
        return self.decoder(self.translators[tag](maps, style)).float()

    def forward(self, pixels: Tensor, style: Tensor, tag: int) -> Tensor:
        """The forged picture, (N, 3, S, S), meant for [-1, 1] but not bounded."""
        return self.drawn_from(self.features(pixels), style, tag)


class HisdDiscriminator(nn.Module):
    """A photo, its style and the labels beside the tag -> (N, 2, values): as a translation, and as a cycle."""

    def __init__(self, sizes: Sizes = SMALL):
        super().__init__()
        width = sizes.critic
        blocks = [down(a, b, False) for a, b in zip(width, width[1:], strict=False)]
        self.conv = nn.Sequential(nn.Conv2d(3, width[0], 1), *blocks, nn.AdaptiveAvgPool2d(1))
        inputs = width[-1] + sizes.style + sizes.given
        self.fcs = nn.ModuleList(nn.Sequential(nn.Conv2d(inputs, 2 * values, 1)) for values in sizes.values)

    def forward(self, pixels: Tensor, style: Tensor, given: Tensor, tag: int) -> Tensor:
        maps = torch.cat([self.conv(pixels).flatten(1), style, given], 1)
        return self.fcs[tag](maps[:, :, None, None]).view(len(pixels), 2, -1)
