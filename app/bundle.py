"""Bundled networks: a finished training becomes a file, a log beside its card, and an entry of the registry."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save
from torch import Tensor

from app import weights_file
from engines.checkpoints import CheckpointError, registry_file, sha256_of, write_whole

LICENCE = "non-commercial research only (terms of CelebA)"


def bundled() -> Path:
    """Where bundled networks lie."""
    return registry_file().parent / "bundled"


def cards() -> Path:
    """Where their cards and training logs lie."""
    return registry_file().parent / "cards"


def weights(run: Path) -> dict[str, Tensor]:
    """The tensors that a training leaves for use."""
    return load_file(run / "weights.safetensors")


def training(run: Path, read: Callable[[Path], Any] = weights) -> tuple[Any, dict[str, Any]]:
    """What `read` finds in a training's folder, and its log; CheckpointError where it is not whole."""
    try:
        return read(run), json.loads((run / "log.json").read_text())
    except Exception:  # missing, or damaged, which shows itself in many ways
        raise CheckpointError(f"There is no whole training in {run.name}: give the recipe's --out folder.") from None


def log_of(id: str) -> dict[str, Any]:
    """The training's log of a bundled network; CheckpointError where it is missing."""
    try:
        return json.loads((cards() / f"{id}.json").read_text())
    except (OSError, ValueError):
        raise CheckpointError(f"The training log of {id} is missing: restore weights/cards/{id}.json.") from None


def bundle(id: str, run: Path, state: Mapping[str, Tensor], log: Mapping[str, Any], about: Mapping[str, Any]) -> Path:
    """Write fp16 safetensors, the log, and an entry `about` them without figures yet. Raises CheckpointError."""
    if not all(bool(tensor.isfinite().all()) for tensor in state.values()):
        raise CheckpointError(f"The network in {run.name} holds numbers beyond fp16: train it with a lower rate.")
    file, data = bundled() / f"{id}.safetensors", save(dict(state))
    for folder in (bundled(), cards()):
        folder.mkdir(parents=True, exist_ok=True)
    write_whole(file, data)
    write_whole(cards() / f"{id}.json", (json.dumps(log, indent=1) + "\n").encode())
    made = {"file": file.name, "sha256": sha256_of(data), "bytes": len(data), "licence": LICENCE, "state": "trained"}
    entry = {"source": "bundled", "repo": "", "revision": "", **about, **made}
    weights_file.change(lambda text: weights_file.add(text, id, entry))
    return file
