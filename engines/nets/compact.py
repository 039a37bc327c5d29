"""The bundled recognisers: five small networks of different families, one input and one output.

Each takes (N, 3, 112, 112) in [0, 1], ArcFace-aligned, and gives rows (N, D). The backbones are timm's
where timm has the family.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from engines.nets.inception import InceptionFeatures
from engines.nets.iresnet import IRNet
from engines.tensors import fill, misfit


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


class FlatHead(nn.Module):
    """A linear layer on all of the maps or tokens at once, as ArcFace's networks end."""

    def __init__(self, numbers: int, dimension: int):
        super().__init__()
        self.linear, self.out = nn.Linear(numbers, dimension, bias=False), nn.BatchNorm1d(dimension)

    def forward(self, maps: Tensor) -> Tensor:
        return self.out(self.linear(maps.flatten(1)))


class TimmFeatures(nn.Module):
    """The maps or tokens of a timm network, without its pooling and classifier."""

    def __init__(self, net: Any):
        super().__init__()
        self.net = net

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
    paper: str
    build: Callable[[int], Compact]
    layer: str  # whose 7x7 maps Grad-CAM reads


def _shape(features: nn.Module) -> torch.Size:
    """What the backbone gives for one face."""
    features.eval()
    with torch.no_grad():
        shape = features(torch.zeros(1, 3, 112, 112)).shape
    features.train()
    return shape


def _ir_se(dimension: int) -> Compact:
    net = IRNet((2, 3, 2), (32, 80, 120), se=True, dimension=dimension, stem_stride=2)
    return Compact(nn.Sequential(net.input_layer, net.body), net.output_layer)


def _inception(dimension: int) -> Compact:
    return Compact(InceptionFeatures(), GlobalDepthwiseHead(InceptionFeatures.channels, 7, dimension))


def _vgg(dimension: int) -> Compact:
    from timm.models.byobnet import ByoBlockCfg, ByobNet, ByoModelCfg

    stages = tuple(ByoBlockCfg(type="basic", d=d, c=c, s=2, gs=0, br=1.0) for d, c in ((2, 40), (3, 80), (3, 112)))
    plan = ByoModelCfg(blocks=stages, stem_chs=24, stem_type="3x3", stem_pool="")
    features = TimmFeatures(ByobNet(plan, num_classes=0, global_pool=""))
    return Compact(features, FlatHead(_shape(features).numel(), dimension))


def _vovnet(dimension: int) -> Compact:
    from timm.models.vovnet import VovNet

    plan = {
        "stem_chs": [24, 24, 40],
        "stage_conv_chs": [40, 64, 80, 8],
        "stage_out_chs": [80, 128, 104, 8],
        "block_per_stage": [1, 1, 2, 1],
        "layer_per_block": 4,
        "residual": False,
        "depthwise": False,
        "attn": "",
    }
    net: Any = VovNet(plan, num_classes=0, global_pool="")
    net.stages = net.stages[:3]  # timm builds four; the last one's maps would be 3x3
    features = TimmFeatures(net)
    return Compact(features, FlatHead(_shape(features).numel(), dimension))


def _edgenext(dimension: int) -> Compact:
    import timm

    features = TimmFeatures(timm.create_model("edgenext_xx_small", num_classes=0, global_pool=""))
    _, channels, side, _ = _shape(features)
    return Compact(features, GlobalDepthwiseHead(channels, side, dimension))


FAMILIES = {
    "compact-ir-se": Family("IR-SE, 7 units", "IR-SE (Deng et al., ArcFace, 2019), reduced", _ir_se, "features.1"),
    "compact-vgg": Family(
        "VGG-like", "plain 3x3 convolutions (Simonyan and Zisserman, 2015)", _vgg, "features.net.stages.2"
    ),
    "compact-vovnet": Family(
        "VoVNet",
        "VoVNet (Lee et al., 2019), reduced: concatenation instead of residual sums",
        _vovnet,
        "features.net.stages.2",
    ),
    "compact-edgenext": Family(
        "EdgeNeXt XXS",
        "EdgeNeXt XXS (Maaz et al., 2022): depthwise convolutions and channel attention",
        _edgenext,
        "features.net.stages.2",
    ),
    "compact-inception": Family(
        "Inception-ResNet", "Inception-ResNet (Szegedy et al., 2017), reduced", _inception, "features.at7"
    ),
}


LAST = ("head.linear.weight", "head.3.weight")  # the last layer, by the kind of head


def from_state(name: str, state: dict[str, Tensor]) -> Compact:
    """The network of a state dict, its BatchNorm counters left out or not; CheckpointError for any other.

    The width of its embedding is that of its last layer.
    """
    widths = [value.shape[0] for key, value in state.items() if key in LAST and value.ndim == 2]
    if not widths:
        raise misfit(f"neither {' nor '.join(LAST)} is among them")
    net = FAMILIES[name].build(widths[0])
    fill(net, state)
    return net
