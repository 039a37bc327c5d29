"""Where networks come from: `weights/registry.toml`, files checked by SHA-256, a cache of conversions.

A file rides in an installed package (`pip`, read without importing the package), lies on the
Hugging Face Hub at a pinned revision (`hub`, see `engines/hub.py`), in `weights/bundled`
(`bundled`), in `weights/local` or anywhere (`local`), or is one of FRBench's (`frbench`, see
`engines/frbench.py`), whose models are listed without an entry in the file. Safetensors are read where they
lie. Any other format is converted once; the tensors are kept in the user's cache with a SHA-256 of
their own that every later load checks.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from engines.files import sha256_of, sha256_of_file, write_whole
from engines.nets import dlib_resnet, sface
from engines.tensors import PICKLES, CheckpointError, read_tensors
from engines.watched import Report

REGISTRY = Path(__file__).resolve().parents[1] / "weights" / "registry.toml"
CONVERTERS: dict[str, Callable[[Path], dict[str, Tensor]]] = {
    "sface": sface.convert,
    "dlib-resnet": dlib_resnet.convert,
}
CONVERSION = 1  # raise it when a converter changes, so that caches are made again


@dataclass(frozen=True)
class Checkpoint:
    """One entry of the registry; its cosine `thresholds` are keyed by false-acceptance rate."""

    id: str
    title: str
    kind: str
    role: str  # "surrogate" or "judge"
    source: str  # "pip", "hub", "bundled", "local" or "frbench"
    network: str
    repo: str  # package or Hub repository
    revision: str  # package version or 40-hex commit
    file: str
    sha256: str  # "" where it is not known beforehand: the Hub's own is then locked at the first download
    bytes: int  # 0 where it is not known to the byte; `about` then says the size in words
    licence: str
    paper: str
    trained_on: str
    state: str  # "trained" or "untrained"
    about: str = ""
    stands_in_for: str = ""  # the id of the entry whose very file this one also carries
    euclidean: float | None = None  # the distance below which this network's users call it a match
    threshold_data: str = ""
    thresholds: dict[float, float] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    size: int = 128  # of a forger: pixels a side of the faces that it was trained on
    trained_against: tuple[str, ...] = ()  # ids of the recognisers that a method's network was trained to deceive


def registry_file() -> Path:
    """The registry: LARVATUS_REGISTRY, or the project's own; `bundled` and `local` files lie in folders beside it."""
    return Path(os.environ.get("LARVATUS_REGISTRY") or REGISTRY)


def registry(path: Path | None = None) -> dict[str, Checkpoint]:
    """Every checkpoint by id: the file's in its order, then those that FRBench lists and the file does not.

    CheckpointError names an entry that cannot be trusted.
    """
    from engines import frbench

    found = {}
    for id, entry in tomllib.loads((path or registry_file()).read_text()).items():
        entry["trained_against"] = tuple(entry.get("trained_against", ()))
        thresholds = {float(far): value for far, value in entry.pop("thresholds", {}).items()}
        try:
            found[id] = Checkpoint(id=id, thresholds=thresholds, **entry)
        except TypeError as error:
            raise CheckpointError(f"The entry {id} of the registry cannot be read ({error}): correct it.") from None
        _check(found[id])
    return found | {id: card for id, card in frbench.cards().items() if id not in found}


def _check(card: Checkpoint) -> None:
    if card.source != "hub":
        return
    if not re.fullmatch("[0-9a-f]{40}", card.revision):
        raise CheckpointError(f"The entry {card.id} is not pinned: its revision must be a commit of 40 hex digits.")
    if Path(card.file).suffix in PICKLES and not card.sha256:
        raise CheckpointError(f"The entry {card.id} is a pickle without sha256: pin its SHA-256, or use safetensors.")


@lru_cache(maxsize=4)
def _parsed(path: Path, stamp: tuple[int, int], listed: object) -> dict[str, Checkpoint]:
    return registry(path)


def checkpoint(id: str) -> Checkpoint:
    """One entry of the registry as it is on disk now; CheckpointError names the known ones."""
    from engines import frbench

    path = registry_file()
    known = _parsed(path, (path.stat().st_mtime_ns, path.stat().st_size), frbench.stamp())
    if id not in known:
        raise CheckpointError(f"There is no checkpoint called {id!r}: choose from {', '.join(known)}.")
    return known[id]


def stand_in(card: Checkpoint, known: dict[str, Checkpoint] | None = None, role: str | None = None) -> str | None:
    """The id of a network that needs no download and can be used instead of `card`, or None.

    The one whose file it carries; else the first trained bundled one of its kind and of `role`
    (without it, of the card's own); else the first of that role in a package.
    """
    known = registry() if known is None else known
    twin = known.get(card.stands_in_for)
    if twin and twin.source in ("pip", "bundled"):
        return twin.id
    others = [other for other in known.values() if other.id != card.id and other.role == (role or card.role)]
    for other in others:
        if other.source == "bundled" and other.kind == card.kind and other.state == "trained":
            return other.id
    return next((other.id for other in others if other.source == "pip" and other.kind == card.kind), None)


def here(card: Checkpoint) -> bool:
    """Whether its file is on this computer, so that no network is needed. Cheap: nothing is hashed; never raises."""
    from engines import hub

    try:
        return bool(hub.kept(card)) if card.source == "hub" else _carrier(card).is_file()
    except Exception:  # a broken installation, a folder that cannot be read: not here
        return False


def locate(card: Checkpoint, report: Report | None = None) -> Path:
    """The file, fetched where need be and its SHA-256 checked; CheckpointError says how to get it.

    `report(done, total)` hears of the bytes of a download.
    """
    if card.source == "hub":
        from engines import hub

        return hub.fetch(card, report)
    if card.source == "frbench":
        from engines import frbench

        frbench.fetch(card, report)
    path = _carrier(card)
    if card.sha256 and sha256_of_file(path) != card.sha256:
        raise CheckpointError(f"The file of {card.id} is not the pinned one (its SHA-256 differs): install it again.")
    return path


def _carrier(card: Checkpoint) -> Path:
    if card.source == "pip":
        return _in_package(card)
    if card.source == "frbench":
        from engines import frbench

        return frbench.weight_file(card)
    path = registry_file().parent / card.source / card.file  # of a local file given in full, only that is left
    if not path.is_file():
        advice = "convert its release with python -m app weights convert" if card.source == "local" else "restore it"
        raise CheckpointError(f"The file of {card.id} is missing from weights/{card.source}: {advice}.")
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


def cache_folder() -> Path:
    """Where downloads and conversions are kept: LARVATUS_CACHE, or `larvatus` in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("LARVATUS_CACHE") or Path(base) / "larvatus")


def locked_sha256(card: Checkpoint) -> str | None:
    """The SHA-256 that the Hub gave when this file was first downloaded, or None before that."""
    from engines import hub

    return hub.locks().get(hub.lock_key(card))


def stamped(card: Checkpoint) -> Checkpoint:
    """The card with the SHA-256 of its file, which must be here: the registry's, the Hub's, or the file's own."""
    return card if card.sha256 else replace(card, sha256=locked_sha256(card) or sha256_of_file(locate(card)))


def load_state(card: Checkpoint, report: Report | None = None) -> dict[str, Tensor]:
    """The network's tensors, by its converter where it has one, else as `read_tensors` gives them.

    Safetensors are read where they lie; the conversion of anything else is cached, and counts only
    while it has the SHA-256 that was noted when it was written.
    """
    suffix = Path(card.file).suffix
    if suffix == ".safetensors":
        return _converted(card, report)
    if suffix in PICKLES and not card.sha256:
        raise CheckpointError(f"{card.id} is a pickle without sha256: pin its SHA-256, or use safetensors.")
    source = card.sha256 or locked_sha256(card) or ""
    stem = cache_folder() / f"{card.id}-{source[:16]}-{CONVERSION}"
    cached = _read_cache(stem, source) if source else None
    if cached is not None:
        return cached
    state = _converted(card, report)
    if source:
        _write_cache(stem, source, state)
    return state


def _converted(card: Checkpoint, report: Report | None) -> dict[str, Tensor]:
    return CONVERTERS.get(card.network, read_tensors)(locate(card, report))


def _write_cache(stem: Path, source: str, state: dict[str, Tensor]) -> None:
    data = save_tensors(state)
    try:
        stem.parent.mkdir(parents=True, exist_ok=True)
        write_whole(stem.with_suffix(".safetensors"), data)
        note = {"source": source, "sha256": sha256_of(data)}
        write_whole(stem.with_suffix(".json"), json.dumps(note).encode())
    except OSError:
        pass  # a full or read-only disk only costs the conversion again


def _read_cache(stem: Path, source: str) -> dict[str, Tensor] | None:
    try:
        note = json.loads(stem.with_suffix(".json").read_text())
        data = stem.with_suffix(".safetensors").read_bytes()
        whole = note["source"] == source and note["sha256"] == sha256_of(data)
        return load_tensors(data) if whole else None
    except (OSError, ValueError, KeyError, TypeError, SafetensorError):
        return None
