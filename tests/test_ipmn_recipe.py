"""IPMN's losses, faces and training: what each equation says, what each phase may move, that it goes on."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from engines.face import CELEBA128, FaceError
from engines.nets.ipmn import Ipmn, Sizes
from engines.swap_points import Points
from engines.train import ipmn_losses as losses
from engines.train import ipmn_masks
from engines.train.celeba import Celeba
from engines.train.datasets import DataError
from engines.train.half import half, quick
from engines.train.ipmn import Training, source
from engines.train.ipmn_held_out import held_out
from engines.train.ipmn_losses import Weights
from engines.train.ipmn_marks import drawn_marks
from engines.train.ipmn_masks import Swapped, Whole, made
from engines.train.ipmn_perceptual import vgg
from engines.train.ipmn_recipe import CONFIGS, FAINT, Recipe
from engines.train.quantise import rounded

TINY = Sizes(2, 4, 3, (4, 6), 4, 1, 4, 32)
SHORT = Recipe(2, 2, 2, 2, batch=2, sizes=TINY, thieves=("cnet", "unet"), thief=4, half=False)
FIGURES = {"psnr m", "ssim m", "nc wm", "sr wm", "blank"}
RESTORED = {f"{kind} {name}" for kind in ("psnr", "ssim") for name in ("p", "wmf", "wm'")}
READ = {f"{kind} {name}" for kind in ("nc", "sr") for name in ("wmf", "wm'")}


def features(pixels: torch.Tensor) -> torch.Tensor:
    """Stands in for VGG: differences to the right."""
    return pixels[..., 1:] - pixels[..., :-1]


def training(celeba: Celeba, folder, recipe: Recipe = SHORT) -> Training:
    return Training(recipe, Whole.of(celeba), features, folder)


def state(run: Training) -> dict[str, torch.Tensor]:
    """All that a step may change."""
    nets = {"net": run.net, "average": run.average, "critic": run.critic, "thieves": run.thieves}
    return {f"{part}.{name}": v.clone() for part, net in nets.items() for name, v in net.state_dict().items()}


def changed(before: dict, after: dict, part: str) -> set[str]:
    """Which parts of the network, of the discriminator or of the thieves differ."""
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    return {name.split(".")[1] for name in moved if name.startswith(part)}


def full(value: float) -> torch.Tensor:
    return torch.full((2, 3, 4, 4), value)


def test_the_embedding_losses_by_hand():
    mask = full(0.2)
    assert float(losses.basic(full(0.5), mask)) == pytest.approx(0.09)
    ramp = torch.arange(4.0).expand(2, 3, 4, 4) / 4
    assert float(losses.perceptual(ramp, mask, features)) == pytest.approx(1 / 16)
    logit = torch.tensor([1.5])
    assert float(losses.adversarial(logit)) == pytest.approx(-math.log(1 / (1 + math.exp(-1.5))))
    d = torch.sigmoid
    expected = -d(logit).log() - (1 - d(-logit)).log()
    assert float(losses.told_apart(logit, -logit)) == pytest.approx(float(expected))
    terms = losses.embedding(full(0.5), mask, features, lambda pixels: logit, Weights(wemd=2, bs=3, vgg=5, adv=7))
    assert float(terms["bs"]) == pytest.approx(2 * 3 * 0.09) and float(terms["vgg"]) == 0
    assert float(terms["adv"]) == pytest.approx(2 * 7 * float(losses.adversarial(logit)))


def test_the_extracting_losses_by_hand():
    found = torch.cat([full(0.4)[:1], full(0.6)[:1]])
    terms = losses.extracting(found, full(0.5), full(0.1), Weights(wext=2, wm=3, clean=5, cst=7))
    expected = {"wm": 2 * 3 * 0.01, "clean": 2 * 5 * 0.01, "cst": 2 * 7 * 0.04}
    assert {name: float(value) for name, value in terms.items()} == pytest.approx(expected)
    embedded = {"bs": torch.tensor(0.5)}
    assert float(losses.initial(embedded, terms)) == pytest.approx(0.5 + sum(expected.values()))


def test_the_protecting_losses_by_hand():
    weights = Weights(recover=2, guide=3, id=5)
    terms = losses.protecting(full(0.1), full(0.5), full(0.6), (full(0.3), full(0.2)), weights)
    expected = {"recover": 2 * 0.04, "guide": 3 * 0.09, "id": 5 * 0.01}
    assert {name: float(value) for name, value in terms.items()} == pytest.approx(expected)


def test_the_enhanced_losses_by_hand():
    found, marks = (full(0.1), full(0.2), full(0.3)), (full(0.0), full(0.5), full(0.3))
    unmarked, pairs = (full(0.1), full(0.0), full(0.2)), ((full(0.1), full(0.2)), (full(0.0), full(0.3)))
    terms = losses.enhanced(found, marks, unmarked, pairs, Weights(wm=2, clean=3, cst=5, stolen=0.5))
    expected = {"wm": 2 * (0.01 + 0.5 * 0.09), "clean": 3 * (0.01 + 0.04), "cst": 5 * (0.01 + 0.09) / 2}
    assert {name: float(value) for name, value in terms.items()} == pytest.approx(expected)


def test_the_perceptual_network_is_a_trained_one_and_has_a_slope_at_every_pixel():
    pixels = torch.rand(1, 3, 64, 64, requires_grad=True)
    maps = vgg()(pixels)
    assert maps.shape == (1, 80, 8, 8)
    maps.square().sum().backward()
    assert (pixels.grad != 0).float().mean() > 0.99 and torch.equal(vgg()(pixels), maps)


def test_watermarks_are_bright_on_black_differ_and_come_again_with_their_seed():
    one, two = (drawn_marks(12, 32, np.random.default_rng(s)) for s in (0, 1))
    assert one.shape == (12, 3, 32, 32) and one.min() >= 0 and one.max() <= 1
    assert torch.equal(one, drawn_marks(12, 32, np.random.default_rng(0))) and not torch.equal(one, two)
    assert (one.amax((1, 2, 3)) > 0.5).all() and (one[..., 0, 0] == 0).all()
    assert len({tuple(mark.flatten().tolist()) for mark in one}) == 12


def test_without_swaps_the_mask_is_another_persons_picture(celeba):
    faces = Whole.of(celeba)
    assert sorted(faces.partner) == list(range(48)) and (faces.partner != np.arange(48)).all()
    taken = faces.take(np.array([3, 5]), 16)
    assert torch.equal(taken.mask, celeba.pixels(faces.partner[[3, 5]], 16))
    assert torch.equal(taken.protected, celeba.pixels(np.array([3, 5]), 16))


def look(pixels: torch.Tensor) -> Points:
    """Points whose nose lies where the picture is bright; no face where the first pixel is dark."""
    if pixels[0, 0, 0, 0] < 0.2:
        raise FaceError("No face.")
    inner = torch.cat([CELEBA128.tensor(), torch.tensor([[50.0, 55], [78, 55], [64, 92], [64, 101]])])
    inner[2, 0] += 40 * (pixels.mean() - 0.5)
    ring = torch.linspace(-0.4, math.pi + 0.4, 17)
    outline = torch.stack([64 + 35 * ring.cos(), 78 + 40 * ring.sin()], 1)
    return Points(inner, outline, torch.ones(128, 128, dtype=torch.bool))


@pytest.fixture(scope="module")
def swaps(celeba, tmp_path_factory):
    """A file of swaps of noise, and the faces that they were made of."""
    file = tmp_path_factory.mktemp("swaps") / "masks.safetensors"
    save_file(made(celeba, 12, look=look), file)
    return file


def test_swaps_made_beforehand_are_read_again_with_their_faces(celeba, swaps):
    found, kept = Swapped.read(swaps, celeba), load_file(swaps)
    seen = [i for i in found.protected if celeba.pixels(np.array([i]), 128)[0, 0, 0, 0] >= 0.2]
    assert len(found) == len(seen) > 5 and kept["masks"].dtype == torch.uint8
    male = celeba.labels(("Male",))[:, 0]
    assert (male[found.protected] == male[found.replacing]).all() and (found.protected != found.replacing).all()
    taken = found.take(np.array([1, 0]), 128)
    assert torch.equal(taken.mask, kept["masks"][[1, 0]].float() / 255)
    assert torch.equal(taken.replacing, celeba.pixels(found.replacing[[1, 0]], 128))
    assert ((taken.mask - taken.protected).abs()[..., :3, :] < 0.51 / 255).all(), "the border stays"
    assert (taken.mask - taken.protected).abs().mean() > 0.01


def test_each_face_is_given_the_one_that_looks_most_the_same_way(celeba, monkeypatch):
    monkeypatch.setattr(ipmn_masks, "mismatch", lambda a, b: abs(float(b.inner[2, 0]) - 64))
    kept = made(celeba, 12, look=look)
    noses = {
        i: abs(float(look(celeba.pixels(np.array([i]), 128)).inner[2, 0]) - 64) for i in kept["protected"].tolist()
    }
    male = celeba.labels(("Male",))[:, 0]
    for one, two in zip(kept["protected"].tolist(), kept["replacing"].tolist(), strict=True):
        others = [noses[i] for i in noses if i != one and male[i] == male[one]]
        assert noses[two] <= min(others) + 1e-4


def test_a_file_of_something_else_or_of_other_faces_or_sizes_is_refused(celeba, swaps, tmp_path):
    with pytest.raises(DataError, match="nothing.safetensors holds no swapped faces"):
        Swapped.read(tmp_path / "nothing.safetensors", celeba)
    save_file({"weight": torch.zeros(1)}, tmp_path / "net.safetensors")
    with pytest.raises(DataError, match="net.safetensors holds no swapped faces"):
        Swapped.read(tmp_path / "net.safetensors", celeba)
    few = dataclasses.replace(celeba, files=celeba.files[:2])
    with pytest.raises(DataError, match="made of other faces"):
        Swapped.read(swaps, few)
    with pytest.raises(DataError, match="have 128 pixels a side, not 64"):
        source(celeba, swaps).take(np.array([0]), 64)


def test_where_no_face_is_found_nothing_is_made(celeba):
    def blind(pixels: torch.Tensor) -> Points:
        raise FaceError("No face.")

    with pytest.raises(DataError, match="No face of the data could be swapped"):
        made(celeba, 3, look=blind)


def test_each_phase_moves_its_own_part_and_nothing_else(celeba, tmp_path):
    run, moved = training(celeba, tmp_path), []
    for _ in range(SHORT.steps):
        before = state(run)
        run.step()
        after = state(run)
        moved.append({part: changed(before, after, part) for part in ("net", "critic", "thieves")})
    assert moved[0]["net"] == moved[1]["net"] == {"embedder", "extractor"} and moved[0]["critic"]
    assert {"embedder", "extractor", "invertible"} == moved[2]["net"], "the second phase starts from the average"
    assert moved[3] == {"net": {"invertible"}, "critic": set(), "thieves": set()}
    assert moved[4]["net"] == {"invertible"} and moved[5]["net"] == set()
    assert (moved[4]["thieves"], moved[5]["thieves"]) == ({"0"}, {"1"}), "thieves learn in turn"
    assert moved[6] == moved[7] == {"net": {"extractor"}, "critic": set(), "thieves": set()}


def test_a_training_goes_on_where_it_stopped_bit_for_bit(celeba, tmp_path):
    whole = training(celeba, tmp_path / "whole")
    for _ in range(SHORT.steps):
        whole.step()
    for stop in range(1, SHORT.steps + 1):
        part = training(celeba, tmp_path / "parts")
        assert part.done == stop - 1
        part.step()
        part.save()
    again = state(training(celeba, tmp_path / "parts"))
    assert all(torch.equal(value, again[name]) for name, value in state(whole).items())


def test_measuring_between_steps_changes_nothing_that_comes_after(celeba, tmp_path):
    runs = [training(celeba, tmp_path / name) for name in ("one", "two")]
    for _ in range(3):
        for run in runs:
            run.step()
        held_out(runs[0], runs[0].faces, 4)
    one, two = map(state, runs)
    assert all(torch.equal(value, two[name]) for name, value in one.items())


def test_a_whole_run_measures_each_phase_and_keeps_log_weights_and_pictures(celeba, tmp_path):
    run = training(celeba, tmp_path)
    run.run(Whole.of(celeba), 2, 8)
    rows = [set(row) for row in json.loads((tmp_path / "log.json").read_text())["history"]]
    assert rows[0] >= FIGURES and not rows[0] & (RESTORED | READ)
    assert rows[1] >= FIGURES - {"nc wm", "sr wm"} | RESTORED | READ and "nc sm" not in rows[1]
    assert rows[2] >= rows[1] - {"recover", "guide", "id"} | {"nc sm", "sr sm", "steal"}
    assert all(np.isfinite(value) for row in run.history for value in row.values())
    weights = load_file(tmp_path / "weights.safetensors")
    assert set(weights) == set(Ipmn(TINY).state_dict()) and (tmp_path / "grid.png").is_file()
    assert next(iter(weights.values())).dtype == torch.float16


def test_figures_are_those_of_the_files(celeba, tmp_path):
    """With an invertible network that does nothing, what is sent is the carrier, and N is what is restored."""
    recipe = dataclasses.replace(SHORT, initial=0, reversible=1, steal=0, enhance=0)
    run = training(celeba, tmp_path, recipe)
    found = held_out(run, Whole.of(celeba), 8)
    assert found["psnr wmf"] > 90 and found["psnr wm'"] > 90 and found["psnr p"] < 12
    assert found["sr wmf"] == 0 and set(found) >= RESTORED | READ | {"blank"}
    carrier = torch.rand(1, 3, 32, 32)
    assert torch.equal(rounded(rounded(carrier)), rounded(carrier))


def test_the_baseline_without_watermark_trains_the_invertible_network_on_plain_masks(celeba, tmp_path):
    recipe = dataclasses.replace(SHORT, half=True).without_mark()
    assert recipe.plan == (0, 2, 0, 0)
    run = training(celeba, tmp_path, recipe)
    before = state(run)
    assert set(run.step()) == {"recover", "guide", "id"}
    assert changed(before, state(run), "net") == {"invertible"}
    found = held_out(run, Whole.of(celeba), 4)
    assert set(found) == RESTORED


def test_the_embedding_loss_rises_to_its_whole_weight():
    recipe = dataclasses.replace(SHORT, initial=100, warm=0.5)
    found = [recipe.embedding_at(step) for step in (0, 25, 50, 99)]
    assert found == pytest.approx([FAINT, FAINT**0.5, 1, 1])
    assert CONFIGS["paper"].embedding_at(0) == 1 and CONFIGS["paper"].noise == 0


def test_the_phases_follow_one_another_and_empty_ones_are_passed_over():
    assert [SHORT.stage(step) for step in range(9)] == [0, 0, 1, 1, 2, 2, 3, 3, 3]
    short = dataclasses.replace(SHORT, initial=0, steal=0, enhance=0)
    assert [short.stage(step) for step in range(3)] == [1, 1, 1]
    paper = CONFIGS["paper"]
    assert (paper.sizes.blocks, paper.sizes.side, paper.rates[1]) == (16, 256, 1e-5)


def test_rates_fall_to_zero_in_every_phase(celeba, tmp_path):
    run = training(celeba, tmp_path, dataclasses.replace(SHORT, initial=4, reversible=4))
    found = [run.rate_at(step) / run.recipe.rates[run.recipe.stage(step)] for step in range(8)]
    assert found == pytest.approx([1, 1, 1, 0.5] * 2)


def test_a_folder_of_another_training_is_refused_and_a_longer_plan_is_not(celeba, tmp_path):
    run = training(celeba, tmp_path)
    for _ in range(3):
        run.step()
    run.save()
    assert training(celeba, tmp_path, dataclasses.replace(SHORT, reversible=5, enhance=9)).done == 3
    for change in ({"initial": 1}, {"seed": 1}, {"sizes": dataclasses.replace(TINY, blocks=3)}, {"mark": False}):
        with pytest.raises(DataError, match="with other settings: name another folder"):
            training(celeba, tmp_path, dataclasses.replace(SHORT, **change))


def test_another_thief_starts_from_a_finished_service(celeba, tmp_path):
    first = training(celeba, tmp_path / "first")
    first.step()
    first.save()
    recipe = dataclasses.replace(SHORT, initial=0, reversible=0, enhance=0, steal=1, thieves=("res9",))
    second = training(celeba, tmp_path / "second", recipe)
    with pytest.raises(DataError, match="nothing holds no training"):
        second.take(tmp_path / "nothing")
    second.take(tmp_path / "first")
    assert set(second.step()) == {"steal"}
    expected = first.average.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in second.net.state_dict().items())
    other = dataclasses.replace(recipe, sizes=dataclasses.replace(TINY, growth=8))
    with pytest.raises(DataError, match="first holds no training of these sizes"):
        training(celeba, tmp_path / "third", other).take(tmp_path / "first")


def test_the_initial_phase_and_the_baseline_trained_side_by_side_go_together(celeba, tmp_path):
    plans = {
        "marks": dataclasses.replace(SHORT, initial=1, reversible=0, steal=0, enhance=0),
        "imn": dataclasses.replace(SHORT, reversible=1).without_mark(),
    }
    runs = {name: training(celeba, tmp_path / name, plan) for name, plan in plans.items()}
    for run in runs.values():
        run.step()
        run.save()
    both = training(celeba, tmp_path / "own", dataclasses.replace(SHORT, initial=0, seed=1))
    for name in runs:
        both.take(tmp_path / name)
    for part, name in (("embedder", "marks"), ("extractor", "marks"), ("invertible", "imn")):
        expected = getattr(runs[name].average, part).state_dict()
        for net in (both.net, both.average):
            found = getattr(net, part).state_dict()
            assert all(torch.equal(value, expected[key]) for key, value in found.items()), part
    assert set(both.step()) == {"recover", "guide", "id"}
    both.save()
    assert json.loads((tmp_path / "own" / "log.json").read_text())["taken"] == ["marks", "imn"]
    assert training(celeba, tmp_path / "own", dataclasses.replace(SHORT, initial=0, seed=1)).taken == ["marks", "imn"]


def test_an_odd_batch_or_too_few_faces_are_refused(celeba, tmp_path):
    for batch in (3, 50):
        with pytest.raises(DataError, match=f"A batch of {batch} needs to be even and at most all 48 faces"):
            training(celeba, tmp_path, dataclasses.replace(SHORT, batch=batch))


@pytest.mark.parametrize(("found", "expected"), [("AVX2", False), ("DEFAULT", False), ("AVX512", True)])
def test_bfloat16_only_where_the_processor_is_quick_in_it(monkeypatch, found, expected):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: found)
    one = torch.rand(2, 2)
    for wanted in (True, False):
        with half("cpu", wanted):
            assert ((one @ one).dtype == torch.bfloat16) is (expected and wanted)
    assert quick("cuda"), "a GPU always is"
