"""HiDDeN as the maker of IPMN's carriers, which the paper compares with H and R (Sec. 4.3.2; Tables 8 and 9).

HiDDeN (Zhu et al., ECCV 2018) hides a string of bits where H hides a picture, and is fused with the networks that put
the mask on and take it off. Encoder and decoder are those of `engines/nets/watermark.py`, as wide as R, which at the
paper's sizes is HiDDeN's own 64. Simplified: 3 and 5 blocks instead of 4 and 8, which learned more in as many steps;
the discriminator is IPMN's.
"""

from __future__ import annotations

from torch import Tensor

from engines.nets.ipmn import SMALL, Ipmn, Sizes
from engines.nets.layout import channels_last
from engines.nets.watermark import HiddenDecoder, HiddenEncoder

BITS = 30  # L, HiDDeN's for pictures of 128 pixels a side


class Hidden(Ipmn):
    """HiDDeN and f of one checkpoint; in place of a picture w are bits (N, L), each 0 or 1."""

    def __init__(self, sizes: Sizes = SMALL, bits: int = BITS):
        super().__init__(sizes)
        self.embedder = HiddenEncoder(bits, sizes.extractor)  # type: ignore[assignment]
        self.extractor = HiddenDecoder(bits, sizes.extractor)  # type: ignore[assignment]
        channels_last(self)

    def marked(self, mask: Tensor, watermark: Tensor) -> Tensor:
        """x_wm, the mask x_m (N, 3, S, S) in [0, 1] with bits (N, L) in it: the same shape, in [0, 1]."""
        return self.embedder(mask, watermark)

    def extract(self, pixels: Tensor) -> Tensor:
        """The bits that a picture (N, 3, S, S) in [0, 1] carries: (N, L) about 0 or 1, not bounded; see `read`."""
        return self.extractor(pixels).float()


def read(found: Tensor) -> Tensor:
    """Bits, 0 or 1, of what `Hidden.extract` gave, (N, L): HiDDeN clips to [0, 1] and rounds.

    Such strings are compared as watermarks are (`engines.marks.nc`), so that SR_E means the same: extracted is what
    has NC > 0.95, which of 30 bits with 15 ones leaves one wrong. A string by chance has NC 0.5, or half its bits.
    """
    return (found > 0.5).float()
