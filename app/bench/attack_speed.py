"""PGD and MIM against torchattacks and foolbox: the same recogniser, faces, target, step and ball in one process.

    python -m app bench attack-speed --data DIR

Both libraries attack classifiers. `Verifier` makes one of a recogniser: its cross-entropy has for each face a
positive multiple of the slope of L_iden (TIP-IM Eq. 2), so that sign steps from the photo itself lead the same way;
the loss where they end is compared. PGD's random start is off in all three. The two
libraries are not among the project's requirements, with whose packages theirs quarrel: `NEEDED` installs them.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from app.bench.lfw import crops, identification
from engines.face import ARCFACE112
from engines.iterate import Ensemble, GradientParams, Problem, iterate
from engines.method import Budget, Scene
from engines.methods.gradient import Fixed
from engines.recognise import load

NEEDED = "pip install --no-deps torchattacks==3.5.1 foolbox==3.3.4 eagerpy==0.30.0 GitPython gitdb smmap"
EPSILON, STEPS = 12 / 255, 50
ALPHA = 1.5 * EPSILON / STEPS
MOMENTA = {"PGD": 0.0, "MIM": 1.0}
Attack = Callable[[Tensor], Tensor]


class Verifier(nn.Module):
    """Two classes for each face (N, 3, S, S): its owner, by the cosine to `own` (N, D), and the target (D,)."""

    def __init__(self, embed: Callable[[Tensor], Tensor], own: Tensor, target: Tensor):
        super().__init__()
        self.embed, self.own, self.target = embed, own, target

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits (N, 2)."""
        found = self.embed(pixels)
        return torch.stack([(found * self.own).sum(1), found @ self.target], 1)


def ours(problem: Problem, pixels: Tensor) -> Tensor:
    """`engines.iterate`, as the methods run it."""
    *_, last = iterate(problem, Fixed())
    return last.pixels


def by_torchattacks(name: str, net: Verifier) -> Attack:
    """Its PGD or MIFGSM."""
    library = importlib.import_module("torchattacks")
    if name == "PGD":
        attack = library.PGD(net, eps=EPSILON, alpha=ALPHA, steps=STEPS, random_start=False)
    else:
        attack = library.MIFGSM(net, eps=EPSILON, alpha=ALPHA, steps=STEPS, decay=MOMENTA[name])
    attack.set_mode_targeted_by_label(quiet=True)
    return lambda pixels: attack(pixels, torch.ones(len(pixels), dtype=torch.long))


def by_foolbox(name: str, net: Verifier) -> Attack:
    """Its LinfPGD or LinfMomentumIterativeFastGradientMethod."""
    library = importlib.import_module("foolbox")
    model = library.PyTorchModel(net, bounds=(0, 1), device="cpu")
    given: dict[str, Any] = {"abs_stepsize": ALPHA, "steps": STEPS, "random_start": False}
    if name == "PGD":
        attack = library.attacks.LinfPGD(**given)
    else:
        attack = _paper_mim(library.attacks.LinfMomentumIterativeFastGradientMethod)(momentum=MOMENTA[name], **given)
    goal = library.criteria.TargetedMisclassification
    return lambda pixels: attack.run(model, pixels, goal(torch.ones(len(pixels), dtype=torch.long)), epsilon=EPSILON)


def _paper_mim(attack: Any) -> Any:
    """foolbox adds up gradients as they come; MIM (Dong et al., 2018, Eq. 6) divides each by its L1 norm first."""

    class Paper(attack):  # type: ignore[misc]
        def value_and_grad(self, loss_fn: Any, x: Any) -> Any:
            loss, grad = super().value_and_grad(loss_fn, x)
            return loss, grad / grad.abs().mean(axis=(1, 2, 3), keepdims=True)

    return Paper


def scene(pixels: Tensor, target: Tensor, recogniser: Any, momentum: float) -> tuple[Problem, Verifier]:
    """The same task for us and for a library: `target` is one face (1, 3, S, S)."""
    params = GradientParams(epsilon=255 * EPSILON, steps=STEPS, momentum=momentum)
    budget, where = Budget("linf", EPSILON), Scene([recogniser], target)
    problem = Problem(pixels, where, params, budget, ARCFACE112, torch.Generator().manual_seed(0), ALPHA)
    return problem, Verifier(Ensemble([recogniser], ARCFACE112), problem.own, problem.targets[0]).eval()


def compare(folder: Path, faces: int, batch: int, recogniser_id: str = "sface") -> dict[str, Any]:
    """Seconds a face and the mean loss of each on LFW faces in batches; a row an attack."""
    recogniser = load(recogniser_id)
    found = identification(folder, identities=max(faces, 2), seed=0)
    probes, target = crops(found.probes[:faces]), crops(found.targets[:1])
    rows = [{"attack": name, **raced(name, probes.split(batch), target, recogniser)} for name in MOMENTA]
    about = {"recogniser": recogniser_id, "sha256": recogniser.card.sha256, "faces": faces, "batch": batch}
    return {"rows": rows, "provenance": {**about, "steps": STEPS, "threads": torch.get_num_threads()}}


def raced(name: str, batches: Sequence[Tensor], target: Tensor, recogniser: Any) -> dict[str, float]:
    """The three on the same batches in turn, another one first in every batch, after a whole batch as a warm-up."""
    took: dict[str, list[float]] = {}
    losses: dict[str, list[Tensor]] = {}
    for number, part in enumerate((batches[0], *batches)):
        problem, net = scene(part, target, recogniser, MOMENTA[name])
        ways = list({"ours": partial(ours, problem), **_libraries(name, net)}.items())
        first = number % len(ways)
        for way, attack in ways[first:] + ways[:first]:
            start = time.perf_counter()
            made = attack(part)
            seconds = time.perf_counter() - start
            if number:
                took.setdefault(way, []).append(seconds)
                losses.setdefault(way, []).append(_loss(problem, made))
    return _row(took, losses, sum(map(len, batches)))


def _libraries(name: str, net: Verifier) -> dict[str, Attack]:
    try:
        return {"torchattacks": by_torchattacks(name, net), "foolbox": by_foolbox(name, net)}
    except ImportError as error:
        raise SystemExit(f"{error.name} is not installed. Run: {NEEDED}") from None


@torch.no_grad()
def _loss(problem: Problem, made: Tensor) -> Tensor:
    """L_iden of each face (N,)."""
    assert F.relu((made - problem.original).abs() - EPSILON).max() < 1e-5
    return problem.loss(problem.embed(made))[:, 0]


def _row(took: dict[str, list[float]], losses: dict[str, list[Tensor]], faces: int) -> dict[str, float]:
    """Seconds a face and mean losses; how many times as long a library takes, and by how much its loss differs.

    The ratio of the times is the median over the batches, in each of which all have run: the machine's speed changes.
    """
    means = {way: float(torch.cat(values).mean()) for way, values in losses.items()}
    row = {f"{way} s a face": sum(seconds) / faces for way, seconds in took.items()}
    row |= {f"{way} loss": value for way, value in means.items()}
    for way in (way for way in took if way != "ours"):
        row[f"{way} / ours, time"] = median(a / b for a, b in zip(took[way], took["ours"], strict=True))
        row[f"{way} loss differs"] = abs(means[way] - means["ours"]) / abs(means["ours"])
    return row


def add_parser(commands: Any) -> None:
    """`bench attack-speed`."""
    parser = commands.add_parser("attack-speed", help="PGD and MIM against torchattacks and foolbox")
    parser.add_argument("--faces", type=int, default=32)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--data", type=Path, required=True, help="folder with the LFW parquet files")
    parser.add_argument("--recogniser", default="sface")
    parser.set_defaults(func=lambda args: compare(args.data, args.faces, args.batch, args.recogniser))
