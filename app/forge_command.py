"""`python -m app forge`: what the forgers make of a photo and of its protected version, as one labelled picture."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch

from app import forge
from app import photo as photos
from app.forge import Wall
from app.photo import open_photo
from app.protect_command import person_at
from app.runtime import Runtime
from engines.edits import EDITS, STYLES
from engines.manipulate import FORGERS

CONSENT = "Forge only faces of people who agreed."


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("forge", help="what deepfake models make of a photo and of its protected version")
    parser.add_argument("photo", type=Path, help="the original photo")
    parser.add_argument("protected", type=Path, help="the file that a protection made of it")
    parser.add_argument("--edit", default="blond hair", choices=list(dict.fromkeys((*EDITS, *STYLES))))
    parser.add_argument("--forger", action="append", choices=FORGERS, help="one of them (without it: all)")
    parser.add_argument("--face", type=int, default=1, help="which face, 1 being the largest")
    parser.add_argument("--out", type=Path, required=True, help="where to write the wall: .png")
    parser.set_defaults(func=run_forge)


def run_forge(args: argparse.Namespace) -> dict[str, Any]:
    """Forge, write the wall, return the report."""
    if args.out.suffix.lower() != ".png":
        raise ValueError("The output must end in .png.")
    if not args.out.resolve().parent.is_dir():
        raise ValueError(f"There is no folder {args.out.parent}: create it first.")
    runtime = Runtime()
    person, protected = person_at(runtime, args.photo, index=args.face - 1), open_photo(args.protected)
    *_, wall = forge.build(runtime, person, protected, args.edit, args.forger or FORGERS)
    assert isinstance(wall, Wall)
    settings = {"larvatus": 1, "forged": [tile.as_dict() for tile in wall.tiles], "provenance": wall.provenance}
    args.out.write_bytes(photos.encode(picture(wall), "PNG", 100, settings))
    rows = [{**tile.as_dict(), "verdict": tile.verdict} for tile in wall.tiles]
    notes = [wall.verdict, CONSENT]
    return {
        "rows": rows,
        "provenance": wall.provenance,
        "notes": notes,
        "seconds": wall.seconds,
        "out": str(args.out),
    }


def picture(wall: Wall) -> torch.Tensor:
    """The wall as one picture, uint8 (1, 3, H, W): clean forgeries above, those of the protected photo below."""
    side = wall.tiles[0].clean.shape[0]
    rows = []
    clean, protected = zip(*((tile.clean, tile.protected) for tile in wall.tiles), strict=True)
    for first, tiles in ((wall.original, clean), (wall.protected, protected)):
        whole = np.repeat(np.repeat(first, side // len(first), 0), side // len(first), 1)
        rows.append(np.concatenate([whole, *tiles], 1))
    return torch.from_numpy(np.concatenate(rows, 0)).permute(2, 0, 1)[None].contiguous()
