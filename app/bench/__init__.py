"""Benchmarks: the papers' tables, measured again. Each module adds its command and returns rows."""

from __future__ import annotations

from typing import Any


def add_parser(commands: Any) -> None:
    """`bench NAME`."""
    from app.bench import default_run, dip_watermark, face_networks, forgers, id_guard, panel, tip_im, tip_im_speed

    names = commands.add_parser("bench", help="measure a method").add_subparsers(
        dest="bench", required=True, metavar="NAME"
    )
    for module in (tip_im, tip_im_speed, dip_watermark, forgers, face_networks, id_guard, default_run, panel):
        module.add_parser(names)
