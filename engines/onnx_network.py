"""Networks in ONNX files, which are untrusted: one is read whole, looked through, and only then run.

The file runs with onnxruntime, an optional requirement, on the CPU alone and with few threads. Refused are files that
are too large, that name other files (external data), that hold operations of others than ONNX itself or functions of
their own, and loops. What is left is arithmetic on the inputs: it reads no file and calls no code. How much memory
and time it takes is for its author to say, within what a file of LIMIT bytes can ask for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engines.checkpoints import Checkpoint, CheckpointError, locate, stamped
from engines.files import sha256_of

RUNTIME = "1.31.1"  # of onnxruntime, as it was tried
LIMIT = 1 << 30  # bytes; the largest public swapper has half of it
DOMAINS = {"", "ai.onnx"}  # of operations; others need code that is not in the file
LOOPS = {"Loop", "Scan"}  # which may never end
THREADS = 2
VALUES = {
    "unit": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "signed": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
"""Mean and deviation of red, green and blue, by which public files have pixels normalised; none says so itself."""


@dataclass(frozen=True)
class Slot:
    """An input or output: its name, its shape with None where a file leaves a size open, and its kind of number."""

    name: str
    shape: tuple[int | None, ...]
    kind: str

    def __str__(self) -> str:
        sizes = ", ".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.name} ({sizes})"


class OnnxNetwork:
    """A file's network. `card` says which file; `spare` is its last constant, if a square matrix that nothing reads.

    `file` is a path, or an entry of the registry, which may lie on the Hub. Raises CheckpointError, in one sentence,
    for a file that is missing, refused or none of ONNX, and where onnxruntime is missing.
    """

    def __init__(self, file: Path | Checkpoint, threads: int = THREADS):
        path = locate(file) if isinstance(file, Checkpoint) else Path(file)
        self.name = path.name
        data = _bytes(path)
        self.card = stamped(file) if isinstance(file, Checkpoint) else _card(path, data)
        model = _model(self.name, data)
        self.spare = _spare(self.name, model.graph)
        self.begins = tuple(node.op_type for node in model.graph.node[:8])
        del model  # as large as the file
        self.session = _session(self.name, data, threads)
        self.inputs = tuple(_slot(found) for found in self.session.get_inputs())
        self.outputs = tuple(_slot(found) for found in self.session.get_outputs())

    def __call__(self, *values: Tensor) -> Tensor:
        """Its first output, float32 on the CPU, for float32 values in the order of `inputs`.

        Raises CheckpointError where it fails, and where it gives numbers that are not finite.
        """
        named = {
            slot.name: value.detach().cpu().float().numpy() for slot, value in zip(self.inputs, values, strict=True)
        }
        try:
            found = np.asarray(self.session.run([self.outputs[0].name], named)[0], dtype=np.float32)
        except Exception:  # onnxruntime has an exception of its own for each kind of failure
            raise CheckpointError(
                f"{self.name} cannot compute its output: it may be damaged, get it again."
            ) from None
        if not np.isfinite(found).all():
            raise CheckpointError(f"{self.name} gives numbers that are not finite: it may be damaged, get it again.")
        return torch.from_numpy(found)


def normalised(pixels: Tensor, values: str) -> Tensor:
    """Pixels (N, 3, H, W) in [0, 1] as a network takes them; CheckpointError for a name that is not in VALUES."""
    if values not in VALUES:
        raise CheckpointError(f"Nothing is known of pixels called {values!r}: choose from {', '.join(VALUES)}.")
    mean, deviation = (torch.tensor(row).view(1, 3, 1, 1) for row in VALUES[values])
    return (pixels.cpu() - mean) / deviation


def _bytes(path: Path) -> bytes:
    if not path.is_file():
        raise CheckpointError(f"There is no file {path.name}: give the path of an ONNX file.")
    with path.open("rb") as file:
        data = file.read(LIMIT + 1)
    if len(data) > LIMIT:
        raise CheckpointError(f"{path.name} is larger than {LIMIT >> 20} MB: give a smaller ONNX file.")
    return data


def _card(path: Path, data: bytes) -> Checkpoint:
    """What a result is stamped with."""
    return Checkpoint(
        id=f"onnx-{path.stem}",
        title=path.name,
        kind="onnx",
        role="method",
        source="local",
        network="onnx",
        repo="",
        revision="",
        file=path.name,
        sha256=sha256_of(data),
        bytes=len(data),
        licence="",
        paper="",
        trained_on="",
        state="trained",
    )


def _model(name: str, data: bytes) -> Any:
    """The file's ModelProto, looked through."""
    import onnx

    try:
        model = onnx.load_model_from_string(data)
    except Exception:  # protobuf's own, which is not onnx's to name
        model = onnx.ModelProto()
    if not model.ir_version or not model.graph.node or not model.graph.output:
        raise CheckpointError(f"{name} is no ONNX file: give one that a network was exported to.")
    graphs = list(_graphs(model.graph))
    if any(tensor.data_location or tensor.external_data for graph in graphs for tensor in _tensors(graph)):
        raise CheckpointError(f"{name} keeps its weights in other files: save it as one file, without external data.")
    nodes = [node for graph in graphs for node in graph.node]
    others = sorted({f"{node.domain}.{node.op_type}" for node in nodes if node.domain not in DOMAINS})
    if others or model.functions:
        own = others[0] if others else model.functions[0].name
        raise CheckpointError(
            f"{name} needs the operation {own}, which is not ONNX's: export it without custom ones."
        )
    if loops := LOOPS & {node.op_type for node in nodes}:
        raise CheckpointError(f"{name} holds a loop ({min(loops)}), which may never end: export it without loops.")
    return model


def _graphs(graph: Any) -> Iterator[Any]:
    """A graph and those inside its operations."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _graphs(inner)


def _tensors(graph: Any) -> Iterator[Any]:
    """Every constant that a graph holds itself."""
    attributes = [attribute for node in graph.node for attribute in node.attribute]
    yield from graph.initializer
    for attribute in attributes:
        yield from (attribute.t, *attribute.tensors)
    sparse = [graph.sparse_initializer, *([one.sparse_tensor, *one.sparse_tensors] for one in attributes)]
    for tensor in (tensor for some in sparse for tensor in some):
        yield from (tensor.values, tensor.indices)


def _spare(name: str, graph: Any) -> Tensor | None:
    from onnx import numpy_helper

    read = {one for inner in _graphs(graph) for node in inner.node for one in node.input}
    read |= {slot.name for slot in graph.output}
    last = graph.initializer[-1] if graph.initializer else None
    if last is None or last.name in read or len(last.dims) != 2 or last.dims[0] != last.dims[1]:
        return None
    try:
        return torch.from_numpy(numpy_helper.to_array(last).astype(np.float32))
    except (ValueError, TypeError):  # fewer numbers than its shape says, or none at all
        raise CheckpointError(f"{name} is damaged, its last constant is not whole: get it again.") from None


def _session(name: str, data: bytes, threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError:
        advice = f"pip install onnxruntime=={RUNTIME}"
        raise CheckpointError(f"{name} needs onnxruntime, which is missing: install it with: {advice}") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4  # it warns of every constant that is not read
    options.add_session_config_entry("session.load_model_format", "ONNX")
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads leave the cores to others
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception:  # as above
        raise CheckpointError(f"onnxruntime cannot read {name}: it is damaged or too new, export it again.") from None


def _slot(found: Any) -> Slot:
    shape = tuple(size if isinstance(size, int) and size > 0 else None for size in found.shape)
    return Slot(found.name, shape, found.type)
