"""FRBench's zoo (package `frbench`) as recognisers of this project, where the package is installed.

Each of its models is listed as `frbench-KEY`, for example `frbench-irse-50_arcface_ms1m`, aligned by the
template of its own configuration and differentiable down to our pixels. FRBench fetches its weights
from its own releases and checks their SHA-256 itself.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.checkpoints import Checkpoint, CheckpointError
from engines.face import ARCFACE_POINTS, Template

PREFIX = "frbench-"
PATIENCE = 10.0  # seconds without a new byte


def installed() -> bool:
    """Whether the package is there; nothing of it is imported."""
    return importlib.util.find_spec("frbench") is not None


def cards() -> dict[str, Checkpoint]:
    """A card for every model that FRBench lists; none where it is not installed or its list is not here yet.

    Never asks the network: `refresh` fetches the list.
    """
    if not installed() or not (_folder() / "manifest.json").is_file():
        return {}
    import frbench

    try:
        models = frbench.list_models()
    except (frbench.FRBenchError, OSError, ValueError):
        return {}
    return {PREFIX + model.key: _card(model) for model in models}


def refresh() -> int:
    """Fetch FRBench's list of models; returns how many there are. CheckpointError in one sentence."""
    if not installed():
        raise CheckpointError("The package frbench is not installed: pip install frbench.")
    _apart("frbench.refresh_manifest()", "its list of models")
    return len(cards())


def here(card: Checkpoint) -> bool:
    """Whether a model's files are on this computer."""
    import frbench.utils.download as store

    entry = store._asset_entries(store._load_manifest()).get(card.file) if card.id in cards() else None
    return entry is not None and store._asset_cached(entry)


def fetch(card: Checkpoint) -> None:
    """Fetch a model's files where they are not here; CheckpointError in one sentence once nothing moves."""
    if not here(card):
        _apart(f"frbench.download_assets([{card.file!r}])", card.file)


def _folder() -> Path:
    import frbench

    return Path(frbench.CACHE)


def _apart(call: str, what: str) -> None:
    """Run a download of FRBench in a process of its own: its sockets have no timeout, a process can be ended."""
    if os.environ.get("LARVATUS_OFFLINE") == "1":
        raise CheckpointError(f"FRBench could not fetch {what} offline: use a bundled recogniser, or go online.")
    code = f"import frbench; frbench.configure(verbose=False, update_check=False); {call}"
    work = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    moved, size = time.monotonic(), -1
    while work.poll() is None:
        time.sleep(0.2)
        now = _bytes_in(_folder())
        if now != size:
            moved, size = time.monotonic(), now
        if time.monotonic() - moved > PATIENCE:
            work.kill()
    if work.wait() != 0:
        raise CheckpointError(f"FRBench could not fetch {what}: check the connection, or use a bundled recogniser.")


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0


def _card(model: Any) -> Checkpoint:
    import frbench

    return Checkpoint(
        id=PREFIX + model.key,
        title=f"{model.backbone} {model.loss} (FRBench)",
        kind="recogniser",
        role="surrogate",
        source="frbench",
        network=PREFIX + model.key,
        repo="frbench",
        revision=frbench.RELEASE,
        file=model.key,
        sha256="",
        bytes=0,
        licence="MIT (code); weights as FRBench releases them",
        paper=f"FRBench: {model.backbone}, {model.loss}",
        trained_on=model.dataset,
        state="trained",
    )


class FrbenchRecogniser:
    """One of FRBench's models: crops of its own template in [0, 1] in, unit rows out."""

    def __init__(self, card: Checkpoint, device: str = "cpu"):
        """Fetches the weights where they are not there; CheckpointError in one sentence where that fails."""
        import frbench

        fetch(card)
        self.card, self.device, self.thresholds = card, device, card.thresholds
        try:
            with frbench.configure_scoped(verbose=False, update_check=False):
                fr = frbench.FR(*card.file.rsplit("_", 2), eager_load=True)
        except Exception:  # a broken file ends in whatever its reader raises
            advice = "delete them and pull it again"
            raise CheckpointError(f"FRBench's files of {card.file} cannot be read: {advice}.") from None
        self._fr = fr.to(device).eval().requires_grad_(False)
        self.template = _template(self._fr)
        self.features_layer = _last_maps(self._fr.backbone, self.template.size)
        self.nbytes = sum(tensor.nbytes for tensor in (*self._fr.parameters(), *self._fr.buffers()))

    def raw(self, pixels: Tensor) -> Tensor:
        """(N, 3, S, S) in [0, 1] -> embeddings (N, D) as the network gives them; differentiable."""
        # Our crop is already aligned: FRBench only normalises it. Its mirrored second pass is off, as for every
        # other recogniser here.
        return self._fr(pixels.to(self.device) * 255, need_crop=False, tta=()).embeddings

    def embed(self, pixels: Tensor) -> Tensor:
        """(N, 3, S, S) in [0, 1] -> unit rows (N, D); differentiable."""
        return F.normalize(self.raw(pixels), dim=1)


def _template(fr: Any) -> Template:
    """The five points and the side of the model's own crop."""
    side = int(fr.input_size[0])
    points = fr.preprocessor.template
    pairs = ARCFACE_POINTS if points is None else tuple((float(x), float(y)) for x, y in points)
    return Template(f"frbench{side}", side, pairs)


@torch.no_grad()
def _last_maps(net: nn.Module, side: int) -> nn.Module:
    """The deepest layer whose output is maps of at least 5x5: what Grad-CAM reads."""
    found: list[nn.Module] = []

    def listen(layer: nn.Module, _: Any, out: Any) -> None:
        if isinstance(out, Tensor) and out.ndim == 4 and min(out.shape[-2:]) >= 5:
            found.append(layer)

    hooks = [layer.register_forward_hook(listen) for layer in net.modules() if not list(layer.children())]
    try:
        net(torch.zeros(1, 3, side, side, device=next(net.parameters()).device))
    finally:
        for hook in hooks:
            hook.remove()
    if not found:
        raise CheckpointError("This model of FRBench has no maps that Grad-CAM could read: choose another.")
    return found[-1]
