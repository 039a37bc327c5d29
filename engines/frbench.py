"""FRBench's zoo (package `frbench`) as a provider of recognisers, where the package is installed.

Each model of its list is a checkpoint `frbench-KEY`, for example `frbench-irse-50_arcface_ms1m`, as soon as
the list is here (`weights pull frbench`). The list is read without the package, whose import takes
seconds. FRBench fetches its archives from its own releases and checks their SHA-256 itself; the SHA-256
that a run is stamped with is that of the weights inside.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

from engines.checkpoints import Checkpoint, CheckpointError, write_whole
from engines.hub_errors import Unreachable, with_stand_in
from engines.watched import Report

PREFIX = "frbench-"
DETECTORS = "retinaface_"  # the models of the list that are no recognisers
DEFAULTS = {"cache": "~/.frbench", "release": "weights-v1.0.0"}  # FRBench's own
PATIENCE = 9.0  # seconds without a new byte


def installed() -> bool:
    """Whether the package is there; nothing of it is imported."""
    return importlib.util.find_spec("frbench") is not None


def stamp() -> object:
    """Changes whenever `cards` may change; None while there are none."""
    return _stamp() if installed() else None


def cards() -> dict[str, Checkpoint]:
    """A card for every model of the list; none where FRBench is not installed or its list is not here.

    Never asks the network: `refresh` fetches the list.
    """
    if stamp() is None:
        return {}
    keys = {key: key.rsplit("_", 2) for key in sorted(_assets()) if not key.startswith(DETECTORS)}
    return {PREFIX + key: _card(key, *parts) for key, parts in keys.items() if len(parts) == 3}


def refresh() -> int:
    """Fetch FRBench's list of models; returns how many there are. CheckpointError in one sentence.

    The list that is here is replaced by a whole one or not at all.
    """
    with tempfile.TemporaryDirectory() as name:
        said = "FRBench's list of models could not be fetched: check the connection."
        _apart("frbench.refresh_manifest()", Path(name), said)
        data = (Path(name) / "manifest.json").read_bytes()
    _list().parent.mkdir(parents=True, exist_ok=True)
    write_whole(_list(), data)
    return len(cards())


def fetch(card: Checkpoint, report: Report | None = None) -> None:
    """Fetch a model's files where they are not here; CheckpointError in one sentence once nothing moves.

    `report(done, total)` hears of the bytes of its archive.
    """
    if installed() and _whole(card):
        return
    said = with_stand_in(card, f"{card.id} could not be fetched from FRBench: check the connection")
    size = _assets().get(card.file, {}).get("size")
    _apart(f"frbench.download_assets([{card.file!r}])", _folder(), said, report, size)


def weight_file(card: Checkpoint) -> Path:
    """The weights of a model that is here; CheckpointError where they are not."""
    _need()
    if not _whole(card):
        raise CheckpointError(f"{card.id} is not here: fetch it with python -m app weights pull {card.id}.")
    entry = _assets()[card.file]
    return _folder() / entry["target_name"] / entry["contents"]["weight"]


def _whole(card: Checkpoint) -> bool:
    entry = _assets().get(card.file)
    return entry is not None and all(
        (_folder() / entry["target_name"] / name).is_file() for name in entry["contents"].values()
    )


def _need() -> None:
    if not installed():
        raise CheckpointError("The package frbench is not installed: pip install frbench.")


def _setting(name: str) -> str:
    """A setting of FRBench, as it finds it itself: the environment, its file of settings, its default."""
    file = os.environ.get("FRBENCH_CONFIG", "~/.frbench/config.json")
    try:
        kept = json.loads(Path(os.path.expandvars(file)).expanduser().read_text())
    except (OSError, ValueError):
        kept = {}
    kept = kept.get(name) if isinstance(kept, dict) else None
    return str(os.environ.get(f"FRBENCH_{name.upper()}") or kept or DEFAULTS[name])


def _folder() -> Path:
    return Path(os.path.expandvars(_setting("cache"))).expanduser()


def _list() -> Path:
    return _folder() / "manifest.json"


def _stamp() -> tuple[Path, int, int] | None:
    path = _list()
    try:
        return path, path.stat().st_mtime_ns, path.stat().st_size
    except OSError:
        return None


def _assets() -> dict[str, Any]:
    """The entries of the list that can be used; none where it is not here, or damaged."""
    found = _stamp()
    return _read(found) if found else {}


@lru_cache(maxsize=1)
def _read(stamp: tuple[Path, int, int]) -> dict[str, Any]:
    try:
        found = json.loads(stamp[0].read_text())
    except (OSError, ValueError):
        return {}
    return {key: entry for key, entry in found.items() if _usable(entry)} if isinstance(found, dict) else {}


def _usable(entry: Any) -> bool:
    contents = entry.get("contents") if isinstance(entry, dict) else None
    return isinstance(contents, dict) and "weight" in contents and "target_name" in entry


def _card(key: str, backbone: str, loss: str, data: str) -> Checkpoint:
    size = _assets()[key].get("size")
    return Checkpoint(
        id=PREFIX + key,
        title=f"{backbone} {loss}, {data} (FRBench)",
        kind="recogniser",
        role="surrogate",
        source="frbench",
        network=PREFIX + key,
        repo="frbench",
        revision=_setting("release"),
        file=key,
        sha256="",
        bytes=0,
        licence="MIT (code); weights as FRBench releases them",
        paper=f"FRBench: {backbone}, {loss}",
        trained_on=data,
        state="trained",
        about=f"{size / 1e6:.0f} MB" if isinstance(size, int) else "",
    )


def _apart(call: str, folder: Path, said: str, report: Report | None = None, total: int | None = None) -> None:
    """Run a download of FRBench into `folder` in a process of its own, which can be ended: its sockets wait forever.

    Raises Unreachable(`said`) where it fails or brings no byte for PATIENCE seconds.
    """
    _need()
    if os.environ.get("LARVATUS_OFFLINE") == "1":
        raise Unreachable(said.replace("check the connection", "offline mode is on"))
    code = f"import frbench; frbench.configure(verbose=False, update_check=False); print(flush=True); {call}"
    environment = {**os.environ, "FRBENCH_CACHE": str(folder)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    before = _bytes_in(folder)
    with subprocess.Popen([sys.executable, "-c", code], env=environment, **pipes) as work:  # type: ignore[call-overload]
        try:
            work.stdout.readline()  # imported: from here on only the network can keep it waiting
            _watch(work, folder, before, report, total)
        finally:
            work.kill()
    if work.returncode != 0:
        raise Unreachable(said)


def _watch(work: subprocess.Popen, folder: Path, before: int, report: Report | None, total: int | None) -> None:
    """Return once it has ended, or brought nothing for PATIENCE seconds."""
    moved, size = time.monotonic(), before
    while work.poll() is None and time.monotonic() - moved < PATIENCE:
        time.sleep(0.1)
        if (now := _bytes_in(folder)) != size:
            moved, size = time.monotonic(), now
            if report and 0 < now - before <= (total or now):
                report(now - before, total)


def _bytes_in(folder: Path) -> int:
    found = 0
    for path in folder.rglob("*"):
        try:
            found += path.stat().st_size
        except OSError:  # FRBench has just moved or removed it
            continue
    return found
