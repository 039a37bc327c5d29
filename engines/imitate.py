"""Imitators of IPMN: stealing models SM that learned a bundled service from its answers (Yang et al., Eq. 9).

A demonstration: the service that each of them stole carried a watermark, which R then reads in what they draw
themselves. They lie in the method's own file, each beside the watermark of the service that it stole.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engines.checkpoints import CheckpointError, load_state
from engines.nets.stealing import THIEVES, Thief, thief
from engines.once import Once, frozen, trained
from engines.tensors import fill

TITLES = {"cnet": "CNet", "res9": "Res9", "res16": "Res16", "unet": "UNet"}


@dataclass(frozen=True)
class Imitator:
    """One of them: `kind` as in THIEVES, and the watermark (1, 3, T, T) of the service that it stole."""

    kind: str
    net: Thief
    watermark: Tensor

    @property
    def title(self) -> str:
        """The paper's name of its kind."""
        return TITLES[self.kind]

    def imitate(self, protected: Tensor, replacing: Tensor) -> Tensor:
        """x_sm = SM(x_p, x_r): crops (N, 3, 128, 128) in [0, 1], as CELEBA128 -> the same, in steps of 1/255."""
        with torch.inference_mode():
            return ((self.net(protected, replacing) * 255).round() / 255).clone()


def _imitators(id: str, device: str) -> dict[str, Imitator]:
    state = load_state(trained(id, "invertible"))
    found = {}
    for kind in THIEVES:
        own = {name: value for name, value in state.items() if name.startswith(f"thief.{kind}.")}
        if own:
            found[kind] = _filled(kind, {name.removeprefix(f"thief.{kind}."): own[name] for name in own}, device)
    if not found:
        raise CheckpointError(f"{id} comes without imitators: bundle it with the thieves that were trained.")
    return found


def _filled(kind: str, state: dict[str, Tensor], device: str) -> Imitator:
    mark = state.pop("watermark")
    first = next(value for name, value in state.items() if name.endswith("weight"))
    net = thief(kind, first.shape[0] // (2 if kind == "cnet" else 1))
    fill(net, state)
    return Imitator(kind, frozen(net, device), mark.to(device))  # type: ignore[arg-type]


imitators = Once(_imitators)
