"""IPMN (Yang et al.): another face is put on over yours, which stays hidden inside, and can be taken off again.

The picture carries the watermark of whose network made it. A mask generator gives the face (Eq. 1), H the watermark
(Eq. 2), the invertible network f hides the photo in it (Eq. 5) and gives it back (Eq. 6), R reads the watermark. It
works on frames (`engines/frame.py`), since what is hidden lies in the last bits. The method joins METHODS with its
trained networks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from engines import masking
from engines.checkpoints import Checkpoint, checkpoint, load_state, stamped
from engines.face import CELEBA128, Template
from engines.frame import LEAST, MULTIPLE
from engines.marks import folded, tiled
from engines.method import Budget, MethodError, Scene, Snapshot
from engines.nets.invertible import Invertible
from engines.nets.ipmn import Ipmn as Networks
from engines.nets.ipmn import Sizes, random_matrix
from engines.once import Once, frozen, trained
from engines.params import Knob, Params, knob
from engines.tensors import fill, misfit

PAPER = "Yang et al., IPMN: Invertible privacy-preserving mask network with intellectual property protection, 2025"


class IpmnParams(Params):
    mask: Literal["Geometric swap", "DiffFace", "ONNX swapper"] = knob(
        masking.GEOMETRIC,
        label="Mask generator",
        published=False,
        help="What puts the other face in the place of yours (Eq. 1). The paper's is DiffFace.",
    )
    steps: int = knob(
        25,
        label="DDIM steps",
        ge=2,
        le=100,
        step=1,
        published=False,
        advanced=True,
        help="How many steps DiffFace takes from noise to the face. The other mask generators take none.",
    )

    @classmethod
    def knobs(cls) -> tuple[Knob, ...]:
        """As declared, but only the mask generators that are on this computer, and steps where they count."""
        here = masking.available()
        found = (replace(one, choices=here) if one.name == "mask" else one for one in super().knobs())
        return tuple(one for one in found if one.name != "steps" or masking.DIFFFACE in here)


def sizes_of(state: Mapping[str, Tensor]) -> Sizes:
    """The sizes of the networks whose tensors these are; CheckpointError where they are of something else."""
    try:
        down = sum(name.startswith("embedder.down.") and name.endswith(".0.0.weight") for name in state)
        return replace(
            _inner(state),
            embedder=tuple(state[f"embedder.down.{i}.0.0.weight"].shape[0] for i in range(down)),
            extractor=state["extractor.edge.0.0.weight"].shape[0],
            residuals=len({name.split(".")[2] for name in state if name.startswith("extractor.residual.")}),
        )
    except KeyError as error:
        raise misfit(f"{error.args[0]} is missing") from None


def _inner(state: Mapping[str, Tensor]) -> Sizes:
    """The sizes of f alone. Raises KeyError."""
    first = "invertible.blocks.0.add.layers."
    return Sizes(
        blocks=len({name.split(".")[2] for name in state if name.startswith("invertible.")}),
        growth=state[f"{first}0.weight"].shape[0],
        layers=sum(name.startswith(first) and name.endswith("weight") for name in state),
    )


def _networks(id: str, device: str) -> Networks:
    state = load_state(trained(id, "invertible"))
    own = {name: value for name, value in state.items() if not name.startswith("thief.")}
    net = Networks(sizes_of(own))
    fill(net, own)
    return frozen(net, device)  # type: ignore[return-value]


def _invertible(id: str, device: str) -> Invertible:
    """f alone, which is all that there is of a baseline without watermark."""
    state = load_state(trained(id, "invertible"))
    own = {name: value for name, value in state.items() if name.startswith("invertible.")}
    try:
        sizes = _inner(own)
    except KeyError as error:
        raise misfit(f"{error.args[0]} is missing") from None
    net = Invertible(sizes.blocks, sizes.growth, sizes.layers)
    fill(net, {name.removeprefix("invertible."): value for name, value in own.items()})
    return frozen(net, device)  # type: ignore[return-value]


networks = Once(_networks)
invertibles = Once(_invertible)


@dataclass(frozen=True)
class Restored:
    """What taking a mask off gives: x'_p and x'_wm, both (N, 3, S, S) in [0, 1], in steps of 1/255."""

    face: Tensor
    carrier: Tensor


OWN, OTHER = "IPMN", "IMN (another network)"


class Ipmn:
    id, title = "ipmn", "IPMN"
    summary = "Shows another face in place of yours; whoever holds the network puts yours back from the same file."
    caveat: ClassVar[str] = (
        "IPMN shows the face of {target}, and your own is hidden in the file's last bits: it comes back from this "
        "very file, and hardly after JPEG, resizing or a screenshot."
    )
    paper: ClassVar[str] = PAPER
    template: ClassVar[Template] = CELEBA128
    needs: ClassVar[frozenset[str]] = frozenset({"targets", "watermark"})
    exact: ClassVar[bool] = True
    Params: ClassVar[type[Params]] = IpmnParams
    presets: ClassVar[dict[str, dict[str, Any]]] = {"Balanced": {}}
    checkpoint: ClassVar[str] = "ipmn"
    restorers: ClassVar[tuple[str, ...]] = (OWN, OTHER)

    @property
    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """The cards of what makes the output: the networks, and the parser that finds the parts of a face."""
        return (stamped(checkpoint(self.checkpoint)), stamped(checkpoint("parser")))

    def beside(self, params: IpmnParams) -> tuple[Checkpoint, ...]:
        """The card of the mask generator, where that is a network of its own."""
        return masking.cards(params.mask)

    def budget(self, params: IpmnParams, pixels: Tensor) -> Budget | None:
        """None: another face is no small change."""
        return None

    def protect(
        self, pixels: Tensor, params: IpmnParams, scene: Scene, generator: torch.Generator
    ) -> Iterator[Snapshot]:
        """x_m, x_wm and x_wmf of frames x_p (B, 3, S, S), each as an 8-bit file keeps it.

        The last snapshot's figures hold the lost matrix's energy, its mean square; the random matrix that stands in
        for it has 1.
        """
        assert scene.targets is not None and scene.watermark is not None
        net = networks(self.checkpoint, str(pixels.device))
        seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
        steps = params.steps if params.mask == masking.DIFFFACE else 1
        made = (masking.masked(params.mask, one, scene.targets, params.steps, seed) for one in pixels.split(1))
        for step, faces in enumerate(zip(*made, strict=True), start=1):
            mask = torch.cat(faces)
            yield Snapshot(mask, step, steps + 2, "Mask")
        with torch.inference_mode():
            carrier = rounded(net.marked(mask, tiled(scene.watermark.to(pixels), pixels.shape[-1]).expand_as(mask)))
            yield Snapshot(carrier.clone(), steps + 1, steps + 2, "Watermarked mask")
            masked, lost = net.put_on(pixels, carrier)
        energy = {"lost matrix": float(lost.square().mean())}
        yield Snapshot(rounded(masked).clone(), steps + 2, steps + 2, "Masked photo", energy)

    def erase(self, pixels: Tensor, restorer: str = OWN) -> Tensor:
        """x'_p of masked frames (N, 3, S, S) in [0, 1]; by the network of another model it is none."""
        return self.restore(pixels, restorer).face

    def restore(self, pixels: Tensor, restorer: str = OWN, seed: int = 0) -> Restored:
        """Eq. 6: x'_p and x'_wm of masked frames x_wmf (N, 3, S, S) in [0, 1]; the seed draws N."""
        if restorer not in self.restorers:
            raise MethodError(f"There is no network called {restorer!r}: choose from {', '.join(self.restorers)}.")
        id = self.checkpoint if restorer == OWN else f"{self.checkpoint}-imn"
        net = invertibles(id, str(_frames(pixels).device))
        with torch.inference_mode():
            random = random_matrix(pixels, torch.Generator().manual_seed(seed))
            face, carrier = net.inverse(pixels, random)
        return Restored(rounded(face).clone(), rounded(carrier).clone())

    def carried(self, pixels: Tensor, restorer: str = OWN) -> dict[str, Tensor]:
        """The watermarks (N, 3, T, T) that R reads in masked frames and in the masks recovered from them."""
        recovered = self.restore(pixels, restorer).carrier
        return {"masked photo": self.watermark(pixels), "recovered mask": self.watermark(recovered)}

    def watermark(self, pixels: Tensor) -> Tensor:
        """R: what frames (N, 3, S, S) in [0, 1] carry, the mean of its tiles, in [0, 1]; black where it is blank."""
        net = networks(self.checkpoint, str(_frames(pixels).device))
        with torch.inference_mode():
            return folded(net.extract(pixels)).clamp(0, 1).clone()


def rounded(pixels: Tensor) -> Tensor:
    """What an 8-bit file keeps of (N, 3, S, S): bounded to [0, 1], in steps of 1/255."""
    return (pixels.clamp(0, 1) * 255).round() / 255


def _frames(pixels: Tensor) -> Tensor:
    side = pixels.shape[-1]
    square = pixels.ndim == 4 and pixels.shape[1:] == (3, side, side)
    if not square or side < LEAST or side % MULTIPLE:
        raise MethodError(
            f"A mask is taken off frames (N, 3, S, S), S a multiple of {MULTIPLE} from {LEAST} on, "
            f"not {tuple(pixels.shape)}."
        )
    return pixels
