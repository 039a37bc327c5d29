"""ID-Guard (Qu et al.): one pass adds a perturbation that makes forgers fail on the face.

The perturbation is small, |δ| <= ε in the paper's range [-1, 1], and made for the face (strategies S-I and S-II,
which differ in how training weighted the forgers) or one for all faces (P-Pert, the prior trained with S-II).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from engines.checkpoints import Checkpoint, checkpoint, load_state, stamped
from engines.face import CELEBA128, Template
from engines.manipulate import signed
from engines.method import Budget, Scene, Snapshot
from engines.nets.id_guard import EPSILON, PerturbationGenerator, Universal
from engines.once import Once, frozen, trained
from engines.params import Params, knob
from engines.tensors import fill, misfit

STRATEGIES = ("S-I", "S-II")
PAPER = "Qu et al., ID-Guard: A Universal Framework for Combating Facial Manipulation via Breaking Identification"


class IdGuardParams(Params):
    epsilon: float = knob(
        EPSILON,
        ge=0.01,
        le=0.1,
        step=0.005,
        symbol="ε",
        label="Strength",
        help="Largest change of a colour value, where black is -1 and white 1 (Eq. 2).",
    )
    strategy: Literal["S-II", "S-I", "P-Pert"] = knob(
        "S-II",
        label="Strategy",
        help="How training weighted the forgers: by how hard each is to disrupt (S-II), by their gradients (S-I), "
        "or one perturbation for every face (P-Pert).",
    )
    region: Literal["Whole crop", "Head"] = knob(
        "Whole crop",
        label="Where",
        advanced=True,
        published=False,
        help="On the whole square around the face, or on the head alone, so that the background stays as it is.",
    )


def generator_of(state: Mapping[str, Tensor]) -> PerturbationGenerator | Universal:
    """The generator that the tensors are of; CheckpointError where they are of another network."""
    try:
        size = state["prior"].shape[-1]
        if len(state) == 1:
            net: PerturbationGenerator | Universal = Universal(size)
        else:
            blocks = sum(name.endswith("main.0.weight") for name in state) - 1
            net = PerturbationGenerator(size, state["main.0.weight"].shape[0], blocks)
    except (LookupError, RuntimeError, ValueError, TypeError):
        raise misfit("it is no generator of perturbations") from None
    fill(net, dict(state))
    return net


def _generators(id: str, device: str) -> dict[str, PerturbationGenerator | Universal]:
    """The generators of one file by their names, which come before the names of their tensors."""
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in load_state(trained(id, "disruptor")).items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = tensor
    found = {part: generator_of(state) for part, state in parts.items()}
    for net in found.values():
        frozen(net, device)
    return found


generators = Once(_generators)


class IdGuard:
    id, title = "id-guard", "ID-Guard"
    summary = "One pass that is made to break what deepfake models forge of the face."
    caveat: ClassVar[str] = (
        "ID-Guard is made against forgers; it does not hide you from recognition of the photo itself. The wall says "
        "which forgers fail: with the bundled generators StarGAN at best, and hardly one after JPEG or once the face "
        "is cut out of a whole photo."
    )
    disrupts: ClassVar[bool] = True
    paper: ClassVar[str] = PAPER
    template: ClassVar[Template] = CELEBA128
    needs: ClassVar[frozenset[str]] = frozenset()
    Params: ClassVar[type[Params]] = IdGuardParams
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "Natural": {"epsilon": 0.03},
        "Balanced": {},
        "Strong": {"epsilon": 0.08},
    }
    checkpoint: ClassVar[str] = "id-guard"

    @property
    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """The card of the file that holds the generators."""
        return (stamped(checkpoint(self.checkpoint)),)

    @property
    def attacked_in_training(self) -> tuple[str, ...]:
        """Ids of the recognisers that the identity loss was taken from: never its judges."""
        return tuple(checkpoint(self.checkpoint).trained_against)

    def budget(self, params: IdGuardParams, pixels: Tensor) -> Budget | None:
        """ε of the paper's range is half of it in [0, 1]."""
        return Budget("linf", params.epsilon / 2)

    def protect(
        self, pixels: Tensor, params: IdGuardParams, scene: Scene, generator: torch.Generator
    ) -> Iterator[Snapshot]:
        """x + G(cat(x, δ_p)), or x + δ_p: (B, 3, 128, 128) -> one snapshot of the same shape."""
        prior = params.strategy == "P-Pert"
        name, nets = "S-II" if prior else params.strategy, generators(self.checkpoint, str(pixels.device))
        if name not in nets:
            raise misfit(f"it holds no generator of strategy {name}")
        with torch.inference_mode():
            if prior:
                delta = (nets[name].prior * params.epsilon / EPSILON).expand_as(pixels)
            else:
                delta = nets[name](signed(pixels), params.epsilon)
        yield Snapshot((pixels + delta / 2).clone(), 1, 1)
