"""Bundled forgers, attribute classifier and face parser: from a finished training to an entry, and to a card."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from app import weights_file
from app.bundle import bundle as put_together
from app.bundle import log_of, training
from engines.checkpoints import Checkpoint, CheckpointError, checkpoint
from engines.nets import forgers
from engines.nets.attributes import AttributeNet
from engines.nets.parser import Parser
from engines.tensors import fill

PAPERS = {
    "stargan": ("StarGAN", "Choi et al., StarGAN, CVPR 2018, reduced"),
    "attentiongan": ("AttentionGAN", "Tang et al., AttentionGAN, TNNLS 2021, reduced"),
    "fpgan": ("Fixed-Point GAN", "Rahman Siddiquee et al., Fixed-Point GAN, ICCV 2019, reduced"),
    "relgan": ("RelGAN", "Wu et al., RelGAN, ICCV 2019, reduced"),
    "hisd": ("HiSD", "Li et al., HiSD, CVPR 2021, reduced"),
    "attributes": ("Attribute classifier", "a residual network (He et al., CVPR 2016), reduced"),
    "parser": ("Face parser", "U-Net (Ronneberger et al., MICCAI 2015), reduced"),
}
NETS: dict[str, Callable[[], Any]] = {"attributes": AttributeNet, "parser": Parser}
RECIPES = {"attributes": "attributes", "parser": "parser"}  # else forgers ID
TRAINED_ON = {
    "parser": "CelebAMask-HQ, 898 faces",
    "attributes": "CelebA, 20,000 faces of 4,000 identities",
}
COMMANDS = {"attributes": "bench attributes", "parser": "bench parser"}  # else bench forgers


def bundle(id: str, run: Path) -> dict[str, Any]:
    """A training's network, bundled without figures yet."""
    state, log = training(run)
    if log.get("id") != id:
        raise CheckpointError(f"The training in {run.name} is of {log.get('id')}, not of {id}.")
    state = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    if id in NETS:
        fill(NETS[id](), state)
    else:
        forgers.from_state(id, state)
    title, paper = PAPERS[id]
    about = {
        "title": title,
        "kind": id if id in NETS else "forger",
        "role": "tool" if id in NETS else "forger",
        "network": id,
        "paper": paper,
        "trained_on": TRAINED_ON.get(id, TRAINED_ON["attributes"]),
    }
    file = put_together(id, run, state, log, about)
    return {"id": id, "bytes": file.stat().st_size, "sha256": checkpoint(id).sha256, "done": log["done"]}


def keep(id: str, figures: dict[str, Any]) -> None:
    """Write a network's figures, their `command` among them, into its entry."""

    def edit(text: Any) -> None:
        weights_file.put(text[id], "figures", figures, whole=True)

    weights_file.change(edit)


def card_text(card: Checkpoint) -> str:
    """The model card: data, recipe, command, seconds, figures, samples, limits, licence."""
    if "command" not in card.figures:
        command = COMMANDS.get(card.id, "bench forgers")
        raise CheckpointError(f"{card.id} has no figures yet: run `python -m app {command} --data DIR --keep` first.")
    log = log_of(card.id)
    return "\n\n".join([_head(card), _origin(card, log), _figures(card), _curve(log), _limits(card)]) + "\n"


def _head(card: Checkpoint) -> str:
    what = {
        "forger": "A deepfake model that edits a face, bundled to show what protections do to it",
        "attributes": "Says which of CelebA's forty attributes a face shows",
        "parser": "Names the part of the face at each pixel (19 classes of CelebAMask-HQ)",
    }[card.kind]
    return (
        f"# {card.id}: {card.title}\n\n{what} ({card.paper}).\n"
        "Input: faces cut as the 178 x 178 centre of aligned CelebA, 128x128, RGB in [0, 1].\n"
        f"File: `weights/bundled/{card.file}`, {card.bytes:,} bytes, fp16 safetensors, SHA-256 `{card.sha256}`."
    )


def _origin(card: Checkpoint, log: dict[str, Any]) -> str:
    recipe = log["recipe"]
    module = f"engines.train.{RECIPES[card.id]}" if card.id in RECIPES else f"engines.train.forgers {card.id}"
    units = ("epochs", recipe["epochs"]) if "epochs" in recipe else ("steps", recipe["steps"])
    more = ", ".join(f"{name} {value}" for name, value in recipe.items() if name != units[0])
    note = f"; {log['seconds_note']}" if "seconds_note" in log else ""
    return (
        "## Data and recipe\n\n"
        f"- Data: {card.trained_on}. The people it is measured on were never trained on.\n"
        f"- Command: `python -m {module} --data DIR --out run --{units[0]} {units[1]}`; {more}.{_taught(log)}\n"
        f"- Took {log['seconds']:,} s on {'one CPU core' if log['device'] == 'cpu' else 'one GPU'}, "
        f"for {log['done']:,} of {units[1]:,} {units[0]}{note}."
    )


def _taught(log: dict[str, Any]) -> str:
    if log.get("taught_from") is None:
        return ""
    return (
        f" With `--teacher` from step {log['taught_from']:,} on: a classifier trained before "
        "(`engines.train.teacher`), not the one that measures."
    )


def _figures(card: Checkpoint) -> str:
    found = dict(card.figures)
    source = f"Measured on {found.pop('data')}, by `{found.pop('command')}`."
    if card.kind == "forger":
        rows = [
            f"| {edit} | {found['agrees'][edit]:.1%} | {found['identity'][edit]:.3f} | {found['outside'][edit]:.4f} |"
            for edit in found["agrees"]
        ]
        head = "| edit | classifier agrees | identity kept (cosine) | L1 outside the edit |\n|---|---|---|---|\n"
        words = (
            "An edit counts when the attribute classifier, which took no part in training, agrees in at least 70 % "
            "of the faces. Identity: cosine of forged and original for a judge, mean. L1: mean absolute change in "
            f"[0, 1] of pixels that the edit has no business with.\n\n{head}" + "\n".join(rows)
        )
        return f"## Figures\n\n{source} {words}\n\n![32 samples: the face, and an edit under it]({card.id}.jpg)"
    rows = [f"| {name} | {value:.4f} |" for name, value in found.items()]
    return f"## Figures\n\n{source}\n\n| Figure | Value |\n|---|---|\n" + "\n".join(rows)


def _curve(log: dict[str, Any]) -> str:
    history = log["history"]
    names = list(history[-1])
    every = max(1, len(history) // 8)
    rows = [row for i, row in enumerate(history) if i % every == every - 1 or i == len(history) - 1]
    lines = "\n".join(
        "| " + " | ".join(f"{row[name]:g}" if name in row else "" for name in names) + " |" for row in rows
    )
    return f"## Training curve\n\n| {' | '.join(names)} |\n|{'---|' * len(names)}\n{lines}"


def _limits(card: Checkpoint) -> str:
    return (
        "## Limits\n\n"
        "Small, and trained briefly on aligned faces of celebrities, mostly young and light-skinned; figures were "
        "not measured by group. CelebA's labels are one annotator's impression, gender among them as a yes or no. "
        + ("Not for making pictures of people who did not agree.\n\n" if card.kind == "forger" else "\n\n")
        + f"## Licence\n\n{card.licence[0].upper() + card.licence[1:]}. The code of the recipe is Apache-2.0."
    )
