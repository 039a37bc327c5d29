"""Networks in untrusted ONNX files: what is refused and how, and how the others run."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_graphs import constant, inswapper, value, written

from engines import onnx_network
from engines.checkpoints import CheckpointError, checkpoint
from engines.onnx_network import OnnxNetwork

pytest.importorskip("onnxruntime")


@pytest.mark.parametrize("data", [b"", b"not a network", b"\x08\x08", bytes(range(256)) * 9])
def test_a_file_that_is_not_onnx_is_refused(tmp_path, data):
    (tmp_path / "photo.onnx").write_bytes(data)
    with pytest.raises(CheckpointError, match="photo.onnx is no ONNX file: give one that a network was exported to"):
        OnnxNetwork(tmp_path / "photo.onnx")


def test_a_file_that_is_missing_cut_short_or_too_large_is_refused(tmp_path, monkeypatch):
    with pytest.raises(CheckpointError, match="There is no file gone.onnx"):
        OnnxNetwork(tmp_path / "gone.onnx")
    with pytest.raises(CheckpointError, match="There is no file"):
        OnnxNetwork(tmp_path)
    file = inswapper(tmp_path / "swapper.onnx", emap=np.eye(512, dtype=np.float32))
    data = file.read_bytes()
    (tmp_path / "short.onnx").write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match="short.onnx is no ONNX file"):
        OnnxNetwork(tmp_path / "short.onnx")
    monkeypatch.setattr(onnx_network, "LIMIT", 1 << 20)
    with pytest.raises(CheckpointError, match="swapper.onnx is larger than 1 MB"):
        OnnxNetwork(file)


def test_weights_in_other_files_are_refused_wherever_they_are_named(tmp_path):
    secret = tmp_path / "secret.bin"
    secret.write_bytes(np.zeros(4, np.float32).tobytes())

    def outside(name: str):
        tensor = constant(name, 0, 0, 0, 0)
        onnx.external_data_helper.set_external_data(tensor, "secret.bin")
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        return tensor

    inputs, outputs = [value("x", 4)], [value("y", 4)]
    add = [helper.make_node("Add", ["x", "w"], ["y"])]
    inner = helper.make_graph(
        [helper.make_node("Constant", [], ["v"], value=outside("v")), helper.make_node("Add", ["x", "v"], ["z"])],
        "inner",
        [],
        [value("z", 4)],
    )
    branch = [helper.make_node("If", ["yes"], ["y"], then_branch=inner, else_branch=inner)]
    yes = numpy_helper.from_array(np.array(True), "yes")
    graphs = {
        "plain": (add, [outside("w")]),
        "constant": ([helper.make_node("Constant", [], ["w"], value=outside("w")), *add], []),
        "branch": (branch, [yes]),
    }
    for name, (nodes, constants) in graphs.items():
        file = written(tmp_path / f"{name}.onnx", nodes, inputs, outputs, constants)
        with pytest.raises(
            CheckpointError, match=f"{name}.onnx keeps its weights in other files: save it as one file"
        ):
            OnnxNetwork(file)


def test_operations_of_others_and_loops_are_refused(tmp_path):
    inputs, outputs = [value("x", 4)], [value("y", 4)]
    custom = [helper.make_node("Attack", ["x"], ["y"], domain="other")]
    with pytest.raises(CheckpointError, match="needs the operation other.Attack, which is not ONNX's"):
        OnnxNetwork(written(tmp_path / "custom.onnx", custom, inputs, outputs))
    same = [helper.make_node("Identity", ["x"], ["y"])]
    function = helper.make_function("other", "Mine", ["x"], ["y"], same, [helper.make_opsetid("", 17)])
    with pytest.raises(CheckpointError, match="needs the operation Mine"):
        OnnxNetwork(written(tmp_path / "function.onnx", same, inputs, outputs, functions=[function]))
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Identity", ["a"], ["b"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", 9, []),
            value("a", 4),
        ],
        [helper.make_tensor_value_info("on", 9, []), value("b", 4)],
    )
    yes = numpy_helper.from_array(np.array(True), "yes")
    loop = [helper.make_node("Loop", ["", "yes", "x"], ["y"], body=body)]
    with pytest.raises(CheckpointError, match=r"holds a loop \(Loop\), which may never end"):
        OnnxNetwork(written(tmp_path / "loop.onnx", loop, inputs, outputs, [yes]))


def test_an_operation_that_onnxruntime_does_not_know_is_refused(tmp_path):
    unknown = [helper.make_node("NoSuchThing", ["x"], ["y"])]
    with pytest.raises(CheckpointError, match="onnxruntime cannot read unknown.onnx: it is damaged or too new"):
        OnnxNetwork(written(tmp_path / "unknown.onnx", unknown, [value("x", 4)], [value("y", 4)]))


def test_a_last_constant_with_too_few_numbers_is_refused(tmp_path):
    torn = numpy_helper.from_array(np.eye(4, dtype=np.float32), "torn")
    torn.raw_data = torn.raw_data[:20]
    same = [helper.make_node("Identity", ["x"], ["y"])]
    with pytest.raises(CheckpointError, match="torn.onnx is damaged, its last constant is not whole"):
        OnnxNetwork(written(tmp_path / "torn.onnx", same, [value("x", 4)], [value("y", 4)], [torn]))


def test_a_network_runs_on_the_cpu_alone_with_few_threads_and_says_which_file_it_is(tmp_path):
    net = OnnxNetwork(inswapper(tmp_path / "swapper.onnx"))
    options = net.session.get_session_options()
    assert net.session.get_providers() == ["CPUExecutionProvider"]
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (onnx_network.THREADS, 1)
    data = (tmp_path / "swapper.onnx").read_bytes()
    assert (net.card.id, net.card.bytes) == ("onnx-swapper", len(data)) and len(net.card.sha256) == 64
    assert str(tmp_path) not in repr(net.card)


def test_an_entry_of_the_registry_is_fetched_and_checked_as_every_other(tmp_path):
    net = OnnxNetwork(checkpoint("sface"))
    assert net.card == checkpoint("sface") and net.inputs[0].shape[1:] == (3, 112, 112)


def test_without_onnxruntime_a_sentence_says_how_to_get_it(tmp_path, monkeypatch):
    file = inswapper(tmp_path / "swapper.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(CheckpointError, match="install it with: pip install onnxruntime=="):
        OnnxNetwork(file)
    pins = (Path(__file__).parents[1] / "requirements-dev.txt").read_text().split()
    assert f"onnxruntime=={onnx_network.RUNTIME}" in pins
