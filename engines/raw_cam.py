"""grad-cam's Grad-CAM over a recogniser: its hooks, weights and sum, but raw maps and untouched parameters.

A module of its own, since grad-cam brings scikit-learn along, seconds at a start.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from pytorch_grad_cam import GradCAM
from torch import Tensor, nn

SAME_IMAGE = 0.9999  # cosine above which the reference is the image itself


class Embedder(Protocol):
    """The part of a recogniser that Grad-CAM needs."""

    @property
    def features_layer(self) -> nn.Module:
        """The last convolutional layer, which gives (N, C, h, w)."""
        ...

    def embed(self, pixels: Tensor) -> Tensor:
        """(N, 3, S, S) in [0, 1] -> unit rows (N, D), with a graph."""
        ...


class EmbeddingNetwork(nn.Module):
    """A recogniser as the module that grad-cam asks for; it registers no part of it, so it changes none."""

    def __init__(self, recogniser: Embedder, device: torch.device):
        super().__init__()
        self._recogniser = (recogniser,)  # in a tuple: a module would be registered, and set to eval()
        # grad-cam reads the device off the first parameter.
        self.anchor = nn.Parameter(torch.empty(0, device=device), requires_grad=False)

    def forward(self, pixels: Tensor) -> Tensor:
        return self._recogniser[0].embed(pixels)


class RawCAM(GradCAM):
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
