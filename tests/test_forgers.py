"""Forgers: layouts of the releases, edits, and what each picture is made of."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from engines import manipulate
from engines.checkpoints import CheckpointError, checkpoint
from engines.edits import EDITS, LABELS, STYLES, wanted
from engines.face import CELEBA128, align, retarget
from engines.nets import forgers, hisd, relgan, stargan
from engines.nets.moments import moments
from engines.tensors import read_tensors


def release(network: str) -> dict[str, torch.Tensor]:
    """Random weights in the layout of a release, at its published width, with all that its file carries."""
    if network == "hisd":
        return hisd.Hisd(hisd.OFFICIAL[256]).state_dict()
    if network == "relgan":
        return relgan.RelGan(17).state_dict()
    kind = {"stargan": stargan.StarGan, "attentiongan": stargan.AttentionGan, "fpgan": stargan.FixedPointGan}[network]
    state = kind(5).state_dict()
    for name in [name for name, value in state.items() if value.ndim == 1 and name.endswith("weight")]:
        state[name.replace("weight", "running_mean")] = torch.rand_like(state[name])
        state[name.replace("weight", "running_var")] = torch.rand_like(state[name])
        state[name.replace("weight", "num_batches_tracked")] = torch.tensor(7)
    return state


PUBLISHED = {  # tensors that the releases hold, and millions of parameters
    "stargan": ({"main.0.weight": (64, 8, 7, 7), "main.9.main.3.weight": (256, 256, 3, 3)}, 8.43),
    "attentiongan": ({"main.15.weight": (256, 128, 4, 4), "main.21.weight": (4, 64, 7, 7)}, 8.43),
    "fpgan": ({"main.21.weight": (3, 64, 7, 7), "main.14.main.4.bias": (256,)}, 8.43),
    "relgan": ({"conv_in.0.weight": (64, 20, 7, 7), "resb.5.f.4.running_var": (1, 256, 1)}, 8.47),
    "hisd": ({"encoder.2.sc.weight": (256, 128, 1, 1), "mappers.2.post_models.2.0.linear.bias": (256,)}, 19.04),
}


@pytest.mark.parametrize("network", PUBLISHED)
def test_the_layout_of_a_release_loads(network):
    state = release(network)
    names, millions = PUBLISHED[network]
    assert {name: tuple(state[name].shape) for name in names} == names
    net = forgers.from_state(network, state)
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(millions, abs=0.01)
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize("wrapper, other", [("G", "D"), ("gen_test", "gen")])
def test_a_release_that_wraps_its_generator_is_read(wrapper, other, tmp_path):
    """RelGAN's file holds G, D and optimisers, HiSD's the averaged generator beside the last."""
    kept = {"main.0.weight": torch.rand(2, 2)}
    torch.save(
        {other: {"main.0.weight": torch.zeros(2, 2)}, wrapper: kept, "optimG": {"state": {}}}, tmp_path / "a.pth"
    )
    assert torch.equal(read_tensors(tmp_path / "a.pth")["main.0.weight"], kept["main.0.weight"])


@pytest.mark.parametrize("network", PUBLISHED)
def test_tensors_of_another_network_are_refused(network):
    with pytest.raises(CheckpointError, match="of another network"):
        forgers.from_state(network, {"features.weight": torch.zeros(1)})


def test_an_edit_sets_one_hair_colour_and_reverses_gender_and_age():
    labels = torch.tensor([[1.0, 0, 0, 1, 1], [0, 0, 0, 0, 0]])
    assert wanted(labels, "blond hair").tolist() == [[0, 1, 0, 1, 1], [0, 1, 0, 0, 0]]
    assert wanted(labels, "gender").tolist() == [[1, 0, 0, 0, 1], [0, 0, 0, 1, 0]]
    assert wanted(labels, "age").tolist() == [[1, 0, 0, 1, 0], [0, 0, 0, 0, 1]]
    assert labels.sum() == 3 and list(EDITS.values()) == list(LABELS)


def test_attention_of_zero_keeps_the_input_and_a_change_of_zero_is_a_fixed_point():
    pixels, drawn = torch.rand(1, 3, 8, 8) * 2 - 1, torch.rand(1, 4, 8, 8)
    drawn[:, 0] = -40
    assert torch.allclose(stargan.AttentionGan(5, 8).finish(drawn, pixels), pixels)
    drawn[:, 0] = 40
    assert torch.allclose(stargan.AttentionGan(5, 8).finish(drawn, pixels), drawn[:, 1:])
    assert torch.allclose(stargan.FixedPointGan(5, 8).finish(0 * pixels, pixels), torch.tanh(pixels))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_moments_of_channels_and_their_gradients_are_those_of_torch(layout):
    maps = (torch.randn(2, 3, 16, 12) * 2 + 5).contiguous(memory_format=layout).requires_grad_()
    ours, theirs = moments(maps), torch.var_mean(maps, (2, 3), keepdim=True)[::-1]
    for found, right in zip(ours, theirs, strict=True):
        torch.testing.assert_close(found, right, rtol=1e-4, atol=1e-5)
    toward = torch.randn(2, 3, 1, 1)
    slopes = [torch.autograd.grad((a * toward + b * toward**2).sum(), maps)[0] for a, b in (ours, theirs)]
    torch.testing.assert_close(*slopes, rtol=1e-4, atol=1e-6)


def test_switchable_normalisation_of_one_kind_is_that_kind():
    maps, norm = torch.randn(3, 4, 5, 5), relgan.SwitchNorm2d(4)
    own = maps.mean((2, 3), keepdim=True), maps.var((2, 3), keepdim=True)
    for kind, over in ((0, ()), (1, (1,)), (2, (0,))):
        with torch.no_grad():
            for weights in (norm.mean_weight, norm.var_weight):
                weights.fill_(-50)
                weights[kind] = 50
        mean = own[0].mean(over, keepdim=True) if over else own[0]
        square = own[1] + own[0] ** 2
        spread = (square.mean(over, keepdim=True) if over else square) - mean**2
        torch.testing.assert_close(norm(maps), (maps - mean) / spread.sqrt(), rtol=1e-4, atol=1e-4)
    norm.eval()
    alone = norm(maps[:1])  # by the averages of training, which know nothing of this batch
    expected = (maps[:1] - norm.running_mean[..., None]) / (norm.running_var[..., None] + 1e-5).sqrt()
    assert torch.allclose(alone, expected, atol=1e-5)


def _forger(network: str, net: torch.nn.Module):
    card = checkpoint("sface")  # any card: the forger under test is random
    return (manipulate.StyleForger if network == "hisd" else manipulate.LabelForger)(card, net, "cpu")


SMALL = {
    "stargan": lambda: stargan.StarGan(5, 8, 2),
    "attentiongan": lambda: stargan.AttentionGan(5, 8, 2),
    "fpgan": lambda: stargan.FixedPointGan(5, 8, 2),
    "relgan": lambda: relgan.RelGan(5, 8, 2),
    "hisd": lambda: hisd.Hisd(hisd.Sizes((8, 16, 16), (8, 8), (8, 8), 8, 8)),
}


@pytest.mark.parametrize("network", SMALL)
def test_a_forged_face_is_a_picture_and_gradients_reach_the_input(network):
    torch.manual_seed(0)
    forger = _forger(network, SMALL[network]())
    pixels, labels = torch.rand(2, 3, 128, 128, requires_grad=True), torch.zeros(2, 5)
    made = [forger.forge(pixels, edit, labels) for edit in forger.edits]
    assert all(one.shape == pixels.shape and one.min() >= 0 and one.max() <= 1 for one in made)
    assert not torch.equal(made[0], made[1])
    assert torch.equal(made[0], forger.forge(pixels, forger.edits[0], labels))
    again, maps = forger.through(pixels, forger.edits[0], labels)
    assert torch.equal(again, made[0]) and maps.shape[-1] == 32
    maps.square().mean().backward()
    assert pixels.grad.abs().sum() > 0


def test_relgan_is_asked_for_differences_and_a_release_of_17_leaves_the_others_alone():
    forger, pixels = _forger("relgan", relgan.RelGan(17, 8, 1)), torch.zeros(1, 3, 128, 128)
    asked = forger._asked(pixels, "black hair", torch.tensor([[0.0, 1, 0, 0, 1]]))[0]
    names = manipulate.RELEASED[17]
    assert {name: float(v) for name, v in zip(names, asked, strict=True) if v} == {"Black_Hair": 1, "Blond_Hair": -1}


def test_edits_that_a_forger_does_not_make_are_named():
    with pytest.raises(CheckpointError, match="makes no edit 'bangs': choose black hair"):
        _forger("stargan", SMALL["stargan"]()).forge(torch.zeros(1, 3, 128, 128), "bangs", torch.zeros(1, 5))
    with pytest.raises(CheckpointError, match="knows 4 attributes"):
        _forger("stargan", stargan.StarGan(4, 8, 1))
    assert set(STYLES) == {"black hair", "blond hair", "brown hair", "glasses", "bangs"}
    with pytest.raises(CheckpointError, match="sface is not a forger"):
        manipulate.forger("sface")


RELEASE = """
[stargan-256]
title = "StarGAN, release"
kind = "forger"
role = "forger"
source = "local"
network = "stargan"
repo = ""
revision = ""
file = "stargan-256.safetensors"
sha256 = ""
bytes = 0
licence = "its authors'"
paper = "Choi et al., 2018"
trained_on = "CelebA"
state = "trained"
size = 256
"""


def test_a_release_by_path_forges_at_its_own_size(tmp_path, monkeypatch, runtime, astronaut):
    """Random weights of the release's layout: what is asked is that its faces are 256 pixels, cut alike."""
    (tmp_path / "local").mkdir()
    torch.manual_seed(0)
    save_file(stargan.StarGan(5, 8, 1).state_dict(), tmp_path / "local" / "stargan-256.safetensors")
    (tmp_path / "registry.toml").write_text(RELEASE)
    monkeypatch.setenv("LARVATUS_REGISTRY", str(tmp_path / "registry.toml"))
    assert manipulate.available() == ("stargan-256",)
    forger = manipulate.forger("stargan-256")
    assert forger.template.size == 256
    large, small = (align(astronaut.photo.pixels, astronaut.landmarks, t) for t in (forger.template, CELEBA128))
    assert (retarget(large.pixels, forger.template, CELEBA128) - small.pixels).abs().mean() < 0.01
    made = forger.forge(large.pixels, "age", torch.zeros(1, 5))
    assert made.shape == (1, 3, 256, 256) and made.min() >= 0 and made.max() <= 1
    monkeypatch.setattr(manipulate, "classifier", lambda id, device: lambda pixels: torch.zeros(len(pixels), 40))
    assert forger.forge(large.pixels, "age").shape == (1, 3, 256, 256)  # read at 128, as the classifier is trained
