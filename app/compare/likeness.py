"""How like two pictures of a head look: MS-SSIM, and LPIPS where its network is at hand."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from app.lpips import lpips, there

LEAST = 176  # pixels a side for MS-SSIM's five scales under a Gaussian of 11 pixels (Wang et al., 2003)
SIDE = 256  # LPIPS sees the head at this size


def likeness(one: Tensor, two: Tensor) -> dict[str, float]:
    """MS-SSIM (1: identical; not for heads of under LEAST pixels) and LPIPS (0: identical) of two (1, 3, H, W)."""
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure as ms_ssim

    found = {}
    if min(one.shape[-2:]) >= LEAST:
        found["MS-SSIM"] = float(ms_ssim(one, two, data_range=1.0))
    if there():
        seen = [
            F.interpolate(p, (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False) for p in (one, two)
        ]
        found["LPIPS"] = lpips(*(pixels.clamp(0, 1) for pixels in seen))
    return found
