"""What is in a file of weights: safetensors, or a pickle of which nothing but tensors is ever unpickled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

PICKLES = {".pt", ".pth", ".bin", ".ckpt", ".pkl"}
WRAPPERS = ("state_dict", "model", "net", "backbone", "gen_test", "G")  # where releases keep the tensors


class CheckpointError(ValueError):
    """A checkpoint that cannot be used, as one sentence that says what to do."""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name, half precision as float32, on the CPU.

    Of a pickle, a dict under one of WRAPPERS is unwrapped, "module." (of DataParallel) taken off the
    names, and what is no tensor left out. The caller has checked the SHA-256 of a pickle.
    Raises CheckpointError where the file is damaged or holds anything else.
    """
    if path.suffix in PICKLES:
        state = _unpickled(path)
    else:
        try:
            state = load_file(path)
        except (SafetensorError, OSError):
            raise CheckpointError(f"{path.name} is not a whole safetensors file: get it again.") from None
    return {name: value.float() if _half(value) else value for name, value in state.items()}


def fill(net: nn.Module, state: dict[str, Tensor]) -> None:
    """Load a state dict; CheckpointError names the first tensor that is missing, too many, or of another shape.

    Only BatchNorm's counters (num_batches_tracked) may be missing: nothing reads them after training.
    """
    own = net.state_dict()
    missing = [name for name in own if name not in state and not name.endswith("num_batches_tracked")]
    for names, how in ((missing, "is missing"), ([name for name in state if name not in own], "is not part of it")):
        if names:
            raise misfit(f"{names[0]} {how}")
    for name, value in state.items():
        if value.shape != own[name].shape:
            raise misfit(f"{name} is {tuple(value.shape)} instead of {tuple(own[name].shape)}")
    net.load_state_dict(state, strict=False)


def misfit(how: str) -> CheckpointError:
    """What to say of tensors that do not fit an architecture."""
    return CheckpointError(
        f"These weights are of another network ({how}): correct its entry's network, or convert its release anew."
    )


def _half(value: Tensor) -> bool:
    return value.dtype in (torch.float16, torch.bfloat16)


def _unpickled(path: Path) -> dict[str, Tensor]:
    try:
        found: Any = torch.load(path, weights_only=True, map_location="cpu")
    except Exception:  # a damaged archive shows itself in many ways, code in the pickle as UnpicklingError
        raise CheckpointError(
            f"{path.name} is damaged or holds more than tensors, so it is not opened: get the plain weights."
        ) from None
    while isinstance(found, dict) and (inner := [found[k] for k in WRAPPERS if isinstance(found.get(k), dict)]):
        found = inner[0]
    found = found.items() if isinstance(found, dict) else ()
    state = {str(name).removeprefix("module."): value.detach() for name, value in found if isinstance(value, Tensor)}
    if not state:
        raise CheckpointError(f"There are no tensors in {path.name}: it needs a state dict.")
    return state
