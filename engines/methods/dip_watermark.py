"""DIP-Watermark (Zhang et al.): one pass hides a 50-bit identity in a face and leads recognisers to another person.

The paper's encoder knows one target, seen in training (Eq. 6); this one was trained towards each of TARGETS.
The identity comes as `Scene.message`, 50 bits; `engines/identity.py` makes them of a number and a key.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from engines.checkpoints import Checkpoint, checkpoint, load_state, stamped
from engines.face import ARCFACE112, Template
from engines.method import Budget, MethodError, Reading, Scene, Snapshot
from engines.nets.dip import TARGETS
from engines.nets.watermark import NETWORKS
from engines.once import Once, frozen, trained
from engines.params import Params, knob
from engines.tensors import fill, misfit

PAPER = "Zhang et al., DIP-Watermark: A Double Identity Protection Method Based on Robust Adversarial Watermark"


class DipParams(Params):
    strength: float = knob(
        0.95,
        ge=0.25,
        le=2,
        step=0.05,
        symbol="s",
        label="Strength",
        published=False,
        help="The encoder's change times this. More hides better, reads better, and shows more.",
    )
    target: Literal["Virtual face", "Grace Hopper", "Eileen Collins"] = knob(
        "Grace Hopper",
        label="Target",
        published=False,
        help="Whom recognisers should see: one of those that the encoder was trained towards.",
    )


@dataclass(frozen=True)
class Pair:
    """An encoder and its decoder on a device, with the card of their file."""

    card: Checkpoint
    encoder: torch.nn.Module
    decoder: torch.nn.Module


def _pair(id: str, device: str) -> Pair:
    """Raises CheckpointError where the file is missing, damaged, of another network, or not trained."""
    card = trained(id, "watermark")
    if card.network not in NETWORKS:
        raise misfit(f"{card.network!r} is no watermark")
    state, nets = load_state(card), NETWORKS[card.network].build()
    for part, net in zip(("encoder.", "decoder."), nets, strict=True):
        fill(net, {name.removeprefix(part): value for name, value in state.items() if name.startswith(part)})
    return Pair(stamped(card), *(frozen(net, device) for net in nets))


pair = Once(_pair)


class DipWatermark:
    id, title = "dip-watermark", "DIP-Watermark"
    summary = "Recognisers see someone else, and yet whoever holds the key can read whose photo it is."
    caveat: ClassVar[str] = (
        "DIP-Watermark makes recognisers take the face for {target}; its paper does not promise that they stop "
        "matching you."
    )
    paper: ClassVar[str] = PAPER
    template: ClassVar[Template] = ARCFACE112
    needs: ClassVar[frozenset[str]] = frozenset({"message"})
    Params: ClassVar[type[Params]] = DipParams
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "Natural": {"strength": 0.75},
        "Balanced": {},
        "Strong": {"strength": 1.4},
    }
    checkpoint: ClassVar[str] = "dip-watermark"
    sure: ClassVar[float] = 0.95  # mean confidence of the bits above which a face looks marked, under whatever key

    @property
    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """The encoder's card."""
        return (stamped(checkpoint(self.checkpoint)),)

    @property
    def attacked_in_training(self) -> tuple[str, ...]:
        """Ids of the recognisers that it was trained against: never its judges."""
        return tuple(checkpoint(self.checkpoint).trained_against)

    def budget(self, params: DipParams, pixels: Tensor) -> Budget | None:
        """None: how visible the mark is comes from λ_inv and the strength, not from a ball."""
        return None

    def aim(self, params: DipParams) -> str:
        """The name of the built-in face that recognisers should see."""
        return params.target

    def protect(
        self, pixels: Tensor, params: DipParams, scene: Scene, generator: torch.Generator
    ) -> Iterator[Snapshot]:
        """x̂ = x + s (E(x, w) - x), Eq. 1: (B, 3, 112, 112) -> one snapshot of the same shape."""
        names = DipParams.model_fields["target"].annotation.__args__  # type: ignore[union-attr]
        encoder = pair(self.checkpoint, str(pixels.device)).encoder
        target = torch.zeros(len(pixels), len(TARGETS), device=pixels.device)
        target[:, names.index(params.target)] = 1
        assert scene.message is not None
        with torch.inference_mode():
            change = encoder.change(pixels, scene.message.to(pixels).expand(len(pixels), -1), target)  # type: ignore
        yield Snapshot((pixels + params.strength * change).clone(), 1, 1)

    def read(self, pixels: Tensor) -> Reading:
        """ŵ = D(x̂), Eq. 2: (N, 3, 112, 112) in [0, 1] -> logits (N, 50)."""
        if pixels.ndim != 4 or pixels.shape[1:] != (3, self.template.size, self.template.size):
            raise MethodError(f"A mark is read from crops (N, 3, 112, 112), not {tuple(pixels.shape)}.")
        with torch.inference_mode():
            return Reading(pair(self.checkpoint, str(pixels.device)).decoder(pixels).float().cpu())
