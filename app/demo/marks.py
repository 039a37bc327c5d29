"""What a mark says, as HTML: the sentence, and its 50 bits with how sure the decoder is of each."""

from __future__ import annotations

from html import escape

from app.reveal import Found


def reading(found: Found) -> str:
    """The verdict and the bits; a pale bit is an unsure one."""
    return f'<p class="lv-said">{escape(found.verdict)}</p>{bits(found)}'


def bits(found: Found) -> str:
    """The bits as cells, in tens."""
    cells = "".join(
        f'<i style="opacity:{0.25 + 1.5 * (sure - 0.5):.2f}" title="bit {i + 1}: {bit}, {sure:.0%} sure">{bit}</i>'
        for i, (bit, sure) in enumerate(zip(found.bits, found.confidence, strict=True))
    )
    mean = sum(found.confidence) / len(found.confidence)
    words = f"The {len(found.bits)} bits as they were read; the paler, the less sure. On average {mean:.0%} sure."
    return f'<div class="lv-bits" role="img" aria-label="{"".join(map(str, found.bits))}">{cells}</div>' + (
        f'<p class="lv-caption">{words}</p>'
    )
