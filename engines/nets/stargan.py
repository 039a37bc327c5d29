"""StarGAN and the two forgers that share its trunk: AttentionGAN and Fixed-Point GAN.

Pixels are (N, 3, S, S) in [-1, 1], S a multiple of 4; labels (N, L) say for each attribute whether the
result shall have it, 1 or 0. The names of the tensors are those of the releases (StarGAN: Choi et al., CVPR
2018; AttentionGAN, its form for many attributes: Tang et al., TNNLS 2021; Fixed-Point GAN: Rahman Siddiquee
et al., ICCV 2019), so that their generators and discriminators load at width 64. The statistics that those
files carry for each InstanceNorm are left out: the releases normalise each picture by its own, in use as well.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def _norm(channels: int) -> nn.InstanceNorm2d:
    return nn.InstanceNorm2d(channels, affine=True)


def layer(conv: nn.Module, channels: int) -> list[nn.Module]:
    """A convolution, InstanceNorm over each picture, ReLU."""
    return [conv, _norm(channels), nn.ReLU()]


class Residual(nn.Module):
    """Two 3 x 3 convolutions around which the input goes: (N, C, H, W) -> the same."""

    def __init__(self, channels: int):
        super().__init__()
        first, second = (nn.Conv2d(channels, channels, 3, 1, 1, bias=False) for _ in range(2))
        self.main = nn.Sequential(*layer(first, channels), second, _norm(channels))

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.main(maps)


def labelled(pixels: Tensor, labels: Tensor) -> Tensor:
    """Pixels with each label as a constant channel behind them: (N, 3 + L, S, S)."""
    return torch.cat([pixels, labels.to(pixels)[:, :, None, None].expand(-1, -1, *pixels.shape[-2:])], 1)


class StarGan(nn.Module):
    """The generator; `forward` is the forged picture in [-1, 1]."""

    relative = False  # labels say what the result shall be, not what shall change
    drawn = 3  # channels that the last convolution gives

    def __init__(self, labels: int = 5, width: int = 64, repeats: int = 6):
        super().__init__()
        layers = layer(nn.Conv2d(3 + labels, width, 7, 1, 3, bias=False), width)
        for size in (width, 2 * width):
            layers += layer(nn.Conv2d(size, 2 * size, 4, 2, 1, bias=False), 2 * size)
        layers += [Residual(4 * width) for _ in range(repeats)]
        self.bottleneck = len(layers)
        for size in (4 * width, 2 * width):
            layers += layer(nn.ConvTranspose2d(size, size // 2, 4, 2, 1, bias=False), size // 2)
        layers += [nn.Conv2d(width, self.drawn, 7, 1, 3, bias=False), *self.ends()]
        self.main = nn.Sequential(*layers)

    def ends(self) -> list[nn.Module]:
        """What follows the last convolution."""
        return [nn.Tanh()]

    def features(self, pixels: Tensor, labels: Tensor) -> Tensor:
        """E_k of ID-Guard Eq. 8, the network up to its bottleneck: (N, 4 W, S / 4, S / 4)."""
        return self.main[: self.bottleneck](labelled(pixels, labels))

    def drawn_from(self, maps: Tensor, pixels: Tensor) -> Tensor:
        """The picture that `features` of these pixels become."""
        return self.finish(self.main[self.bottleneck :](maps).float(), pixels)

    def forward(self, pixels: Tensor, labels: Tensor) -> Tensor:
        return self.drawn_from(self.features(pixels, labels), pixels)

    def painted(self, pixels: Tensor, labels: Tensor) -> Tensor:
        """What the network paints itself: without what `finish` keeps of the input behind a mask."""
        return self(pixels, labels)

    def finish(self, drawn: Tensor, pixels: Tensor) -> Tensor:
        """The picture that the last layer's output stands for."""
        return drawn


class AttentionGan(StarGan):
    """Its network draws an attention map and new content; where the map is 0 the input stays."""

    drawn = 4

    def ends(self) -> list[nn.Module]:
        """Nothing: the content is not bounded."""
        return []

    def painted(self, pixels: Tensor, labels: Tensor) -> Tensor:
        """C."""
        return self.main(labelled(pixels, labels))[:, 1:].float()

    def finish(self, drawn: Tensor, pixels: Tensor) -> Tensor:
        """C A + x (1 - A)."""
        attention = torch.sigmoid(drawn[:, :1])
        return drawn[:, 1:] * attention + pixels * (1 - attention)


class FixedPointGan(StarGan):
    """Its network draws a change, which is 0 where the labels are those of the input."""

    def ends(self) -> list[nn.Module]:
        """Nothing: tanh follows the sum."""
        return []

    def finish(self, drawn: Tensor, pixels: Tensor) -> Tensor:
        """tanh(x + Δ)."""
        return torch.tanh(pixels + drawn)


def trunk(width: int, repeats: int = 6, most: int | None = None) -> tuple[nn.Sequential, int]:
    """A critic's layers, each halving the side and doubling the channels, up to `most`; and the last channels."""
    sizes = [3, *(min(width * 2**i, most or width * 2**i) for i in range(repeats))]
    pairs = zip(sizes, sizes[1:], strict=False)
    layers = [part for a, b in pairs for part in (nn.Conv2d(a, b, 4, 2, 1), nn.LeakyReLU(0.01))]
    return nn.Sequential(*layers), sizes[-1]


class Discriminator(nn.Module):
    """(N, 3, S, S) -> realness of patches (N, 1, S / 64, S / 64) and logits of the labels (N, L); for all three."""

    def __init__(self, size: int = 128, labels: int = 5, width: int = 64, repeats: int = 6, most: int | None = None):
        super().__init__()
        self.main, inputs = trunk(width, repeats, most)
        self.conv1 = nn.Conv2d(inputs, 1, 3, 1, 1, bias=False)
        self.conv2 = nn.Conv2d(inputs, labels, size // 2**repeats, bias=False)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.main(pixels)
        return self.conv1(maps), self.conv2(maps).flatten(1)
