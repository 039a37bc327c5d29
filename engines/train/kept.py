"""What a training keeps in its folder: all that it needs to go on, its weights in half precision, and its log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from engines.train import processes

LAST = "last.pt"


def read(folder: Path, device: str) -> dict[str, Any] | None:
    """The last whole checkpoint, or None before the first."""
    path = Path(folder) / LAST
    return torch.load(path, weights_only=True, map_location=device) if path.is_file() else None


def write(folder: Path, state: Mapping[str, Any], weights: Mapping[str, Tensor], log: Mapping[str, Any]) -> None:
    """`last.pt` whole or not at all, then `weights.safetensors` (what is floating point, as fp16) and `log.json`.

    Of several processes the first writes.
    """
    if not processes.first():
        return
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(dict(state), folder / "last.part")
    (folder / "last.part").replace(folder / LAST)
    kept = {name: value for name, value in weights.items() if value.is_floating_point()}
    save_file({name: value.half().cpu().contiguous() for name, value in kept.items()}, folder / "weights.safetensors")
    (folder / "log.json").write_text(json.dumps(dict(log), indent=1))
