"""What is wrong with the bundled networks of a registry, as lines; none where all is as it should be."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from safetensors.torch import load_file

from app.bundle import bundled, cards
from app.weights_card import card_text
from engines.checkpoints import Checkpoint, registry, sha256_of_file

EACH, MASKS, ALL = 5_000_000, 8_000_000, 60_000_000  # bytes; a file of masks holds one for each of its targets


def faults() -> list[str]:
    """Of every bundled file, of every entry of source `bundled`, and of every set of figures in the registry."""
    known, files = registry(), sorted(bundled().glob("*.safetensors"))
    entries = {card.file: card for card in known.values() if card.source == "bundled"}
    found = [f"{path.name} has no entry" for path in files if path.name not in entries]
    found += [f"{file} is missing" for file in entries if not (bundled() / file).is_file()]
    found += [fault for path in files if path.name in entries for fault in of_one(entries[path.name], known)]
    found += [f"{card.id} has figures without a command" for card in known.values() if not commanded(card)]
    if sum(path.stat().st_size for path in files) > ALL:
        found.append("all bundled files together are too large")
    return found


def commanded(card: Checkpoint) -> bool:
    """Whether its figures name the command that gives them; thresholds alone have one of their own."""
    own = {name for name in card.figures if not name.startswith(("threshold_", "correlation_", "impostor_"))}
    return not card.figures or bool(card.figures.get("command" if own else "threshold_command"))


def of_one(card: Checkpoint, known: dict[str, Checkpoint]) -> Iterator[str]:
    """What is wrong with one file, its entry and its card."""
    path, written = bundled() / card.file, cards() / f"{card.id}.md"
    if path.stat().st_size != card.bytes:
        yield f"{card.id} has another size"
    if sha256_of_file(path) != card.sha256:
        yield f"{card.id} has another SHA-256"
    if path.stat().st_size > (MASKS if card.kind == "mask" else EACH):
        yield f"{card.id} is too large"
    if any(tensor.dtype != torch.float16 for tensor in load_file(path).values()):
        yield f"{card.id} is not fp16"
    if card.kind == "recogniser":
        yield from of_recogniser(card, known)
    if not written.is_file():
        yield f"{card.id} has no card"
    elif not card.figures or written.read_text() != card_text(card):
        yield f"{card.id} has another card than its figures give"


def of_recogniser(card: Checkpoint, known: dict[str, Checkpoint]) -> Iterator[str]:
    """What is wrong with a recogniser's figures."""
    others = {c.id for c in known.values() if c.source in ("bundled", "pip") and c.kind == "recogniser"} - {card.id}
    if not others <= set(card.figures.get("impostor_correlation", {})):
        yield f"{card.id} lacks correlations"
    if "lfw_accuracy" not in card.figures:
        yield f"{card.id} has another card than its figures give"
