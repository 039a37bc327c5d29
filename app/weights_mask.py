"""Bundled masks: trainings towards each target become one file, a benchmark its figures, both a model card."""

from __future__ import annotations

from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import Tensor

from app import weights_file
from app.bundle import bundle as put_together
from app.bundle import log_of, training
from engines.checkpoints import Checkpoint, CheckpointError, checkpoint
from engines.methods.erasable_mask import TARGETS, mask_of
from engines.train.dip_recipe import SURROGATES

PAPERS = {"erasable-mask": "Shen et al., ErasableMask, reduced"}
COMMAND = "python -m app bench erasable-mask --data DIR"
OURS, CHANGED = "ErasableMask", "after: "
QUALITY = ("L1", "MSE", "SSIM", "FID", "erased L1", "erased MSE", "erased SSIM", "erased FID")
CURVE = ("step", "to target", "masked to self", "erased to self", "l1 edit", "l1 mask", "l1 erased")
SHOWN = ("attributes", "changed attributes", "seconds", *QUALITY)


def bundle(id: str, run: Path) -> dict[str, Any]:
    """The trainings in the folders `run`/TARGET, in one file without figures yet; they share their generator."""
    state: dict[str, Tensor] = {}
    logs = {}
    for target in TARGETS.values():
        part, logs[target] = training(run / target)
        state |= _kept(part, target, state)
    for target in TARGETS.values():
        mask_of(state, target)
    about = {
        "title": "ErasableMask",
        "kind": "mask",
        "role": "method",
        "network": "erasable-mask",
        "paper": PAPERS[id],
        "trained_on": "CelebA, 20,000 faces of 4,000 identities",
        "trained_against": list(SURROGATES),
    }
    file = put_together(id, run, state, {"parts": logs}, about)
    return {"id": id, "bytes": file.stat().st_size, "sha256": checkpoint(id).sha256}


def _kept(part: dict[str, Tensor], target: str, before: dict[str, Tensor]) -> dict[str, Tensor]:
    """A training's tensors under the names of the file; CheckpointError where its generator is another's."""
    shared = {name: value for name, value in part.items() if name.startswith("generator.")}
    for name, value in shared.items():
        if name in before and not torch.allclose(before[name].float(), value.float(), rtol=2e-3, atol=1e-4):
            raise CheckpointError(f"The training of {target} has another generator: start it with --edits.")
    own = {f"{target}.{name}": value for name, value in part.items() if name not in shared}
    return own if before else {**shared, **own}


def keep(found: dict[str, Any]) -> None:
    """Write the figures of a benchmark, which are those of one target, into the registry's entry."""

    def edit(text: Any) -> None:
        if "erasable-mask" in text and (values := figures_of(found)):
            weights_file.put(text["erasable-mask"], "figures", values)

    weights_file.change(edit)


def figures_of(found: dict[str, Any]) -> dict[str, Any]:
    """An entry's figures from a benchmark's rows: by target, and after each change; {} for none of ours."""
    rows = {row["change"]: row for row in found["rows"] if row["method"] == OURS}
    if not rows:
        return {}
    made, first = found["provenance"], rows.pop("none")
    judged = [name for name in first if name.split(" ")[0] in ("ASR", "ESR", "known")]
    command = made["command"].replace(f"'{made['target']}'", "TARGET")  # one entry holds all targets
    out = {"data": f"{made['data']}; {first['faces']:,} faces", "command": command}
    out[made["target"]] = {name: round(first[name], 4) for name in (*judged, *SHOWN) if name in first}
    for change, row in rows.items():
        out[f"{made['target']}, {CHANGED}{change}"] = {
            kind: round(mean(value for name, value in row.items() if name.startswith(f"{kind} ")), 4)
            for kind in ("ASR", "ESR", "known")
        }
    return out


def card_text(card: Checkpoint) -> str:
    """The model card: data, recipe, commands, seconds, figures, limits, licence."""
    if not any(target in card.figures for target in TARGETS):
        raise CheckpointError(f"{card.id} has no figures yet: run `{COMMAND} --keep` first.")
    logs = log_of(card.id)["parts"]
    parts = [_head(card), _origin(card, logs), *(_figures(card, t) for t in TARGETS if t in card.figures)]
    return "\n\n".join([*parts, *(_curve(name, logs[name]) for name in logs), _limits(card)]) + "\n"


def _head(card: Checkpoint) -> str:
    return (
        f"# {card.id}: {card.title}\n\n"
        f"A generator of attributes, and for each of {', '.join(TARGETS)} the encoder of a mask and its restorer "
        f"({card.paper}). Trained against {', '.join(card.trained_against)}.\n"
        "Input: faces cut as the 178 x 178 centre of aligned CelebA, 128x128, RGB in [0, 1].\n"
        f"File: `weights/bundled/{card.file}`, {card.bytes:,} bytes, fp16 safetensors, SHA-256 `{card.sha256}`."
    )


def _origin(card: Checkpoint, logs: dict[str, Any]) -> str:
    lines = []
    for i, (target, log) in enumerate(logs.items()):
        recipe = {name: value for name, value in log["recipe"].items() if not isinstance(value, dict)}
        counts = {f"λ {name}": value for name, value in log["recipe"]["weights"].items()}
        more = ", ".join(f"{name} {value}" for name, value in {**recipe, **counts}.items())
        device = "one CPU core" if log["device"] == "cpu" else "one GPU"
        edits = f" --edits run/{next(iter(logs))}" if i else ""
        edits += " --teacher TEACHER" if log.get("teacher") else ""
        command = f"--data DIR --targets TARGETS --target {target}{edits} --out run/{target}"
        lines.append(f"- `python -m engines.train.erasable_mask {command}`; {more}.")
        lines.append(f"  Took {log['seconds']:,} s on {device}." + (f" {log['note']}" if "note" in log else ""))
    return (
        f"## Data and recipe\n\n- Data: {card.trained_on}. The people it is measured on were never trained on.\n"
        "- `python -m app targets --out TARGETS`; where a recipe names a teacher, which the paper does not have, "
        "also `python -m engines.train.teacher --data DIR --out TEACHER`; then:\n" + "\n".join(lines)
    )


def _figures(card: Checkpoint, target: str) -> str:
    found = card.figures
    own = found[target]
    judges = [name.removeprefix("ASR ") for name in own if name.startswith("ASR ")]
    rows = [
        f"| {judge} | {own[f'ASR {judge}']:.1%} | {own[f'ESR {judge}']:.1%} | {own[f'known {judge}']:.1%} |"
        for judge in judges
    ]
    after = [
        f"| {name.split(CHANGED)[1]} | {values['ASR']:.1%} | {values['ESR']:.1%} | {values['known']:.1%} |"
        for name, values in found.items()
        if name.startswith(f"{target}, {CHANGED}")
    ]
    quality = ", ".join(f"{name} {own[name]:.4f}" for name in SHOWN if name in own)
    return (
        f"## Figures towards {target}\n\nMeasured on {found['data']}, by `{found['command']}`. ASR: the masked face "
        "is the target at FAR 1 %; ESR: the erased one is not, even at FAR 10 %; known: the erased one is its owner "
        f"at FAR 1 %. Masks against the edited face, erased photos against the original: {quality}.\n\n"
        "| judge | ASR | ESR | known again |\n|---|---|---|---|\n" + "\n".join(rows) + "\n\n"
        "| after (mean of the judges) | ASR | ESR | known again |\n|---|---|---|---|\n" + "\n".join(after)
    )


def _curve(target: str, log: dict[str, Any]) -> str:
    history = log["history"]
    every = max(1, len(history) // 6)
    rows = [row for i, row in enumerate(history) if i % every == every - 1 or i == len(history) - 1]
    lines = ["| " + " | ".join(f"{row[name]:g}" for name in CURVE) + " |" for row in rows]
    return (
        f"## {target}: as it trained\n\nOn 48 faces of people never trained on: cosines (the surrogates judge) and "
        f"mean absolute differences.\n\n| {' | '.join(CURVE)} |\n|{'---|' * len(CURVE)}\n" + "\n".join(lines)
    )


def _limits(card: Checkpoint) -> str:
    return (
        "## Limits\n\n"
        "It leads to one of two people and to nobody else. Its paper does not promise that recognisers stop matching "
        "the owner. Who has this file can erase the mask. Trained on aligned faces of celebrities, mostly young and "
        "light-skinned; figures were not measured by group.\n\n"
        f"## Licence\n\n{card.licence[0].upper() + card.licence[1:]}. The code of the recipe is Apache-2.0."
    )
