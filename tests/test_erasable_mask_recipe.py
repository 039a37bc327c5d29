"""ErasableMask's networks, losses and training: what each equation says, and what each stage may move."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from torch import nn

from engines.face import ARCFACE112, CELEBA128, retarget, similarity
from engines.nets.erasable_mask import ATTRIBUTES, ErasableMask
from engines.train import adv_faces
from engines.train import erasable_losses as losses
from engines.train.celeba import Celeba
from engines.train.datasets import DataError
from engines.train.erasable_held_out import held_out
from engines.train.erasable_losses import Scene
from engines.train.erasable_mask import Training
from engines.train.erasable_recipe import CONFIGS, Recipe
from engines.train.teacher import Teacher
from engines.train.victims import Victim, off, pool, resampled, still

WIDTHS = (4, 6, 8, 8)
SHORT = Recipe(edit=2, attack=2, erase=1, batch=2, widths=WIDTHS, critic=4, size=64, warm=1, epoch=1, floor=0.0)


def net(seed: int = 0) -> ErasableMask:
    torch.manual_seed(seed)
    return ErasableMask(WIDTHS).eval()


def faces(count: int = 2, size: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    pixels = 2 * torch.rand(count, 3, size, size, generator=generator) - 1
    return pixels, torch.rand(count, len(ATTRIBUTES), generator=generator).round()


def linear(seed: int, size: int, dtype: torch.dtype = torch.float32) -> Victim:
    """A recogniser of one matrix: nothing is lost on the way to it."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(3 * size * size, 5, generator=generator).to(dtype)
    target = nn.functional.normalize(torch.randn(5, generator=generator), dim=0).to(dtype)
    return Victim(
        f"linear {seed}", lambda pixels, where: nn.functional.normalize(pixels.flatten(1) @ weight, dim=1), target
    )


def test_with_beta_or_gamma_of_one_nothing_of_the_perturbation_is_left():
    model, (pixels, attributes) = net(), faces()
    clean = model.clean(pixels, attributes)
    torch.testing.assert_close(model(clean, 1.0, 0.0), clean.edited)
    torch.testing.assert_close(model(clean, 0.3, 1.0), clean.edited)
    assert (model(clean, 0.3, 0.0) - clean.edited).abs().max() > 1e-3


def test_both_weights_move_the_picture_continuously_and_each_face_may_have_its_own():
    model, (pixels, attributes) = net(), faces()
    clean = model.clean(pixels, attributes)
    at = [model(clean, beta, 0.1) for beta in (0.4, 0.4001, 0.8)]
    assert 0 < (at[1] - at[0]).abs().max() < 0.01 * (at[2] - at[0]).abs().max()
    at = [model(clean, 0.4, gamma) for gamma in (0.1, 0.1001, 0.5)]
    assert 0 < (at[1] - at[0]).abs().max() < 0.01 * (at[2] - at[0]).abs().max()
    own = model(clean, torch.tensor([0.4, 0.8]).view(2, 1, 1, 1), 0.1)
    torch.testing.assert_close(own[1], model(clean, 0.8, 0.1)[1])


def test_perturbation_encoder_and_restorer_start_as_the_generator():
    model, (pixels, attributes) = net(), faces()
    model.couple()
    clean = model.clean(pixels, attributes)
    torch.testing.assert_close(model(clean, 0.2, 0.0), clean.edited)
    torch.testing.assert_close(model.erased(pixels), model.generator(pixels, torch.zeros_like(attributes)))


def test_features_are_mixed_layer_by_layer_as_in_equation_6():
    model, (pixels, attributes) = net(), faces()
    clean, seen = model.clean(pixels, attributes), []
    model.generator.decoder.injected = lambda found, *rest: seen.append(found) or torch.zeros_like(pixels)  # type: ignore
    model(clean, 0.3, 0.0)
    for fused, real, moved in zip(seen[0], model.generator.encoder(pixels), model.adversary(pixels), strict=True):
        torch.testing.assert_close(fused, 0.3 * real + 0.7 * moved)


def test_weights_of_equation_11_favour_whom_the_attack_gains_least_on():
    rates = np.array([0.9, 1.0, 0.5])
    expected = np.exp(np.exp(rates) / np.exp(rates).sum())
    found = losses.balance(torch.tensor([0.9, 0.5, 0.2]), torch.tensor([1.0, 0.5, 0.4]))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)
    assert found.argmax() == 1


def test_a_change_within_sigma_costs_the_papers_30_and_has_no_slope():
    pixels = torch.zeros(1, 3, 256, 256)
    moved = (pixels + 0.5 * losses.SIGMA).requires_grad_()
    loss = losses.beyond(moved, pixels)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(30) and not moved.grad.any()
    assert float(losses.beyond(pixels + 0.1, pixels)) == pytest.approx(0.1 * (3 * 256 * 256) ** 0.5, rel=1e-4)


def test_the_two_sides_of_the_game_by_hand():
    real, made = torch.tensor([2.0]), torch.tensor([-1.0])
    d = torch.sigmoid
    assert float(losses.told_apart(real, made)) == pytest.approx(float(-d(real).log() - (1 - d(made)).log()))
    assert float(losses.fooled(made)) == pytest.approx(float(-d(made).log()))


def _scene(dtype: torch.dtype = torch.float32) -> Scene:
    return Scene([linear(i, 16, dtype) for i in range(3)], still(), lambda pixels: pixels)


def test_meta_auxiliary_attack_is_equation_12_and_its_gradient_sees_through_the_inner_step():
    """Against a difference quotient, in double precision, along a random direction of all of E_adv.

    Without kinks: where a ReLU switches, the inner step itself jumps.
    """
    model = net().double()
    for part in model.modules():
        if isinstance(part, nn.Sequential):
            part[2] = nn.Tanh()
    pixels, attributes = (value.double() for value in faces(2, 16))
    clean, weights = model.clean(pixels, attributes), torch.tensor([1.0, 2.0, 3.0]).double()
    clean = dataclasses.replace(
        clean, found=[m.detach() for m in clean.found], given=[m.detach() for m in clean.given]
    )

    def loss() -> torch.Tensor:
        scene = _scene(torch.float64)
        return losses.meta_auxiliary(model, clean, (0.5, 0.05), scene, (0, 1, 2), weights, 0.5, 0.0).loss

    parameters = list(model.adversary.parameters())
    slopes = torch.autograd.grad(loss(), parameters)
    generator = torch.Generator().manual_seed(3)
    ways = [torch.randn(p.shape, generator=generator).double() for p in parameters]
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            for p, way in zip(parameters, ways, strict=True):
                p += sign * 1e-6 * way
        values.append(float(loss().detach()))
        with torch.no_grad():
            for p, way in zip(parameters, ways, strict=True):
                p -= sign * 1e-6 * way
    expected = sum(float((slope * way).sum()) for slope, way in zip(slopes, ways, strict=True))
    assert (values[0] - values[1]) / 2e-6 == pytest.approx(expected, rel=1e-6)


def test_an_inner_step_of_nothing_leaves_the_weighted_ensemble_and_the_floor_ends_the_attack():
    model, (pixels, attributes) = net(), faces(2, 16)
    with torch.no_grad():
        clean = model.clean(pixels, attributes)
    scene, weights = _scene(), torch.tensor([1.0, 2.0, 3.0])
    found = losses.meta_auxiliary(model, clean, (0.5, 0.05), scene, (1,), weights, 0.0, 0.0)
    missed = [float(scene.missed(i, losses.unsigned(found.masked)).detach()) for i in range(3)]
    assert float(found.loss.detach()) == pytest.approx((missed[1] + (missed[0] + 3 * missed[2]) / 2) / 2, rel=1e-5)
    assert {i: float(loss) for i, loss in found.losses.items()} == {1: pytest.approx(missed[1])}
    over = losses.ensemble(model, clean, (0.5, 0.05), scene, 5.0)
    over.loss.backward()
    assert float(over.loss.detach()) == 5 and not any(p.grad.any() for p in model.adversary.parameters())


def test_a_face_is_cut_as_the_recogniser_would_cut_it_and_differentiable_twice():
    pixels = torch.rand(1, 3, 128, 128, requires_grad=True)
    to_crop = similarity(ARCFACE112.tensor(), CELEBA128.tensor())
    cut = resampled(pixels, to_crop, 112)
    torch.testing.assert_close(cut, retarget(pixels, CELEBA128, ARCFACE112), atol=1e-4, rtol=0)
    (slope,) = torch.autograd.grad((cut**3).sum(), pixels, create_graph=True)
    slope.square().sum().backward()
    assert pixels.grad.abs().sum() > 0
    moved = off(torch.Generator().manual_seed(0), 128)
    assert torch.equal(moved, off(torch.Generator().manual_seed(0), 128)) and not torch.equal(moved, still())
    middle = torch.full((2,), 63.5)
    assert (moved[:, :2] @ middle + moved[:, 2] - middle).abs().max() < 2.5


def test_the_pool_draws_by_its_seed_and_can_be_differentiated_twice():
    pixels, kinds = torch.rand(1, 3, 32, 32), set()
    for seed in range(16):
        leaf = pixels.clone().requires_grad_()
        seen = pool(leaf, seed)
        kinds.add(round(float((seen.detach() - pixels).abs().mean()), 2))
        assert torch.equal(seen, pool(leaf, seed)) and seen.min() >= 0 and seen.max() <= 1
        (slope,) = torch.autograd.grad((seen**3).sum(), leaf, create_graph=True)
        assert torch.autograd.grad(slope.square().sum(), leaf)[0].isfinite().all()
    assert len(kinds) == 4 and 0 in kinds


def training(celeba: Celeba, folder, recipe: Recipe = SHORT) -> Training:
    return Training(recipe, celeba, [linear(i, 64) for i in range(3)], folder)


def state(training: Training) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in training.net.state_dict().items()}


def changed(before: dict, after: dict) -> set[str]:
    """Which parts of the network differ."""
    return {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}


def test_each_stage_moves_its_own_part_and_nothing_else(celeba, tmp_path):
    run, moved = training(celeba, tmp_path), []
    for _ in range(SHORT.steps):
        before = state(run)
        run.step()
        moved.append(changed(before, state(run)))
    assert moved[0] == moved[1] == {"generator"}
    assert "generator" in moved[2], "the second stage starts from the average"
    assert moved[3] == {"adversary", "restorer"} and moved[4] == {"restorer"}
    assert not torch.equal(run.epochs, torch.ones(2, 3)), "the losses of an epoch weigh the next"


def test_a_training_goes_on_where_it_stopped(celeba, tmp_path):
    whole = training(celeba, tmp_path / "whole")
    for _ in range(SHORT.steps):
        whole.step()
    for stop in range(1, SHORT.steps + 1):
        part = training(celeba, tmp_path / "parts")
        assert part.done == stop - 1
        part.step()
        part.save()
    assert not changed(state(whole), state(training(celeba, tmp_path / "parts")))
    assert not changed(whole.average.state_dict(), part.average.state_dict())


def test_another_target_starts_from_the_first_stage_of_one_that_is_over(celeba, tmp_path):
    first = training(celeba, tmp_path / "first")
    first.step()
    first.save()
    second = training(celeba, tmp_path / "second", dataclasses.replace(SHORT, edit=0))
    with pytest.raises(DataError, match="first holds no training whose first stage is over"):
        second.take(tmp_path / "first")
    with pytest.raises(DataError, match="nothing holds no training"):
        second.take(tmp_path / "nothing")
    first.step()
    first.save()
    second.take(tmp_path / "first")
    second.step()
    expected = first.average.generator.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in second.net.generator.state_dict().items())


def test_a_teacher_is_asked_in_the_stages_that_edit_and_the_log_says_so(celeba, tmp_path):
    run = training(celeba, tmp_path, dataclasses.replace(SHORT, warm=0))
    run.teacher = Teacher().eval().requires_grad_(False)
    taught = ["taught" in run.step() for _ in range(SHORT.steps)]
    assert taught == [SHORT.stage(step) < 3 for step in range(SHORT.steps)]
    run.save()
    assert json.loads((tmp_path / "log.json").read_text())["teacher"] is True


def test_a_face_that_comes_back_is_not_forgotten_and_another_one_is():
    (pixels, _), eyes = faces(), [linear(seed, 32) for seed in (0, 1)]
    same = losses.forgotten(eyes, pixels.clone().requires_grad_(), pixels, still())
    away = losses.forgotten(eyes, pixels.roll(1, 0), pixels, still())
    assert float(same.detach()) == pytest.approx(0, abs=1e-5) and float(away) > 0.1


def test_recall_is_asked_in_the_last_stage_alone_and_moves_only_the_restorer(celeba, tmp_path):
    run = training(celeba, tmp_path, dataclasses.replace(SHORT, recall=2.0))
    asked = ["recall" in run.step() for _ in range(SHORT.steps - 1)]
    before = state(run)
    asked.append(run.step()["recall"] > 0)
    assert asked == [SHORT.stage(step) == 3 for step in range(SHORT.steps)]
    assert changed(before, state(run)) == {"restorer"}


def test_the_plain_ensemble_trains_too_and_what_is_measured_is_finite(celeba, tmp_path):
    run = training(celeba, tmp_path, dataclasses.replace(SHORT, meta=False, edit=1, attack=1, erase=0, warm=0))
    assert {name for _ in range(2) for name in run.step()} >= {"rec", "att", "adv", "era", "perb", "d slope"}
    found = held_out(run, celeba, 6)
    assert all(np.isfinite(value) for value in found.values()) and (tmp_path / "grid.png").is_file()
    assert CONFIGS["paper"].size == 256 and CONFIGS["gpu"].primaries == 3


def test_adv_faces_moves_towards_its_target_and_goes_on_where_it_stopped(celeba, tmp_path):
    recipe = adv_faces.Recipe(steps=6, batch=2, widths=WIDTHS, critic=4, size=64, rate=2e-2)
    against = [linear(i, 64) for i in range(3)]
    whole = adv_faces.Training(recipe, celeba, against, tmp_path / "whole")
    before = whole.held_out(celeba, 6)["to target"]
    first = [whole.step() for _ in range(recipe.steps)]
    assert set(first[0]) == {"real", "identity", "size", "critic"} and first[0]["size"] >= 3 - 1e-4
    assert whole.held_out(celeba, 6)["to target"] > before
    for stop in (3, 6):
        part = adv_faces.Training(recipe, celeba, against, tmp_path / "parts")
        while part.done < stop:
            part.step()
        part.save()
    assert not changed(whole.net.state_dict(), part.net.state_dict())
