"""Bundled perturbation generators: trainings become one file, a benchmark its figures, both a model card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app import weights_file
from app.bundle import bundle as put_together
from app.bundle import log_of, training
from engines.checkpoints import Checkpoint, CheckpointError, checkpoint
from engines.methods.id_guard import STRATEGIES, generator_of
from engines.train.opponents import SURROGATES

PAPERS = {"id-guard": "Qu et al., ID-Guard, reduced"}
BASELINES = ("Disrupting", "PG", "IAP", "CMUA")
SHOWN = ("ID-Guard (S-I)", "ID-Guard (S-II)", "ID-Guard (P-Pert)", *BASELINES)
FIGURES = ("L2", "ID sim", "DSR")


def bundle(id: str, run: Path) -> dict[str, Any]:
    """The trainings in the folders `run`/NAME, in one file without figures yet."""
    state, logs = {}, {}
    for name in STRATEGIES:
        part, logs[name] = training(run / name)
        generator_of(part)
        state |= {f"{name}.{key}": tensor for key, tensor in part.items()}
    about = {
        "title": "ID-Guard",
        "kind": "disruptor",
        "role": "method",
        "network": "id-guard",
        "paper": PAPERS[id],
        "trained_on": "CelebA, 20,000 faces of 4,000 identities",
        "trained_against": list(SURROGATES),
    }
    file = put_together(id, run, state, {"parts": logs}, about)
    return {"id": id, "bytes": file.stat().st_size, "sha256": checkpoint(id).sha256}


def keep(found: dict[str, Any]) -> None:
    """Write the figures of a benchmark into the registry's entries."""

    def edit(text: Any) -> None:
        if "id-guard" in text and (values := figures_of(found)):
            weights_file.put(text["id-guard"], "figures", values, whole=True)

    weights_file.change(edit)


def figures_of(found: dict[str, Any]) -> dict[str, Any]:
    """An entry's figures from a benchmark's rows: by method, data set and figure, a value a forger; {} for none."""
    out: dict[str, Any] = {}
    for row in found["rows"]:
        if row["method"] not in SHOWN:
            continue
        name = f"{row['method']}, {row['data']}"
        if row["change"] == "none":
            for figure in FIGURES:
                out.setdefault(f"{figure}: {name}", {})[row["forger"]] = round(row[figure], 4)
        elif row["forger"] == "mean":
            out.setdefault(f"DSR after: {name}", {})[row["change"]] = round(row["DSR"], 4)
    made = found["provenance"]
    about = {"data": f"{made['data']}; {made['faces']:,} faces of each", "command": made["command"]}
    if made.get("baselines"):
        about["baselines"] = made["baselines"]
    return {**about, **out} if out else {}


def card_text(card: Checkpoint) -> str:
    """The model card: data, recipes, commands, seconds, figures, limits, licence."""
    if "command" not in card.figures:
        raise CheckpointError(
            f"{card.id} has no figures yet: run `python -m app bench id-guard --data DIR --keep` first."
        )
    log = log_of(card.id)["parts"]
    parts = [
        _head(card),
        _origin(card, log),
        _figures(card),
        *(_curve(name, log[name]) for name in log),
        _limits(card),
    ]
    return "\n\n".join(parts) + "\n"


def _head(card: Checkpoint) -> str:
    judged = f" The identity losses come from {', '.join(card.trained_against)}."
    return (
        f"# {card.id}: {card.title}\n\n"
        f"What makes perturbations against the bundled forgers ({card.paper}).{judged}\n"
        "Input: faces cut as the 178 x 178 centre of aligned CelebA, 128x128, RGB in [0, 1].\n"
        f"File: `weights/bundled/{card.file}`, {card.bytes:,} bytes, fp16 safetensors, SHA-256 `{card.sha256}`."
    )


def _origin(card: Checkpoint, logs: dict[str, Any]) -> str:
    lines = []
    for name, log in logs.items():
        more = ", ".join(f"{key} {value}" for key, value in log["recipe"].items())
        device = "one CPU core" if log["device"] == "cpu" else "one GPU"
        lines.append(
            f"- {name}: `python -m engines.train.id_guard --data DIR --prior PRIOR --out run/{name} "
            f"--strategy {name}`; {more}. Took {log['seconds']:,} s on {device}."
            + (f" {log['note']}" if "note" in log else "")
        )
    return (
        f"## Data and recipe\n\n- Data: {card.trained_on}. The people it is measured on were never trained on.\n"
        "- The prior: `python -m engines.train.prior --data DIR --out PRIOR`.\n" + "\n".join(lines)
    )


def _figures(card: Checkpoint) -> str:
    found = card.figures
    forgers = list(next(value for name, value in found.items() if name.startswith("DSR: ")))
    lines = []
    for name in (name.removeprefix("DSR: ") for name in found if name.startswith("DSR: ")):
        shown = [[found[f"{figure}: {name}"][forger] for figure in FIGURES] for forger in forgers]
        cells = [" / ".join(f"{value:.3f}" for value in three) for three in shown]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    after = [
        f"- {name.removeprefix('DSR after: ')}: "
        + ", ".join(f"{change} {value:.3f}" for change, value in values.items())
        for name, values in found.items()
        if name.startswith("DSR after: ")
    ]
    return (
        f"## Figures\n\nMeasured on {found['data']}, by `{found['command']}`: L2-face / ID similarity / defence "
        f"success rate, each face with one edit of each forger, its edits in turn.{_trained(found)}\n\n"
        f"| Method | {' | '.join(forgers)} |\n|{'---|' * (len(forgers) + 1)}\n" + "\n".join(lines) + "\n\n"
        "Mean defence success rate after a change of the protected picture:\n\n" + "\n".join(after)
    )


def _trained(found: dict[str, Any]) -> str:
    """How the baselines came about that were measured beside it."""
    if not (made := found.get("baselines")):
        return ""
    seconds = ", ".join(f"{name} {text}" for name, text in made.items())
    return f" The baselines were trained as docs/id-guard.md says: {seconds}."


def _curve(name: str, log: dict[str, Any]) -> str:
    history = log["history"]
    names = [key for key in history[0] if key == "step" or key.startswith("DSR")]
    every = max(1, len(history) // 6)
    rows = [row for i, row in enumerate(history) if i % every == every - 1 or i == len(history) - 1]
    lines = "\n".join("| " + " | ".join(f"{row[key]:g}" for key in names) + " |" for row in rows)
    head = f"| {' | '.join(names)} |\n|{'---|' * len(names)}\n"
    return f"## {name}: held-out success in training (the surrogates judge)\n\n{head}{lines}"


def _limits(card: Checkpoint) -> str:
    return (
        "## Limits\n\n"
        "Made against the small bundled forgers; what it does to their full releases, or to models of other kinds "
        "such as face swaps and diffusion, was not measured. Trained on aligned faces of celebrities, mostly young "
        "and light-skinned; figures were not measured by group. It does not hide anybody from recognition of the "
        "photo itself.\n\n"
        f"## Licence\n\n{card.licence[0].upper() + card.licence[1:]}. The code of the recipe is Apache-2.0."
    )
