"""RelGAN (Wu et al., ICCV 2019): edits told as differences. Tensor names are those of its PyTorch release.

Pixels are (N, 3, S, S) in [-1, 1], S a multiple of 64 for the discriminator; `change` (N, L) holds target minus
source of each attribute, so 0 everywhere asks for the input back.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engines.nets.moments import moments, scaled
from engines.nets.stargan import labelled, trunk


class SwitchNorm2d(nn.Module):
    """Switchable normalisation (Luo et al., ICLR 2019): a learned mix of statistics of picture, layer, batch."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, momentum: float = 0.9):
        super().__init__()
        self.momentum = momentum
        self.weight = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.mean_weight, self.var_weight = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
        self.register_buffer("running_mean", torch.zeros(1, channels, 1))
        self.register_buffer("running_var", torch.zeros(1, channels, 1))

    def _batch(self, mean: Tensor, square: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance over the batch in training, their moving averages in use."""
        if not self.training:
            return self.running_mean[..., None], self.running_var[..., None]
        found = mean.mean(0, keepdim=True)
        spread = square.mean(0, keepdim=True) - found**2
        with torch.no_grad():
            self.running_mean.lerp_(found[..., 0], 1 - self.momentum)
            self.running_var.lerp_(spread[..., 0], 1 - self.momentum)
        return found, spread

    @staticmethod
    def _mixed(weights: Tensor, three: tuple[Tensor, ...]) -> Tensor:
        first, second, third = weights.softmax(0)
        return first * three[0] + second * three[1] + third * three[2]

    def forward(self, maps: Tensor) -> Tensor:
        mean, variance = moments(maps)
        square = variance + mean**2
        layer, batch = mean.mean(1, keepdim=True), self._batch(mean, square)
        means = (mean, layer, batch[0])
        spreads = (variance, square.mean(1, keepdim=True) - layer**2, batch[1])
        shift = self._mixed(self.mean_weight, means)
        factor = self.weight * (self._mixed(self.var_weight, spreads) + 1e-5).rsqrt()
        return scaled(maps, factor, self.bias - factor * shift)


def _layer(conv: nn.Module, channels: int) -> nn.Sequential:
    return nn.Sequential(conv, SwitchNorm2d(channels), nn.ReLU())


class Residual(nn.Module):
    """Two 3 x 3 convolutions around which the input goes: (N, C, H, W) -> the same."""

    def __init__(self, channels: int):
        super().__init__()
        first, second = (nn.Conv2d(channels, channels, 3, 1, 1) for _ in range(2))
        self.f = nn.Sequential(first, SwitchNorm2d(channels), nn.ReLU(), second, SwitchNorm2d(channels))

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.f(maps)


class RelGan(nn.Module):
    """The generator; `forward` is the forged picture in [-1, 1]."""

    relative = True  # labels say what shall change

    def __init__(self, labels: int = 17, width: int = 64, repeats: int = 6):
        super().__init__()
        self.conv_in = _layer(nn.Conv2d(3 + labels, width, 7, 1, 3), width)
        self.down1 = _layer(nn.Conv2d(width, 2 * width, 4, 2, 1), 2 * width)
        self.down2 = _layer(nn.Conv2d(2 * width, 4 * width, 4, 2, 1), 4 * width)
        self.resb = nn.Sequential(*[Residual(4 * width) for _ in range(repeats)])
        self.up2 = _layer(nn.ConvTranspose2d(4 * width, 2 * width, 4, 2, 1), 2 * width)
        self.up1 = _layer(nn.ConvTranspose2d(2 * width, width, 4, 2, 1), width)
        self.conv_out = nn.Sequential(nn.Conv2d(width, 3, 7, 1, 3), nn.Tanh())

    def features(self, pixels: Tensor, change: Tensor) -> Tensor:
        """E_k of ID-Guard Eq. 8, the network up to its bottleneck: (N, 4 W, S / 4, S / 4)."""
        return self.resb(self.down2(self.down1(self.conv_in(labelled(pixels, change)))))

    def drawn_from(self, maps: Tensor, pixels: Tensor) -> Tensor:
        """The picture that `features` become; the pixels themselves are not looked at again."""
        return self.conv_out(self.up1(self.up2(maps))).float()

    def forward(self, pixels: Tensor, change: Tensor) -> Tensor:
        return self.drawn_from(self.features(pixels, change), pixels)


class RelDiscriminator(nn.Module):
    """Three heads on one trunk: is it real, do two pictures differ by a change, how far is it interpolated."""

    def __init__(
        self, labels: int = 17, width: int = 64, repeats: int = 6, hidden: int = 2048, most: int | None = None
    ):
        super().__init__()
        self.convs, inputs = trunk(width, repeats, most)
        self.conv_adv = nn.Conv2d(inputs, 1, 1)
        self.conv_int = nn.Conv2d(inputs, 16, 1)
        first = nn.Conv2d(2 * inputs + labels, hidden, 1)
        self.convs_cls = nn.Sequential(first, nn.LeakyReLU(0.01), nn.Conv2d(hidden, 1, 1))

    def real(self, maps: Tensor) -> Tensor:
        """How real each patch looks: (N, 1, S / 64, S / 64). `maps` are what `convs` makes of pictures."""
        return self.conv_adv(maps)

    def matches(self, before: Tensor, after: Tensor, change: Tensor) -> Tensor:
        """Whether `after` is `before` with the change, both maps: (N, 1, S / 64, S / 64)."""
        return self.convs_cls(labelled(torch.cat([before, after], 1), change))

    def interpolated(self, maps: Tensor) -> Tensor:
        """How far between two attributes a picture lies: (N, 1)."""
        return self.conv_int(maps).flatten(1).mean(1, keepdim=True)
