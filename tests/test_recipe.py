"""The recipe of the bundled recognisers: its losses, its pictures, its bank, and going on where it stopped."""

import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from engines.train import face_bank, recogniser
from engines.train.augment import augment, crop
from engines.train.datasets import DataError
from engines.train.face_bank import FaceBank
from engines.train.margin import MarginLoss
from engines.train.teachers import teachers

ID = "compact-vgg"


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


@pytest.fixture(scope="module")
def bank() -> FaceBank:
    """32 patterns of coarse noise, 8 people, and 8 mixtures."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (40, 3, 8, 8), dtype=np.uint8).repeat(16, 2).repeat(16, 3)
    targets = unit(40, 2, 3, 128).numpy().astype(np.float16)
    return FaceBank(pixels, targets, np.r_[np.repeat(np.arange(8), 4), np.full(8, -1)])


@pytest.mark.parametrize("kind", ["arcface", "cosface"])
def test_margin_is_the_papers(kind):
    """ArcFace Eq. 3 and CosFace Eq. 4, written out."""
    rows, centres, labels = unit(4, 8, seed=1), unit(6, 8, seed=2), torch.tensor([0, 3, 5, 1])
    loss = MarginLoss(centres, kind, scale=30, margin=0.3)
    cosine = rows @ centres.T
    expected = cosine.clone()
    for i, y in enumerate(labels):
        own = float(cosine[i, y])
        expected[i, y] = math.cos(math.acos(own) + 0.3) if kind == "arcface" else own - 0.3
    assert torch.allclose(loss.logits(rows, labels), 30 * expected, atol=1e-4)
    assert torch.allclose(loss(rows, labels), F.cross_entropy(30 * expected, labels), atol=1e-4)


def test_arcface_keeps_falling_where_the_angle_would_wrap():
    centre = torch.tensor([[1.0, 0.0]])
    loss = MarginLoss(centre, "arcface", scale=1, margin=0.5)
    angles = torch.linspace(0, math.pi, 200)
    rows = torch.stack([angles.cos(), angles.sin()], 1)
    values = loss.logits(rows, torch.zeros(200, dtype=torch.long))[:, 0]
    assert bool((values.diff() < 0).all())


def test_margin_gradient_is_that_of_finite_differences():
    loss = MarginLoss(unit(5, 6).double(), "arcface").double()
    rows = unit(3, 6, seed=3).double().requires_grad_(True)
    assert torch.autograd.gradcheck(lambda r: loss(F.normalize(r, dim=1), torch.tensor([0, 1, 4])), rows)


def test_mixtures_have_no_class():
    loss = MarginLoss(unit(5, 6), "cosface")
    rows, labels = unit(4, 6, seed=4), torch.tensor([2, -1, -1, 0])
    assert torch.allclose(loss(rows, labels), loss(rows[[0, 3]], labels[[0, 3]]))
    assert float(loss(rows[1:3], labels[1:3])) == 0


def test_an_unknown_margin_is_refused():
    with pytest.raises(ValueError, match="arcface or cosface"):
        MarginLoss(unit(5, 6), "softmax")


def test_augmentation_keeps_range_and_is_deterministic_under_a_seed(astronaut):
    from engines.face import align

    face = (align(astronaut.photo.pixels, astronaut.landmarks, face_bank.ROOMY).pixels * 255).to(torch.uint8)
    faces = face.repeat(24, 1, 1, 1)
    seen = augment(faces, torch.Generator().manual_seed(7))
    assert seen.shape == (24, 3, 112, 112) and float(seen.min()) >= 0 and float(seen.max()) <= 1
    assert torch.equal(seen, augment(faces, torch.Generator().manual_seed(7)))
    assert not torch.equal(seen, augment(faces, torch.Generator().manual_seed(8)))
    assert float((seen[0] - seen[1]).abs().mean()) > 0.01  # and the views differ


def test_a_crop_that_is_not_moved_is_the_arcface_crop(astronaut, monkeypatch):
    from engines.face import align

    roomy = align(astronaut.photo.pixels, astronaut.landmarks, face_bank.ROOMY).pixels
    monkeypatch.setattr(torch, "randn", lambda *shape, generator: torch.zeros(*shape))
    expected = align(astronaut.photo.pixels, astronaut.landmarks).pixels
    seen = crop(roomy, torch.Generator())
    assert float((seen - expected).abs().mean()) < 0.01  # cut twice, so a little softer
    assert float((seen.roll(1, 3) - expected).abs().mean()) > 0.015


def test_a_mixture_lies_between_its_people():
    a, b = torch.zeros(3, 128, 128, dtype=torch.uint8), torch.full((3, 128, 128), 200, dtype=torch.uint8)
    for seed in range(6):
        mixed = face_bank.mixture(a, b, np.random.default_rng(seed)).float()
        assert 0.2 * 200 < float(mixed.mean()) < 0.8 * 200
        assert float(mixed.min()) >= 0 and float(mixed.max()) <= 200


def test_mixtures_are_of_two_people_and_repeat_under_a_seed():
    pixels = np.random.default_rng(0).integers(0, 256, (6, 3, 128, 128), dtype=np.uint8)
    labels = np.array([0, 0, 1, 1, 2, 2])
    first, numbers = face_bank.with_mixtures(pixels, labels, 4, seed=3)
    again, _ = face_bank.with_mixtures(pixels, labels, 4, seed=3)
    assert np.array_equal(first, again) and np.array_equal(first[:6], pixels)
    assert list(numbers[6:]) == [-1] * 4


def test_a_bank_that_is_not_finished_is_refused(tmp_path):
    with pytest.raises(DataError, match="face_bank"):
        FaceBank.read(tmp_path)


def test_teachers_that_are_missing_are_asked_for(tmp_path):
    with pytest.raises(DataError, match="--teachers"):
        teachers(tmp_path)


def test_targets_are_the_recipes_teachers_alone(bank):
    index, mirrored = np.arange(5), np.array([0, 1, 0, 1, 1])
    rows = recogniser.Targets(bank, recogniser.RECIPES["compact-inception"])(index, mirrored)
    own = torch.from_numpy(bank.targets[index, mirrored, 2].astype(np.float32))
    assert torch.allclose(rows, F.normalize(own, dim=1), atol=1e-3)
    both = recogniser.Targets(bank, recogniser.RECIPES[ID])(index, mirrored)
    assert both.shape == (5, 256)
    assert torch.allclose(
        both[:, :128] * math.sqrt(2), torch.from_numpy(bank.targets[index, mirrored, 0]).float(), atol=1e-3
    )


def test_no_judge_shares_a_teacher_with_a_surrogate():
    from app.weights_card import JUDGES

    taught = {id: set(recipe.teachers) for id, recipe in recogniser.RECIPES.items()}
    for judge in JUDGES:
        for id in set(taught) - set(JUDGES):
            assert not taught[judge] & taught[id]


def test_an_epoch_shows_every_face_once(bank):
    order = recogniser.epoch_order(bank, 0.125, np.random.default_rng(0))
    assert sorted(i for i in order if bank.labels[i] >= 0) == list(range(32))
    assert sum(bank.labels[i] < 0 for i in order) == 4


def test_stopping_after_an_epoch_changes_nothing(bank, tmp_path):
    whole = recogniser.Training(ID, bank, 2, tmp_path / "whole")
    whole.run(bank)
    first = recogniser.Training(ID, bank, 2, tmp_path / "parts")
    first.epoch()
    first.done = 1
    first.save()
    second = recogniser.Training(ID, bank, 2, tmp_path / "parts")
    assert second.done == 1
    second.run(bank)
    for (name, a), b in zip(whole.net.state_dict().items(), second.net.state_dict().values(), strict=True):
        assert torch.allclose(a.float(), b.float(), atol=1e-4), name
    log = json.loads((tmp_path / "whole" / "log.json").read_text())
    assert log["id"] == ID and [row["epoch"] for row in log["epochs"]] == [1, 2] and whole.seconds > 0


def test_training_lowers_the_loss(bank, tmp_path):
    work = recogniser.Training(ID, bank, 10, tmp_path)
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    losses = [work.step(np.arange(16), rng, generator)[0] for _ in range(25)]
    assert np.mean(losses[-3:]) < 0.8 * losses[0]


def test_a_finished_schedule_is_followed_by_a_lower_one(bank, tmp_path):
    work = recogniser.Training(ID, bank, 10, tmp_path)
    assert work.rate_at(1) == pytest.approx(1.5e-3 * 0.5 * (1 + math.cos(math.pi / 10)))
    assert work.rate_at(10) == pytest.approx(0, abs=1e-9)
    work.done = 10
    work.save()
    more = recogniser.Training(ID, bank, 20, tmp_path)
    assert max(more.rate_at(p) for p in np.linspace(10, 20, 50)) <= 0.75e-3
    assert more.rate_at(20) == pytest.approx(0, abs=1e-9)


def test_centres_are_the_mean_targets(bank):
    targets = recogniser.Targets(bank, recogniser.RECIPES[ID])
    found = recogniser.centres(bank, targets)
    own = targets(np.arange(4), np.zeros(4, dtype=int)).mean(0)
    assert found.shape == (8, 256)
    assert torch.allclose(found[0], F.normalize(own, dim=0), atol=1e-4)
