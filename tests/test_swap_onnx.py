"""Swappers in ONNX files: both conventions, what is refused and how, and whole swaps of the built-in portraits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from onnx import helper, numpy_helper
from onnx_graphs import blendswap, inswapper, recogniser, value, written

from engines.checkpoints import CheckpointError
from engines.face import ARCFACE112, CELEBA128, FaceError, align
from engines.onnx_network import OnnxNetwork, normalised
from engines.onnx_recogniser import OnnxRecogniser
from engines.swap import found
from engines.swap_onnx import CUTS, OnnxSwapper, _back

pytest.importorskip("onnxruntime")


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
