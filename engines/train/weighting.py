"""How ID-Guard weights the losses of the forgers that it fights (Sec. III-C)."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def least_norm(gradients: Tensor, steps: int = 250, enough: float = 1e-6) -> Tensor:
    """Strategy S-I: λ >= 0 with sum 1 that makes |Σ λ_k g_k| least, by Frank-Wolfe (Eq. 11; Sener & Koltun, Alg. 2).

    `gradients` (K, D), one row for each loss -> (K,) float64 on the CPU.
    """
    rows = gradients.detach().double().cpu().flatten(1)
    products = rows @ rows.T
    weights = torch.full((len(rows),), 1 / len(rows), dtype=torch.float64)
    for _ in range(steps):
        corner = torch.zeros_like(weights)
        corner[int((products @ weights).argmin())] = 1
        share = _line_search(products, weights, corner)
        weights = (1 - share) * weights + share * corner
        if share < enough:
            break
    return weights


def _line_search(products: Tensor, here: Tensor, there: Tensor) -> float:
    """Where between two weightings the norm is least, 0 (here) to 1 (there)."""
    a, b, c = here @ products @ here, here @ products @ there, there @ products @ there
    slope, bend = float(a - b), float(a + c - 2 * b)
    return min(1.0, max(0.0, slope / bend)) if bend > 0 else float(slope > 0)


def hardness(performance: Tensor, priors: Tensor) -> Tensor:
    """Strategy S-II: λ_k = α_k β_k with β_k = -(1 - K_k) log K_k, Eq. 12 and 13; all (K,).

    `performance` K is the mask loss of Eq. 6 of the step before, cut to (0, 1].
    """
    kept = performance.detach().clamp(1e-6, 1.0)
    return priors * -(1 - kept) * kept.log()


def prior_of(distance: float, most: float) -> float:
    """α of a forger: the whole power of ten by which its L2 distance under a slight attack is below the easiest's.

    Cut off, not rounded: what is less than ten times as hard is balanced by β.
    """
    return 10.0 ** math.floor(math.log10(max(most, 1e-12) / max(distance, 1e-12)) + 1e-3)
