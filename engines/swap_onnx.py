"""Face swappers in ONNX files as IPMN's mask generator MG (Eq. 1): any that a user has and may use; none comes along.

Two conventions of public files are known, told apart by the shapes of the inputs. One takes a picture of the face to
be replaced and the other's embedding, a unit row (InSwapper, SimSwap); the other takes two pictures (BlendSwap,
UniFace). What a file does not say of itself, how its crops are cut and what its numbers mean, is for the user to say.

A swapper that takes an embedding gives sense only with the recogniser that it was trained with: InSwapper with
InsightFace's w600k_r50, SimSwap with its own ArcFace. With any other of the same length it makes a face, but not that
of the person it was given, and nothing here can notice. Swappers that take embeddings of any length (Ghost) or give a
mask beside the picture (HyperSwap) are not known. None was at hand to try: what is tested are graphs of their form.

Facts of the conventions: InsightFace's `inswapper.py` and `face_align.py`; FaceFusion's table of swappers.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engines.checkpoints import Checkpoint, CheckpointError
from engines.face import ARCFACE_POINTS, FaceCrop, FaceError, Template, align, invert, sample
from engines.onnx_network import VALUES, OnnxNetwork, Slot, normalised
from engines.onnx_recogniser import Embedder
from engines.swap import blended, found, region

LEAST, MOST = 64, 1024  # pixels a side of a swapper's crops
FAR = 0.5  # beyond [0, 1], from where on an output is no picture of these VALUES

_SIMSWAP = ((39.73, 51.138), (72.27, 51.138), (56.0, 68.493), (42.463, 87.01), (69.537, 87.01))
_FFHQ = ((192.98, 239.95), (318.90, 240.19), (256.63, 314.02), (201.26, 371.41), (313.09, 371.15))


def _arcface(side: int) -> Template:
    """InsightFace's rule: recognisers' crops as they are, or with 8 of 128 pixels more to the left and below."""
    ratio, left = (side / 112, 0.0) if side % 112 == 0 else (side / 128, 8.0)
    return Template(f"arcface{side}", side, tuple(((x + left) * ratio, y * ratio) for x, y in ARCFACE_POINTS))


def _scaled(name: str, points: tuple[tuple[float, float], ...], own: int, side: int) -> Template:
    ratio = side / own
    return Template(f"{name}{side}", side, tuple((x * ratio, y * ratio) for x, y in points))


CUTS = {
    "arcface": _arcface,
    "simswap": lambda side: _scaled("simswap", _SIMSWAP, 112, side),
    "ffhq": lambda side: _scaled("ffhq", _FFHQ, 512, side),
}
"""Where the five landmarks lie in a swapper's crop: arcface (InSwapper), simswap, ffhq (BlendSwap, UniFace)."""


class OnnxSwapper:
    """A swapper of a file; called as `engines.swap.swap` is. `card` says which file, for what it makes.

    `file` is a path or an entry of the registry. `recogniser` gives the embeddings, where the file takes them: one of
    the panel, or an `OnnxRecogniser`. `cut` is a name in CUTS, by default arcface for files that take an embedding
    and ffhq for others. `values`, a name in `engines.onnx_network.VALUES`, says how the picture to be changed is
    normalised: unit (InSwapper, BlendSwap), imagenet (SimSwap at 256 pixels) or signed (UniFace), whose output is in
    [-1, 1] too; all others' is in [0, 1]. Raises CheckpointError, in one sentence that names the file's inputs, for a
    file of neither convention.
    """

    def __init__(
        self,
        file: Path | Checkpoint,
        recogniser: Embedder | None = None,
        cut: str | None = None,
        values: str = "unit",
    ):
        self.net, self.recogniser = OnnxNetwork(file), recogniser
        self.card = self.net.card
        self.target, self.source = self._told_apart()
        self.pictures = len(self.source.shape) == 4
        for name, known in ((cut, CUTS), (values, VALUES)):
            if name is not None and name not in known:
                raise CheckpointError(f"Nothing is known of {name!r} for a swapper: choose from {', '.join(known)}.")
        if not self.pictures and recogniser is None:
            raise CheckpointError(f"{self.net.name} takes an embedding: name the recogniser it was trained with.")
        cut = cut or ("ffhq" if self.pictures else "arcface")
        self.values = values
        self.template = CUTS[cut](self.target.shape[-1])
        side = self.source.shape[-1]
        self.reads = CUTS["arcface" if side == 112 else cut](side) if self.pictures else None

    def __call__(
        self, protected: Tensor, replacing: Tensor, five: Tensor | None = None, theirs: Tensor | None = None
    ) -> Tensor:
        """x_m = MG(x_p, x_r): square crops (1, 3, S, S) in [0, 1], cut as CELEBA128 -> x_p's, in steps of 1/255.

        `five` and `theirs` as in `engines.swap.swap`. Only the face's region changes, blended in as there. Raises
        FaceError where no face can be made out, CheckpointError where the file fails.
        """
        for pixels in (protected, replacing):
            if pixels.ndim != 4 or pixels.shape[:2] != (1, 3) or pixels.shape[2] != pixels.shape[3]:
                raise FaceError(f"Faces are swapped in square crops (1, 3, S, S), not {tuple(pixels.shape)}.")
        ours, other = found(protected, five), found(replacing, theirs)
        crop = align(protected.cpu(), ours.inner[:5], self.template)
        made = self.made(crop.pixels, self.identity(replacing, other.inner[:5]))
        size = protected.shape[-1]
        where = region(
            ours, sample(torch.ones_like(made[:, :1]), crop.to_crop, (size, size), padding="zeros")[0, 0] > 0.99
        )
        return _tensor(blended(_image(_back(made, crop, size)), _image(protected.cpu()), where)).to(protected)

    def identity(self, replacing: Tensor, theirs: Tensor) -> Tensor:
        """What the file asks of the replacing face, with landmarks (5, 2): its picture in [0, 1], or its embedding.

        An embedding is a unit row; where the file's last constant is a square matrix that nothing reads, InSwapper's
        emap, it goes through that and is made a unit row again.
        """
        if self.reads is not None:
            return align(replacing.cpu(), theirs, self.reads).pixels
        assert self.recogniser is not None
        with torch.no_grad():
            row = self.recogniser.embed(align(replacing, theirs, self.recogniser.template).pixels).cpu()
        wanted = self.source.shape[1]
        if row.shape[1] != wanted:
            raise CheckpointError(
                f"{self.net.name} takes embeddings of {wanted} numbers, and {self.recogniser.card.title} gives "
                f"{row.shape[1]}: name the recogniser it was trained with."
            )
        emap = self.net.spare
        if emap is not None and emap.shape == (wanted, wanted):
            row = row @ emap
        return row / row.norm(dim=1, keepdim=True)

    def made(self, target: Tensor, source: Tensor) -> Tensor:
        """What the file makes of its inputs: (1, 3, T, T) in [0, 1], for a crop of its `template`, in [0, 1] too."""
        both = {self.target: normalised(target, self.values), self.source: source}
        out = self.net(*(both[slot] for slot in self.net.inputs))
        if out.shape != target.shape:
            raise CheckpointError(
                f"{self.net.name} gives {tuple(out.shape)}, no picture like its target: use another."
            )
        out = out / 2 + 0.5 if self.values == "signed" else out
        if out.min() < -FAR or out.max() > 1 + FAR:
            low, high = float(out.min()), float(out.max())
            raise CheckpointError(
                f"{self.net.name} gives values from {low:.1f} to {high:.1f} where a picture has 0 to 1: choose other "
                f"values, of {', '.join(VALUES)}."
            )
        return out.clamp(0, 1)

    def _told_apart(self) -> tuple[Slot, Slot]:
        """Which input takes the face to be changed, and which whom it shall show."""
        slots, outputs = self.net.inputs, self.net.outputs
        pictures = [slot for slot in slots if _picture(slot)]
        rows = [slot for slot in slots if len(slot.shape) == 2 and slot.shape[0] in (None, 1) and slot.shape[1]]
        plain = all(slot.kind == "tensor(float)" for slot in slots)
        if plain and len(slots) == 2 and len(outputs) == 1 and len(outputs[0].shape) == 4:
            if len(pictures) == len(rows) == 1:
                return pictures[0], rows[0]
            named = [slot for slot in pictures if "target" in slot.name.lower()]
            like = [slot for slot in pictures if slot.shape[2:] == outputs[0].shape[2:]]
            if len(pictures) == 2 and (chosen := next((some[0] for some in (named, like) if len(some) == 1), None)):
                return chosen, next(slot for slot in pictures if slot is not chosen)
        inputs = ", ".join(map(str, slots))
        raise CheckpointError(
            f"{self.net.name} is no face swapper that is known here: its inputs are {inputs}; it needs a picture "
            "(1, 3, S, S) and an embedding (1, D), or two pictures of which one is called target, and to give one."
        )


def _picture(slot: Slot) -> bool:
    if len(slot.shape) != 4 or slot.shape[0] not in (None, 1) or slot.shape[1] != 3:
        return False
    height, width = slot.shape[2:]
    return height == width and height is not None and LEAST <= height <= MOST


def _back(made: Tensor, crop: FaceCrop, size: int) -> Tensor:
    """A swapper's picture as the crop of `size` pixels a side shows it, its border repeated: (1, 3, size, size)."""
    inverse, points = invert(crop.to_crop), crop.template.tensor()
    places = points @ inverse[:, :2].T + inverse[:, 2]
    return align(made, points, Template("back", size, tuple((float(x), float(y)) for x, y in places))).pixels


def _image(pixels: Tensor) -> np.ndarray:
    return (pixels[0].permute(1, 2, 0) * 255).round().byte().contiguous().numpy()


def _tensor(image: np.ndarray) -> Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
