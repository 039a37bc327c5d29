"""VGG_k of IPMN's perceptual loss (Yang et al., Eq. 13)."""

from __future__ import annotations

from typing import Any

from engines.checkpoints import load_state
from engines.nets import compact
from engines.once import frozen, trained
from engines.train.ipmn_losses import Network


def vgg(device: str = "cpu") -> Network:
    """The middle maps of the bundled VGG-like recogniser, for faces (N, 3, S, S) in [0, 1].

    The paper names neither the VGG nor the layer, and ImageNet's is not at hand; this one has seen faces alone.
    Raises CheckpointError where its file is missing.
    """
    card = trained("compact-vgg", "recogniser")
    features: Any = compact.from_state(card.network, load_state(card)).features
    body = frozen(features.net, device)
    return lambda pixels: body.stages[1](body.stages[0](body.stem(2 * pixels - 1)))  # type: ignore[index, operator]
