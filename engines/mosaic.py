"""A reversible mosaic, the baseline of IPMN's Table 7: a face in coarse blocks, its own picture kept inside them.

You et al. (ICME 2021), whom the paper compares with, train networks that hide a face in its mosaic. Simplified: here
the face is a JPEG file in the lowest bits of the mosaic's own pixels, at the best quality that has room. Nothing is
trained, nothing is secret: whoever has the lossless file gets the face back, and after any lossy one nobody does.
"""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

HEAD = struct.Struct("<4sII")  # a name, the length of the file behind it and its checksum
NAME = b"LvMo"
QUALITIES = range(97, 9, -1)


class MosaicError(ValueError):
    """A picture that cannot be hidden or restored, as one sentence that says what to do."""


def mosaic(pixels: Tensor, block: int = 16, bits: int = 2) -> Tensor:
    """(1, 3, H, W) in [0, 1] -> its mosaic in squares of `block` pixels, the same shape, in steps of 1/255.

    `bits` (1 to 4) of each value hold the original. Raises MosaicError where even a poor JPEG has no room.
    """
    _check(pixels)
    height, width = pixels.shape[-2:]
    coarse = F.avg_pool2d(F.pad(pixels, (0, -width % block, 0, -height % block), mode="replicate"), block)
    coarse = coarse.repeat_interleave(block, 2).repeat_interleave(block, 3)[..., :height, :width]
    values = _image(coarse).reshape(-1)
    file = _fitting(_image(pixels), values.size * bits // 8 - HEAD.size)
    hidden = _split(HEAD.pack(NAME, len(file), zlib.crc32(file)) + file, bits)
    # The middle of what the low bits can be stands for what is not used, so that no block changes its colour.
    low = np.full(values.size, 2 ** (bits - 1), np.uint8)
    low[: len(hidden)] = hidden
    return _tensor((values >> bits << bits | low).reshape(height, width, 3)).to(pixels)


def restored(pixels: Tensor, bits: int = 2) -> Tensor:
    """The face that a mosaic (1, 3, H, W) of `mosaic` with the same `bits` holds: the same shape, in [0, 1].

    Raises MosaicError where it holds none, or where something has changed it.
    """
    _check(pixels)
    data = _joined(_image(pixels).reshape(-1) & (2**bits - 1), bits)
    name, length, sum_ = HEAD.unpack(data[: HEAD.size])
    file = data[HEAD.size : HEAD.size + length]
    if name != NAME or zlib.crc32(file) != sum_:
        raise MosaicError("No hidden face can be read here: give the mosaic as the lossless file it was saved as.")
    with Image.open(io.BytesIO(file)) as picture:
        found = np.array(picture.convert("RGB"))
    return _tensor(found).to(pixels)


def _check(pixels: Tensor) -> None:
    if pixels.ndim != 4 or pixels.shape[:2] != (1, 3):
        raise MosaicError(f"A mosaic is made of one picture (1, 3, H, W), not {tuple(pixels.shape)}.")


def _fitting(image: np.ndarray, room: int) -> bytes:
    """The best JPEG of a picture that is at most `room` bytes long."""
    for quality in QUALITIES:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=quality, optimize=True)
        if file.tell() <= room:
            return file.getvalue()
    raise MosaicError("The picture has too little room for its own detail: use more bits, or a larger crop.")


def _split(data: bytes, bits: int) -> np.ndarray:
    """Bytes as numbers of so many bits, the highest first."""
    single = np.unpackbits(np.frombuffer(data, np.uint8))
    each = np.pad(single, (0, -len(single) % bits)).reshape(-1, bits)
    return (each << np.arange(bits - 1, -1, -1, dtype=np.uint8)).sum(1).astype(np.uint8)


def _joined(numbers: np.ndarray, bits: int) -> bytes:
    """The bytes that `_split` was given, and whatever comes after them."""
    each = numbers[:, None] >> np.arange(bits - 1, -1, -1, dtype=np.uint8) & 1
    return np.packbits(each.reshape(-1)).tobytes()


def _image(pixels: Tensor) -> np.ndarray:
    return (pixels[0].permute(1, 2, 0).clamp(0, 1) * 255).round().byte().contiguous().cpu().numpy()


def _tensor(image: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float() / 255
