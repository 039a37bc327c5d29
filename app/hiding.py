"""What a protected file hides: how it came about, and what its owner gets back from the very file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from app.erased import Carried, compared
from app.photo import Photo
from app.pictures import eight_bit, to_array
from app.runtime import Runtime
from engines import measure
from engines.face import FaceCrop
from engines.frame import framed, place


@dataclass(frozen=True)
class Hidden:
    """`pictures`: the head as uint8 (h, w, 3), by name; `figures` of the method; PSNR in dB and SSIM in the frame."""

    pictures: tuple[tuple[str, np.ndarray], ...]
    figures: dict[str, float]
    psnr: float
    ssim: float
    carried: tuple[Carried, ...]

    @property
    def sentence(self) -> str:
        """What the owner gets."""
        read = "; ".join(f"its watermark in the {one.source}: {one.words}" for one in self.carried)
        return f"The owner gets the hidden face back at {self.psnr:.1f} dB; {read}."

    def as_dict(self) -> dict[str, Any]:
        """JSON-able; no pixels."""
        marks = [one.as_dict() for one in self.carried]
        return {"restored_psnr": self.psnr, "restored_ssim": self.ssim, "watermark": marks, **self.figures}


def hidden(
    runtime: Runtime,
    method: Any,
    crop: FaceCrop,
    exported: Photo,
    shown: tuple[tuple[str, np.ndarray], ...],
    figures: dict[str, float],
    watermark: Tensor | None,
) -> Hidden:
    """Take the mask off the exported file again, by the method's own restorer, and compare with the frame `crop`."""
    pixels = framed(exported.pixels, *place(crop), crop.template.tensor()).pixels
    back = method.erase(pixels.to(runtime.device), method.restorers[0]).cpu()
    read = method.carried(pixels.to(runtime.device), method.restorers[0])
    return Hidden(
        (*shown, ("Restored", to_array(eight_bit(back)))),
        figures,
        float(measure.psnr(back, crop.pixels)),
        float(measure.ssim(back, crop.pixels)),
        tuple(compared(source, found.cpu(), watermark) for source, found in read.items()),
    )
