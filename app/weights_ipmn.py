"""Bundled invertible mask networks: trainings become files, a benchmark their figures, both a model card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from app import weights_file
from app.bundle import bundle as put_together
from app.bundle import log_of, training
from engines.checkpoints import Checkpoint, CheckpointError, checkpoint
from engines.methods.ipmn import sizes_of
from engines.train import kept
from engines.train.ipmn_marks import drawn_marks
from engines.train.ipmn_recipe import PHASES

PAPERS = {"ipmn": "Yang et al., IPMN, 2025, reduced", "ipmn-imn": "Yang et al., IMN, 2023, reduced"}
TITLES = {"ipmn": "IPMN", "ipmn-imn": "IMN, IPMN without watermark"}
COMMANDED = (*PHASES, "batch", "mark", "thieves")  # of a recipe, said by the command itself
COMMAND = "python -m app bench ipmn --data DIR"
MASKS = (
    "`python -m engines.train.ipmn_masks --data DIR --split train --out MASKS`",
    "`python -m engines.train.ipmn_masks --data DIR --split test --count 500 --out HELD_OUT`",
)


def bundle(id: str, run: Path) -> dict[str, Any]:
    """The training in `run`/own and every thief in `run`/thief-KIND, or IMN's in `run`/imn; without figures yet.

    The trainings in `run` that a training was taken from are told of too.
    """
    name = "own" if id == "ipmn" else "imn"
    state, _ = training(run / name)
    sizes_of(state)
    logs = _told(run, name)
    if id == "ipmn":
        for folder in (run / name, *sorted(run.glob("thief-*"))):
            part, logs[folder.name] = training(folder, _thieves)
            state |= part
    else:
        state = {name: value for name, value in state.items() if name.startswith("invertible.")}
    about = {
        "title": TITLES[id],
        "kind": "invertible",
        "role": "method" if id == "ipmn" else "baseline",
        "network": "ipmn",
        "paper": PAPERS[id],
        "trained_on": "CelebA, 4,000 training faces, each with the face of another of them put on",
    }
    file = put_together(id, run, state, {"parts": logs}, about)
    return {"id": id, "bytes": file.stat().st_size, "sha256": checkpoint(id).sha256}


def _told(run: Path, name: str) -> dict[str, Any]:
    """The log of a training, after those of the trainings that it was taken from."""
    _, log = training(run / name)
    before = [_told(run, taken) for taken in log["taken"]]
    return {key: value for logs in (*before, {name: log}) for key, value in logs.items()}


def _thieves(folder: Path) -> dict[str, Tensor]:
    """The stealing models of a training, each with the watermark of the service that it stole."""
    found = kept.read(folder, "cpu")
    assert found is not None
    kinds, side = found["stealing"], found["sizes"]["side"]
    marks = drawn_marks(len(kinds), side, np.random.default_rng(found["seed"]))
    out = {}
    for i, kind in enumerate(kinds):
        own = {name.split(".", 1)[1]: value for name, value in found["thieves"].items() if name.startswith(f"{i}.")}
        own["watermark"] = marks[i : i + 1]
        out |= {f"thief.{kind}.{name}": value.half().contiguous() for name, value in own.items()}
    return out


def keep(found: dict[str, Any]) -> None:
    """Write the figures of a benchmark into the registry's entries."""

    def edit(text: Any) -> None:
        for id in PAPERS:
            if id in text and (values := figures_of(found, TITLES[id].split(",")[0])):
                weights_file.put(text[id], "figures", values, whole=True)

    weights_file.change(edit)


def figures_of(found: dict[str, Any], method: str) -> dict[str, Any]:
    """An entry's figures from a benchmark's rows: by table and row; {} where it measured nothing of this method."""
    out: dict[str, Any] = {}
    for row in found["rows"]:
        if row["method"] == method:
            values = {name: round(value, 4) for name, value in row.items() if isinstance(value, float)}
            out.setdefault(row["table"], {})[row["row"]] = values
    made = found["provenance"]
    about = {"data": f"{made['data']}; {made['faces']:,} faces", "command": made["command"]}
    return {**about, **out} if out else {}


def card_text(card: Checkpoint) -> str:
    """The model card: data, recipe, commands, seconds, figures, limits, licence."""
    if "command" not in card.figures:
        raise CheckpointError(f"{card.id} has no figures yet: run `{COMMAND} --keep` first.")
    logs = log_of(card.id)["parts"]
    parts = [_head(card), _origin(card, logs), _figures(card), _curves(logs), _limits(card)]
    return "\n\n".join(parts) + "\n"


def _head(card: Checkpoint) -> str:
    what = (
        "Hides a face in the picture of another and gives it back; the picture carries a watermark"
        if card.id == "ipmn"
        else "The invertible network alone, trained on masks without watermark"
    )
    return (
        f"# {card.id}: {card.title}\n\n{what} ({card.paper}).\n"
        "Input: frames of 64 pixels a side and more, RGB in [0, 1]; trained at 128.\n"
        f"File: `weights/bundled/{card.file}`, {card.bytes:,} bytes, fp16 safetensors, SHA-256 `{card.sha256}`."
    )


def _origin(card: Checkpoint, logs: dict[str, Any]) -> str:
    lines = []
    for name, log in logs.items():
        recipe = {key: value for key, value in log["recipe"].items() if key not in COMMANDED}
        more = ", ".join(f"{key} {value}" for key, value in recipe.items() if not isinstance(value, dict))
        device = "of one CPU core" if log["device"] == "cpu" else "on one GPU"
        lines.append(f"- `{_command(name, log)}`; {more}.\n  Took {log['seconds']:,} s {device}.")
    return (
        f"## Data and recipe\n\n- Data: {card.trained_on}. The people it is measured on were never trained on.\n"
        f"- {MASKS[0]}, {MASKS[1]}, then:\n" + "\n".join(lines)
    )


def _command(name: str, log: dict[str, Any]) -> str:
    """The command that does a training again."""
    recipe = log["recipe"]
    parts = ["python -m engines.train.ipmn --data DIR --masks MASKS --held-out HELD_OUT", f"--out run/{name}"]
    parts += [] if recipe["mark"] else ["--imn"]
    parts += [f"--{option} {recipe[option]}" for option in (*PHASES, "batch")]
    parts += ["--take " + " ".join(f"run/{taken}" for taken in log["taken"])] if log["taken"] else []
    parts += [f"--thieves {' '.join(recipe['thieves'])}"] if recipe["steal"] else []
    return " ".join(parts)


def _figures(card: Checkpoint) -> str:
    found = card.figures
    parts = [f"## Figures\n\nMeasured on {found['data']}, by `{found['command']}`."]
    for table, rows in found.items():
        if not isinstance(rows, dict):
            continue
        names = list(dict.fromkeys(name for values in rows.values() for name in values))
        head = f"| {table} | {' | '.join(names)} |\n|{'---|' * (len(names) + 1)}"
        lines = [
            f"| {row} | " + " | ".join(f"{values[name]:g}" if name in values else "" for name in names) + " |"
            for row, values in rows.items()
        ]
        parts.append("\n".join([head, *lines]))
    return "\n\n".join(parts)


def _curves(logs: dict[str, Any]) -> str:
    """A few rows of every training's log."""
    names = ("step", "psnr m", "psnr p", "psnr wmf", "nc wm", "nc wmf", "nc wm'", "nc sm", "blank")
    lines = []
    for part, log in logs.items():
        history = log["history"]
        every = max(1, len(history) // 4)
        rows = [row for i, row in enumerate(history) if i % every == every - 1 or i == len(history) - 1]
        for row in rows:
            figures = " | ".join(f"{row[name]:g}" if name in row else "" for name in names)
            lines.append(f"| {part} | {figures} |")
    head = f"| training | {' | '.join(names)} |\n|{'---|' * (len(names) + 1)}\n"
    return "## As it trained\n\nOn 48 faces of people never trained on.\n\n" + head + "\n".join(lines)


def _limits(card: Checkpoint) -> str:
    return (
        "## Limits\n\n"
        "What is hidden lies in the last bits: it hardly outlives JPEG, resizing, noise or a screenshot. Who has "
        "this file takes every mask off; it is no encryption. A watermark proves a network only while its extractor "
        "stays secret or is registered. Trained on aligned faces of celebrities, mostly young and light-skinned; "
        "figures were not measured by group.\n\n"
        f"## Licence\n\n{card.licence[0].upper() + card.licence[1:]}. The code of the recipe is Apache-2.0."
    )
