"""`weights bundle` and `weights card`: a finished training becomes a bundled network with a model card.

A card is written by the program from the registry and the training's log, so that no figure on it was
typed; a test fails when a card and the registry differ.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch

from app import weights_face, weights_guard, weights_ipmn, weights_mask, weights_watermark
from app.bundle import bundle, cards, log_of, training
from app.weights_measure import CORRELATE, FARS
from engines.checkpoints import (
    Checkpoint,
    CheckpointError,
    checkpoint,
    registry,
    write_whole,
)
from engines.nets.compact import FAMILIES, from_state
from engines.train.recogniser import RECIPES, TEACHER_DATA

OTHERS = (weights_watermark, weights_face, weights_guard, weights_mask, weights_ipmn)
JUDGES = ("compact-edgenext", "compact-inception")


def add_actions(actions: Any) -> None:
    """`weights bundle ID --run FOLDER`, `weights card [ID]`."""
    bundle = actions.add_parser("bundle", help="put a training's result into weights/bundled and the registry")
    bundle.add_argument("id", choices=[*FAMILIES, *(id for other in OTHERS for id in other.PAPERS)])
    bundle.add_argument("--run", type=Path, required=True, help="the training's --out folder")
    bundle.set_defaults(func=run_bundle)
    card = actions.add_parser("card", help="write the model card of bundled networks from the registry")
    card.add_argument("id", nargs="*", help="the networks (none: all that are bundled)")
    card.set_defaults(func=run_card)


def run_bundle(args: argparse.Namespace) -> dict[str, Any]:
    """fp16 safetensors, the log beside the cards, and a registry entry without figures yet."""
    for other in OTHERS:
        if args.id in other.PAPERS:
            return {"rows": [other.bundle(args.id, args.run)]}
    kept, log = training(args.run, _last)
    if log.get("id") != args.id:
        raise CheckpointError(f"The training in {args.run.name} is of {log.get('id')}, not of {args.id}.")
    state = {name: _half(tensor) for name, tensor in kept["net"].items() if "num_batches_tracked" not in name}
    from_state(args.id, state)
    file = bundle(args.id, args.run, state, log, _about(args.id))
    sha256 = checkpoint(args.id).sha256
    return {"rows": [{"id": args.id, "bytes": file.stat().st_size, "sha256": sha256, "epochs": kept["done"]}]}


def _last(run: Path) -> dict[str, Any]:
    return torch.load(run / "last.pt", weights_only=True, map_location="cpu")


def _half(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to("cpu", torch.float16).contiguous()


def _about(id: str) -> dict[str, Any]:
    taught = ", ".join(TEACHER_DATA[name] for name in RECIPES[id].teachers)
    return {
        "title": FAMILIES[id].title,
        "kind": "recogniser",
        "role": "judge" if id in JUDGES else "surrogate",
        "network": id,
        "paper": FAMILIES[id].paper,
        "trained_on": f"CelebA, 4,000 identities; taught by {taught}",
    }


def run_card(args: argparse.Namespace) -> dict[str, Any]:
    """Write weights/cards/ID.md."""
    ids = args.id or [card.id for card in registry().values() if card.source == "bundled"]
    texts = {id: card_text(checkpoint(id)) for id in ids}  # all of them before the first is written
    for id, text in texts.items():
        write_whole(cards() / f"{id}.md", text.encode())
    return {"rows": [{"id": id, "card": f"weights/cards/{id}.md"} for id in ids]}


def card_text(card: Checkpoint) -> str:
    """The model card: data, recipe, command, seconds, device, figures, limits, licence."""
    if card.source != "bundled":
        raise CheckpointError(f"{card.id} is not bundled: only bundled networks have a card of ours.")
    for other in OTHERS:
        if card.id in other.PAPERS:
            return other.card_text(card)
    if "lfw_accuracy" not in card.figures:
        raise CheckpointError(f"{card.id} has no figures yet: measure it with `weights verify {card.id}` first.")
    log = log_of(card.id)
    parts = [_head(card), _origin(card, log), _figures(card), _correlation(card), _curve(log), _limits(card)]
    return "\n\n".join(parts) + "\n"


def _head(card: Checkpoint) -> str:
    role = "judge: no method may train or run against it" if card.role == "judge" else "surrogate"
    return (
        f"# {card.id}: {card.title}\n\n"
        f"A small face recogniser bundled with Larvatus. Role: {role}.\n"
        f"Input: faces aligned to the ArcFace template, 112x112, RGB in [0, 1]. Architecture: {card.paper}.\n"
        f"File: `weights/bundled/{card.file}`, {card.bytes:,} bytes, fp16 safetensors, SHA-256 `{card.sha256}`."
    )


def _origin(card: Checkpoint, log: dict[str, Any]) -> str:
    recipe, done, planned = log["recipe"], log["epochs"][-1]["epoch"], log["planned"]
    runs = [
        f"`python -m engines.train.recogniser {card.id} --bank bank --test test --out run --epochs {last}`"
        for last in (*log["starts"][1:], planned)
    ]
    return (
        "## Data and recipe\n\n"
        f"- Data: {card.trained_on}. Test identities and LFW's pictures were never trained on.\n"
        f"- Recipe: `engines/train/recogniser.py`, teachers {', '.join(recipe['teachers'])}; margin loss "
        f"{recipe['margin']}; batch {recipe['batch']}, rate {recipe['rate']:g}, seed {recipe['seed']}.\n"
        "- Commands: `python -m engines.train.face_bank --data DIR --teachers DIR --out bank` (the same with "
        f"`--split test --mixtures 0 --out test`), then {' and, to anneal again, '.join(runs)}.\n"
        f"- Took {log['seconds']:,} s on {_device(log['device'])}, for {done} of {planned} epochs."
    )


def _device(name: str) -> str:
    return "one CPU core" if name == "cpu" else "one GPU"


def _figures(card: Checkpoint) -> str:
    figures = card.figures
    rows = [f"| LFW, 10-fold accuracy | {figures['lfw_accuracy']:.2%} ± {figures['lfw_accuracy_se']:.2%} (s.e.) |"]
    for far in FARS:
        low, high = figures[f"tar_interval_{far:g}"]
        rows.append(f"| TAR at FAR {far:.1%} | {figures[f'tar_at_far_{far:g}']:.2%} ({low:.2%} to {high:.2%}) |")
        low, high = figures[f"threshold_interval_{far:g}"]
        rows.append(f"| cosine threshold at FAR {far:.1%} | {card.thresholds[far]:.4f} ({low:.4f} to {high:.4f}) |")
    table = "\n".join(["| figure | value (95 % bootstrap interval) |", "|---|---|", *rows])
    source = f"Measured on {figures['data']}, by `{figures['command']}`."
    if card.threshold_data != figures["data"]:
        source += f" The thresholds: on {card.threshold_data}, by `{figures['threshold_command']}`."
    return f"## Figures\n\n{source}\n\n{table}"


def _correlation(card: Checkpoint) -> str:
    found = card.figures.get("impostor_correlation", {})
    if not found:
        return f"## Independence\n\nNot measured yet: `{CORRELATE}`."
    rows = "\n".join(f"| {id} | {value:.3f} |" for id, value in found.items())
    return (
        "## Independence\n\nCorrelation of impostor scores with the other recognisers (Pearson, LFW's 3,000 "
        f"different pairs, by `{CORRELATE}`); 1 would be a clone.\n\n"
        f"| recogniser | correlation |\n|---|---|\n{rows}"
    )


def _curve(log: dict[str, Any]) -> str:
    line = "| {epoch} | {distil:.4f} | {margin:.2f} | {accuracy:.2%} |"
    rows = "\n".join(line.format(**row) for row in log["epochs"])
    return (
        "## Training curve\n\nDistillation loss (1 - cosine to the teachers), margin loss, and best accuracy over "
        "6,000 pairs of CelebA's test identities.\n\n"
        f"| epoch | distillation | margin | held-out |\n|---|---|---|---|\n{rows}"
    )


def _limits(card: Checkpoint) -> str:
    return (
        "## Limits\n\n"
        "Far weaker than a recogniser trained on millions of faces; a verdict of this one alone says little. CelebA "
        "shows celebrities, mostly young and light-skinned: error rates differ between groups and were not measured "
        "by group. CelebA gives no names, so people of LFW may be among those it was trained on, and among those of "
        "its teachers, though no picture of LFW was used. How long to train was decided with LFW's figures in view; "
        "the weights are those of the last epoch. Not for identifying people.\n\n"
        f"## Licence\n\n{card.licence[0].upper() + card.licence[1:]}. The code of the recipe is Apache-2.0."
    )
