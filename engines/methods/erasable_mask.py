"""ErasableMask (Shen et al.): one pass edits a face's attributes and leads recognisers to another person.

Whoever holds the restorer takes the mask off again. A checkpoint leads to one target, as in the paper; the bundled
file holds one for each of TARGETS, which share the generator of attributes. The method joins METHODS with its
trained networks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic import field_validator
from torch import Tensor

from engines import manipulate
from engines.checkpoints import Checkpoint, checkpoint, load_state, stamped
from engines.face import CELEBA128, Template
from engines.manipulate import signed, unsigned
from engines.method import Budget, MethodError, Scene, Snapshot
from engines.nets import erasable_mask as nets
from engines.nets.attributes import NAMES
from engines.nets.erasable_mask import ATTRIBUTES, BETA, GAMMA
from engines.once import Once, frozen, trained
from engines.params import Params, knob
from engines.tensors import fill, misfit

PAPER = (
    "Shen et al., ErasableMask: A Robust and Erasable Privacy Protection Scheme against Black-box Face Recognition "
    "Models"
)
TARGETS = {"Grace Hopper": "hopper", "Eileen Collins": "collins"}
Attribute = Literal[
    "Bald",
    "Bangs",
    "Black_Hair",
    "Blond_Hair",
    "Brown_Hair",
    "Bushy_Eyebrows",
    "Eyeglasses",
    "Male",
    "Mouth_Slightly_Open",
    "Mustache",
    "No_Beard",
    "Pale_Skin",
    "Young",
]


class ErasableMaskParams(Params):
    beta: float = knob(
        BETA,
        ge=0.2,
        le=0.9,
        step=0.05,
        symbol="β",
        label="Own features",
        help="How much of the face's own features each layer keeps (Eq. 6). More looks better and hides less.",
    )
    gamma: float = knob(
        GAMMA,
        ge=0,
        le=0.3,
        step=0.01,
        symbol="γ",
        label="Clean domain",
        published=False,
        help="How much of the unmasked face flows into each layer (Fig. 3). More erases better and hides less.",
    )
    attributes: tuple[Attribute, ...] | None = knob(
        None,
        label="Attributes",
        published=False,
        help="What the masked face shows. Left alone, it shows what the photo shows.",
    )
    target: Literal["Grace Hopper", "Eileen Collins"] = knob(
        "Grace Hopper",
        label="Target",
        published=False,
        help="Whom recognisers should see: one of those that a mask was trained towards.",
    )

    @field_validator("attributes", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        """ "Bangs, Young" as a command line gives it."""
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def mask_of(state: Mapping[str, Tensor], target: str) -> nets.ErasableMask:
    """A target's networks out of the tensors of a file; CheckpointError where they are of something else."""
    own = {name.removeprefix(f"{target}."): value for name, value in state.items() if name.startswith(f"{target}.")}
    shared = {name: value for name, value in state.items() if name.startswith("generator.")}
    layers = sorted(name for name in shared if name.startswith("generator.encoder.") and name.endswith(".0.weight"))
    if not own or not layers:
        raise misfit(f"it holds no mask towards {target}")
    net = nets.ErasableMask(tuple(shared[name].shape[0] for name in layers))
    fill(net, {**shared, **own})
    return net


def _masks(id: str, device: str) -> dict[str, nets.ErasableMask]:
    state = load_state(trained(id, "mask"))
    found = {target: mask_of(state, target) for target in TARGETS.values()}
    for net in found.values():
        frozen(net, device)
    return found


masks = Once(_masks)


def shown(pixels: Tensor) -> Tensor:
    """The attributes (N, 13), 0 or 1, that faces (N, 3, 128, 128) in [0, 1] show, by the attribute classifier."""
    odds = manipulate.attributes(pixels, str(pixels.device))
    return (odds[:, [NAMES.index(name) for name in ATTRIBUTES]] > 0.5).float()


class ErasableMask:
    id, title = "erasable-mask", "ErasableMask"
    summary = "Recognisers see someone else; whoever holds the restorer takes the mask off again."
    caveat: ClassVar[str] = (
        "ErasableMask makes recognisers take the face for {target}; its paper does not promise that they stop "
        "matching you."
    )
    paper: ClassVar[str] = PAPER
    template: ClassVar[Template] = CELEBA128
    needs: ClassVar[frozenset[str]] = frozenset()
    Params: ClassVar[type[Params]] = ErasableMaskParams
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "Natural": {"beta": 0.7},
        "Balanced": {},
        "Strong": {"beta": 0.3, "gamma": 0.0},
    }
    checkpoint: ClassVar[str] = "erasable-mask"
    restorers: ClassVar[tuple[str, ...]] = tuple(TARGETS)
    leads: ClassVar[bool] = True

    @property
    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """The cards of what makes the output: the masks, and the classifier that reads the photo's attributes."""
        return (stamped(checkpoint(self.checkpoint)), stamped(checkpoint("attributes")))

    @property
    def attacked_in_training(self) -> tuple[str, ...]:
        """Ids of the recognisers that it was trained against: never its judges."""
        return tuple(checkpoint(self.checkpoint).trained_against)

    def budget(self, params: ErasableMaskParams, pixels: Tensor) -> Budget | None:
        """None: an edit of attributes has no ball; how far the mask goes beyond it is up to training (Eq. 8)."""
        return None

    def aim(self, params: ErasableMaskParams) -> str:
        """The name of the built-in face that recognisers should see."""
        return params.target

    def suggests(self, pixels: Tensor) -> dict[str, Any]:
        """Settings that a face (1, 3, 128, 128) brings along: the attributes that it shows."""
        found = shown(pixels)[0]
        return {"attributes": tuple(name for name, there in zip(ATTRIBUTES, found, strict=True) if there)}

    def protect(
        self, pixels: Tensor, params: ErasableMaskParams, scene: Scene, generator: torch.Generator
    ) -> Iterator[Snapshot]:
        """x_adv of Eq. 6 and 7: (B, 3, 128, 128) -> one snapshot of the same shape."""
        net = self._net(params.target, pixels)
        if params.attributes is None:
            wanted = shown(pixels)
        else:
            wanted = pixels.new_tensor([float(name in params.attributes) for name in ATTRIBUTES])
        with torch.inference_mode():
            clean = net.clean(signed(pixels), wanted.to(pixels).expand(len(pixels), -1))
            masked = unsigned(net(clean, params.beta, params.gamma))
        yield Snapshot(masked.clone(), 1, 1)

    def erase(self, pixels: Tensor, restorer: str) -> Tensor:
        """x_rec of Eq. 13: masked crops (N, 3, 128, 128) in [0, 1] -> the same without the mask."""
        if pixels.ndim != 4 or pixels.shape[1:] != (3, self.template.size, self.template.size):
            raise MethodError(f"A mask is erased from crops (N, 3, 128, 128), not {tuple(pixels.shape)}.")
        with torch.inference_mode():
            return unsigned(self._net(restorer, pixels).erased(signed(pixels))).clone()

    def _net(self, target: str, pixels: Tensor) -> nets.ErasableMask:
        if target not in TARGETS:
            raise MethodError(f"There is no restorer made for {target!r}: choose from {', '.join(TARGETS)}.")
        return masks(self.checkpoint, str(pixels.device))[TARGETS[target]]
