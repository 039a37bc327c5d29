"""ID-Guard as a method, with generators of random weights: ball, strategies, determinism, wrong files."""

from __future__ import annotations

import pytest
import torch

from engines.checkpoints import CheckpointError, checkpoint
from engines.method import Scene, run
from engines.methods import id_guard
from engines.methods.id_guard import IdGuard, generator_of
from engines.nets.id_guard import PerturbationGenerator, Universal
from engines.params import ParamError


@pytest.fixture
def nets(monkeypatch):
    torch.manual_seed(0)
    made = {name: PerturbationGenerator(128, 8, 1).eval().requires_grad_(False) for name in id_guard.STRATEGIES}
    for net in made.values():
        net.prior.uniform_(-0.05, 0.05)
    monkeypatch.setattr(id_guard, "generators", lambda id, device: made)
    return made


@pytest.mark.parametrize("strategy", ["S-I", "S-II", "P-Pert"])
@pytest.mark.parametrize("epsilon", [0.01, 0.05, 0.1])
def test_no_pixel_moves_further_than_epsilon(nets, strategy, epsilon):
    pixels = torch.rand(2, 3, 128, 128)
    (shot,) = run(IdGuard(), pixels, {"strategy": strategy, "epsilon": epsilon}, Scene())
    moved = (shot.pixels - pixels).abs().max()
    assert 0 < moved <= epsilon / 2 + 1e-6 and shot.pixels.min() >= 0 and shot.pixels.max() <= 1


def test_strategies_differ_and_the_prior_is_the_same_for_every_face(nets):
    pixels = 0.5 + 0.1 * torch.rand(2, 3, 128, 128)

    def change(strategy: str) -> torch.Tensor:
        (shot,) = run(IdGuard(), pixels, {"strategy": strategy}, Scene())
        return shot.pixels - pixels

    one, two, prior = (change(name) for name in ("S-I", "S-II", "P-Pert"))
    assert not torch.equal(one, two) and torch.equal(two, change("S-II"))
    assert torch.allclose(prior[0], prior[1], atol=1e-6) and not torch.allclose(two[0], two[1], atol=1e-4)
    assert torch.allclose(prior[:1], nets["S-II"].prior / 2, atol=1e-6)


def test_a_generator_is_read_off_its_tensors():
    net = PerturbationGenerator(64, 16, 3)
    again = generator_of(net.state_dict())
    pixels = torch.rand(1, 3, 64, 64)
    assert torch.equal(again(pixels), net(pixels))
    with pytest.raises(CheckpointError, match="of another network"):
        generator_of({"main.0.weight": torch.zeros(1)})


def test_a_file_holds_generators_and_universal_perturbations_by_name(monkeypatch):
    net, card = PerturbationGenerator(64, 8, 1), checkpoint("sface")
    state = {f"PG.{name}": tensor for name, tensor in net.state_dict().items()}
    monkeypatch.setattr(id_guard, "trained", lambda id, kind: card)
    monkeypatch.setattr(
        id_guard, "load_state", lambda card: {**state, "CMUA.prior": torch.full((1, 3, 64, 64), 0.05)}
    )
    found = id_guard._generators("baselines", "cpu")
    assert set(found) == {"PG", "CMUA"} and isinstance(found["CMUA"], Universal)
    assert torch.allclose(found["CMUA"](torch.rand(2, 3, 64, 64), 0.02), torch.full((2, 3, 64, 64), 0.02))
    monkeypatch.setattr(id_guard, "generators", lambda id, device: found)
    with pytest.raises(CheckpointError, match="no generator of strategy S-I"):
        list(run(IdGuard(), torch.rand(1, 3, 128, 128), {"strategy": "S-I"}, Scene()))


def test_bad_settings_are_a_sentence(nets):
    with pytest.raises(ParamError, match="epsilon|Strength"):
        run(IdGuard(), torch.rand(1, 3, 128, 128), {"epsilon": 0.5}, Scene())
    with pytest.raises(ParamError):
        run(IdGuard(), torch.rand(1, 3, 128, 128), {"strategy": "S-III"}, Scene())
