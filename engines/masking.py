"""IPMN's mask generator MG (Eq. 1), by one protocol: three engines that show another face in place of yours.

The geometric swap is always there. DiffFace needs its network; a swapper that a user has as an ONNX file is named by
LARVATUS_SWAPPER, such as "swapper.onnx" or "swapper.onnx, recogniser=arcface.onnx, cut=arcface, values=unit"
(`engines/swap_onnx.py` says what these mean; a recogniser is a file or an id of the registry).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from engines import diffface_network, recognise
from engines.checkpoints import Checkpoint, CheckpointError
from engines.diffface import Settings, denoise, face_mask
from engines.face import CELEBA128
from engines.method import MethodError
from engines.once import Once
from engines.onnx_recogniser import Embedder, OnnxRecogniser
from engines.swap import found, swapped
from engines.swap_onnx import OnnxSwapper
from engines.swap_points import mismatch

GEOMETRIC, DIFFFACE, SWAPPER = "Geometric swap", "DiffFace", "ONNX swapper"
ASKED = "LARVATUS_SWAPPER"
KEYS = ("recogniser", "cut", "values")


def available() -> tuple[str, ...]:
    """The engines that are on this computer."""
    there = {GEOMETRIC: True, DIFFFACE: bool(diffface_network.available()), SWAPPER: bool(os.environ.get(ASKED))}
    return tuple(name for name, here in there.items() if here)


def cards(name: str) -> tuple[Checkpoint, ...]:
    """What makes the mask, where that is a network. Raises MethodError and CheckpointError, as `masked` does."""
    _check(name)
    if name == DIFFFACE:
        return (_diffface("cpu").card,)
    return (swapper().card,) if name == SWAPPER else ()


def masked(name: str, photo: Tensor, faces: Tensor, steps: int, seed: int) -> Iterator[Tensor]:
    """x_m = MG(x_p, x_r), ever better: frames (1, 3, S, S) in [0, 1], cut about as CELEBA128 does, in steps of 1/255.

    Of `faces` (N, 3, S', S') the one that looks most the same way replaces. DiffFace gives a picture for each of
    `steps` of DDIM, and draws by the seed; the others give one. Raises MethodError for an engine that is not here,
    FaceError where no face can be made out, CheckpointError where a file fails.
    """
    _check(name)
    ours, others = found(photo), [found(one) for one in faces.split(1)]
    best = min(range(len(others)), key=lambda i: min(mismatch(ours, o) for o in (others[i], others[i].mirrored())))
    other = faces[best : best + 1]
    if name == GEOMETRIC:
        yield swapped(photo, other, ours, others[best])
    elif name == SWAPPER:
        yield swapper()(photo, other)
    else:
        yield from _denoised(photo, other, steps, seed)


def _check(name: str) -> None:
    if name not in available():
        how = {
            DIFFFACE: "train it with python -m engines.train.diffface, or add its release to the registry",
            SWAPPER: f"name its file by {ASKED}",
        }
        raise MethodError(f"{name} is not on this computer: {how[name]}, or choose {', '.join(available())}.")


def _denoised(photo: Tensor, other: Tensor, steps: int, seed: int) -> Iterator[Tensor]:
    """DiffFace's pictures, enlarged onto the frame under its mask; outside of it exactly the photo."""
    net, side = _diffface(str(photo.device)), photo.shape[-1]
    small, theirs = (_sized(pixels, CELEBA128.size) for pixels in (photo, other))
    with torch.inference_mode(False), torch.enable_grad():
        where = _sized(face_mask(small) * net.reach().to(small), side)
        for snapshot in denoise(small.clone(), theirs.clone(), net, (), Settings(steps=steps), seed):
            face = torch.lerp(photo, _sized(snapshot.pixels, side).to(photo), where.to(photo))
            yield (torch.where(where > 0, face, photo) * 255).round() / 255


def _sized(pixels: Tensor, side: int) -> Tensor:
    if pixels.shape[-1] == side:
        return pixels
    return F.interpolate(pixels, (side, side), mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)


def _diffface(device: str) -> diffface_network.DiffFace:
    return diffface_network.diffface(diffface_network.available()[0], device)


def _swapper(asked: str, device: str) -> OnnxSwapper:
    file, *rest = (part.strip() for part in asked.split(","))
    given = dict(part.partition("=")[::2] for part in rest)
    if strange := set(given) - set(KEYS):
        usual = "swapper.onnx, recogniser=arcface.onnx"
        raise CheckpointError(f"{ASKED} knows {', '.join(KEYS)}, not {min(strange)!r}: write it like {usual!r}.")
    reads = given.get("recogniser")
    return OnnxSwapper(Path(file), _reader(reads) if reads else None, given.get("cut"), given.get("values", "unit"))


def _reader(name: str) -> Embedder:
    return OnnxRecogniser(Path(name)) if name.endswith(".onnx") else recognise.load(name)


_swappers: Callable[[str, str], OnnxSwapper] = Once(_swapper)


def swapper() -> OnnxSwapper:
    """The swapper that LARVATUS_SWAPPER names. Raises CheckpointError."""
    return _swappers(os.environ.get(ASKED, ""), "cpu")
