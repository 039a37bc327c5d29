"""Figures for papers: picture quality, naturalness, identification.

torchmetrics is imported where it computes: it brings every library of its other metrics along, seconds at a start.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

BANDWIDTH_FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
SSIM_SIGMA, SSIM_RADIUS = 1.5, 5


def psnr(pixels: Tensor, original: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of each image, data range 1: (N, 3, H, W) twice -> (N,).

    Infinite where both are equal.
    """
    from torchmetrics.functional.image import peak_signal_noise_ratio

    return peak_signal_noise_ratio(pixels, original, data_range=1.0, reduction="none", dim=(1, 2, 3))


def ssim(pixels: Tensor, original: Tensor) -> Tensor:
    """Structural similarity of each image, data range 1: (N, 3, H, W) twice -> (N,), at most 1.

    Wang et al., 2004: 11 x 11 Gaussian window, σ = 1.5, K1 = 0.01, K2 = 0.03; the mean over the
    three colour channels and over the windows that lie inside the picture, as in their code and in
    skimage. (torchmetrics' own mean takes mirrored borders in: off by 0.012 on a 112-pixel face.)
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    _, full = structural_similarity_index_measure(
        pixels, original, sigma=SSIM_SIGMA, data_range=1.0, return_full_image=True
    )
    inside = slice(SSIM_RADIUS, -SSIM_RADIUS)
    return full[..., inside, inside].mean((1, 2, 3))


def mmd(xp: Tensor, xr: Tensor, bandwidths: Tensor | None = None) -> Tensor:
    """Squared maximum mean discrepancy of two sets of images, Eq. 3 of TIP-IM: a scalar >= 0, differentiable.

    `xp` (N, ...) and `xr` (M, ...). Eq. 3 squares the distance of the two means in the RKHS, which is
    the biased (V-statistic) estimator: mean k(xp, xp) + mean k(xr, xr) - 2 mean k(xp, xr). The
    kernel is a sum of Gaussians, Σ_b exp(-|x - y|² / (2 σ_b²)) with `bandwidths` (B,) the σ_b²;
    by default `median_bandwidths(xr)`, which needs two images. Zero for equal sets. In float64
    inside: in float32 a mask of amplitude 0.002 came out 13 % off.
    """
    scales = median_bandwidths(xr) if bandwidths is None else bandwidths
    p, r = xp.flatten(1).double(), xr.flatten(1).double()
    value = _kernel(p, p, scales).mean() + _kernel(r, r, scales).mean() - 2 * _kernel(p, r, scales).mean()
    return value.to(xp.dtype)


def _kernel(a: Tensor, b: Tensor, bandwidths: Tensor) -> Tensor:
    """The kernel matrix (N, M) of rows (N, D) and (M, D)."""
    # Not as |a|² + |b|² - 2ab: equal images must be at distance 0 exactly, where the gradient is 0 too.
    squared = torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist").square()
    return torch.exp(-squared[..., None] / (2 * bandwidths)).sum(-1)


def median_bandwidths(xr: Tensor) -> Tensor:
    """Squared bandwidths (5,) for `mmd`: the median squared distance in `xr` times 1/4 to 4, detached.

    The median heuristic of Borgwardt et al., 2006 (reference [4] of TIP-IM), and the geometric series
    usual for several kernels. They take both sets together; here only the real one, `xr` (N, ...),
    counts, so that the kernel does not move while the protected set does. Equal images (distance 0)
    are left out.

    Raises ValueError where no two images differ.
    """
    squared = F.pdist(xr.detach().flatten(1)).square()
    squared = squared[squared > 0]
    if squared.numel() == 0:
        raise ValueError("The bandwidths of MMD need at least two different images.")
    return squared.quantile(0.5) * torch.tensor(BANDWIDTH_FACTORS).to(squared)


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Cosine similarity along the last axis, in [-1, 1]: (..., D) and (..., D), broadcast -> (...)."""
    return F.cosine_similarity(a, b, dim=-1)


class Ranks(NamedTuple):
    """Success of each probe, bool (P,): the rates of TIP-IM's tables are the means."""

    targeted: Tensor
    untargeted: Tensor


def rank_n(probe: Tensor, gallery: Tensor, labels: Tensor, own: Tensor, targets: Tensor, n: int) -> Ranks:
    """Rank-N-T and Rank-N-UT of TIP-IM (Tables 3 and 4), for every probe at once.

    `probe` (P, D) and `gallery` (M, D) are embeddings, compared by cosine, which orders unit rows
    as the Euclidean distance does; of equal ones, the first in the gallery. `labels` (M,) are the
    gallery's identities, `own` (P,) the probes', `targets` (K,) the target identities. Targeted:
    one of the N nearest gallery images at least is of a target identity. Untargeted: none of the N
    nearest is of the probe's own identity.

    Raises ValueError unless 1 <= n <= M.
    """
    if not 1 <= n <= len(gallery):
        raise ValueError(f"Rank-{n} needs a rank between 1 and the size of the gallery, {len(gallery)}.")
    similarity = F.normalize(probe, dim=1) @ F.normalize(gallery, dim=1).T
    nearest = labels[similarity.argsort(dim=1, descending=True, stable=True)[:, :n]]
    return Ranks(torch.isin(nearest, targets).any(1), (nearest != own[:, None]).all(1))


L2_FACE, ID_SIMILARITY = 0.05, 0.4  # what a defence must exceed, and what it must stay under (ID-Guard, Sec. IV-A4)


def l2_face(forged: Tensor, disrupted: Tensor, face: Tensor) -> Tensor:
    """L₂^face of ID-Guard Eq. 16: the mean squared difference over the face, in the paper's range [-1, 1]: (N,).

    `forged` and `disrupted` (N, 3, H, W) in [0, 1], `face` (N, 1, H, W) of 0 and 1; 0 where there is no face.
    """
    weight = face.expand_as(forged)
    squared = (2 * (forged - disrupted)).square() * weight
    return squared.flatten(1).sum(1) / weight.flatten(1).sum(1).clamp_min(1)


def defended(distance: Tensor, similarity: Tensor) -> Tensor:
    """Whether each defence succeeded: L₂^face above 0.05 and ID similarity below 0.4, both (N,) -> (N,) booleans.

    The mean is the defence success rate DSR of ID-Guard, Sec. IV-A4.
    """
    return (distance > L2_FACE) & (similarity < ID_SIMILARITY)
