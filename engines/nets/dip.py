"""DIP-Watermark's encoder and decoder (Zhang et al., Sec. 4.1 and Fig. 2), for faces of 112 x 112 pixels.

Carrier and message go through Conv-ReLU branches of their own, each recalibrated by CBAM; the message
grows to the carrier's size by layers of stride 2; both are concatenated and fused. The paper gives no
widths. Three readings of ours: the fusion ends in a change that is *added* to the carrier (so training
starts at the photo), that change is drawn on a 56 x 56 grid and enlarged (smooth changes survive
JPEG, blur and a new alignment), and it fades out at the crop's edge, where the photo goes on.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.face import feather

SIDE, BITS = 112, 50
BOUND = 0.3  # of [0, 1]: keeps the first steps, when a mark is as strong as a picture, from losing their gradient
TARGETS = ("virtual", "hopper", "collins")  # whom the bundled encoder leads recognisers to, in its order


def conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Conv-ReLU, 3 x 3."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.ReLU())


def expand(inputs: int, outputs: int) -> nn.Sequential:
    """Transposed Conv-ReLU of stride 2, which doubles height and width: the message's redundancy."""
    return nn.Sequential(nn.ConvTranspose2d(inputs, outputs, 4, 2, 1), nn.ReLU())


def grow(inputs: int, outputs: int) -> nn.Sequential:
    """Twice the height and width by interpolation, then Conv-ReLU: leaves no chequered pattern in a picture."""
    return nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), *conv(inputs, outputs))


def _kaiming(layer: nn.Module) -> None:
    """He et al.'s start: with torch's own, a message is hundreds of times fainter after the fusion."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]


class Cbam(nn.Module):
    """Convolutional block attention (Woo et al., 2018): which channels, then where. (N, C, H, W) -> the same."""

    def __init__(self, channels: int, reduction: int = 8, kernel: int = 7):
        super().__init__()
        hidden = max(4, channels // reduction)
        self.channel = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels))
        self.spatial = nn.Conv2d(2, 1, kernel, padding=kernel // 2)

    def forward(self, maps: Tensor) -> Tensor:
        weight = self.channel(maps.mean((2, 3))) + self.channel(maps.amax((2, 3)))
        maps = maps * weight.sigmoid()[:, :, None, None]
        where = torch.stack([maps.mean(1), maps.amax(1)], 1)
        return maps * self.spatial(where).sigmoid()


class Message(nn.Module):
    """The message branch: (N, L) of -1 or 1 and the target's one-hot (N, K) -> (N, C, 28, 28)."""

    def __init__(self, bits: int, targets: int, width: int):
        super().__init__()
        self.width = width
        self.spread = nn.Sequential(nn.Linear(bits + targets, width * 49), nn.ReLU())
        self.grow = nn.Sequential(conv(width, width), expand(width, width), expand(width, width), Cbam(width))

    def forward(self, message: Tensor) -> Tensor:
        return self.grow(self.spread(message).view(-1, self.width, 7, 7))


class Carrier(nn.Module):
    """The carrier branch: the face -> its maps at 56 x 56 (N, C/2, ...) and, by CBAM, at 28 x 28 (N, C, ...)."""

    def __init__(self, width: int):
        super().__init__()
        half = width // 2
        self.fine = nn.Sequential(conv(3, half, 2), conv(half, half))
        self.coarse = nn.Sequential(conv(half, width, 2), conv(width, width), Cbam(width))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        fine = self.fine(2 * pixels - 1)
        return fine, self.coarse(fine)


class DipEncoder(nn.Module):
    """E of Eq. 1 and 4: a face, a message and the number of a target -> the face that carries the message.

    `targets`: how many target identities it was trained towards (the paper trains towards one at a time).
    """

    def __init__(self, bits: int = BITS, targets: int = len(TARGETS), width: int = 64):
        super().__init__()
        self.bits, self.targets = bits, targets
        half = width // 2
        self.carrier, self.message = Carrier(width), Message(bits, targets, width)
        self.fuse = nn.Sequential(conv(2 * width, width), conv(width, width), grow(width, half))
        self.last = nn.Sequential(conv(2 * half, half), nn.Conv2d(half, 3, 3, padding=1))
        self.register_buffer("window", feather(SIDE), persistent=False)
        self.window: Tensor
        self.apply(_kaiming)
        nn.init.normal_(self.last[-1].weight, std=2e-2)  # type: ignore[arg-type]

    def forward(self, pixels: Tensor, bits: Tensor, target: Tensor) -> Tensor:
        """(N, 3, 112, 112) in [0, 1], (N, L) of 0 or 1, (N, K) one-hot -> (N, 3, 112, 112) in [0, 1]."""
        return (pixels + self.change(pixels, bits, target)).clamp(0, 1)

    def change(self, pixels: Tensor, bits: Tensor, target: Tensor) -> Tensor:
        """What is added to the carrier, before clipping: (N, 3, 112, 112)."""
        fine, coarse = self.carrier(pixels)
        message = self.message(torch.cat([2 * bits - 1, target], 1))
        fused = self.fuse(torch.cat([coarse, message], 1))
        drawn = self.last(torch.cat([fused, fine], 1))
        enlarged = F.interpolate(drawn.float(), size=(SIDE, SIDE), mode="bicubic", align_corners=False)
        return BOUND * torch.tanh(enlarged / BOUND) * self.window


class DipDecoder(nn.Module):
    """D of Eq. 2: (N, 3, 112, 112) in [0, 1] -> one logit a bit, (N, L); above 0 reads as 1."""

    def __init__(self, bits: int = BITS, width: int = 32):
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in ((3, width), (width, 2 * width), (2 * width, 3 * width), (3 * width, 4 * width)):
            layers += [nn.Conv2d(inputs, outputs, 3, 2, 1), nn.GroupNorm(8, outputs), nn.ReLU()]
        self.maps = nn.Sequential(*layers, Cbam(4 * width))
        self.bits = nn.Linear(4 * width * 49, bits)
        self.maps.apply(_kaiming)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.bits(self.maps(2 * pixels - 1).flatten(1))
