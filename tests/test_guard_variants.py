"""The recipes beside ID-Guard's own, on small random networks: hardening a forger, forensics, CMUA's batches."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch

from engines.nets.id_guard import EPSILON, PerturbationGenerator
from engines.train import adversarial, disrupt, forensics, forgers
from engines.train.datasets import DataError
from tests.test_forger_recipe import SHORT, faces, same, state  # noqa: F401  (faces is a fixture)
from tests.test_id_guard_recipe import bench  # noqa: F401  (a fixture)


@pytest.fixture
def hardening(faces, tmp_path):  # noqa: F811
    plain = forgers.Training("stargan", SHORT, faces, tmp_path / "plain")
    plain.save()
    guard = PerturbationGenerator(SHORT.size, 8, 1)

    def make(folder: str = "hard") -> adversarial.Hardening:
        own = copy.deepcopy(guard)
        return adversarial.Hardening("stargan", SHORT, faces, tmp_path / "plain", own, tmp_path / folder)

    return make


def test_hardening_goes_on_from_the_plain_forger_on_faces_that_g_perturbs(hardening, faces, tmp_path):  # noqa: F811
    plain, work = forgers.Training("stargan", SHORT, faces, tmp_path / "plain"), hardening()
    assert same(state(plain.generator), state(work.generator)) and work.done == 0
    moved = (work.draw(0).pixels - plain.draw(0).pixels).abs()
    assert 0 < moved.max() <= EPSILON + 1e-6 and torch.equal(work.draw(1).pixels, plain.draw(1).pixels)
    assert torch.equal(work.draw(0).labels, plain.draw(0).labels)


def test_g_climbs_against_the_forger_as_it_is(hardening):
    work = hardening()
    before, forger = state(work.guard), state(work.generator)
    rises = [work._attack() for _ in range(30)]
    assert not same(before, state(work.guard)) and same(forger, state(work.generator))
    assert sum(rises[-5:]) > sum(rises[:5])
    assert all(p.requires_grad for p in work.generator.parameters())


def test_a_hardening_resumes(hardening):
    whole = hardening("whole")
    whole.step()
    whole.save()
    whole.step()
    again = hardening("whole")
    again.step()
    assert same(state(whole.guard), state(again.guard)) and same(state(whole.average), state(again.average))


def test_hardening_needs_a_plain_training(tmp_path):
    with pytest.raises(DataError, match="give the folder of engines.train.forgers"):
        adversarial.trained(tmp_path, "engines.train.forgers")


MESSAGE = forensics.Recipe(steps=2, batch=2, bits=8, warm=1)


@pytest.mark.parametrize("strategy", ["S-I", "S-II"])
def test_forensics_reads_the_photo_first_then_what_forgers_made_and_resumes(strategy, bench, faces, tmp_path):  # noqa: F811
    recipe = dataclasses.replace(MESSAGE, strategy=strategy)
    whole = forensics.Training(recipe, faces, bench, tmp_path)
    whole.step()
    assert whole.errors.tolist() == [0.25, 0.25]  # nothing was forged yet
    whole.save()
    log = whole.step()
    assert whole.errors.tolist() == [pytest.approx(log["stargan"]), pytest.approx(log["hisd"])] != [0.25, 0.25]
    again = forensics.Training(recipe, faces, bench, tmp_path)
    again.step()
    assert same(state(whole.nets), state(again.nets))
    found = again.held_out(faces, 2)
    assert set(found) == {"BER clean", "BER stargan", "BER hisd", "ssim"} and found["ssim"] < 1
    assert all(0 <= rate <= 1 for rate in found.values())


def test_a_forger_whose_bits_are_lost_weighs_more(bench, faces, tmp_path):  # noqa: F811
    work = forensics.Training(dataclasses.replace(MESSAGE, strategy="S-II"), faces, bench, tmp_path)
    work.against = dataclasses.replace(bench, priors=torch.ones(2))
    work.errors = torch.tensor([0.02, 0.22])
    one, two = work._weights([], torch.zeros(1)).tolist()
    assert two > one and one + two == pytest.approx(1)


def test_batches_are_drawn_by_the_seed(faces):  # noqa: F811
    one, two, other = (list(disrupt.batches(faces, 2, 2, seed)) for seed in (0, 0, 1))
    assert all(torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in zip(one, two, strict=True))
    assert not torch.equal(one[0][0], other[0][0]) and one[0][0].min() >= -1
