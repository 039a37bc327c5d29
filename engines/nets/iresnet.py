"""Improved residual networks for faces (IR and IR-SE; Deng et al., ArcFace, CVPR 2019, Sec. 3.1).

Two state-dict layouts are in wide use for the same networks:

- `IRNet`: the face.evoLVe layout (`input_layer`, `body`, `output_layer`), as IR-50/100/152 and IR-SE-50;
- `IResNet`: the insightface layout (`conv1`, `layer1` ... `fc`, `features`), as iresnet50/100.

Both take (N, 3, 112, 112) in [-1, 1] and give rows (N, D). `from_state` tells them, their depth and
their width from the names and shapes of the tensors.
"""

from __future__ import annotations

import re
from itertools import takewhile

import torch.nn.functional as F
from torch import Tensor, nn

from engines.tensors import fill, misfit

# Units in each of the four stages: (name of the release) -> depths.
DEPTHS = {"ir50": (3, 4, 14, 3), "ir100": (3, 13, 30, 3), "ir152": (3, 8, 36, 3)}
WIDTHS = (64, 128, 256, 512)
ANCHORS = ("input_layer.0.weight", "conv1.weight")  # the first tensor of each layout


class SqueezeExcite(nn.Module):
    """Channel attention (Hu et al., 2018) with 1x1 convolutions named fc1 and fc2."""

    def __init__(self, channels: int, reduction: int = 16):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // reduction, 1, bias=False)
        self.fc2 = nn.Conv2d(channels // reduction, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.fc2(self.fc1(x.mean((2, 3), keepdim=True)).relu()).sigmoid()


class IRUnit(nn.Module):
    """BN, conv, PReLU, conv, BN (and SE) beside a shortcut that subsamples or projects."""

    def __init__(self, i: int, o: int, stride: int, se: bool, middle_bn: bool = False):
        """`middle_bn`: a BatchNorm before the PReLU too, as AdaFace's releases have it."""
        super().__init__()
        self.shortcut_layer = (
            nn.MaxPool2d(1, stride)
            if i == o
            else nn.Sequential(nn.Conv2d(i, o, 1, stride, bias=False), nn.BatchNorm2d(o))
        )
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(i),
            nn.Conv2d(i, o, 3, 1, 1, bias=False),
            *([nn.BatchNorm2d(o)] if middle_bn else []),
            nn.PReLU(o),
            nn.Conv2d(o, o, 3, stride, 1, bias=False),
            nn.BatchNorm2d(o),
            *([SqueezeExcite(o)] if se else []),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.res_layer(x) + self.shortcut_layer(x)


class IRNet(nn.Module):
    """IR or IR-SE in the face.evoLVe layout: (N, 3, 112, 112) in [-1, 1] -> rows (N, D)."""

    def __init__(
        self,
        depths: tuple[int, ...],
        widths: tuple[int, ...] = WIDTHS,
        se: bool = False,
        dimension: int = 512,
        stem_stride: int = 1,
        middle_bn: bool = False,
    ):
        super().__init__()
        self.input_layer = nn.Sequential(
            nn.Conv2d(3, widths[0], 3, stem_stride, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.PReLU(widths[0])
        )
        units, i = [], widths[0]
        for depth, o in zip(depths, widths, strict=True):
            for k in range(depth):
                units.append(IRUnit(i, o, 2 if k == 0 else 1, se, middle_bn))
                i = o
        self.body = nn.Sequential(*units)
        side = 112 // stem_stride // 2 ** len(depths)
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(i), nn.Dropout(0.4), nn.Flatten(), nn.Linear(i * side * side, dimension),
            nn.BatchNorm1d(dimension),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.output_layer(self.body(self.input_layer(x)))


class IBasicBlock(nn.Module):
    """The unit of the insightface layout: BN, conv, BN, PReLU, conv, BN."""

    def __init__(self, i: int, o: int, stride: int):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(i, eps=1e-5), nn.Conv2d(i, o, 3, 1, 1, bias=False)
        self.bn2, self.prelu = nn.BatchNorm2d(o, eps=1e-5), nn.PReLU(o)
        self.conv2, self.bn3 = nn.Conv2d(o, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o, eps=1e-5)
        self.downsample = (
            nn.Sequential(nn.Conv2d(i, o, 1, stride, bias=False), nn.BatchNorm2d(o, eps=1e-5))
            if stride != 1 or i != o
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn3(self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x))))))
        return out + (x if self.downsample is None else self.downsample(x))


class IResNet(nn.Module):
    """iresnet in the insightface layout: (N, 3, 112, 112) in [-1, 1] -> rows (N, D)."""

    def __init__(self, depths: tuple[int, ...], widths: tuple[int, ...] = WIDTHS, dimension: int = 512):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, widths[0], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[0], eps=1e-5)
        self.prelu = nn.PReLU(widths[0])
        i = widths[0]
        for stage, (depth, o) in enumerate(zip(depths, widths, strict=True), start=1):
            blocks = [IBasicBlock(i if k == 0 else o, o, 2 if k == 0 else 1) for k in range(depth)]
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
            i = o
        self.bn2 = nn.BatchNorm2d(i, eps=1e-5)
        self.fc = nn.Linear(i * 7 * 7, dimension)
        self.features = nn.BatchNorm1d(dimension, eps=1e-5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.prelu(self.bn1(self.conv1(x)))
        for stage in range(1, 5):
            x = self.get_submodule(f"layer{stage}")(x)
        return self.features(self.fc(F.dropout(self.bn2(x), 0.4, self.training).flatten(1)))


def from_state(state: dict[str, Tensor]) -> IRNet | IResNet:
    """The network of a state dict in either layout, with or without a wrapper's prefix; or CheckpointError."""
    state = without_prefix(state)
    net = _ir_of(state) if ANCHORS[0] in state else _iresnet_of(state)
    fill(net, state)
    return net


def without_prefix(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state dict with what wrappers put before every name ("model.net.") taken off."""
    firsts = [name for name in state if name.endswith(ANCHORS)]
    if not firsts:
        raise misfit("not an IR network: neither input_layer.0 nor conv1 is among them")
    first = min(firsts, key=len)
    prefix = first[: -len(next(anchor for anchor in ANCHORS if first.endswith(anchor)))]
    return {name[len(prefix) :]: tensor for name, tensor in state.items() if name.startswith(prefix)}


def _ir_of(state: dict[str, Tensor]) -> IRNet:
    units = sorted({int(found[1]) for name in state if (found := re.match(r"body\.(\d+)\.", name))})
    widths, depths = [], []
    for k in units:
        if k == 0 or f"body.{k}.shortcut_layer.0.weight" in state:  # a stage begins where the width changes
            widths.append(state[f"body.{k}.res_layer.1.weight"].shape[0])
            depths.append(0)
        depths[-1] += 1
    middle_bn = "body.0.res_layer.2.running_mean" in state
    se = any(name.endswith("fc1.weight") for name in state)
    return IRNet(tuple(depths), tuple(widths), se, state["output_layer.3.weight"].shape[0], middle_bn=middle_bn)


def _iresnet_of(state: dict[str, Tensor]) -> IResNet:
    stages = [s for s in range(1, 5) if f"layer{s}.0.conv1.weight" in state]
    depths = tuple(
        sum(1 for _ in takewhile(lambda k, s=s: f"layer{s}.{k}.conv1.weight" in state, range(1000)))  # type: ignore[misc]
        for s in stages
    )
    if len(depths) != 4 or "fc.weight" not in state:
        raise misfit("not an IR network: it has four stages and a layer fc")
    widths = tuple(state[f"layer{s}.0.conv1.weight"].shape[0] for s in stages)
    return IResNet(depths, widths, state["fc.weight"].shape[0])
