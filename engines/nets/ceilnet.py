"""CEILNet (Fan et al., ICCV 2017), IPMN's watermark extractor R (Sec. 3.3.1).

An edge network E-CNN, an image network I-CNN, and between them the paper's nine residual blocks. The paper gives no
layers; ours: three convolutions, the last of which halves; the blocks; an enlarging one and two more. As Fan et al.
do, the picture comes with its edge map. Simplified: what E-CNN gives is maps, and no loss asks that they be edges.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.nets.ipmn_unet import conv, last
from engines.nets.layout import channels_last


class Residual(nn.Module):
    """Two 3 x 3 convolutions around which the input goes: (N, C, H, W) -> the same."""

    def __init__(self, channels: int):
        super().__init__()
        self.main = nn.Sequential(conv(channels, channels), last(channels, channels))

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.main(maps)


def edges(pixels: Tensor) -> Tensor:
    """The edge map of Fan et al.: mean absolute difference to the four neighbours, (N, 3, H, W) -> (N, 1, H, W)."""
    around = F.pad(pixels, (1, 1, 1, 1), mode="replicate")
    near = (around[..., 1:-1, :-2], around[..., 1:-1, 2:], around[..., :-2, 1:-1], around[..., 2:, 1:-1])
    return torch.stack([(pixels - other).abs() for other in near]).mean((0, 2))[:, None]


class CeilNet(nn.Module):
    """R: pixels (N, 3, S, S) in [0, 1], S even -> the watermark, the same shape; not bounded, about 0 where blank."""

    def __init__(self, width: int = 24, blocks: int = 9):
        super().__init__()
        self.edge = nn.Sequential(conv(4, width), conv(width, width), conv(width, width, 2))
        self.residual = nn.Sequential(*[Residual(width) for _ in range(blocks)])
        self.enlarge = conv(width, width)
        self.image = nn.Sequential(conv(width + 4, width), last(width))
        channels_last(self)

    def forward(self, pixels: Tensor) -> Tensor:
        seen = torch.cat([2 * pixels - 1, 4 * edges(pixels)], 1)
        maps = self.enlarge(self.residual(self.edge(seen)))
        maps = F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)
        return self.image(torch.cat([maps, seen.to(maps)], 1)).float()
