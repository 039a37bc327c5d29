"""A recogniser in an ONNX file: whose embeddings a swapper in such a file was trained with."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import torch.nn.functional as F
from torch import Tensor

from engines.checkpoints import Checkpoint, CheckpointError
from engines.face import ARCFACE112, Template
from engines.onnx_network import OnnxNetwork, normalised


class Embedder(Protocol):
    """What a swapper asks of a recogniser; those of the panel (`engines.recognise.load`) have it too."""

    card: Checkpoint
    template: Template

    def embed(self, pixels: Tensor) -> Tensor:
        """(N, 3, S, S) in [0, 1] -> unit rows (N, D)."""
        ...


class OnnxRecogniser:
    """An ArcFace-like recogniser: one input (1, 3, 112, 112), one output (1, D).

    As InsightFace reads such files: where the network begins with a subtraction and a multiplication of its own it is
    given RGB from 0 to 255, else pixels normalised as `values` says, a name in `engines.onnx_network.VALUES`: signed
    for ArcFace's releases, imagenet for SimSwap's. Raises CheckpointError for any other file.
    """

    template = ARCFACE112

    def __init__(self, file: Path | Checkpoint, values: str = "signed"):
        self.net, self.values = OnnxNetwork(file), values
        self.card = self.net.card
        size = self.template.size
        wanted = (3, size, size)
        inputs, outputs = self.net.inputs, self.net.outputs
        fits = len(inputs) == 1 and inputs[0].shape[1:] == wanted and inputs[0].shape[0] in (None, 1)
        if not fits or len(outputs) != 1 or len(outputs[0].shape) != 2:
            found = ", ".join(map(str, inputs))
            raise CheckpointError(
                f"{self.net.name} is no recogniser that is known here: its inputs are {found}; it needs one picture "
                f"(1, 3, {size}, {size}), and one embedding (1, D) as its output."
            )

    def embed(self, pixels: Tensor) -> Tensor:
        """One crop (1, 3, 112, 112) in [0, 1] -> its unit row (1, D), without gradient."""
        own = {"Sub", "Mul"} <= set(self.net.begins)
        return F.normalize(self.net(255 * pixels if own else normalised(pixels, self.values)), dim=1)
