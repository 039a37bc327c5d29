"""A model of FRBench as a recogniser: aligned by the template of its own settings, differentiable to our pixels."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.checkpoints import Checkpoint, CheckpointError, locate, stamped
from engines.face import ARCFACE_POINTS, Template


class FrbenchRecogniser:
    """One of FRBench's models: crops of its own template in [0, 1] in, unit rows out."""

    pressed = False

    def __init__(self, card: Checkpoint, device: str = "cpu"):
        """Fetches the weights where they are not there; CheckpointError in one sentence where that fails."""
        locate(card)
        import frbench  # seconds: only once there is something to load

        self.card, self.device, self.thresholds = stamped(card), device, card.thresholds
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
