"""TIP-IM's Algorithm 1 as the paper writes it, against lazy greedy insertion: `make bench-tipim`.

Same network, faces, targets, seed and step rule in one process; the runs alternate, so that a
change of the machine's speed meets both.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from app.bench.lfw import crops, identification
from engines.iterate import Problem, iterate
from engines.method import Scene, project
from engines.methods.tip_im import GreedyInsertion, TipIm, TipImParams, gain
from engines.recognise import load


def literal(pixels: Tensor, problem: Problem, params: TipImParams) -> tuple[Tensor, list[int]]:
    """Algorithm 1 for one face (1, 3, S, S): a step is one backward and one candidate's forward pass per target.

    Written from the paper and on its own, so that it also checks the fast version: the pass at the
    current iterate is shared by the targets, nothing else is.
    """
    current, momentum, chosen = pixels, torch.zeros_like(pixels), []
    alpha = 1.5 * params.epsilon / 255 / params.steps
    for _ in range(params.steps):
        leaf = current.detach().requires_grad_(True)
        embedding = problem.embed(leaf)
        best = (-torch.inf, None, None, -1)
        for k, target in enumerate(problem.targets):
            loss = (embedding - target).square().sum() - (embedding - problem.own).square().sum()
            (grad,) = torch.autograd.grad(loss, leaf, retain_graph=True)
            summed = params.momentum * momentum + grad / grad.abs().mean()
            candidate = project(current - alpha * summed.sign(), pixels, problem.budget)
            with torch.no_grad():
                value = float(gain(problem.embed(candidate), problem.own, problem.targets))
            if value > best[0]:
                best = (value, candidate, summed, k)
        _, current, momentum, k = best
        chosen.append(k)
    return current, chosen


def compare(folder: Path, faces: int, recogniser_id: str = "sface", steps: int = 50, seed: int = 0) -> dict[str, Any]:
    """Time both on `faces` LFW faces with 10 targets; one row a face and a summary row."""
    recogniser = load(recogniser_id)
    scene = identification(folder, identities=max(faces, 2), seed=seed)
    targets, params = crops(scene.targets), TipImParams(steps=steps)
    rows = []
    for probe in scene.probes[:faces]:
        problem = _problem(crops([probe]), Scene([recogniser], targets), params, seed)
        if not rows:  # warm up outside the clock
            literal(problem.original, problem, TipImParams(steps=2))
        rows.append({"face": probe.file, **_one(problem, params)})
    return {
        "rows": rows,
        "summary": _summary(rows),
        "provenance": {
            "recogniser": recogniser_id,
            "sha256": recogniser.card.sha256,
            "targets": len(targets),
            "steps": steps,
            "seed": seed,
            "threads": torch.get_num_threads(),
            "command": f"make bench-tipim FACES={faces}",
        },
    }


def _problem(pixels: Tensor, scene: Scene, params: TipImParams, seed: int) -> Problem:
    method = TipIm()
    budget = method.budget(params, pixels)
    return Problem(
        pixels,
        scene,
        params,
        budget,
        method.template,
        torch.Generator().manual_seed(seed),
        budget.radius * 1.5 / params.steps,
    )


def _fast(problem: Problem) -> tuple[Tensor, GreedyInsertion]:
    choose = GreedyInsertion()
    *_, last = iterate(problem, choose)
    return last.pixels, choose


def _one(problem: Problem, params: TipImParams) -> dict[str, Any]:
    start = time.perf_counter()
    slow_pixels, slow_choice = literal(problem.original, problem, params)
    middle = time.perf_counter()
    fast_pixels, choose = _fast(problem)
    end = time.perf_counter()
    fast_choice = [int(top[0]) for top in choose.chosen]
    with torch.no_grad():
        gains = [float(gain(problem.embed(p), problem.own, problem.targets)) for p in (slow_pixels, fast_pixels)]
    same = sum(a == b for a, b in zip(slow_choice, fast_choice, strict=True)) / len(slow_choice)
    return {
        "literal_s": middle - start,
        "ours_s": end - middle,
        "ratio": (middle - start) / (end - middle),
        "same_target": same,
        "candidates": choose.evaluated,
        "literal_gain": gains[0],
        "our_gain": gains[1],
    }


def _summary(rows: list[dict[str, Any]]) -> dict[str, float]:
    def mean(key: str) -> float:
        return sum(row[key] for row in rows) / len(rows)

    slow, fast = mean("literal_s"), mean("ours_s")
    return {
        "faces": len(rows),
        "literal_s": slow,
        "ours_s": fast,
        "ratio": slow / fast,
        "same_target": mean("same_target"),
        "candidates": mean("candidates"),
        "literal_gain": mean("literal_gain"),
        "our_gain": mean("our_gain"),
        "gain_difference": mean("our_gain") / mean("literal_gain") - 1,
    }


def add_parser(commands: Any) -> None:
    """`bench tip-im-speed`."""
    parser = commands.add_parser("tip-im-speed", help="Algorithm 1 literally against lazy greedy insertion")
    parser.add_argument("--faces", type=int, default=2, help="LFW faces (16 for the published table)")
    parser.add_argument("--data", type=Path, required=True, help="folder with the LFW parquet files")
    parser.add_argument("--recogniser", default="sface")
    parser.set_defaults(func=lambda args: compare(args.data, args.faces, args.recogniser))
