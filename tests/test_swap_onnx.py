"""Swappers in ONNX files: both conventions, what is refused and how, and whole swaps of the built-in portraits."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from engines import onnx_network
from engines.checkpoints import CheckpointError, checkpoint
from engines.face import ARCFACE112, CELEBA128, FaceError, align
from engines.onnx_network import OnnxNetwork, normalised
from engines.onnx_recogniser import OnnxRecogniser
from engines.swap import found
from engines.swap_onnx import CUTS, OnnxSwapper, _back

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

FLOAT = TensorProto.FLOAT


def value(name: str, *shape: int | str | None):
    return helper.make_tensor_value_info(name, FLOAT, shape)


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


@pytest.fixture(scope="module")
def faces(astronaut, hopper) -> tuple[torch.Tensor, torch.Tensor]:
    """Eileen Collins and Grace Hopper, cut as CELEBA128."""
    return tuple(align(p.photo.pixels, p.landmarks, CELEBA128).pixels for p in (astronaut, hopper))


@pytest.fixture
def embedder(tmp_path) -> OnnxRecogniser:
    return OnnxRecogniser(recogniser(tmp_path / "arcface.onnx"))


def test_a_swapper_that_changes_nothing_gives_the_protected_face_back(faces, embedder, tmp_path):
    protected, replacing = faces
    masked = OnnxSwapper(inswapper(tmp_path / "swapper.onnx"), embedder)(protected, replacing)
    assert masked.shape == protected.shape and masked.dtype == torch.float32
    torch.testing.assert_close(masked * 255, (masked * 255).round(), atol=1e-4, rtol=0)
    difference = (masked - protected).abs()
    assert difference.mean() < 0.005 and difference.max() < 0.3


@pytest.mark.parametrize("side", [128, 256])
def test_only_the_face_changes_and_it_does(faces, embedder, tmp_path, side):
    protected, replacing = faces
    swapper = OnnxSwapper(inswapper(tmp_path / "negative.onnx", side, -1, 1), embedder)
    masked = swapper(protected, replacing)
    changed = (masked - protected).abs().amax((0, 1)) > 1.01 / 255
    assert not changed[:4].any() and not changed[:, :4].any() and not changed[:, -4:].any()
    assert 0.05 < changed.float().mean() < 0.5 and changed[64:100, 50:78].float().mean() > 0.9
    assert torch.equal(masked, swapper(protected, replacing))


def test_a_made_face_lies_where_the_face_was(faces):
    """The way there and back is the identity, but for what the smaller of the two pictures cannot show."""
    protected, _ = faces
    for name, side in (("arcface", 128), ("simswap", 224), ("ffhq", 256)):
        crop = align(protected, found(protected).inner[:5], CUTS[name](side))
        back = _back(crop.pixels, crop, 128)
        off = [float((back.roll(by, -1) - protected)[..., 50:105, 45:85].abs().mean()) for by in (-1, 0, 1)]
        assert off[1] < 0.015 and off[1] < 0.5 * min(off[0], off[2]), (name, off)


def test_the_embedding_is_a_unit_row_of_the_replacing_face(faces, embedder, tmp_path):
    swapper = OnnxSwapper(inswapper(tmp_path / "swapper.onnx"), embedder)
    five = found(faces[1]).inner[:5]
    row = swapper.identity(faces[1], five)
    assert row.shape == (1, 512) and float(row.norm()) == pytest.approx(1)
    mean = 2 * align(faces[1], five, ARCFACE112).pixels.mean((2, 3)) - 1
    torch.testing.assert_close(row[:, :3] / row[:, 3:4], mean, atol=1e-4, rtol=0)


def test_inswappers_emap_is_its_last_constant_where_nothing_reads_it(faces, embedder, tmp_path):
    emap = np.random.default_rng(0).normal(size=(512, 512)).astype(np.float32)
    plain = OnnxSwapper(inswapper(tmp_path / "plain.onnx"), embedder)
    mapped = OnnxSwapper(inswapper(tmp_path / "mapped.onnx", emap=emap), embedder)
    five = found(faces[1]).inner[:5]
    expected = plain.identity(faces[1], five) @ torch.from_numpy(emap)
    torch.testing.assert_close(mapped.identity(faces[1], five), expected / expected.norm())
    assert plain.net.spare is None
    odd = inswapper(tmp_path / "odd.onnx", emap=emap[:7])
    torch.testing.assert_close(OnnxSwapper(odd, embedder).identity(faces[1], five), plain.identity(faces[1], five))
    nodes = [helper.make_node("MatMul", ["source", "matrix"], ["output"])]
    matrix = numpy_helper.from_array(emap, "matrix")
    read = written(tmp_path / "read.onnx", nodes, [value("source", 1, 512)], [value("output", 1, 512)], [matrix])
    assert OnnxNetwork(read).spare is None


def test_a_recogniser_of_another_length_or_none_is_refused(faces, tmp_path, make_tiny):
    file = inswapper(tmp_path / "swapper.onnx")
    with pytest.raises(CheckpointError, match="swapper.onnx takes an embedding: name the recogniser"):
        OnnxSwapper(file)
    with pytest.raises(CheckpointError, match="takes embeddings of 512 numbers, and Tiny gives 16: name the recog"):
        OnnxSwapper(file, make_tiny())(*faces)


def test_a_recogniser_of_the_panel_serves_where_its_length_is_the_swappers(faces, tmp_path, make_tiny):
    swapper = OnnxSwapper(inswapper(tmp_path / "swapper.onnx", length=16), make_tiny())
    five = found(faces[1]).inner[:5]
    expected = make_tiny().embed(align(faces[1], five, ARCFACE112).pixels)
    torch.testing.assert_close(swapper.identity(faces[1], five), expected)


def test_a_swapper_of_two_pictures_sees_the_replacing_face_as_a_recogniser_would(faces, tmp_path):
    swapper = OnnxSwapper(blendswap(tmp_path / "blend.onnx"))
    assert swapper.template.name == "ffhq128" and swapper.reads == CUTS["arcface"](112)
    five = found(faces[1]).inner[:5]
    seen = swapper.identity(faces[1], five)
    assert torch.equal(seen, align(faces[1], five, swapper.reads).pixels) and seen.shape == (1, 3, 112, 112)
    target = torch.rand(1, 3, 128, 128)
    expected = target / 2 + seen.mean((2, 3), keepdim=True) / 2
    torch.testing.assert_close(swapper.made(target, seen), expected, atol=1e-4, rtol=0)
    masked = swapper(*faces)
    assert masked.shape == faces[0].shape and (masked - faces[0]).abs().max() > 0.1


def test_of_two_pictures_the_target_is_told_by_its_name_or_by_the_size_of_the_output(tmp_path):
    named = blendswap(tmp_path / "named.onnx", ("a_source", "the_Target"), (128, 128))
    assert OnnxSwapper(named).target.name == "the_Target"
    sized = blendswap(tmp_path / "sized.onnx", ("one", "two"))
    assert OnnxSwapper(sized).target.name == "one"
    open_size = blendswap(tmp_path / "open.onnx", ("one", "target"), (112, 112), "side")
    assert OnnxSwapper(open_size).target.name == "target"
    with pytest.raises(CheckpointError, match=r"inputs are one \(1, 3, 128, 128\), two \(1, 3, 128, 128\); it needs"):
        OnnxSwapper(blendswap(tmp_path / "alike.onnx", ("one", "two"), (128, 128)))


@pytest.mark.parametrize(
    ("shapes", "says"),
    [
        ([(1, 3, 128, 128)], r"its inputs are x0 \(1, 3, 128, 128\); it needs"),
        ([(1, 128, 128, 3), (1, 512)], r"x0 \(1, 128, 128, 3\), x1 \(1, 512\)"),
        ([(1, 3, 128, 128), (1, 512), (1, 1)], r"x2 \(1, 1\)"),
        ([(1, 3, 128, 96), (1, 512)], r"x0 \(1, 3, 128, 96\)"),
        ([("n", 3, "h", "w"), (1, 512)], r"x0 \(\?, 3, \?, \?\)"),
        ([(4, 3, 128, 128), (1, 512)], r"x0 \(4, 3, 128, 128\)"),
        ([(1, 3, 128, 128), (1, 2, 512)], r"x1 \(1, 2, 512\)"),
        ([(1, 3, 16, 16), (1, 512)], r"x0 \(1, 3, 16, 16\)"),
    ],
)
def test_a_file_of_neither_convention_is_refused_by_its_inputs(tmp_path, embedder, shapes, says):
    inputs = [value(f"x{i}", *shape) for i, shape in enumerate(shapes)]
    nodes = [helper.make_node("Identity", ["x0"], ["output"])]
    file = written(tmp_path / "odd.onnx", nodes, inputs, [value("output", *shapes[0])])
    with pytest.raises(CheckpointError, match=f"odd.onnx is no face swapper that is known here: .*{says}") as error:
        OnnxSwapper(file, embedder)
    assert "\n" not in str(error.value)


def test_pixels_are_normalised_as_the_user_says(tmp_path, embedder):
    target, source = torch.rand(1, 3, 128, 128), torch.zeros(1, 512)
    file = inswapper(tmp_path / "swapper.onnx")
    signed = OnnxSwapper(file, embedder, values="signed")
    torch.testing.assert_close(signed.made(target, source), target, atol=1e-5, rtol=0)
    imagenet = OnnxSwapper(inswapper(tmp_path / "faint.onnx", factor=0.1, add=0.5), embedder, values="imagenet")
    expected = 0.5 + 0.1 * (target[:, 1] - 0.456) / 0.224
    torch.testing.assert_close(imagenet.made(target, source)[:, 1], expected, atol=1e-5, rtol=0)
    assert torch.equal(normalised(target, "unit"), target)
    with pytest.raises(CheckpointError, match="'bgr' for a swapper: choose from unit, signed, imagenet"):
        OnnxSwapper(file, embedder, values="bgr")
    with pytest.raises(CheckpointError, match="'mtcnn' for a swapper: choose from arcface, simswap, ffhq"):
        OnnxSwapper(file, embedder, cut="mtcnn")


@pytest.mark.parametrize(
    ("factor", "add", "says"),
    [
        (255, 0, r"gives values from 0\.0 to 25\d\.\d where a picture has 0 to 1: choose other values, of unit"),
        (float("nan"), 0, "numbers that are not finite"),
        (0, float("inf"), "numbers that are not finite"),
    ],
)
def test_an_output_that_is_no_picture_is_refused(tmp_path, embedder, factor, add, says):
    swapper = OnnxSwapper(inswapper(tmp_path / "wild.onnx", factor=factor, add=add), embedder)
    with pytest.raises(CheckpointError, match=says):
        swapper.made(torch.rand(1, 3, 128, 128), torch.zeros(1, 512))


def test_an_output_of_another_shape_or_none_at_all_is_refused(tmp_path, embedder):
    inputs = [value("target", 1, 3, 128, 128), value("source", 1, 512)]
    half = [helper.make_node("AveragePool", ["target"], ["output"], kernel_shape=[2, 2], strides=[2, 2])]
    swapper = OnnxSwapper(written(tmp_path / "half.onnx", half, inputs, [value("output", 1, 3, "a", "b")]), embedder)
    with pytest.raises(CheckpointError, match=r"gives \(1, 3, 64, 64\), no picture like its target"):
        swapper.made(torch.rand(1, 3, 128, 128), torch.zeros(1, 512))
    torn = [helper.make_node("Reshape", ["target", "shape"], ["output"])]
    shape = numpy_helper.from_array(np.array([1, 3, 64, -1, 5], np.int64), "shape")
    broken = written(tmp_path / "torn.onnx", torn, inputs, [value("output", "a", "b", "c", "d")], [shape])
    with pytest.raises(
        CheckpointError, match="torn.onnx (cannot compute|.*cannot read|.*export it again)|cannot read torn"
    ):
        OnnxSwapper(broken, embedder).made(torch.rand(1, 3, 128, 128), torch.zeros(1, 512))


def test_crops_of_another_shape_and_without_a_face_are_refused_as_by_the_geometric_swap(faces, embedder, tmp_path):
    swapper = OnnxSwapper(inswapper(tmp_path / "swapper.onnx"), embedder)
    with pytest.raises(FaceError, match=r"square crops \(1, 3, S, S\), not \(1, 3, 64, 32\)"):
        swapper(torch.rand(1, 3, 64, 32), faces[1])
    with pytest.raises(FaceError, match="No face can be made out"):
        swapper(faces[0], torch.zeros(1, 3, 128, 128))


def test_a_recogniser_is_read_as_insightface_reads_it(tmp_path, embedder):
    pixels = torch.rand(1, 3, 112, 112)
    row = embedder.embed(pixels)
    own = OnnxRecogniser(recogniser(tmp_path / "mxnet.onnx", own=True))
    torch.testing.assert_close(own.embed(pixels), row, atol=1e-5, rtol=0)
    assert float(row.norm()) == pytest.approx(1) and embedder.template == ARCFACE112
    imagenet = OnnxRecogniser(tmp_path / "arcface.onnx", "imagenet")
    assert not torch.allclose(imagenet.embed(pixels), row, atol=1e-3)
    with pytest.raises(
        CheckpointError, match=r"inputs are x \(\?, 3, 96, 96\); it needs one picture \(1, 3, 112, 112\)"
    ):
        OnnxRecogniser(recogniser(tmp_path / "small.onnx", side=96))
    with pytest.raises(CheckpointError, match="swapper.onnx is no recogniser"):
        OnnxRecogniser(inswapper(tmp_path / "swapper.onnx"))


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
