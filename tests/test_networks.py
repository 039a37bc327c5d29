"""Architectures: published layouts load, sizes are the published ones, Grad-CAM finds maps, gradients flow."""

import pytest
import timm
import torch

from engines.architectures import ARCHITECTURES, FACENET160
from engines.nets import arcface_pool, compact, iresnet, mobilefacenet


def test_ir_50_has_the_published_size():
    """43.6 M parameters, and 43.8 M with squeeze-and-excitation (InsightFace_Pytorch's and face.evoLVe's tables)."""
    with torch.device("meta"):
        sizes = [sum(p.numel() for p in iresnet.IRNet(iresnet.DEPTHS["ir50"], se=se).parameters()) for se in (0, 1)]
    assert [size / 1e6 for size in sizes] == pytest.approx([43.57, 43.80], abs=0.02)


@pytest.mark.parametrize("name, units", [("ir50", 24), ("ir100", 49), ("ir152", 50)])
def test_ir_depths_are_the_published_ones(name, units):
    assert sum(iresnet.DEPTHS[name]) == units


def test_ir_layout_has_the_published_names():
    names = set(iresnet.IRNet((1, 1), (8, 16), se=True).state_dict())
    assert {"input_layer.0.weight", "input_layer.2.weight", "body.0.res_layer.1.weight"} <= names
    assert {"body.0.res_layer.5.fc1.weight", "body.1.shortcut_layer.1.running_var", "output_layer.3.bias"} <= names
    assert "body.0.shortcut_layer.0.weight" not in names  # 64 -> 64: a max-pool without weights


def test_insightface_layout_has_the_published_names():
    names = set(iresnet.IResNet((1, 1, 1, 1), (8, 8, 8, 8), 16).state_dict())
    assert {"conv1.weight", "bn1.running_mean", "prelu.weight", "layer1.0.bn1.weight", "layer1.0.bn3.bias"} <= names
    assert {"layer2.0.downsample.1.running_var", "bn2.weight", "fc.bias", "features.running_mean"} <= names


SMALL = {
    "face.evoLVe": lambda: iresnet.IRNet((2, 1, 3, 1), (8, 12, 16, 20), dimension=24),
    "IR-SE": lambda: iresnet.IRNet((1, 2, 1, 1), (16, 24, 32, 48), se=True, dimension=8),
    "AdaFace": lambda: iresnet.IRNet((1, 1, 2, 1), (8, 12, 16, 20), dimension=8, middle_bn=True),
    "insightface": lambda: iresnet.IResNet((1, 3, 2, 1), (8, 12, 16, 20), 24),
}


@pytest.mark.parametrize("prefix", ["", "model.net."])
@pytest.mark.parametrize("layout", list(SMALL))
def test_depth_and_width_are_read_from_the_tensors(layout, prefix):
    net = SMALL[layout]().eval()
    again = iresnet.from_state({prefix + name: value for name, value in net.state_dict().items()}).eval()
    pixels = torch.rand(2, 3, 112, 112) * 2 - 1
    assert type(again) is type(net)
    assert torch.equal(again(pixels), net(pixels))


def test_other_tensors_are_refused_by_name():
    with pytest.raises(ValueError, match="not an IR network"):
        iresnet.from_state({"blocks.0.weight": torch.zeros(1)})


def test_mobilefacenet_has_the_published_size():
    net = mobilefacenet.MobileFaceNet(512)
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(1.2, abs=0.01)  # 1.2 M, its README
    assert {"conv_23.conv_dw.conv.weight", "conv_3.model.3.project.bn.weight", "bn.running_var"} <= set(
        net.state_dict()
    )
    again = mobilefacenet.from_state(net.state_dict()).eval()
    assert torch.equal(again(torch.zeros(1, 3, 112, 112)), net.eval()(torch.zeros(1, 3, 112, 112)))


def test_vit_tiny_has_the_size_on_its_page():
    net = timm.create_model("vit_tiny_patch16_224", img_size=112, patch_size=8, num_classes=512)
    assert sum(p.numel() for p in net.parameters()) == 5_512_640  # timm-face's table


def ready(name: str) -> torch.nn.Module:
    """A network of random weights, built from a state dict of the right layout."""
    torch.manual_seed(0)
    if name in compact.FAMILIES:
        state = compact.FAMILIES[name].build(32).state_dict()
    elif name == "iresnet":
        state = SMALL["insightface"]().state_dict()
    elif name == "mobilefacenet":
        state = mobilefacenet.MobileFaceNet(16).state_dict()
    elif name == "arcface-pool":
        state = arcface_pool.ArcFacePool((1, 2, 1, 1), (8, 8, 8, 8), False, 16).state_dict()
    elif name == "facenet":
        from facenet_pytorch import InceptionResnetV1

        state = {**InceptionResnetV1().state_dict(), "logits.weight": torch.zeros(10, 512)}
    else:
        options = {"class_token": False, "global_pool": "avg"} if "gap" in name else {}
        base = "vit_small_patch16_224" if "small" in name else "vit_tiny_patch16_224"
        state = timm.create_model(base, img_size=112, patch_size=8, num_classes=512, **options).state_dict()
    return ARCHITECTURES[name].build(state).eval()


@pytest.mark.parametrize("name", [n for n in ARCHITECTURES if n not in ("sface", "dlib-resnet")])
def test_gradients_reach_the_pixels_and_grad_cam_its_maps(name):
    architecture, net, seen = ARCHITECTURES[name], ready(name), []
    hook = architecture.features(net).register_forward_hook(lambda layer, given, out: seen.append(out))
    side = architecture.template.size
    pixels = torch.rand(1, 3, side, side, requires_grad=True)
    row = net(pixels * architecture.scale + architecture.offset)
    hook.remove()
    maps = seen[0]
    assert maps.ndim == 4 and min(maps.shape[-2:]) >= 7 - (name == "facenet")
    to_maps, to_pixels = torch.autograd.grad(row.square().sum(), [maps, pixels])
    assert float(to_maps.abs().max()) > 0 and float(to_pixels.abs().max()) > 0


def test_token_maps_change_nothing():
    state = timm.create_model("vit_tiny_patch16_224", img_size=112, patch_size=8, num_classes=512).state_dict()
    plain = timm.create_model("vit_tiny_patch16_224", img_size=112, patch_size=8, num_classes=512).eval()
    plain.load_state_dict(state)
    pixels = torch.rand(1, 3, 112, 112)
    assert torch.allclose(ARCHITECTURES["vit-tiny-8"].build(state).eval()(pixels), plain(pixels), atol=1e-5)


def test_facenet_sees_the_arcface_crop_enlarged():
    assert FACENET160.size == 160
    assert FACENET160.points[0][0] == pytest.approx(38.2946 * 160 / 112)


@pytest.mark.parametrize("name", list(compact.FAMILIES))
def test_compact_networks_are_small_and_take_unit_range(name):
    wide = 128 if name in ("compact-edgenext", "compact-inception") else 256
    net = compact.FAMILIES[name].build(wide)
    kept = sum(t.numel() for key, t in net.state_dict().items() if "num_batches_tracked" not in key)
    assert 2 * kept <= 5_000_000  # fp16, 5 MB
    again = compact.from_state(name, net.state_dict()).eval()
    assert again(torch.rand(1, 3, 112, 112)).shape == (1, wide)
