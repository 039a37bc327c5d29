"""`python -m app weights`: the registry of networks; each group of actions is a module of its own."""

from __future__ import annotations

import argparse
from typing import Any

from app import weights_card, weights_hub, weights_measure
from engines.checkpoints import REGISTRY, Checkpoint, checkpoint, registry


def add_parser(commands: Any) -> None:
    """`weights list`, `weights show ID`, and what the other modules add."""
    actions = commands.add_parser("weights", help="networks: where they come from, what they can do")
    actions = actions.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="every network of the registry").set_defaults(func=run_list)
    show = actions.add_parser("show", help="one network in full")
    show.add_argument("id")
    show.set_defaults(func=lambda args: {"rows": [as_row(checkpoint(args.id))], "provenance": {}})
    weights_measure.add_actions(actions)
    weights_card.add_actions(actions)
    weights_hub.add_actions(actions)


def as_row(card: Checkpoint) -> dict[str, Any]:
    """What `weights list --json` gives for a checkpoint."""
    limits = {f"threshold at FAR {far:g}": limit for far, limit in card.thresholds.items()}
    return {
        "id": card.id,
        "kind": card.kind,
        "role": card.role,
        "source": card.source,
        "bytes": card.bytes,
        "sha256": card.sha256,
        "trained": card.state == "trained",
        "licence": card.licence,
        "figures": {**card.figures, **limits},
    }


def run_list(args: argparse.Namespace) -> dict[str, Any]:
    """Every checkpoint, read from the registry."""
    return {"rows": [as_row(card) for card in registry().values()], "provenance": {"registry": REGISTRY.name}}
