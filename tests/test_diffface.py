"""DiffFace's sampling: schedules, DDIM, guidance, blending, refusals; the built-in portraits, stand-in networks."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import pytest
import torch
from safetensors.torch import save_file

from engines import diffface_network, recognise
from engines.checkpoints import CheckpointError, checkpoint, registry_file
from engines.ddim import Schedule
from engines.diffface import Sampler, Settings, denoise, face_mask, laid, swap
from engines.diffface_network import KINDS, SIDE, DiffFace, available, diffface
from engines.face import CELEBA128, FaceError, align, ffhq
from engines.facial_guidance import Guidance, Weights
from engines.method import MethodError
from engines.nets.diffusion import DiffusionUNet, Sizes

TINY = Sizes(64, 8, (1, 2), 1, (), 8, 128, groups=4)
ALONE = Settings(4, weights=Weights(identity=0, parsing=0, gaze=0))
Noise = Callable[[torch.Tensor, int, torch.Tensor], torch.Tensor]


@pytest.fixture(scope="module")
def faces(astronaut, hopper) -> tuple[torch.Tensor, torch.Tensor]:
    """Eileen Collins and Grace Hopper, cut as CELEBA128."""
    return tuple(align(p.photo.pixels, p.landmarks, CELEBA128).pixels for p in (astronaut, hopper))


@pytest.fixture(scope="module")
def sface():
    return recognise.load("sface")


@pytest.fixture(scope="module")
def vgg():
    return recognise.load("compact-vgg")


@pytest.fixture
def net(sface) -> DiffFace:
    """A small network of random weights, which is not silent."""
    torch.manual_seed(0)
    unet = DiffusionUNet(TINY)
    for parameter in unet.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    card = dataclasses.replace(checkpoint("parser"), id="mine", kind="diffusion", state="untrained")
    kind = dataclasses.replace(KINDS["diffface-small"], sizes=TINY)
    return DiffFace(card, unet, kind, sface, allow_untrained=True)


def sees(clean: torch.Tensor, schedule: Schedule) -> Noise:
    """An oracle: it takes whatever it sees for this picture under noise."""
    return lambda noisy, time, identity: schedule.noise(noisy, clean, time)


def smooths(schedule: Schedule, spread: float = 0.5) -> Noise:
    """The best guess for pixels that are Gaussian and independent: what guidance can bend."""

    def noise(noisy: torch.Tensor, time: int, identity: torch.Tensor) -> torch.Tensor:
        share = float(schedule.kept[time])
        clean = math.sqrt(share) * spread**2 / (share * spread**2 + 1 - share) * noisy
        return schedule.noise(noisy, clean, time)

    return noise


def test_a_swap_by_an_oracle_lays_its_picture_into_the_photo(net, faces):
    protected, replacing = faces
    picture = net.shrunk(replacing).clamp(0, 1)
    net.noise = sees(2 * picture - 1, net.schedule)
    found, where = swap(protected, replacing, net, settings=ALONE), face_mask(protected)
    expected = laid(protected, net.enlarged(2 * picture - 1), where)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)
    inside = where > 0.999
    assert inside.float().mean() > 0.05 and (found - protected).abs()[inside.expand_as(found)].mean() > 0.05


def test_pixels_outside_the_mask_are_the_photo_s_in_every_snapshot(net, faces):
    outside = (face_mask(faces[0]) == 0).expand_as(faces[0])
    assert 0.3 < outside.float().mean() < 0.95
    for snapshot in denoise(*faces, net, settings=ALONE):
        assert torch.equal(snapshot.pixels[outside], faces[0][outside])
        assert snapshot.pixels.min() >= 0 and snapshot.pixels.max() <= 1 and not snapshot.pixels.requires_grad


def test_what_lies_around_travels_to_the_photo_and_the_mask_grows(net, faces, monkeypatch):
    """Each x_t is the noised photo where the mask has no strength yet."""
    seen: list[torch.Tensor] = []
    own = Sampler.bent
    monkeypatch.setattr(Sampler, "bent", lambda self, noisy, time: seen.append(noisy) or own(self, noisy, time))
    settings = dataclasses.replace(ALONE, steps=6)
    snapshots = list(denoise(*faces, net, settings=settings, seed=3))
    assert [(s.step, s.steps) for s in snapshots] == [(k, 6) for k in range(1, 7)]
    noise = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    target = 2 * net.shrunk(faces[0]).clamp(0, 1) - 1
    far = (net.shrunk(face_mask(faces[0])).clamp(0, 1) == 0).expand_as(target)
    times = settings.times(net.schedule)
    for noisy, time in zip(seen, times, strict=True):
        torch.testing.assert_close(noisy[far], net.schedule.noised(target, noise, time)[far])
    around = net.schedule.noised(target, noise, times[1])  # after the first step the mask has no strength yet
    torch.testing.assert_close(seen[1], around, atol=5e-3, rtol=0)
    assert (seen[-1] - net.schedule.noised(target, noise, times[-1])).abs().max() > 0.1


def test_the_mask_s_strength_and_the_first_step_are_the_release_s():
    settings, linear = Settings(), Schedule.linear()
    for index in range(74, -1, -1):  # of its 100 time steps, 25 skipped
        expected = min(1, (75 - (index + 1)) / (75 - 30))
        assert settings.strength((index + 1) / 100) == pytest.approx(expected)
    assert settings.times(linear)[0] == 749 and settings.times(linear)[-1] == 0
    cosine = Schedule.cosine()
    first = settings.times(cosine)[0]
    assert first > 900 and float(cosine.kept[first] / linear.kept[749]) == pytest.approx(1, abs=0.1)
    assert Settings(skipped=0.5, full=1.0).strength(0.5) == 0


def test_the_same_seed_gives_the_same_face_and_another_another(net, faces, vgg):
    settings = Settings(3)
    one, two = (swap(*faces, net, [vgg], settings, seed=1) for _ in range(2))
    assert torch.equal(one, two) and not torch.equal(one, swap(*faces, net, [vgg], settings, seed=2))


def test_the_network_hears_the_replacing_face(net, faces):
    assert not torch.equal(swap(*faces, net, settings=ALONE), swap(faces[0], faces[0], net, settings=ALONE))


@pytest.mark.parametrize(("kind", "weights"), [("identity", Weights(30, 0, 0)), ("parsing", Weights(0, 100, 0))])
def test_guidance_lowers_its_loss(net, faces, vgg, kind, weights):
    net.noise = smooths(net.schedule)
    where, target = face_mask(faces[0]), 2 * net.shrunk(faces[1]).clamp(0, 1) - 1
    noise = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    losses = []
    for asked in (Weights(0, 0, 0), weights):
        guidance = Guidance(*faces, [vgg], asked)
        sampler = Sampler(faces[0], where, torch.zeros(1, 128), net, guidance, Settings())
        clean, seen = sampler.bent(net.schedule.noised(target, noise, 400), 400)
        measured = Guidance(*faces, [vgg], weights)
        losses.append(float(measured.terms(laid(faces[0], net.enlarged(clean), where), 0.4)[kind]))
        torch.testing.assert_close(
            net.schedule.noised(clean, seen, 400), net.schedule.noised(target, noise, 400), atol=1e-4, rtol=0
        )
    assert losses[1] < 0.98 * losses[0]


def test_a_gaze_network_bends_the_face(net, faces):
    net.noise = smooths(net.schedule)
    settings = Settings(4, weights=Weights(0, 0, 100))
    plain, bent = (
        swap(*faces, net, settings=settings, gaze=gaze) for gaze in (None, lambda face: 10 * face.mean((2, 3)))
    )
    assert not torch.equal(plain, bent)


def test_judges_and_untrained_networks_do_not_guide(net, faces, make_tiny):
    with pytest.raises(MethodError, match="held-out judge"):
        denoise(*faces, net, [make_tiny(0, role="judge")])
    with pytest.raises(MethodError, match="is not trained"):
        denoise(*faces, net, [make_tiny(0, state="untrained")])


def test_an_untrained_network_makes_no_face(net, sface):
    with pytest.raises(CheckpointError, match="mine is not trained, so it makes no face"):
        DiffFace(net.card, net.net, KINDS["diffface-small"], sface)


def test_what_is_not_here_or_something_else_is_refused_in_a_sentence():
    with pytest.raises(CheckpointError, match="parser is not a diffusion"):
        diffface("parser")
    with pytest.raises(CheckpointError, match="convert its release with python -m app weights convert"):
        diffface("diffface")
    assert "diffface" not in available()


@pytest.fixture
def mine(tmp_path, monkeypatch) -> dict[str, torch.Tensor]:
    """A registry with a tiny network of one's own beside the others, and its tensors."""
    monkeypatch.setitem(KINDS, "diffface-small", dataclasses.replace(KINDS["diffface-small"], sizes=TINY))
    entry = registry_file().read_text().split("[diffface]")[1].split("[diffface-arcface]")[0]
    entry = entry.replace('network = "diffface"', 'network = "diffface-small"').replace("diffface.s", "mine.s")
    untrained = entry.replace('"trained"', '"untrained"')
    text = registry_file().read_text() + f"\n[mine]{entry}\n[raw]{untrained}"
    (tmp_path / "registry.toml").write_text(text)
    (tmp_path / "local").mkdir()
    torch.manual_seed(0)
    state = DiffusionUNet(TINY).state_dict()
    save_file({name: value.half() for name, value in state.items()}, tmp_path / "local" / "mine.safetensors")
    monkeypatch.setenv("LARVATUS_REGISTRY", str(tmp_path / "registry.toml"))
    return state


def test_a_network_of_ones_own_is_loaded_by_its_path(mine, faces):
    assert available() == ("mine",)
    net = diffface("mine")
    assert net is diffface("mine") and len(net.card.sha256) == 64 and net.identity.card.id == "sface"
    for name, value in net.net.state_dict().items():
        assert torch.equal(value, mine[name].half().float())
    assert swap(*faces, net, settings=ALONE).shape == (1, 3, 128, 128)
    with pytest.raises(CheckpointError, match="raw is not trained"):
        diffface("raw")


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_crop_without_a_face_is_refused_at_once(net, faces, value):
    with pytest.raises(FaceError, match="No face can be made out"):
        denoise(torch.full((1, 3, SIDE, SIDE), value), faces[1], net)


def test_crops_of_another_size_and_settings_out_of_range_are_refused_at_once(net, faces):
    with pytest.raises(FaceError, match=r"crops \(1, 3, 128, 128\), not \(1, 3, 64, 64\)"):
        denoise(faces[0], torch.rand(1, 3, 64, 64), net)
    for settings in (Settings(skipped=1.0), Settings(skipped=-0.1), Settings(full=1.5)):
        with pytest.raises(MethodError, match="share"):
            denoise(*faces, net, settings=settings)
    for steps in (0, 990):
        with pytest.raises(MethodError, match="ask for 1 to 96"):
            denoise(*faces, net, settings=Settings(steps))


def test_ffhq_s_cut_is_the_known_one():
    """The five points that restoration networks use for FFHQ at 512 pixels, a little higher at the mouth."""
    known = torch.tensor([[192.98, 239.95], [318.90, 240.19], [256.63, 314.02], [201.26, 371.41], [313.09, 371.15]])
    assert (ffhq(512).tensor() - known).abs().max() < 9
    torch.testing.assert_close((ffhq(256).tensor() + 0.5) * 2, ffhq(512).tensor() + 0.5)


def test_another_cut_is_undone_where_it_reaches(net, faces, sface):
    kind = dataclasses.replace(KINDS["diffface"], sizes=dataclasses.replace(TINY, side=256))
    wide = DiffFace(net.card, torch.nn.Identity(), kind, sface, allow_untrained=True)
    reach, seen = wide.reach(), wide.shrunk(faces[0])
    assert seen.shape == (1, 3, 256, 256) and reach.shape == (1, 1, 128, 128)
    assert reach[..., 0, :].max() == 0 and reach[..., 40:100, 40:90].min() > 0.999
    again = wide.enlarged(seen)
    inside = (reach > 0.999).expand_as(again)
    assert (again - faces[0])[inside].abs().mean() < 0.02
    assert (net.enlarged(net.shrunk(faces[0])) - faces[0]).abs().mean() < 0.02 and net.reach().min() == 1


def test_the_module_offers_its_kinds():
    assert set(diffface_network.KINDS) == {"diffface", "diffface-small"}
    for kind in KINDS.values():
        assert checkpoint(kind.identity).kind == "recogniser" and checkpoint(kind.identity).role == "surrogate"
