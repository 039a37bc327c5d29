"""Real faces from packages, and one tiny recogniser for tests of mathematics."""

from __future__ import annotations

import dataclasses
import io
import os
import tempfile

import pytest
import torch
from torch import Tensor, nn

from app import forge, gallery, panel
from app.panel import Panel
from app.runtime import Runtime
from engines import manipulate
from engines.checkpoints import Checkpoint, checkpoint
from engines.face import ARCFACE112
from engines.methods import METHODS, erasable_mask, id_guard, ipmn
from engines.methods.erasable_mask import ErasableMask
from engines.methods.id_guard import IdGuard
from engines.methods.ipmn import Ipmn
from engines.nets import erasable_mask as masks
from engines.nets import hisd, stargan
from engines.nets import ipmn as nets
from engines.nets.id_guard import EPSILON, PerturbationGenerator
from engines.nets.parser import CLASSES
from engines.recognise import Architecture, FaceNetwork
from engines.train.celeba import Celeba
from tests.noisy_faces import noisy_faces

# Two cores: one test with both, or two tests with one each.
torch.set_num_threads(1 if "PYTEST_XDIST_WORKER" in os.environ else 2)
# The registry also lists what FRBench keeps on this computer: in the tests, nothing.
EMPTY = tempfile.TemporaryDirectory()
os.environ["FRBENCH_CACHE"] = EMPTY.name


LONG = ("bench_run_ray", "browser", "bench_run", "api", "workbench", "weights", "demo", "compare", "dip_recipe")


def pytest_collection_modifyitems(items):
    """Files that take long come first, so that no worker is left with one of them at the end."""
    order = {f"test_{name}": place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: order.get(item.path.stem, len(LONG)))


@pytest.fixture(scope="session")
def runtime() -> Runtime:
    return Runtime(device="cpu")


@pytest.fixture(scope="session")
def astronaut(runtime):
    return gallery.person(runtime, gallery.COLLINS)


@pytest.fixture(scope="session")
def hopper(runtime):
    return gallery.person(runtime, gallery.HOPPER)


@pytest.fixture(scope="session")
def astronaut_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("photos") / "astronaut.png"
    path.write_bytes(gallery.portrait(gallery.COLLINS))
    return path


@pytest.fixture(scope="session")
def hopper_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("photos") / "hopper.jpg"
    path.write_bytes(gallery.portrait(gallery.HOPPER))
    return path


class Tiny(nn.Module):
    """A small smooth network: differentiable everywhere, so that finite differences hold."""

    def __init__(self, seed: int):
        super().__init__()
        torch.manual_seed(seed)
        self.conv = nn.Conv2d(3, 8, 7, 7)
        self.fc = nn.Linear(8 * 16 * 16, 16)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.fc(torch.tanh(self.conv(pixels - 0.5)).flatten(1))


def tiny(seed: int = 0, **changes: object) -> FaceNetwork:
    """A tiny recogniser whose card can be changed: role, state."""
    card = Checkpoint(
        id=f"tiny-{seed}",
        title="Tiny",
        kind="recogniser",
        role="surrogate",
        source="local",
        network="tiny",
        repo="",
        revision="",
        file="",
        sha256="0" * 64,
        bytes=0,
        licence="",
        paper="",
        trained_on="",
        state="trained",
        thresholds={0.01: 0.3, 0.001: 0.4},
    )
    card = dataclasses.replace(card, **changes)
    architecture = Architecture(lambda state: Tiny(seed), ARCFACE112, lambda net: net.conv, 1.0)
    return FaceNetwork(card, Tiny(seed), architecture, allow_untrained=True)


@pytest.fixture
def make_tiny():
    return tiny


@pytest.fixture
def png():
    """PIL image -> PNG bytes."""

    def write(image, **options) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, "PNG", **options)
        return buffer.getvalue()

    return write


@pytest.fixture
def forgers(monkeypatch):
    """A StarGAN and a HiSD of random weights, a classifier that sees nothing, a parser that sees skin."""
    torch.manual_seed(0)
    card = dataclasses.replace(checkpoint("sface"), kind="forger")
    sizes = hisd.Sizes((8, 16, 16), (8, 8), (8, 8), 8, 8)
    made = {
        "stargan": manipulate.LabelForger(
            dataclasses.replace(card, id="stargan", title="StarGAN"), stargan.StarGan(5, 8, 1), "cpu"
        ),
        "hisd": manipulate.StyleForger(dataclasses.replace(card, id="hisd", title="HiSD"), hisd.Hisd(sizes), "cpu"),
    }
    monkeypatch.setattr(manipulate, "available", lambda: tuple(made))
    monkeypatch.setattr(manipulate, "forger", lambda id, device="cpu": made[id])
    monkeypatch.setattr(manipulate, "shown", lambda pixels, device="cpu": torch.zeros(len(pixels), 5))
    monkeypatch.setattr(forge, "parts", lambda pixels: torch.full((len(pixels), 128, 128), CLASSES.index("skin")))
    monkeypatch.setattr(forge, "checkpoint", lambda id: card)
    return tuple(made)


@pytest.fixture
def small_panel(monkeypatch):
    """Two recognisers score instead of all that are bundled, where it does not matter who does."""
    monkeypatch.setattr(panel, "default", lambda known: Panel(("compact-vgg",), ("compact-inception",)))


@pytest.fixture
def guard(monkeypatch, forgers, small_panel):
    """ID-Guard among the methods, with generators of random weights."""
    torch.manual_seed(0)
    nets = {name: PerturbationGenerator(128, 8, 1).eval().requires_grad_(False) for name in id_guard.STRATEGIES}
    for net in nets.values():
        net.prior.uniform_(-EPSILON, EPSILON)
    card = dataclasses.replace(checkpoint("sface"), id="id-guard", title="ID-Guard", kind="disruptor")
    monkeypatch.setattr(id_guard, "generators", lambda id, device: nets)
    monkeypatch.setattr(IdGuard, "checkpoints", (card,))
    monkeypatch.setattr(IdGuard, "attacked_in_training", ())
    monkeypatch.setitem(METHODS, "id-guard", IdGuard())


@pytest.fixture
def mask(monkeypatch, small_panel):
    """ErasableMask among the methods, with networks of random weights and a classifier that sees nothing."""
    torch.manual_seed(0)
    nets = {target: masks.ErasableMask((4, 6, 8, 8)).eval().requires_grad_(False) for target in ("hopper", "collins")}
    card = dataclasses.replace(
        checkpoint("sface"), id="erasable-mask", title="ErasableMask", kind="mask", trained_against=("compact-vgg",)
    )
    monkeypatch.setattr(erasable_mask, "masks", lambda id, device: nets)
    monkeypatch.setattr(erasable_mask, "shown", lambda pixels: torch.zeros(len(pixels), len(masks.ATTRIBUTES)))
    monkeypatch.setattr(ErasableMask, "checkpoints", (card,))
    monkeypatch.setattr(ErasableMask, "attacked_in_training", ("compact-vgg",))
    monkeypatch.setitem(METHODS, "erasable-mask", ErasableMask())
    return nets


@pytest.fixture
def hider(monkeypatch, small_panel):
    """IPMN among the methods, with networks of random weights; what f hides it does not give back."""
    torch.manual_seed(0)
    sizes = nets.Sizes(blocks=2, growth=4, layers=3, embedder=(4, 6), extractor=4, residuals=1)
    own, other = (stirred(nets.Ipmn(sizes)) for _ in range(2))
    card = dataclasses.replace(checkpoint("sface"), id="ipmn", title="IPMN", kind="invertible")
    monkeypatch.setattr(ipmn, "networks", lambda id, device: own)
    monkeypatch.setattr(ipmn, "invertibles", lambda id, device: (own if id == "ipmn" else other).invertible)
    monkeypatch.setattr(Ipmn, "checkpoints", (card,))
    monkeypatch.setitem(METHODS, "ipmn", Ipmn())
    return own


def stirred(net: nets.Ipmn) -> nets.Ipmn:
    """Frozen, and no longer the identity: the last layers of f's dense sub-networks get small weights."""
    for name, weight in net.named_parameters():
        if name.startswith("invertible") and not weight.any():
            nn.init.normal_(weight, std=0.01)
    return net.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def celeba() -> Celeba:
    """48 pictures of noise with random attributes, as a training reads CelebA."""
    return noisy_faces()
