"""SFace (Zhong et al., 2021; OpenCV Zoo) read from its ONNX file into a plain differentiable module.

The file is block-quantised to 8 bits: each weight is `DequantizeLinear` over blocks, then `Reshape`.
Here the weights become float32 and every BatchNormalization is folded into its neighbour.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class SFace(nn.Module):
    """27 convolutions with PReLU and a linear layer: RGB 0..255 (N, 3, 112, 112) -> raw rows (N, 128)."""

    def __init__(self, layers: list[tuple[int, int, int, int, int]], features: int, dimension: int = 128):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(i, o, k, s, k // 2, groups=g) for i, o, k, s, g in layers)
        self.prelus = nn.ModuleList(nn.PReLU(o) for _, o, *_ in layers)
        self.fc = nn.Linear(features, dimension)

    def forward(self, pixels: Tensor) -> Tensor:
        """Normalisation is part of the network: (x - 127.5) / 128."""
        x = (pixels - 127.5) / 128
        for conv, prelu in zip(self.convs, self.prelus, strict=True):
            x = prelu(conv(x))
        return self.fc(x.flatten(1))


def from_state(state: dict[str, Tensor]) -> SFace:
    """The network of a converted state dict."""
    layers = [tuple(map(int, row)) for row in state["layers"].tolist()]
    net = SFace(layers, state["fc.weight"].shape[1], state["fc.weight"].shape[0])  # type: ignore[arg-type]
    net.load_state_dict({name: value for name, value in state.items() if name != "layers"})
    return net


def convert(path: Path) -> dict[str, Tensor]:
    """The ONNX file as a state dict of `SFace`; ValueError when the graph is not the expected one."""
    import onnx

    graph = onnx.load(str(path)).graph
    values = {item.name: onnx.numpy_helper.to_array(item) for item in graph.initializer}
    builder = _Builder(values)
    for node in graph.node:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        handler = getattr(builder, f"on_{node.op_type.lower()}", None)
        if handler is None:
            raise ValueError(f"The SFace file holds an unknown operation {node.op_type}: use the pinned one.")
        handler(node, attributes)
    return builder.state()


class _Builder:
    """Walks the graph in order and collects folded layers."""

    def __init__(self, values: dict[str, np.ndarray]):
        self.values = values
        self.layers: list[tuple[int, int, int, int, int]] = []
        self.weights: list[list[Tensor]] = []  # [weight, bias] of each convolution, then of the Gemm
        self.slopes: list[Tensor] = []
        self.before_fc: tuple[Tensor, Tensor] | None = None
        self.fc = False

    def _tensor(self, name: str) -> Tensor:
        return torch.from_numpy(np.asarray(self.values[name], dtype=np.float32).copy())

    def on_dequantizelinear(self, node: Any, attributes: dict[str, Any]) -> None:
        """x = (q - zero point) scale, both given per block along an axis."""
        q, scale, zero = (self.values[name].astype(np.float32) for name in node.input)
        axis, block = attributes["axis"], attributes["block_size"]
        scale, zero = (np.repeat(v, block, axis).take(range(q.shape[axis]), axis) for v in (scale, zero))
        self.values[node.output[0]] = (q - zero) * scale

    def on_reshape(self, node: Any, attributes: dict[str, Any]) -> None:
        self.values[node.output[0]] = self.values[node.input[0]].reshape(self.values[node.input[1]])

    def on_conv(self, node: Any, a: dict[str, Any]) -> None:
        weight, groups = self._tensor(node.input[1]), a["group"]
        out, per_group, size, _ = weight.shape
        if a["pads"] != [size // 2] * 4:
            raise ValueError("The SFace file has an unexpected padding: use the pinned file.")
        self.layers.append((per_group * groups, out, size, a["strides"][0], groups))
        self.weights.append([weight, torch.zeros(out)])

    def on_prelu(self, node: Any, attributes: dict[str, Any]) -> None:
        self.slopes.append(self._tensor(node.input[1]).flatten())

    def on_batchnormalization(self, node: Any, attributes: dict[str, Any]) -> None:
        gamma, beta, mean, variance = (self._tensor(name) for name in node.input[1:])
        scale = gamma / (variance + attributes["epsilon"]).sqrt()
        shift = beta - mean * scale
        if len(self.slopes) == len(self.layers) and not self.fc:  # bn1 comes after the last PReLU
            self.before_fc = (scale, shift)
            return
        weight, bias = self.weights[-1]
        shape = (-1,) + (1,) * (weight.ndim - 1)
        self.weights[-1] = [weight * scale.view(shape), bias * scale + shift]

    def on_gemm(self, node: Any, attributes: dict[str, Any]) -> None:
        if self.before_fc is None:
            raise ValueError("The SFace file lacks the normalisation before its last layer.")
        weight, bias = self._tensor(node.input[1]), self._tensor(node.input[2]).flatten()
        area = weight.shape[1] // len(self.before_fc[0])
        scale, shift = (v.repeat_interleave(area) for v in self.before_fc)
        self.weights.append([weight * scale, bias + weight @ shift])
        self.fc = True

    def _ignore(self, node: Any, attributes: dict[str, Any]) -> None:
        """(x - 127.5) / 128 stands in `SFace.forward`; Dropout and Flatten hold no weights."""

    on_sub = on_mul = on_dropout = on_flatten = on_constant = _ignore

    def state(self) -> dict[str, Tensor]:
        """The collected layers under the names of `SFace`."""
        found = {"layers": torch.tensor(self.layers)}
        for i, ((weight, bias), slope) in enumerate(zip(self.weights, self.slopes, strict=False)):
            found |= {f"convs.{i}.weight": weight, f"convs.{i}.bias": bias, f"prelus.{i}.weight": slope}
        weight, bias = self.weights[-1]
        return found | {"fc.weight": weight, "fc.bias": bias}
