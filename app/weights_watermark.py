"""Bundled watermarks: a finished training becomes a registry entry, a benchmark its figures, both a model card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app import weights_file
from app.bundle import bundle as put_together
from app.bundle import log_of, training
from engines.checkpoints import Checkpoint, CheckpointError, checkpoint
from engines.nets.dip import TARGETS
from engines.nets.watermark import NETWORKS
from engines.tensors import fill

PAPERS = {
    "dip-watermark": ("DIP-Watermark", "dip", "Zhang et al., DIP-Watermark, reduced"),
    "hidden": ("HiDDeN-style watermark", "hidden", "Zhu et al., HiDDeN, ECCV 2018, reduced"),
    "fake-tagger": ("FakeTagger-style watermark", "fake-tagger", "Wang et al., FakeTagger, ACM MM 2021, reduced"),
}
COMMAND = "python -m app bench dip-watermark --data DIR"
CHANGES = {
    "none": "clean, 8 bits",
    "noise0.003": "Gaussian noise, variance 0.003",
    "jpeg30": "JPEG, quality 30",
    "resize-half": "half size and back",
    "blur3": "blur, kernel 3",
    "file, detected again": "pasted into its photo, exported, detected and aligned again",
}


def bundle(id: str, run: Path) -> dict[str, Any]:
    """Encoder and decoder of a training, bundled without figures yet."""
    title, network, paper = PAPERS[id]
    state, log = training(run)
    if log["recipe"]["network"] != network:
        raise CheckpointError(f"The training in {run.name} is of {log['recipe']['network']}, not of {id}.")
    state = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    for part, net in zip(("encoder.", "decoder."), NETWORKS[network].build(), strict=True):
        fill(net, {name.removeprefix(part): value for name, value in state.items() if name.startswith(part)})
    about = {
        "title": title,
        "kind": "watermark",
        "role": "method" if id == "dip-watermark" else "baseline",
        "network": network,
        "paper": paper,
        "trained_on": "CelebA, 20,000 faces of 4,000 identities",
        "trained_against": list(log["recipe"]["surrogates"]),
    }
    file = put_together(id, run, state, log, about)
    return {"id": id, "bytes": file.stat().st_size, "sha256": checkpoint(id).sha256, "steps": log["done"]}


def keep(found: dict[str, Any]) -> None:
    """Write the figures of a benchmark into the registry's entries."""
    names = {"DIP-Watermark": "dip-watermark", "HiDDeN": "hidden", "FakeTagger": "fake-tagger"}
    figures = {id: figures_of(found, method) for method, id in names.items()}

    def edit(text: Any) -> None:
        for id, values in figures.items():
            if values and id in text:
                weights_file.put(text[id], "figures", values, whole=True)

    weights_file.change(edit)


def figures_of(found: dict[str, Any], method: str) -> dict[str, Any]:
    """A method's figures as the registry keeps them, from a benchmark's rows; {} where it has none."""
    rows = [row for row in found["rows"] if row["method"] == method]
    mean = {row["change"]: row for row in rows if row.get("judge") == "mean"}
    if not mean:
        return {}
    made = found["provenance"]
    out: dict[str, Any] = {"data": f"LFW, {made['faces']:,} faces", "command": made["command"]}
    out |= {"ssim": _round(mean["none"]["SSIM"]), "psnr": _round(mean["none"]["PSNR"], 2)}
    out |= {name: _round(mean["none"][name]) for name in ("ASR", "dodging", "s/face")}
    out["ASR of a judge"] = {
        row["judge"]: _round(row["ASR"])
        for row in rows
        if row.get("judge") not in (None, "mean") and row["table"] == "2"
    }
    for name in ("bits", "identities", "ASR"):
        out[f"{name} after"] = {change: _round(row[name]) for change, row in mean.items()}
    false = [row for row in found["rows"] if row["table"] == "false positives"] if method == "DIP-Watermark" else []
    return out | {f"false positives, of {row['faces']:,} unmarked faces": row["found"] for row in false}


def _round(value: float, digits: int = 4) -> float:
    return round(float(value), digits)


def card_text(card: Checkpoint) -> str:
    """The model card: data, recipe, command, seconds, figures, limits, licence."""
    if "bits after" not in card.figures:
        raise CheckpointError(f"{card.id} has no figures yet: run `{COMMAND} --keep` first.")
    log = log_of(card.id)
    return "\n\n".join([_head(card), _origin(card, log), _figures(card), _curve(log), _limits(card)]) + "\n"


def _head(card: Checkpoint) -> str:
    against = ", ".join(card.trained_against)
    towards = f"Trained towards the built-in faces {', '.join(TARGETS)}, against {against}." if against else ""
    return (
        f"# {card.id}: {card.title}\n\n"
        f"An encoder and a decoder of 50 bits bundled with Larvatus ({card.paper}). {towards}\n"
        "Input: faces aligned to the ArcFace template, 112x112, RGB in [0, 1].\n"
        f"File: `weights/bundled/{card.file}`, {card.bytes:,} bytes, fp16 safetensors, SHA-256 `{card.sha256}`."
    )


def _origin(card: Checkpoint, log: dict[str, Any]) -> str:
    recipe = log["recipe"]
    runs = ", stopped and gone on with from step ".join(
        f"{plan['from']} `--steps {plan['steps']} --weights {plan['weights']}`" for plan in log["plans"]
    ).removeprefix("0 ")
    surrogates = "" if recipe["surrogates"] else " --surrogates none"
    plain = "" if recipe["meta"] else " --no-meta"
    stages = f"{recipe['watermark']} steps of watermark alone, plain ensemble to step {recipe['ensemble']}"
    stages += ", then Algorithm 1 with P = 2, Q = 1" if recipe["meta"] and recipe["surrogates"] else ""
    return (
        "## Data and recipe\n\n"
        f"- Data: {card.trained_on}. Test identities and LFW's pictures were never trained on.\n"
        f"- Recipe: `engines/train/dip_watermark.py`; {stages}; batch {recipe['batch']}, rate {recipe['rate']:g}, "
        f"η {recipe['inner']:g}, seed {recipe['seed']}.\n"
        "- Commands: `python -m engines.train.face_bank --data DIR --teachers DIR --out bank` (the same with "
        "`--split test --mixtures 0 --out test`), `python -m app targets --out targets`, then `python -m "
        f"engines.train.dip_watermark --network {recipe['network']}{surrogates}{plain} --watermark "
        f"{recipe['watermark']} --ensemble {recipe['ensemble']} --bank bank --test test --targets targets --out run` "
        f"with {runs}.\n"
        f"- Took {log['seconds']:,} s on {'one CPU core' if log['device'] == 'cpu' else 'one GPU'}, "
        f"for {log['done']:,} of {recipe['steps']:,} steps."
    )


def _figures(card: Checkpoint) -> str:
    found = card.figures
    rows = [
        f"| {words} | {found['bits after'][change]:.4f} | {found['identities after'][change]:.1%} | "
        f"{found['ASR after'][change]:.1%} |"
        for change, words in CHANGES.items()
        if change in found["bits after"]
    ]
    judges = ", ".join(f"{id} {value:.1%}" for id, value in found["ASR of a judge"].items())
    false = "".join(f" {name.capitalize()}: {value}." for name, value in found.items() if name.startswith("false"))
    head = "| after | bit accuracy | identity read whole | impersonation (ASR), mean of the judges |"
    return (
        f"## Figures\n\nMeasured on {found['data']}, by `{found['command']}`. SSIM {found['ssim']:.3f}, "
        f"PSNR {found['psnr']:.1f} dB, {found['s/face']:.3f} s a face. Impersonation at FAR 1 % of each judge: "
        f"{judges}. Dodging: {found['dodging']:.1%}.{false}\n\n" + "\n".join([head, "|---|---|---|---|", *rows])
    )


def _curve(log: dict[str, Any]) -> str:
    names = ("adv", "mse255", "bce", "bits_clean", "bits_pool", "ssim", "cos")
    wanted = [row for i, row in enumerate(log["history"]) if i % 4 == 3 or i == len(log["history"]) - 1]
    line = [f"| {row['step']} | " + " | ".join(f"{row.get(n, 0):g}" for n in names) + " |" for row in wanted]
    return (
        "## Training curve\n\n1 - cosine to the target, squared error in steps of 8 bits, nats a bit; on people "
        "never trained on: bit accuracy clean and through the noise pool, SSIM, cosine to the target (surrogates)."
        "\n\n"
        f"| step | {' | '.join(names)} |\n|{'---|' * (len(names) + 1)}\n" + "\n".join(line)
    )


def _limits(card: Checkpoint) -> str:
    return (
        "## Limits\n\n"
        "Trained on 20,000 aligned faces of celebrities, mostly young and light-skinned; figures were not measured "
        "by group. The change is visible to whoever looks for it. A recogniser that was not tested may still know "
        "the face. Who has this file can read marks (with the key) and could train a network that removes them. "
        "CelebA gives no names, so people of LFW may be among those it was trained on, though no picture of LFW was. "
        "The weights are those of the last step; how long to train was decided on CelebA's test people.\n\n"
        f"## Licence\n\n{card.licence[0].upper() + card.licence[1:]}. The code of the recipe is Apache-2.0."
    )
