"""DiffFace's ID-conditional DDPM as the registry knows it: network, schedule, cut of a face, and its recogniser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from engines.checkpoints import Checkpoint, CheckpointError, checkpoint, here, load_state, registry, stamped
from engines.ddim import Schedule
from engines.face import CELEBA128, Template, celeba, feather, ffhq, retarget, sample, similarity
from engines.nets.diffusion import RELEASE, SMALL, DiffusionUNet, Sizes
from engines.once import Once, frozen, trained
from engines.recognise import Recogniser, load
from engines.tensors import fill

SIDE = CELEBA128.size


@dataclass(frozen=True)
class Kind:
    """What a network's name in the registry stands for; `identity` is the id of the recogniser that it listens to."""

    sizes: Sizes
    schedule: Callable[[], Schedule]
    cut: Callable[[int], Template]
    identity: str


KINDS = {
    "diffface": Kind(RELEASE, Schedule.linear, ffhq, "diffface-arcface"),
    "diffface-small": Kind(SMALL, Schedule.cosine, celeba, "sface"),
}
"""That the release was trained on faces cut as FFHQ's is said in the notes of a fork (harry2141985/DiffFace); its own
do not say."""


class DiffFace:
    """A network of `kind`, frozen, on a device.

    CheckpointError where its card is not trained, which only the tests and the training itself allow.
    """

    def __init__(
        self,
        card: Checkpoint,
        net: Any,
        kind: Kind,
        identity: Recogniser,
        device: str = "cpu",
        allow_untrained: bool = False,
    ):
        if card.state != "trained" and not allow_untrained:
            raise CheckpointError(f"{card.id} is not trained, so it makes no face: choose a trained checkpoint.")
        self.card, self.device, self.identity = card, device, identity
        self.schedule, self.cut, self.side = kind.schedule(), kind.cut, kind.sizes.side
        self.net: Any = frozen(net, device)

    def listen(self, face: Tensor) -> Tensor:
        """v_id of a face (1, 3, 128, 128) in [0, 1], cut as CELEBA128: a unit row (1, D), without gradient."""
        with torch.no_grad():
            seen = retarget(face, CELEBA128, self.identity.template)
            return self.identity.embed(seen).to(self.device)

    def noise(self, noisy: Tensor, time: int, identity: Tensor) -> Tensor:
        """ε̂ of x_t (N, 3, side, side) around [-1, 1]; differentiable."""
        times = torch.full((len(noisy),), time, device=noisy.device)
        return self.net(noisy, times, identity)[:, :3]

    def shrunk(self, maps: Tensor) -> Tensor:
        """(1, C, 128, 128), cut as CELEBA128 -> (1, C, side, side) as the network cuts faces."""
        return _resized(retarget(maps, CELEBA128, self.cut(max(self.side, SIDE))), self.side)

    def enlarged(self, maps: Tensor) -> Tensor:
        """The way back, (1, C, side, side) -> (1, C, 128, 128); differentiable."""
        return retarget(_resized(maps, SIDE), self.cut(SIDE), CELEBA128)

    def reach(self) -> Tensor:
        """How much of each pixel of a CELEBA128 crop the network draws: (1, 1, 128, 128), 0 beyond its own cut."""
        if self.cut(SIDE) == CELEBA128:
            return torch.ones(1, 1, SIDE, SIDE)
        matrix = similarity(CELEBA128.tensor(), self.cut(SIDE).tensor())
        return sample(feather(SIDE), matrix, (SIDE, SIDE), padding="zeros")


def _resized(maps: Tensor, side: int) -> Tensor:
    if maps.shape[-1] == side:
        return maps
    return F.interpolate(maps, size=(side, side), mode="bicubic", antialias=True, align_corners=False)


def from_state(card: Checkpoint, state: dict[str, Tensor]) -> DiffusionUNet:
    """The U-Net of a card's tensors; CheckpointError where name or shape of one of them is another's."""
    if card.network not in KINDS:
        raise CheckpointError(f"The network {card.network!r} of {card.id} is unknown: use one of {', '.join(KINDS)}.")
    with torch.device("meta"):  # half a billion numbers need not be drawn to be written over
        net = DiffusionUNet(KINDS[card.network].sizes)
    net.to_empty(device="cpu")
    fill(net, state)
    return net


def _diffface(id: str, device: str) -> DiffFace:
    card = trained(id, "diffusion")
    net = from_state(card, load_state(card))
    kind = KINDS[card.network]
    return DiffFace(stamped(card), net, kind, load(kind.identity, device), device)


diffface = Once(_diffface)
"""The network of a registry id; CheckpointError where it, or the recogniser that it listens to, is not to be had."""


def available() -> tuple[str, ...]:
    """Ids of the trained networks that are on this computer together with the recogniser that they listen to."""
    found = [card for card in registry().values() if card.kind == "diffusion" and card.network in KINDS]
    ready = [card for card in found if card.state == "trained" and here(card)]
    return tuple(card.id for card in ready if here(checkpoint(KINDS[card.network].identity)))
