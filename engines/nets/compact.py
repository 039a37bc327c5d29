"""The bundled recognisers: five small networks of different families, one input and one output.

Each takes (N, 3, 112, 112) in [0, 1], ArcFace-aligned, and gives rows (N, D). The backbones are timm's
where timm has the family.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engines.nets.inception import InceptionFeatures
from engines.nets.iresnet import IRNet


class GlobalDepthwiseHead(nn.Module):
    """One filter of the map's size a channel (the GDC of MobileFaceNet, Sec. 3.1), then a linear layer."""

    def __init__(self, channels: int, side: int, dimension: int):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, side, groups=channels, bias=False)
        self.bn = nn.BatchNorm2d(channels)
        self.linear = nn.Linear(channels, dimension, bias=False)
        self.out = nn.BatchNorm1d(dimension)

    def forward(self, maps: Tensor) -> Tensor:
        return self.out(self.linear(self.bn(self.depthwise(maps)).flatten(1)))


class TimmFeatures(nn.Module):
    """The maps of a timm network without its pooling and classifier."""

    def __init__(self, name: str):
        super().__init__()
        import timm  # a second to import: only for the networks that need it

        self.net = timm.create_model(name, pretrained=False, num_classes=0, global_pool="")

    def forward(self, x: Tensor) -> Tensor:
        return self.net.forward_features(x)


class Compact(nn.Module):
    """[0, 1] -> [-1, 1], a backbone's maps, a head's embedding."""

    def __init__(self, features: nn.Module, head: nn.Module):
        super().__init__()
        self.features, self.head = features, head

    def forward(self, pixels: Tensor) -> Tensor:
        return self.head(self.features(pixels * 2 - 1))


@dataclass(frozen=True)
class Family:
    """How one compact network is built for an embedding of D numbers."""

    title: str
    build: Callable[[int], Compact]
    layer: str  # whose 7x7 maps Grad-CAM reads


def _with_head(features: nn.Module, dimension: int) -> Compact:
    features.eval()
    with torch.no_grad():
        _, channels, side, _ = features(torch.zeros(1, 3, 112, 112)).shape
    features.train()
    return Compact(features, GlobalDepthwiseHead(channels, side, dimension))


def _ir_se(dimension: int) -> Compact:
    net = IRNet((2, 3, 2), (32, 80, 120), se=True, dimension=dimension, stem_stride=2)
    return Compact(nn.Sequential(net.input_layer, net.body), net.output_layer)


def _timm(name: str) -> Callable[[int], Compact]:
    return lambda dimension: _with_head(TimmFeatures(name), dimension)


FAMILIES = {
    "compact-mobilefacenet": Family("MobileFaceNet-like", _timm("mobilenetv2_050"), "features.net.blocks.4"),
    "compact-ir-se": Family("IR-SE, 7 units", _ir_se, "features.1"),
    "compact-ghostnet": Family("GhostNet 0.5x", _timm("ghostnet_050"), "features.net.blocks.6"),
    "compact-edgenext": Family("EdgeNeXt XXS", _timm("edgenext_xx_small"), "features.net.stages.2"),
    "compact-inception": Family(
        "Inception-ResNet, small", lambda dimension: _with_head(InceptionFeatures(), dimension), "features.at7"
    ),
}


def from_state(name: str, state: dict[str, Tensor]) -> Compact:
    """The network of a state dict; the width of its embedding is that of its last layer."""
    net = FAMILIES[name].build(_dimension(state))
    net.load_state_dict(state)
    return net


def _dimension(state: dict[str, Tensor]) -> int:
    return next(value.shape[0] for key, value in state.items() if key in ("head.linear.weight", "head.3.weight"))
