"""IPMN's training: what each phase may move, what it measures, that it goes on."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from engines.nets.ipmn import Ipmn, Sizes
from engines.train.celeba import Celeba
from engines.train.datasets import DataError
from engines.train.half import half, quick
from engines.train.ipmn import Training
from engines.train.ipmn_held_out import held_out
from engines.train.ipmn_masks import Whole
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
