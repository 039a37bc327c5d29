"""Forgers behind one protocol: a face and an edit in, the forged face out, all in [0, 1].

A forger that takes labels is told what the face shows now and makes the edit of `engines/edits.py` of it; where
the caller gives no labels the attribute classifier reads them. A release that knows more attributes than our
five (RelGAN's has 17) is asked to leave the others alone. HiSD takes a style: of fixed noise, so that the same
face and edit give the same picture.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from engines.checkpoints import Checkpoint, CheckpointError, here, load_state, registry, stamped
from engines.edits import EDITS, LABELS, STYLES, wanted
from engines.face import CELEBA128, Template, celeba, retarget
from engines.nets.attributes import NAMES, AttributeNet
from engines.nets.forgers import BUILDERS, from_state
from engines.once import Once, frozen, trained
from engines.tensors import fill

FORGERS = ("stargan", "attentiongan", "fpgan", "relgan", "hisd")
"""Ids of the bundled ones, in the paper's order."""
_RELGAN = (
    "5_o_Clock_Shadow Bald Bangs Black_Hair Blond_Hair Brown_Hair Eyeglasses Goatee Gray_Hair Male Mustache "
    "Pale_Skin Smiling Straight_Hair Wavy_Hair Wearing_Hat Young"
)
RELEASED = {len(LABELS): LABELS, 17: tuple(_RELGAN.split())}  # attributes of a network by their number


class Forger(Protocol):
    """What every interface, bench and training knows of a forger."""

    card: Checkpoint
    template: Template
    edits: tuple[str, ...]

    def forge(self, pixels: Tensor, edit: str, labels: Tensor | None = None) -> Tensor:
        """(N, 3, S, S) in [0, 1], and (N, 5) of LABELS or None -> the forged faces, the same; differentiable."""
        ...

    def through(self, pixels: Tensor, edit: str, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The forged faces, and the maps at the network's bottleneck on the way, E_k of ID-Guard Eq. 8."""
        ...


def signed(pixels: Tensor) -> Tensor:
    """[0, 1] -> [-1, 1], the forgers' own range."""
    return 2 * pixels - 1


def unsigned(pixels: Tensor) -> Tensor:
    """[-1, 1] -> [0, 1]; what lies beyond is cut off, as a file would."""
    return ((pixels + 1) / 2).clamp(0, 1)


class LabelForger:
    """StarGAN, AttentionGAN, Fixed-Point GAN and RelGAN."""

    edits = tuple(EDITS)

    def __init__(self, card: Checkpoint, net: Any, device: str):
        self.card, self.device, self.template = card, device, celeba(card.size)
        self._net: Any = frozen(net, device)
        first = next(p for name, p in net.named_parameters() if p.ndim == 4)
        if first.shape[1] - 3 not in RELEASED:
            raise CheckpointError(f"{card.id} knows {first.shape[1] - 3} attributes: use a release with 5 or 17.")
        self._names = RELEASED[first.shape[1] - 3]

    def _asked(self, pixels: Tensor, edit: str, labels: Tensor | None) -> Tensor:
        """The label vector (N, L) that the network takes for an edit."""
        check_edit(self, edit)
        if labels is None:
            labels = shown(retarget(pixels, self.template, CELEBA128), self.device)
        now = labels.to(pixels)
        after = wanted(now, edit)
        if not self._net.relative:
            return after
        out = pixels.new_zeros(len(pixels), len(self._names))
        out[:, [self._names.index(name) for name in LABELS]] = after - now
        return out

    def forge(self, pixels: Tensor, edit: str, labels: Tensor | None = None) -> Tensor:
        """See Forger."""
        return self.through(pixels, edit, labels)[0]

    def through(self, pixels: Tensor, edit: str, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See Forger."""
        given = signed(pixels)
        maps = self._net.features(given, self._asked(pixels, edit, labels))
        return unsigned(self._net.drawn_from(maps, given)), maps


class StyleForger:
    """HiSD; it needs no labels."""

    edits = tuple(STYLES)

    def __init__(self, card: Checkpoint, net: Any, device: str):
        self.card, self.device, self.template = card, device, celeba(card.size)
        self._net: Any = frozen(net, device)

    def forge(self, pixels: Tensor, edit: str, labels: Tensor | None = None) -> Tensor:
        """See Forger."""
        return self.through(pixels, edit, labels)[0]

    def through(self, pixels: Tensor, edit: str, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See Forger; the maps are those before the edit."""
        check_edit(self, edit)
        tag, value = STYLES[edit]
        noise = torch.randn(1, self._net.sizes.noise, generator=torch.Generator().manual_seed(0))
        style = self._net.mappers[tag](noise.to(pixels), value)
        maps = self._net.features(signed(pixels))
        return unsigned(self._net.drawn_from(maps, style.expand(len(pixels), -1), tag)), maps


def in_turn(forger: Forger, pixels: Tensor, labels: Tensor, batch: int = 20) -> Tensor:
    """Each face (N, 3, S, S) in [0, 1] with one edit, the forger's edits in turn; labels (N, 5): the same shape."""
    out = torch.empty_like(pixels)
    for k, edit in enumerate(forger.edits[: len(pixels)]):
        for index in torch.arange(k, len(pixels), len(forger.edits)).split(batch):
            out[index] = forger.forge(pixels[index], edit, labels[index])
    return out


def check_edit(forger: Forger, edit: str) -> None:
    """CheckpointError names the edits that a forger makes."""
    if edit not in forger.edits:
        raise CheckpointError(f"{forger.card.title} makes no edit {edit!r}: choose {', '.join(forger.edits)}.")


def _forger(id: str, device: str) -> Forger:
    card = trained(id, "forger")
    if card.network not in BUILDERS:
        raise CheckpointError(f"The network {card.network!r} of {id} is unknown: use one of {', '.join(BUILDERS)}.")
    net = from_state(card.network, load_state(card))
    return (StyleForger if card.network == "hisd" else LabelForger)(stamped(card), net, device)


def _classifier(id: str, device: str) -> torch.nn.Module:
    net = AttributeNet()
    fill(net, load_state(trained(id, "attributes")))
    return frozen(net, device)


def available() -> tuple[str, ...]:
    """Ids of the forgers on this computer: the paper's five first, then those that somebody added to the registry."""
    found = [
        id for id, card in registry().items() if card.kind == "forger" and card.state == "trained" and here(card)
    ]
    return tuple(sorted(found, key=lambda id: FORGERS.index(id) if id in FORGERS else len(FORGERS)))


forger = Once(_forger)
classifier = Once(_classifier)


def attributes(pixels: Tensor, device: str = "cpu") -> Tensor:
    """What faces (N, 3, 128, 128) in [0, 1], cut as CELEBA128, show: (N, 40) odds in the order of NAMES."""
    with torch.inference_mode():
        return torch.sigmoid(classifier("attributes", device)(pixels.to(device))).clone()


def shown(pixels: Tensor, device: str = "cpu") -> Tensor:
    """The labels (N, 5) of LABELS, 0 or 1, that faces show; of the hair colours at most the likeliest."""
    odds = attributes(pixels.detach(), device)[:, [NAMES.index(name) for name in LABELS]]
    found = (odds > 0.5).float()
    best = torch.nn.functional.one_hot(odds[:, :3].argmax(1), 3)
    found[:, :3] *= best
    return found
