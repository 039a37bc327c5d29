"""LPIPS (Zhang et al., CVPR 2018) by torchmetrics, where torchvision's AlexNet lies in torch's cache already.

A benchmark fetches nothing: `torchvision.models.alexnet(weights="DEFAULT")`, once and with a network, puts it there.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

ALEXNET = "alexnet-owt-7be5be79.pth"  # torchvision's name of it; torchvision itself is a second at a start
BATCH = 50


def there() -> bool:
    """Whether it can be measured."""
    return (Path(torch.hub.get_dir()) / "checkpoints" / ALEXNET).is_file()


def lpips(one: Tensor, two: Tensor) -> float:
    """The mean distance of pictures (N, 3, S, S) in [0, 1], 0 for the same; S 64 or more."""
    from torchmetrics.functional.image.lpips import learned_perceptual_image_patch_similarity as distance

    parts = zip(one.split(BATCH), two.split(BATCH), strict=True)
    found = [float(distance(a, b, net_type="alex", reduction="sum", normalize=True)) for a, b in parts]
    return sum(found) / len(one)
