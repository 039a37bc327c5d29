"""Which part of a face each pixel shows, by the bundled parser."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engines.checkpoints import load_state
from engines.nets.parser import Parser
from engines.once import Once, frozen, trained
from engines.tensors import fill


def _parser(id: str, device: str) -> nn.Module:
    net = Parser()
    fill(net, load_state(trained(id, "parser")))
    return frozen(net, device)


parser = Once(_parser)


@torch.no_grad()
def parts(pixels: Tensor) -> Tensor:
    """Faces (N, 3, 128, 128) in [0, 1], cut as CELEBA128 -> the number of each pixel's class: (N, 128, 128)."""
    return parser("parser", str(pixels.device))(pixels).argmax(1)
