"""Grad-CAM (Selvaraju et al., 2017) for embedding networks: what makes a face look like another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib import colormaps
from torch import Tensor

if TYPE_CHECKING:
    from engines.raw_cam import Embedder

HEAT = 0.55  # share of the heat map in an overlay


def cosine_cam(recogniser: Embedder, pixels: Tensor, reference: Tensor) -> Tensor:
    """Where `pixels` (N, 3, S, S) in [0, 1] resemble `reference`, an embedding (D,) or (1, D): (N, S, S).

    A map is ReLU(Σ_k α_k A_k), α_k the mean gradient of the cosine over channel k, upsampled
    bilinearly. Maps are raw and non-negative: those of one call share one scale, so a pair before
    and after can be shown with one `vmax`. The network's parameters keep the gradients they had,
    and its layer the hooks it had. One call at a time on one network: the hooks see every forward.

    A map says which parts would raise the cosine, not how high it is: the gradient fades as the
    cosine nears 1 (SFace, astronaut: peak 0.001 at cosine 0.93, 0.006 at -0.48). Show it with the score.

    Raises ValueError where the reference is an image's own embedding, or the layer was not reached.
    """
    coarse = torch.cat([_coarse(recogniser, one, reference) for one in pixels.split(1)])
    return F.interpolate(coarse, size=pixels.shape[-2:], mode="bilinear", align_corners=False)[:, 0]


def _coarse(recogniser: Embedder, pixels: Tensor, reference: Tensor) -> Tensor:
    """One picture's map, as small as the layer's. One at a time: a halved batch would pass the hooks twice."""
    from engines.raw_cam import EmbeddingNetwork, RawCAM

    # Callers embed under inference_mode; clones made outside it may enter a graph.
    with torch.inference_mode(False), torch.enable_grad():
        leaf = pixels.detach().clone().requires_grad_(True)
        toward = reference.detach().clone().reshape(1, -1)
        cam = RawCAM(EmbeddingNetwork(recogniser, leaf.device), [recogniser.features_layer])
        try:
            maps = cam(leaf, [lambda row: F.cosine_similarity(row[None], toward)[0]] * len(leaf))
        finally:  # not `with cam`: its exit turns an IndexError into a line on stdout
            cam.activations_and_grads.release()
    return torch.from_numpy(maps)[:, None].to(pixels.device)


def overlay(pixels: Tensor, cam: Tensor, vmax: float) -> np.ndarray:
    """A heat map over a crop: `pixels` (3, H, W) in [0, 1] and `cam` (H, W) -> uint8 (H, W, 3).

    `vmax` is the top of the scale; give both of a pair the maximum of both. The colours, "inferno", are
    perceptually uniform; the crop turns grey, so that every hue is the map's.
    """
    share = (cam / max(vmax, 1e-12)).clamp(0, 1).cpu().numpy()
    heat = np.asarray(colormaps["inferno"](share))[..., :3]
    grey = pixels.detach().mean(0).cpu().numpy()[..., None]
    return np.round(255 * (HEAT * heat + (1 - HEAT) * grey)).clip(0, 255).astype(np.uint8)
