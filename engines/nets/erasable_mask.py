"""ErasableMask's generator, perturbation encoder and restorer (Shen et al., Sec. IV, Fig. 2 and 3).

Pixels are (N, 3, S, S) in [-1, 1], S a multiple of 16; attributes (N, 13) in [0, 1], in the order of ATTRIBUTES, are
what the result shall show. β and γ are numbers, or (N, 1, 1, 1). The paper builds on AttGAN, whose layers and
thirteen attributes these are. Two readings of ours: the decoder draws a *change* of the photo, so that training
starts at the photo and its detail need not pass through the network; and it enlarges by interpolation, which
leaves no chequered pattern.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_ATTRIBUTES = (
    "Bald Bangs Black_Hair Blond_Hair Brown_Hair Bushy_Eyebrows Eyeglasses Male Mouth_Slightly_Open Mustache "
    "No_Beard Pale_Skin Young"
)
ATTRIBUTES = tuple(_ATTRIBUTES.split())
WIDTHS = (32, 64, 128, 176)
BETA, GAMMA = 0.5, 0.05  # the paper's β; γ is ours: the paper does not give its own
Weight = Tensor | float


def mixed(one: Tensor, two: Tensor, share: Weight) -> Tensor:
    """share · one + (1 - share) · two."""
    return share * one + (1 - share) * two


class Encoder(nn.Module):
    """Layers that halve the picture: (N, 3, S, S) -> what each of the n layers gives, (N, W_i, S / 2^i, S / 2^i)."""

    def __init__(self, widths: Sequence[int] = WIDTHS):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b), nn.LeakyReLU(0.2))
            for a, b in pairwise((3, *widths))
        )

    def forward(self, pixels: Tensor) -> list[Tensor]:
        found, maps = [], pixels
        for layer in self.layers:
            maps = layer(maps)
            found.append(maps)
        return found


class Decoder(nn.Module):
    """Layers that double the picture, each given the encoder's maps of its size.

    Maps and attributes -> what each of the n layers gives; the last is a change of the picture, (N, 3, S, S).
    """

    def __init__(self, widths: Sequence[int] = WIDTHS, labels: int = len(ATTRIBUTES)):
        super().__init__()
        inputs = [widths[-1] + labels, *(2 * width for width in widths[-2::-1])]
        outputs = widths[-2::-1]
        layers = [
            nn.Sequential(nn.Conv2d(a, b, 3, 1, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU())
            for a, b in zip(inputs, outputs, strict=False)
        ]
        self.layers = nn.ModuleList([*layers, nn.Conv2d(inputs[-1], 3, 3, 1, 1)])

    def step(self, i: int, maps: Tensor, skip: Tensor) -> Tensor:
        """What layer i gives, at twice the size; `skip` comes from the encoder or holds the attributes."""
        both = torch.cat([maps, skip], 1)
        return self.layers[i](F.interpolate(both, scale_factor=2, mode="bilinear", align_corners=False))

    def skips(self, found: Sequence[Tensor], attributes: Tensor) -> list[Tensor]:
        """What each layer is given beside the maps of the layer before it."""
        labels = attributes.to(found[-1])[:, :, None, None].expand(-1, -1, *found[-1].shape[-2:])
        return [labels, *found[-2::-1]]

    def forward(self, found: Sequence[Tensor], attributes: Tensor) -> list[Tensor]:
        given, maps = [], found[-1]
        for i, skip in enumerate(self.skips(found, attributes)):
            maps = self.step(i, maps, skip)
            given.append(maps)
        return given

    def injected(self, found: Sequence[Tensor], attributes: Tensor, clean: Sequence[Tensor], gamma: Weight) -> Tensor:
        """The change; `clean`, what the layers gave without E_adv, flows in after each with weight γ (Fig. 3)."""
        maps = found[-1]
        for i, skip in enumerate(self.skips(found, attributes)):
            maps = mixed(clean[i], self.step(i, maps, skip), gamma)
        return maps


class Coder(nn.Module):
    """An encoder and a decoder: the generator G, and with its own weights the restorer R."""

    def __init__(self, widths: Sequence[int] = WIDTHS):
        super().__init__()
        self.encoder, self.decoder = Encoder(widths), Decoder(widths)

    def forward(self, pixels: Tensor, attributes: Tensor) -> Tensor:
        return pixels + self.decoder(self.encoder(pixels), attributes)[-1].to(pixels)


@dataclass(frozen=True)
class Clean:
    """A photo on its way through G alone: what each layer of the encoder and of the decoder gives."""

    pixels: Tensor
    attributes: Tensor
    found: list[Tensor]
    given: list[Tensor]

    @property
    def edited(self) -> Tensor:
        """x_cov with the attributes, and no perturbation: (N, 3, S, S)."""
        return self.pixels + self.given[-1].to(self.pixels)


class ErasableMask(nn.Module):
    """G, E_adv and R of one checkpoint, made for one target."""

    def __init__(self, widths: Sequence[int] = WIDTHS):
        super().__init__()
        self.generator, self.adversary, self.restorer = Coder(widths), Encoder(widths), Coder(widths)

    def couple(self) -> None:
        """E_adv and R start as G is (Sec. IV-B, IV-C)."""
        self.adversary.load_state_dict(self.generator.encoder.state_dict())
        self.restorer.load_state_dict(self.generator.state_dict())

    def clean(self, pixels: Tensor, attributes: Tensor) -> Clean:
        """The clean domain, which the mask is mixed with."""
        found = self.generator.encoder(pixels)
        return Clean(pixels, attributes, found, self.generator.decoder(found, attributes))

    def forward(self, clean: Clean, beta: Weight, gamma: Weight) -> Tensor:
        """x_adv of Eq. 6 and 7, the clean domain injected: (N, 3, S, S), meant for [-1, 1] but not bounded."""
        perturbed = self.adversary(clean.pixels)
        found = [mixed(one, two, beta) for one, two in zip(clean.found, perturbed, strict=True)]
        change = self.generator.decoder.injected(found, clean.attributes, clean.given, gamma)
        return clean.pixels + change.to(clean.pixels)

    def erased(self, pixels: Tensor) -> Tensor:
        """x_rec of Eq. 13. R is not told what the photo showed: its attributes are 0."""
        return self.restorer(pixels, pixels.new_zeros(len(pixels), len(ATTRIBUTES)))
