"""`python -m app targets`: the built-in faces as aligned crops, for the recipes that train towards them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from PIL import Image

from app import gallery
from app.pictures import to_array
from app.runtime import Runtime
from engines.face import ARCFACE112, align
from engines.nets.dip import TARGETS

NAMES = dict(zip(TARGETS, (gallery.VIRTUAL, gallery.HOPPER, gallery.COLLINS), strict=True))


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("targets", help="write the built-in faces as aligned 112-pixel crops, for training")
    parser.add_argument("--out", type=Path, required=True, help="folder")
    parser.set_defaults(func=run_targets)


def run_targets(args: argparse.Namespace) -> dict[str, Any]:
    """One PNG a target."""
    runtime = Runtime()
    args.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for target, name in NAMES.items():
        person = gallery.person(runtime, name)
        crop = align(person.photo.pixels, person.landmarks, ARCFACE112).pixels
        path = args.out / f"{target}.png"
        Image.fromarray(to_array((crop * 255).round().byte())).save(path)
        rows.append({"target": target, "name": name, "file": path.name, "credit": gallery.CREDITS[name]})
    return {"rows": rows, "provenance": {"template": ARCFACE112.name}}
