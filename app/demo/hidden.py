"""What a protected file hides, in a row: the mask, the marked mask, the file, the face that comes back."""

from __future__ import annotations

from html import escape

from app.demo import eraser, scoreboard
from app.hiding import Hidden

CAPTIONS = {
    "Mask": "The other face, put on",
    "Watermarked mask": "With the model's watermark in it",
    "Masked photo": "With your own face hidden in it: what you download",
    "Restored": "What comes back from the downloaded file",
}


def pictures(found: Hidden) -> str:
    """The row, its figures, and the watermarks that were read."""
    figures = "".join(
        f"<figure>{scoreboard.picture(pixels, 256, CAPTIONS.get(name, name))}"
        f"<figcaption>{escape(CAPTIONS.get(name, name))}</figcaption></figure>"
        for name, pixels in found.pictures
    )
    energy = found.figures.get("lost matrix")
    lost = (
        ""
        if energy is None
        else f" Energy of the lost matrix: {energy:.2f}; the random one that stands in for it has 1."
    )
    line = f"Restored against the original: PSNR {found.psnr:.1f} dB, SSIM {found.ssim:.2f} (1 is identical).{lost}"
    return f'<div class="lv-trio">{figures}</div><p class="lv-caption">{line}</p>{eraser.marks(found.carried)}'
