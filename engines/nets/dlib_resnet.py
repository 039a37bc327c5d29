"""dlib's face recognition ResNet (King, 2017), parsed out of its `.dat` into a differentiable module.

The file is a run of tensors in order from input to output, between bits of layer bookkeeping that
are skipped: a tensor is dlib's integer 2 (its version), four integers (num, k, nr, nc), and
num * k * nr * nc little-endian float32 values. A dlib integer is a control byte (low nibble: byte
count; top bit: sign) and that many little-endian bytes.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

MEAN = (122.782, 117.001, 104.298)  # of RGB; the rest of the input convention is a division by 256
# (channels, whether it halves the size) of the residual blocks, from input to output.
BLOCKS = (
    (32, False), (32, False), (32, False),
    (64, True), (64, False), (64, False), (64, False),
    (128, True), (128, False), (128, False),
    (256, True), (256, False), (256, False),
    (256, True),
)  # fmt: skip


class Affine(nn.Module):
    """A frozen batch normalisation: gamma x + beta for each channel."""

    def __init__(self, channels: int):
        super().__init__()
        self.gamma, self.beta = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma[:, None, None] + self.beta[:, None, None]


class Block(nn.Module):
    """relu(add_prev(affine(con3(relu(affine(con3(x))))))); a halving block pools its shortcut 2x2."""

    def __init__(self, before: int, channels: int, down: bool):
        super().__init__()
        self.down = down
        self.con1 = nn.Conv2d(before, channels, 3, 2 if down else 1, 0 if down else 1)
        self.affine1 = Affine(channels)
        self.con2 = nn.Conv2d(channels, channels, 3, 1, 1)
        self.affine2 = Affine(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.affine2(self.con2(F.relu(self.affine1(self.con1(x)))))
        shortcut = F.avg_pool2d(x, 2, 2) if self.down else x
        return F.relu(_add(y, shortcut))


def _add(a: Tensor, b: Tensor) -> Tensor:
    """dlib's add_prev: the smaller tensor is padded with zeros, in channels, rows and columns."""
    size = [max(m, n) for m, n in zip(a.shape[1:], b.shape[1:], strict=True)]

    def padded(t: Tensor) -> Tensor:
        c, h, w = (want - have for want, have in zip(size, t.shape[1:], strict=True))
        return F.pad(t, (0, w, 0, h, 0, c)) if c or h or w else t

    return padded(a) + padded(b)


class DlibResNet(nn.Module):
    """RGB 0..255 chips (N, 3, 150, 150) -> descriptors (N, 128), as dlib gives them: not normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.con = nn.Conv2d(3, 32, 7, 2)
        self.affine = Affine(32)
        widths = (32,) + tuple(channels for channels, _ in BLOCKS)
        self.blocks = nn.ModuleList(
            Block(before, channels, down) for before, (channels, down) in zip(widths, BLOCKS, strict=False)
        )
        self.fc = nn.Linear(256, 128, bias=False)
        self.mean: Tensor
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        x = F.relu(self.affine(self.con((pixels - self.mean) / 256)))
        x = F.max_pool2d(x, 3, 2)
        for block in self.blocks:
            x = block(x)
        return self.fc(x.mean(dim=(2, 3)))


def from_state(state: dict[str, Tensor]) -> DlibResNet:
    """The network of a converted state dict."""
    net = DlibResNet()
    net.load_state_dict(state)
    return net


def convert(path: Path) -> dict[str, Tensor]:
    """The `.dat` as a state dict of `DlibResNet`; ValueError when its tensors are not the expected ones."""
    data, position, found = path.read_bytes(), 0, {}
    for name, module in DlibResNet().named_modules():
        if not isinstance(module, (nn.Conv2d, Affine, nn.Linear)):
            continue
        values, position = next_tensor(data, position, sum(p.numel() for p in module.parameters()))
        if isinstance(module, nn.Conv2d):  # filters, then biases
            weights = module.weight.numel()
            found[f"{name}.weight"] = values[:weights].view(module.weight.shape)
            found[f"{name}.bias"] = values[weights:]
        elif isinstance(module, Affine):  # gamma, then beta
            found[f"{name}.gamma"], found[f"{name}.beta"] = values.chunk(2)
        else:
            found[f"{name}.weight"] = values.view(256, 128).T
    return {name: value.clone(memory_format=torch.contiguous_format) for name, value in found.items()}


def next_tensor(data: bytes, position: int, count: int) -> tuple[Tensor, int]:
    """The next tensor of `count` values at or after `position`, flat, and the position behind it.

    The bookkeeping between tensors can look like a tensor's head by chance; one of exactly the
    size that the network needs next does not occur there.
    """
    while (position := data.find(b"\x01\x02", position)) >= 0:
        at = position + 2
        shape: list[int] = []
        while len(shape) < 4 and (integer := _integer_at(data, at)) is not None:
            shape.append(integer[0])
            at = integer[1]
        if len(shape) == 4 and math.prod(shape) == count and at + 4 * count <= len(data):
            return torch.from_numpy(np.frombuffer(data, "<f4", count, at).copy()), at + 4 * count
        position += 1
    raise ValueError("The dlib file does not hold the expected network: use the pinned file.")


def _integer_at(data: bytes, position: int) -> tuple[int, int] | None:
    """(value, next position) of a dlib integer, or None where there is none."""
    if position >= len(data):
        return None
    count = data[position] & 0x0F
    if not 1 <= count <= 8 or data[position] & 0x70 or position + 1 + count > len(data):
        return None
    value = int.from_bytes(data[position + 1 : position + 1 + count], "little")
    return (-value if data[position] & 0x80 else value), position + 1 + count
