"""Grad-CAM (Selvaraju et al., 2017) for embedding networks: what makes a face look like another."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib import colormaps
from pytorch_grad_cam import GradCAM
from torch import Tensor, nn

SAME_IMAGE = 0.9999  # cosine above which the reference is the image itself
HEAT = 0.55  # share of the heat map in an overlay


class Embedder(Protocol):
    """The part of a recogniser that Grad-CAM needs."""

    @property
    def features_layer(self) -> nn.Module:
        """The last convolutional layer, which gives (N, C, h, w)."""
        ...

    def embed(self, pixels: Tensor) -> Tensor:
        """(N, 3, S, S) in [0, 1] -> unit rows (N, D), with a graph."""
        ...


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
    # Callers embed under inference_mode; clones made outside it may enter a graph.
    with torch.inference_mode(False), torch.enable_grad():
        leaf = pixels.detach().clone().requires_grad_(True)
        toward = reference.detach().clone().reshape(1, -1)
        cam = _RawCAM(_Network(recogniser, leaf.device), [recogniser.features_layer])
        try:
            maps = cam(leaf, [lambda row: F.cosine_similarity(row[None], toward)[0]] * len(leaf))
        finally:  # not `with cam`: its exit turns an IndexError into a line on stdout
            cam.activations_and_grads.release()
    coarse = torch.from_numpy(maps)[:, None].to(pixels.device)
    return F.interpolate(coarse, size=pixels.shape[-2:], mode="bilinear", align_corners=False)[:, 0]


def overlay(pixels: Tensor, cam: Tensor, vmax: float) -> np.ndarray:
    """A heat map over a crop: `pixels` (3, H, W) in [0, 1] and `cam` (H, W) -> uint8 (H, W, 3).

    `vmax` is the top of the scale; give both of a pair the maximum of both. The colours, "inferno", are
    perceptually uniform; the crop turns grey, so that every hue is the map's.
    """
    share = (cam / max(vmax, 1e-12)).clamp(0, 1).cpu().numpy()
    heat = np.asarray(colormaps["inferno"](share))[..., :3]
    grey = pixels.detach().mean(0).cpu().numpy()[..., None]
    return np.round(255 * (HEAT * heat + (1 - HEAT) * grey)).clip(0, 255).astype(np.uint8)


class _Network(nn.Module):
    """A recogniser as the module that grad-cam asks for; it registers no part of it, so it changes none."""

    def __init__(self, recogniser: Embedder, device: torch.device):
        super().__init__()
        self._recogniser = (recogniser,)  # in a tuple: a module would be registered, and set to eval()
        # grad-cam reads the device off the first parameter.
        self.anchor = nn.Parameter(torch.empty(0, device=device), requires_grad=False)

    def forward(self, pixels: Tensor) -> Tensor:
        return self._recogniser[0].embed(pixels)


class _RawCAM(GradCAM):
    """grad-cam's hooks, weights and sum, without two of its habits.

    It stretches every map to [0, 1] on its own, which would hide that one is weaker; and its
    backward() adds to the gradients of every parameter, or fails where all are frozen.
    """

    def forward(self, input_tensor: Tensor, targets: Any, eigen_smooth: bool = False) -> np.ndarray:
        """Raw maps (N, h, w) of `input_tensor` (N, 3, S, S), which must require a gradient."""
        seen = self.activations_and_grads
        cosines = torch.stack([target(row) for target, row in zip(targets, seen(input_tensor), strict=True)])
        if bool((cosines > SAME_IMAGE).any()):
            raise ValueError("The reference is this very image: Grad-CAM needs a different photo.")
        torch.autograd.grad(cosines.sum(), input_tensor)
        if not seen.gradients:
            raise ValueError("The features layer took no part in the embedding, so there is no map.")
        activations, grads = seen.activations[0].numpy(), seen.gradients[0].numpy()
        layer = self.target_layers[0]
        cam = self.get_cam_image(input_tensor, layer, targets, activations, grads, eigen_smooth)
        return np.maximum(cam, 0)
