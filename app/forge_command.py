"""`python -m app forge`: what the forgers make of a photo and of its protected version, as one labelled picture."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from app import forge
from app.forge import Wall
from app.photo import open_photo
from app.protect_command import person_at
from app.runtime import Runtime
from engines.files import write_whole


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("forge", help="what deepfake models make of a photo and of its protected version")
    parser.add_argument("photo", type=Path, help="the original photo")
    parser.add_argument("protected", type=Path, help="the file that a protection made of it")
    parser.add_argument("--edit", default=forge.USUAL, choices=forge.ALL_EDITS)
    parser.add_argument("--forger", action="append", metavar="ID", help="one of them (without it: all)")
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
    *_, wall = forge.build(runtime, person, protected, args.edit, args.forger or ())
    assert isinstance(wall, Wall)
    write_whole(args.out, forge.encoded(wall))
    return {**wall.as_dict(), "out": str(args.out)}
