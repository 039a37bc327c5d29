"""Tiny networks in ONNX files, of the form of public swappers and recognisers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def value(name: str, *shape: int | str | None):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def constant(name: str, *numbers: float):
    return numpy_helper.from_array(np.array(numbers, np.float32), name)


def written(path: Path, nodes, inputs, outputs, constants=(), **more) -> Path:
    """An ONNX file of a graph."""
    graph = helper.make_graph(nodes, "graph", inputs, outputs, list(constants))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("other", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8, **more), path)
    return path


def inswapper(
    path: Path, side: int = 128, factor: float = 1.0, add: float = 0.0, emap=None, length: int = 512
) -> Path:
    """A swapper that takes an embedding, which changes nothing: factor x + add, and with it 0 times the embedding."""
    nodes = [
        helper.make_node("Mul", ["target", "factor"], ["scaled"]),
        helper.make_node("ReduceSum", ["source"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["sum", "nothing"], ["none"]),
        helper.make_node("Add", ["none", "add"], ["all"]),
        helper.make_node("Add", ["scaled", "all"], ["output"]),
    ]
    constants = [constant("factor", factor), constant("nothing", 0), constant("add", add)]
    constants += [] if emap is None else [numpy_helper.from_array(emap, "emap")]
    inputs = [value("target", 1, 3, side, side), value("source", 1, length)]
    return written(path, nodes, inputs, [value("output", 1, 3, side, side)], constants)


def blendswap(path: Path, names=("target", "source"), sides=(128, 112), side: int | str = 128) -> Path:
    """A swapper of two pictures, which paints the mean of the second over the first."""
    nodes = [
        helper.make_node("ReduceMean", [names[1]], ["mean"], axes=[2, 3], keepdims=1),
        helper.make_node("Mul", [names[0], "half"], ["darker"]),
        helper.make_node("Mul", ["mean", "half"], ["dim"]),
        helper.make_node("Add", ["darker", "dim"], ["output"]),
    ]
    inputs = [value(name, 1, 3, own, own) for name, own in zip(names, sides, strict=True)]
    return written(path, nodes, inputs, [value("output", 1, 3, side, side)], [constant("half", 0.5)])


def recogniser(path: Path, own: bool = False, side: int = 112) -> Path:
    """An embedding of the mean colour and ones; `own`: brings pixels from 0..255 to [-1, 1] itself."""
    nodes = (
        [helper.make_node("Sub", ["x", "middle"], ["a"]), helper.make_node("Mul", ["a", "scale"], ["b"])]
        if own
        else []
    )
    nodes += [
        helper.make_node("ReduceMean", ["b" if own else "x"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("Concat", ["mean", "ones"], ["row"], axis=1),
    ]
    ones = numpy_helper.from_array(np.ones((1, 509), np.float32), "ones")
    constants = [constant("middle", 127.5), constant("scale", 1 / 127.5), ones]
    return written(path, nodes, [value("x", "batch", 3, side, side)], [value("row", 1, 512)], constants)
