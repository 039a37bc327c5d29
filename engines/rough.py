"""How an attack's networks run on a GPU: in bfloat16, and compiled where asked for.

A gradient may be rough, a score may not: whoever judges asks the recogniser itself, in float32.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from engines.recognise import Recogniser


def autocast(device: torch.device) -> AbstractContextManager[None]:
    """bfloat16 where a GPU has it and LARVATUS_BF16 is not 0; elsewhere nothing changes."""
    wanted = os.environ.get("LARVATUS_BF16", "1") != "0"
    able = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted and able)


def embedder(member: Recogniser) -> Callable[[Tensor], Tensor]:
    """`member.embed`, compiled by the backend that LARVATUS_COMPILE names ("inductor"); as it is where that is unset.

    What is compiled once serves every later run against the same recogniser.
    """
    backend = os.environ.get("LARVATUS_COMPILE")
    return torch.compile(member.embed, backend=backend) if backend else member.embed
