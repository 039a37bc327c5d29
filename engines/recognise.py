"""Face recognisers behind one protocol: crops in [0, 1] of their own template in, unit rows out."""

from __future__ import annotations

from typing import Protocol

import torch.nn.functional as F
from torch import Tensor, nn

from engines.architectures import ARCHITECTURES, Architecture
from engines.checkpoints import Checkpoint, CheckpointError, checkpoint, load_state, registry, stamped
from engines.face import Template
from engines.nets.layout import channels_last
from engines.once import nbytes
from engines.pressed import halved
from engines.tensors import misfit


class Recogniser(Protocol):
    """What every interface and method knows of a recogniser."""

    card: Checkpoint
    template: Template
    thresholds: dict[float, float]
    features_layer: nn.Module
    nbytes: int  # of memory that the network takes
    pressed: bool  # a batch did not fit into the GPU's memory and was halved; who reads it may set it back

    def raw(self, pixels: Tensor) -> Tensor:
        """(N, 3, S, S) in [0, 1] -> embeddings (N, D) as the network gives them."""
        ...

    def embed(self, pixels: Tensor) -> Tensor:
        """(N, 3, S, S) in [0, 1] -> unit rows (N, D); differentiable."""
        ...


class FaceNetwork:
    """A network of the registry, frozen, on a device. An untrained one is refused outside the tests."""

    pressed = False

    def __init__(
        self,
        card: Checkpoint,
        net: nn.Module,
        architecture: Architecture,
        device: str = "cpu",
        allow_untrained: bool = False,
    ):
        if card.state != "trained" and not allow_untrained:
            raise CheckpointError(
                f"{card.id} is not trained, so its scores would mean nothing: choose a trained recogniser."
            )
        self.card, self.template, self.device = card, architecture.template, device
        self.thresholds = card.thresholds
        self._net = net.to(device).eval().requires_grad_(False)
        if device.startswith("cuda"):
            channels_last(self._net)
        self._scale, self._offset = architecture.scale, architecture.offset
        self.features_layer = architecture.features(self._net)
        self.nbytes = nbytes(self._net)

    def raw(self, pixels: Tensor) -> Tensor:
        """(N, 3, S, S) in [0, 1] -> embeddings (N, D) as the network gives them; differentiable."""
        return halved(self._raw, pixels, self._press)

    def _raw(self, pixels: Tensor) -> Tensor:
        return self._net(pixels.to(self.device) * self._scale + self._offset)

    def _press(self) -> None:
        self.pressed = True

    def embed(self, pixels: Tensor) -> Tensor:
        """(N, 3, S, S) in [0, 1] -> unit rows (N, D); differentiable."""
        return F.normalize(self.raw(pixels), dim=1)


def load(id: str, device: str = "cpu") -> Recogniser:
    """The recogniser of a registry id, its card with the SHA-256 of its file; CheckpointError in one sentence.

    Where the carrier of `id` is missing, an entry that stands in for it (the same file from
    another source) is used, under the name of `id`.
    """
    card = checkpoint(id)
    if card.kind != "recogniser":
        raise CheckpointError(f"{id} is not a recogniser: choose one of kind recogniser.")
    if card.source == "frbench":
        from engines.frbench_network import FrbenchRecogniser

        return FrbenchRecogniser(card, device)
    if card.network not in ARCHITECTURES:
        raise CheckpointError(
            f"The network {card.network!r} of {id} is unknown: use one of {', '.join(ARCHITECTURES)}."
        )
    net = _built(card)
    return FaceNetwork(stamped(card), net, ARCHITECTURES[card.network], device)


def _built(card: Checkpoint) -> nn.Module:
    """The network of the card's tensors; CheckpointError where they are of another architecture."""
    state = _state(card)
    try:
        return ARCHITECTURES[card.network].build(state)
    except CheckpointError:
        raise
    except (RuntimeError, LookupError, ValueError, TypeError):  # a builder reads its sizes off the tensors
        raise misfit(f"{card.id} is no {card.network}") from None


def _state(card: Checkpoint) -> dict[str, Tensor]:
    try:
        return load_state(card)
    except CheckpointError:
        for other in registry().values():
            if other.stands_in_for == card.id and other.sha256 == card.sha256:
                try:
                    return load_state(other)
                except CheckpointError:
                    continue
        raise
