"""Benchmarks: the papers' tables, measured again. Each module adds its command and returns rows."""

from __future__ import annotations

from typing import Any


def add_parser(commands: Any) -> None:
    """`bench NAME`."""
    from app.bench import (
        attack_speed,
        default_run,
        dip_watermark,
        erasable_mask,
        face_networks,
        first_look,
        forger_limits,
        forgers,
        id_guard,
        ipmn,
        panel,
        throughput,
        tip_im,
        tip_im_speed,
    )
    from app.bench.run import command, scale

    names = commands.add_parser("bench", help="measure a method").add_subparsers(
        dest="bench", required=True, metavar="NAME"
    )
    papers = (tip_im, tip_im_speed, attack_speed, dip_watermark, erasable_mask, id_guard, ipmn)
    networks = (forgers, forger_limits, face_networks)
    for module in (command, *papers, *networks, default_run, first_look, panel, throughput, scale):
        module.add_parser(names)
