"""The wall of forgeries as HTML: the two faces above, below them what each forger made of either."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape

from app.demo.scoreboard import mark, picture
from app.forge import FAILS, LABEL, MAGNIFIED, Tile, Wall

INTRO = (
    "Deepfake models edit a face at a stranger's wish. See what they make of a photo, and of its protected version."
)
SIDE = 256


def faces(wall: Wall) -> str:
    """The original, the protected photo as exported, and what was added."""
    shown = (
        (wall.original, "Original"),
        (wall.protected, "Protected, as exported"),
        (wall.change, f"What was added, × {MAGNIFIED}"),
    )
    figures = "".join(
        f"<figure>{picture(pixels, SIDE, words)}<figcaption>{words}</figcaption></figure>" for pixels, words in shown
    )
    return f'<div class="lv-trio">{figures}</div>'


def tiles(found: Sequence[Tile], waiting: int = 0) -> str:
    """A pair a forger, with its figures; `waiting` empty places for those still to come."""
    pairs = "".join(map(_pair, found))
    places = '<figure class="lv-forger lv-empty" aria-hidden="true"></figure>' * waiting
    key = f'<p class="lv-caption">{escape(f"{FAILS} Click a pair to compare it.")}</p>' if found else ""
    return f'<div class="lv-wall">{pairs}{places}</div>{key}'


def _pair(tile: Tile) -> str:
    two = "".join(
        f"<span>{picture(pixels, SIDE, f'{tile.title}, {tile.edit}, {when} ({LABEL})')}<small>{when}</small></span>"
        for pixels, when in ((tile.clean, "of the original"), (tile.protected, "of the protected"))
    )
    name, forger = escape(tile.title), escape(tile.forger)
    return (
        f'<figure class="lv-forger"><figcaption><b>{name}</b> <span>{escape(tile.edit)}</span></figcaption>'
        f'<button data-forger="{forger}" title="Compare what {name} made">{two}</button>'
        f"{mark(not tile.defended, tile.verdict)}{figures(tile)}</figure>"
    )


def figures(tile: Tile) -> str:
    """What was measured on a pair."""
    rows = (("L2-face", f"{tile.l2_face:.3f}"), ("ID similarity", f"{tile.similarity:.2f}"))
    return "".join(
        f'<div class="lv-line"><span>{name}</span><span></span><span class="lv-num">{value}</span></div>'
        for name, value in rows
    )


def closer(tile: Tile) -> str:
    """The heading of an enlarged pair."""
    return (
        f'<p class="lv-head">{escape(tile.title)}, {escape(tile.edit)}: {escape(tile.verdict)}</p>'
        f'<p class="lv-quiet">Left of the handle: forged from the original. Right of it: forged from the protected '
        f"photo. L2-face {tile.l2_face:.3f}, ID similarity {tile.similarity:.2f}. The forgery of the original still "
        f"resembles the original at {tile.kept:.2f}.</p>"
    )


def provenance(wall: Wall) -> str:
    """Which networks took part, to expand."""
    names = ", ".join(f"{card['id']} ({card['sha256'][:8]})" for card in wall.provenance["networks"])
    return (
        f'<details><summary class="lv-quiet">How it was made: by {escape(names)}, in {wall.seconds:.1f} s</summary>'
        f'<pre class="lv-prov">{escape(json.dumps(wall.provenance, indent=1))}</pre></details>'
    )
