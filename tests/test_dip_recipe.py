"""The recipe of DIP-Watermark: stages, resume, ablations, what may be attacked, and that it learns."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from engines.checkpoints import CheckpointError
from engines.method import MethodError
from engines.nets.dip import TARGETS, DipDecoder, DipEncoder
from engines.train import dip_watermark as recipe
from engines.train.datasets import DataError
from engines.train.dip_objective import Batch, Weights
from engines.train.face_bank import FaceBank

SHORT = replace(recipe.CONFIGS["cpu"], steps=4, watermark=1, ensemble=2, batch=4)


@pytest.fixture(scope="module")
def bank() -> FaceBank:
    rng = np.random.default_rng(0)
    pixels = rng.integers(60, 200, (24, 3, 8, 8), dtype=np.uint8).repeat(16, 2).repeat(16, 3)
    return FaceBank(pixels, np.zeros((24, 2, 3, 128), np.float16), np.r_[np.arange(20), np.full(4, -1)])


@pytest.fixture(scope="module")
def targets() -> torch.Tensor:
    return torch.rand(len(TARGETS), 3, 112, 112, generator=torch.Generator().manual_seed(0))


def test_the_stages_follow_one_another(bank, targets, tmp_path, monkeypatch):
    calls = []
    direct, meta = recipe.direct, recipe.meta
    monkeypatch.setattr(recipe, "direct", lambda *a: calls.append(("direct", len(a[2]))) or direct(*a))
    monkeypatch.setattr(
        recipe, "meta", lambda *a: calls.append((a[2][0].name, a[2][1].name, a[3][0].name)) or meta(*a)
    )
    work = recipe.Training(replace(SHORT, steps=5), bank, targets, tmp_path)
    for _ in range(5):
        work.step()
    one, two, three = recipe.SURROGATES
    assert calls == [("direct", 0), ("direct", 3), (one, two, three), (two, three, one), (one, three, two)]


def test_invisibility_and_faces_come_in_during_the_first_stage(bank, targets, tmp_path):
    work = recipe.Training(replace(SHORT, steps=400, watermark=100, surrogates=()), bank, targets, tmp_path)
    shares = [work.weights_at(step).invisibility / 0.05 for step in (0, 50, 75, 100, 5000)]
    assert shares[:2] == [0, 0] and shares[2] == pytest.approx(1e-3**0.5) and shares[3:] == [1, 1]
    assert work.weights_at(0).adversarial == 100 and work.weights_at(0).watermark == 0.05
    assert float(work.draw(0)[0].pixels.std()) == 0 and float(work.draw(50)[0].pixels.std()) > 0.05
    assert work.rate_at(0) < work.rate_at(60) > work.rate_at(399)


def test_a_step_depends_on_seed_and_step_alone(bank, targets, tmp_path):
    works = [recipe.Training(replace(SHORT, surrogates=()), bank, targets, tmp_path / str(i)) for i in range(2)]
    (a, first), (b, second) = works[0].draw(7), works[1].draw(7)
    assert torch.equal(a.pixels, b.pixels) and torch.equal(a.bits, b.bits) and torch.equal(a.target, b.target)
    assert first.initial_seed() == second.initial_seed()
    assert not torch.equal(a.bits, works[0].draw(8)[0].bits)
    assert set(a.bits.unique().tolist()) == {0.0, 1.0} and a.target.sum(1).tolist() == [1.0] * 4


def test_stopping_and_going_on_changes_nothing(bank, targets, tmp_path):
    short = replace(SHORT, surrogates=SHORT.surrogates[:2])
    whole = recipe.Training(short, bank, targets, tmp_path / "whole")
    whole.run(bank, every=2)
    first = recipe.Training(short, bank, targets, tmp_path / "parts")
    first.step()
    first.step()
    first.save()
    second = recipe.Training(short, bank, targets, tmp_path / "parts")
    assert second.done == 2
    second.run(bank, every=2)
    for (name, a), b in zip(whole.encoder.state_dict().items(), second.encoder.state_dict().values(), strict=True):
        assert torch.allclose(a, b, atol=1e-5), name
    log = json.loads((tmp_path / "whole" / "log.json").read_text())
    assert [row["step"] for row in log["history"]] == [2, 4] and log["recipe"]["weights"]["adversarial"] == 100
    row = log["history"][-1]
    assert {"adv", "mse255", "bce", "bits", "meta_test", "ssim", "bits_clean", "bits_pool", "cos"} <= set(row)
    assert (tmp_path / "whole" / "grid.png").is_file() and (tmp_path / "whole" / "weights.safetensors").is_file()


def test_without_meta_and_without_surrogates(bank, targets, tmp_path):
    plain = recipe.Training(replace(SHORT, meta=False), bank, targets, tmp_path)
    plain.done = 3
    assert "meta_test" not in plain.losses(3).log
    for network in ("hidden", "fake-tagger"):
        mark = recipe.Training(replace(SHORT, network=network, surrogates=()), bank, targets, tmp_path / network)
        assert float(mark.losses(3).adversarial) == 0 and np.isfinite(mark.step()["bce"])


def test_a_small_pair_learns_to_write_and_read():
    """Four bits on grey, through the noise pool, by the recipe's losses."""
    torch.manual_seed(0)
    encoder, decoder = DipEncoder(bits=4, width=16), DipDecoder(bits=4, width=8)
    optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=3e-3)
    generator, accuracy = torch.Generator().manual_seed(0), []
    for _ in range(60):
        bits = (torch.rand(8, 4, generator=generator) < 0.5).float()
        batch = Batch(torch.full((8, 3, 112, 112), 0.5), bits, torch.eye(len(TARGETS))[[0] * 8])
        terms = recipe.direct(encoder, decoder, [], batch, lambda pixels: recipe.noise_pool(pixels, generator))
        optimiser.zero_grad()
        terms.total(Weights(0.0, 0.0, 0.05)).backward()
        optimiser.step()
        accuracy.append(float(terms.log["bits"]))
    assert np.mean(accuracy[:5]) < 0.7 and np.mean(accuracy[-5:]) > 0.9


def test_a_judge_may_not_be_attacked(bank, targets, tmp_path):
    with pytest.raises(MethodError, match="held-out judge"):
        recipe.Training(replace(SHORT, surrogates=("compact-inception",)), bank, targets, tmp_path)
    with pytest.raises(CheckpointError, match="no checkpoint called"):
        recipe.Training(replace(SHORT, surrogates=("nobody",)), bank, targets, tmp_path)


def test_the_surrogates_are_bundled_and_no_judges():
    from engines.checkpoints import registry

    cards = [registry()[id] for id in recipe.SURROGATES]
    assert all(card.source == "bundled" and card.role == "surrogate" for card in cards) and len(cards) == 3


def test_targets_are_read_and_missing_ones_asked_for(tmp_path):
    from app.targets_command import run_targets

    with pytest.raises(DataError, match=r"no virtual.png in .*: run `python -m app targets"):
        recipe.target_faces(tmp_path)
    found = run_targets(argparse.Namespace(out=tmp_path))
    assert [row["target"] for row in found["rows"]] == list(TARGETS)
    assert recipe.target_faces(tmp_path).shape == (3, 3, 112, 112)


def test_weights_are_read():
    assert recipe.read_weights("100:0.05:0.05") == Weights() and recipe.read_weights("1:1:1") == Weights(1, 1, 1)
    for bad in ("1:2", "a:b:c", "1:2:3:4", "-1:0:0", "nan:0:0", "inf:0:0"):
        with pytest.raises(argparse.ArgumentTypeError, match="three numbers"):
            recipe.read_weights(bad)


def test_held_out_figures_are_measured_as_in_use(bank, targets, tmp_path):
    work = recipe.Training(replace(SHORT, network="hidden", surrogates=()), bank, targets, tmp_path)
    seen = []
    work.decoder.register_forward_hook(lambda net, given, out: seen.append(net.training))
    recipe.held_out(work, bank, faces=4)
    assert seen and not any(seen) and work.encoder.training and work.decoder.training
