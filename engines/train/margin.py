"""Classification losses with a margin on the unit sphere: ArcFace and CosFace."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MarginLoss(nn.Module):
    """Cross-entropy over s cos(θ_j), with the true class made harder.

    ArcFace: cos(θ_y + m) (Deng et al., 2019, Eq. 3); CosFace: cos θ_y - m (Wang et al., 2018, Eq. 4).
    """

    def __init__(self, centres: Tensor, kind: str, scale: float = 30.0, margin: float = 0.3):
        """`centres` (C, D): where each class starts, normalised in every step. ValueError for an unknown kind."""
        super().__init__()
        if kind not in ("arcface", "cosface"):
            raise ValueError(f"There is no margin loss {kind!r}: choose arcface or cosface.")
        self.weight = nn.Parameter(centres.clone())
        self.kind, self.scale, self.margin = kind, scale, margin

    def logits(self, rows: Tensor, labels: Tensor) -> Tensor:
        """Unit rows (N, D), labels (N,) -> (N, C), the margin applied to each row's own class."""
        cosine = rows @ F.normalize(self.weight, dim=1).T
        own = cosine.gather(1, labels[:, None])
        if self.kind == "cosface":
            harder = own - self.margin
        else:
            sine = (1 - own.square()).clamp(min=1e-6).sqrt()
            turned = own * math.cos(self.margin) - sine * math.sin(self.margin)
            # Past pi - m the angle would wrap round: there, a straight line that keeps falling.
            harder = torch.where(own > -math.cos(self.margin), turned, own - self.margin * math.sin(self.margin))
        return self.scale * cosine.scatter(1, labels[:, None], harder)

    def forward(self, rows: Tensor, labels: Tensor) -> Tensor:
        """The mean loss over rows whose label is not -1; zero where there is none."""
        known = labels >= 0
        if not bool(known.any()):
            return rows.sum() * 0
        return F.cross_entropy(self.logits(rows[known], labels[known]), labels[known])
