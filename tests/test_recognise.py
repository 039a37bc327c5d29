"""Recognisers: equal to their sources, differentiable, and right about who is who."""

from dataclasses import replace

import matplotlib.cbook
import numpy as np
import pytest
import skimage.data
import torch
from hub_server import COMMIT, HubServer, sha
from huggingface_hub import constants
from PIL import Image
from safetensors.torch import save, save_file
from torch import nn

from engines import checkpoints, recognise
from engines.checkpoints import CheckpointError, checkpoint, locate
from engines.detect import Detector
from engines.face import ARCFACE112, align
from engines.nets import compact, dlib_resnet
from engines.recognise import Architecture, FaceNetwork, load

IDS = ("sface", "dlib-resnet")


@pytest.fixture(scope="module", params=IDS)
def recogniser(request):
    return load(request.param)


@pytest.fixture(scope="module")
def photos():
    """Real faces from installed packages: the astronaut and Grace Hopper, uint8 (1, 3, H, W)."""
    hopper = Image.open(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)).convert("RGB")
    arrays = {"astronaut": skimage.data.astronaut(), "hopper": np.array(hopper)}
    return {name: torch.from_numpy(a).permute(2, 0, 1)[None] for name, a in arrays.items()}


@pytest.fixture(scope="module")
def landmarks(photos):
    detector = Detector()
    return {name: torch.tensor(detector.faces(pixels)[0].landmarks) for name, pixels in photos.items()}


@pytest.fixture(scope="module")
def crops(recogniser, photos, landmarks):
    """(1, 3, S, S) in the recogniser's own template: two people, and two other pictures of the first."""
    people = {name: align(photos[name], landmarks[name], recogniser.template).pixels for name in photos}
    first = people["astronaut"]
    return {**people, "mirrored": first.flip(3), "darker": first * 0.7}


def noise(recogniser, count, seed=0):
    size = recogniser.template.size
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def test_sface_equals_onnx_runtime(photos, landmarks):
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    model = onnx.load(str(locate(checkpoint("sface"))))
    data = [item for item in model.graph.input if item.name == "data"]
    del model.graph.input[:]  # the weights are listed as inputs too
    model.graph.input.extend(data)
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    net = load("sface")
    faces = [align(photos[name], landmarks[name], ARCFACE112).pixels for name in photos]
    pixels = torch.cat([*faces, noise(net, 2)])
    rows = [session.run(None, {"data": (row[None] * 255).numpy()})[0] for row in pixels]
    theirs = torch.from_numpy(np.concatenate(rows))
    with torch.no_grad():
        raw, unit = net.raw(pixels), net.embed(pixels)
    assert (raw - theirs).abs().max() < 1e-4 * theirs.abs().max()
    assert (unit - nn.functional.normalize(theirs)).abs().max() < 1e-4


def test_dlib_file_holds_the_whole_network():
    path = locate(checkpoint("dlib-resnet"))
    state = dlib_resnet.convert(path)
    assert sum(value.numel() for value in state.values()) * 4 > 0.99 * path.stat().st_size
    assert state["con.weight"].shape == (32, 3, 7, 7) and state["fc.weight"].shape == (128, 256)
    assert all(value.isfinite().all() for value in state.values())


def test_dlib_descriptor_is_that_of_dlib():
    """The numbers are what dlib 20.0.1's own compute_face_descriptor gives for this pattern."""
    y, x, channel = np.ogrid[:150, :150, :3]
    chip = ((x * (channel + 1) + y * (3 - channel)) % 256).astype(np.float32) / 255
    with torch.no_grad():
        row = load("dlib-resnet").raw(torch.from_numpy(chip).permute(2, 0, 1)[None])[0]
    theirs = [-0.03777, 0.09076, 0.04423, 0.00083, -0.01079, 0.00927]
    assert row[[0, 1, 2, 3, 126, 127]].tolist() == pytest.approx(theirs, abs=2e-5)
    assert float(row.norm()) == pytest.approx(1.263815, abs=1e-4)


def test_dlib_integer_is_a_count_a_sign_and_little_endian_bytes():
    assert dlib_resnet._integer_at(b"\x02\x01\x02rest", 0) == (513, 3)
    assert dlib_resnet._integer_at(b"\x81\x05", 0) == (-5, 2)
    assert dlib_resnet._integer_at(b"\x02\x01", 0) is None


def test_a_cut_dlib_file_is_refused(tmp_path):
    (tmp_path / "cut.dat").write_bytes(locate(checkpoint("dlib-resnet")).read_bytes()[:1_000_000])
    with pytest.raises(ValueError, match="does not hold the expected network"):
        dlib_resnet.convert(tmp_path / "cut.dat")


def test_dlib_adds_with_zeros_where_one_side_is_smaller():
    a, b = torch.ones(1, 4, 3, 3), torch.ones(1, 2, 4, 4)
    total = dlib_resnet._add(a, b)
    assert total.shape == (1, 4, 4, 4)
    assert [total[0, c, y, y].item() for c, y in ((0, 0), (3, 0), (0, 3), (3, 3))] == [2, 1, 1, 0]


def test_rows_have_unit_length(recogniser, crops):
    rows = recogniser.embed(torch.cat(list(crops.values())))
    assert rows.shape == (4, 128)
    assert torch.allclose(rows.norm(dim=1), torch.ones(4), atol=1e-5)


def test_a_batch_gives_the_rows_of_its_members(recogniser, crops):
    pixels = torch.cat(list(crops.values()))
    single = torch.cat([recogniser.embed(row[None]) for row in pixels])
    assert (recogniser.embed(pixels) - single).abs().max() < 1e-4


def test_one_person_matches_and_another_does_not(recogniser, crops):
    one, other = recogniser.embed(crops["astronaut"])[0], recogniser.embed(crops["hopper"])[0]
    limit = recogniser.thresholds[0.01]
    for name in ("mirrored", "darker"):
        assert one @ recogniser.embed(crops[name])[0] > limit, name
    assert one @ other < limit


def test_dlib_distances_lie_on_the_right_side_of_its_own_threshold(photos, landmarks):
    net = load("dlib-resnet")
    faces = {name: align(photos[name], landmarks[name], net.template).pixels for name in photos}
    one, other = net.raw(faces["astronaut"]), net.raw(faces["hopper"])
    again = net.raw(faces["astronaut"].flip(3))
    assert (one - again).norm() < net.card.euclidean < (one - other).norm()


def test_gradient_is_the_slope_that_finite_differences_see(recogniser, crops):
    pixels = crops["astronaut"].clone().requires_grad_()
    other = recogniser.embed(crops["hopper"]).detach()
    (grad,) = torch.autograd.grad((recogniser.embed(pixels) * other).sum(), pixels)
    assert grad.shape == pixels.shape and grad.isfinite().all() and grad.abs().max() > 0
    way = grad / grad.norm()
    step = 0.05  # over the whole crop: small a pixel, large against float32 rounding

    def score(t):
        with torch.no_grad():
            return float((recogniser.embed(crops["astronaut"] + t * way) * other).sum())

    slope = (score(step) - score(-step)) / (2 * step)
    assert slope == pytest.approx(float(grad.norm()), rel=0.1)


def test_features_layer_is_spatial(recogniser, crops):
    seen = []
    handle = recogniser.features_layer.register_forward_hook(lambda *args: seen.append(args[2].shape))
    recogniser.embed(crops["astronaut"])
    handle.remove()
    assert len(seen) == 1 and len(seen[0]) == 4 and seen[0][-1] >= 7


def test_weights_are_frozen(recogniser):
    assert not any(p.requires_grad for p in recogniser._net.parameters()) and not recogniser._net.training


def test_an_untrained_network_is_refused_outside_the_tests():
    card = replace(checkpoint("sface"), state="untrained")
    architecture = Architecture(lambda state: nn.Flatten(), ARCFACE112, lambda net: net)
    with pytest.raises(CheckpointError, match="not trained"):
        FaceNetwork(card, nn.Flatten(), architecture)
    assert FaceNetwork(card, nn.Flatten(), architecture, allow_untrained=True).card is card


def test_unknown_id_is_one_sentence():
    with pytest.raises(CheckpointError, match="There is no checkpoint called 'nosuch'"):
        load("nosuch")


def test_the_hub_stands_in_where_the_package_is_missing(monkeypatch):
    asked = []

    def state(card):
        asked.append(card.id)
        if card.id == "sface":
            raise CheckpointError("not installed")
        return checkpoints.load_state(checkpoint("sface"))

    monkeypatch.setattr(recognise, "load_state", state)
    assert load("sface").card.id == "sface"
    assert asked == ["sface", "sface-hub"]


# files of one's own


@pytest.fixture
def enter(tmp_path, monkeypatch):
    """Write a registry of one network, of any source, in a folder of its own; returns its folder of local files."""
    monkeypatch.setenv("LARVATUS_REGISTRY", str(tmp_path / "registry.toml"))
    monkeypatch.setenv("LARVATUS_CACHE", str(tmp_path / "cache"))

    def write(network, **changes):
        values = {"title": "Mine", "kind": "recogniser", "role": "surrogate", "source": "local", "network": network}
        values |= dict.fromkeys(("repo", "revision", "sha256", "licence", "paper", "trained_on"), "")
        values |= {"file": "net.safetensors", "state": "trained", **changes}
        lines = "".join(f'{name} = "{value}"\n' for name, value in values.items())
        (tmp_path / "registry.toml").write_text(f"[mine]\nbytes = 0\n{lines}")
        (tmp_path / "local").mkdir(exist_ok=True)
        return tmp_path / "local"

    return write


@pytest.fixture(scope="module")
def state():
    """A compact network's tensors, its weights random, without the counters that are not kept."""
    torch.manual_seed(0)
    found = compact.FAMILIES["compact-vgg"].build(32).state_dict()
    return {name: value for name, value in found.items() if "num_batches_tracked" not in name}


def test_a_local_file_is_stamped_with_its_own_sha256(enter, state):
    data = save(state)
    (enter("compact-vgg") / "net.safetensors").write_bytes(data)
    assert checkpoint("mine").sha256 == "" and load("mine").card == replace(checkpoint("mine"), sha256=sha(data))


def test_a_hub_file_is_stamped_with_what_the_hub_locked(enter, state, tmp_path, monkeypatch):
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "LARVATUS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HF_HUB_CACHE": str(tmp_path / "clients"), "HF_HUB_OFFLINE": False}.items():
        monkeypatch.setattr(constants, name, value)
    enter("compact-vgg", source="hub", repo="some/net", revision=COMMIT)
    data = save(state)
    with HubServer() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        server.files["some/net/net.safetensors"] = data
        assert load("mine").card.sha256 == checkpoints.locked_sha256(checkpoint("mine")) == sha(data)


def test_a_pinned_file_keeps_its_pin():
    assert load("sface").card == checkpoint("sface")


@pytest.mark.parametrize("network", ["compact-vgg", "iresnet", "mobilefacenet", "facenet", "vit-tiny-8"])
def test_tensors_of_another_network_are_refused_in_one_sentence(enter, network):
    for tensors in (
        {"weight": torch.ones(2)},
        {"input_layer.0.weight": torch.ones(2), "linear.weight": torch.ones(2)},
    ):
        save_file(tensors, enter(network) / "net.safetensors")
        with pytest.raises(
            CheckpointError, match=r"^These weights are of another network \([^\n]*\): correct [^\n]*\.$"
        ):
            load("mine")


@pytest.mark.parametrize(
    "change, says",
    [
        (lambda state: state.pop("head.out.running_mean"), "head.out.running_mean is missing"),
        (lambda state: state.update({"more.weight": torch.ones(1)}), "more.weight is not part of it"),
        (lambda state: state.update({"head.out.bias": torch.ones(3)}), r"head.out.bias is \(3,\) instead of \(32,\)"),
    ],
)
def test_a_tensor_missing_too_many_or_of_another_shape_is_named(enter, state, change, says):
    changed = dict(state)
    change(changed)
    save_file(changed, enter("compact-vgg") / "net.safetensors")
    with pytest.raises(CheckpointError, match=says):
        load("mine")


def test_an_unknown_architecture_is_one_sentence(enter):
    enter("nosuchnet")
    with pytest.raises(CheckpointError, match="The network 'nosuchnet' of mine is unknown: use one of sface, "):
        load("mine")


@pytest.mark.parametrize("name", list(compact.FAMILIES))
def test_half_precision_hardly_changes_an_embedding(enter, photos, landmarks, name):
    """Through the file, on real faces; BatchNorm knows them, so that embeddings of two people differ."""
    faces = [align(photos[who], landmarks[who], ARCFACE112).pixels for who in photos]
    pixels = torch.cat([f(face) for face in faces for f in (lambda t: t, lambda t: t.flip(3), lambda t: t * 0.7)])
    torch.manual_seed(0)
    net = compact.FAMILIES[name].build(64).train()
    with torch.no_grad():
        for _ in range(20):
            net(pixels)
        rows = nn.functional.normalize(net.eval()(pixels), dim=1)
    kept = {key: value.half() for key, value in net.state_dict().items() if "num_batches_tracked" not in key}
    save_file(kept, enter(name) / "net.safetensors")
    halved = load("mine").embed(pixels)
    assert float(rows[0] @ rows[3]) < 0.99 and float((halved * rows).sum(1).min()) > 0.999
