"""HiDDeN in place of IPMN's H and R: bits in a carrier, what each phase may move, that it learns and goes on."""

from __future__ import annotations

import dataclasses
import json
import sys

import numpy as np
import pytest
import torch

from engines.marks import extracted, nc
from engines.nets.hidden import BITS, Hidden, read
from engines.nets.ipmn import Ipmn, Sizes
from engines.train import ipmn
from engines.train import ipmn_losses as losses
from engines.train.celeba import Celeba
from engines.train.datasets import DataError
from engines.train.ipmn import Training
from engines.train.ipmn_losses import Weights
from engines.train.ipmn_marks import drawn_bits
from engines.train.ipmn_masks import Whole
from engines.train.ipmn_recipe import CONFIGS, MANY, Recipe
from engines.train.quantise import exported

TINY = Sizes(2, 4, 3, (4, 6), 16, 1, 4, 32)
SHORT = Recipe(2, 2, 2, 2, batch=4, sizes=TINY, thieves=("cnet", "unet"), thief=4).with_hidden()


def features(pixels: torch.Tensor) -> torch.Tensor:
    """Stands in for VGG, which HiDDeN does not ask."""
    raise AssertionError


def training(celeba: Celeba, folder, recipe: Recipe = SHORT) -> Training:
    return Training(recipe, Whole.of(celeba), features, folder)


def state(run: Training) -> dict[str, torch.Tensor]:
    """All that a step may change, statistics of BatchNorm too."""
    nets = {"net": run.net, "average": run.average, "critic": run.critic, "thieves": run.thieves}
    return {f"{part}.{name}": v.clone() for part, net in nets.items() for name, v in net.state_dict().items()}


def moved(before: dict, after: dict) -> set[str]:
    """Which networks differ, but for the average."""
    names = {name for name in before if not torch.equal(before[name], after[name])}
    return {name.split(".")[1] if name.startswith("net") else name.split(".")[0] for name in names} - {"average"}


def bits(count: int = 4, seed: int = 0) -> torch.Tensor:
    return drawn_bits(count, BITS, np.random.default_rng(seed))


def test_a_carrier_is_a_picture_that_both_mask_and_bits_move():
    torch.manual_seed(0)
    net, masks, word = Hidden(TINY), torch.rand(4, 3, 32, 32), bits()
    carrier = net.marked(masks, word)
    assert carrier.shape == masks.shape and carrier.min() >= 0 and carrier.max() <= 1
    assert not torch.equal(carrier, net.marked(masks, 1 - word))
    assert not torch.equal(carrier - masks, net.marked(masks.flip(0), word) - masks.flip(0))
    found = net.extract(carrier)
    assert found.shape == (4, BITS) and found.dtype == torch.float32
    masked, lost = net.put_on(masks.flip(0), carrier)
    assert torch.allclose(masked, carrier, atol=1e-5) and net.take_off(masked, lost)[0].shape == masks.shape


def test_a_message_has_a_slope_through_the_file_to_every_weight_of_the_encoder():
    torch.manual_seed(0)
    net = Hidden(TINY)
    losses.reconstruction(net.extract(exported(net.marked(torch.rand(4, 3, 32, 32), bits()))), bits()).backward()
    for part in (net.embedder, net.extractor):
        assert all(value.grad is not None and torch.isfinite(value.grad).all() for value in part.parameters())
    assert net.embedder.texture.grad.abs().amax((2, 3)).gt(0).all(), "each bit draws"
    assert all(value.grad is None for value in net.invertible.parameters())


def test_bits_are_read_above_a_half_and_one_wrong_of_fifteen_ones_still_counts_as_extracted():
    assert read(torch.tensor([[-0.3, 0.49, 0.51, 1.7]])).tolist() == [[0, 0, 1, 1]]
    word = (torch.arange(BITS) < 15).float()[None]
    one, two = word.clone(), word.clone()
    one[0, 0], two[0, :2] = 0, 0
    assert extracted(torch.cat([word, one, two]), word.expand(3, -1)).tolist() == [True, True, False]
    chance = nc(bits(500, 1), bits(500, 2))
    assert float(chance.mean()) == pytest.approx(0.5, abs=0.02) and not extracted(bits(500, 1), bits(500, 2)).any()


def test_messages_are_bits_by_chance_and_come_again_with_their_seed():
    assert set(bits(50).flatten().tolist()) == {0, 1} and bits(50).shape == (50, BITS)
    assert float(bits(500).mean()) == pytest.approx(0.5, abs=0.02)
    assert torch.equal(bits(), bits()) and not torch.equal(bits(), bits(seed=1))


def test_hiddens_losses_by_hand():
    one, two = torch.full((2, 3, 4, 4), 0.5), torch.full((2, 3, 4, 4), 0.2)
    found, word = torch.full((2, 5), 0.3), torch.ones(2, 5)
    logit = torch.tensor([1.5])
    terms = losses.hidden(one, two, found, word, lambda pixels: logit, Weights(wemd=2, wext=3, bs=5, adv=7, wm=11))
    expected = {"bs": 2 * 5 * 0.09, "adv": 2 * 7 * float(losses.adversarial(logit)), "wm": 3 * 11 * 0.49}
    assert {name: float(value) for name, value in terms.items()} == pytest.approx(expected)


def test_its_recipe_has_hiddens_weights_no_noise_no_enhanced_phase_and_many_faces_at_first():
    recipe = CONFIGS["cpu"].with_hidden()
    assert (recipe.weights.bs, recipe.weights.adv, recipe.noise, recipe.enhance) == (0.7, 0.001, 0, 0)
    assert recipe.weights.id == CONFIGS["cpu"].weights.id and recipe.reversible == CONFIGS["cpu"].reversible
    assert [recipe.faces(step) for step in (0, recipe.initial - 1, recipe.initial)] == [MANY, MANY, recipe.batch]
    assert CONFIGS["cpu"].faces(0) == CONFIGS["cpu"].batch
    assert dataclasses.replace(recipe, batch=32).faces(0) == 32


def test_each_phase_moves_its_own_part_and_leaves_hiddens_statistics_alone(celeba, tmp_path):
    run, found = training(celeba, tmp_path), []
    for _ in range(SHORT.steps):
        before = state(run)
        run.step()
        found.append(moved(before, state(run)))
    first = {"embedder", "extractor"}
    assert found[0] == found[1] == first | {"critic"}
    assert found[2] == first | {"invertible"}, "the second phase starts from the average"
    assert found[3] == {"invertible"} and found[5] == {"thieves"}


def test_sixty_steps_on_one_batch_read_far_more_bits_than_chance(celeba, tmp_path):
    run = training(celeba, tmp_path, dataclasses.replace(SHORT, initial=60, rates=(3e-3,) * 4))
    batch = run.draw(0)
    run.draw = lambda step: batch

    def right() -> float:
        with torch.no_grad():
            found = read(run.net.eval().extract(run.net.marked(batch.mask, batch.watermark)))
        run.net.embedder.train(), run.net.extractor.train()
        return float((found == batch.watermark).float().mean())

    before = right()
    for _ in range(60):
        run.step()
    assert before < 0.6 < 0.8 < right(), (before, right())


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


def test_a_whole_run_measures_bits_from_every_source_and_never_a_blank(celeba, tmp_path):
    training(celeba, tmp_path).run(Whole.of(celeba), 2, 8)
    rows = json.loads((tmp_path / "log.json").read_text())["history"]
    kinds = ("bits", "nc", "sr")
    for row, sources in zip(rows, (["wm"], ["wmf", "wm'"], ["wmf", "wm'", "sm"]), strict=True):
        names = {f"{kind} {source}" for kind in kinds for source in sources}
        assert {name for name in row if name.startswith(kinds)} == names
        assert all(0 <= row[name] <= 1 for name in names) and "blank" not in row and "psnr m" in row
    assert (tmp_path / "grid.png").is_file()


def test_a_folder_of_the_other_kind_is_refused_and_one_from_before_it_goes_on(celeba, tmp_path):
    plain = dataclasses.replace(
        CONFIGS["cpu"], **{name: getattr(SHORT, name) for name in ("batch", "sizes", "thief")}
    )
    ours, theirs = training(celeba, tmp_path / "ours"), training(celeba, tmp_path / "theirs", plain)
    ours.step(), ours.save(), theirs.save()
    for folder, recipe in (("ours", plain), ("theirs", SHORT)):
        with pytest.raises(DataError, match=f"{folder} holds a training with other settings"):
            training(celeba, tmp_path / folder, recipe)
        with pytest.raises(DataError, match=f"{folder} holds no training of these sizes"):
            training(celeba, tmp_path / "new", recipe).take(tmp_path / folder)
    old = {name: value for name, value in plain.kept.items() if name != "hidden"}
    assert plain.goes_on(old, 0, 0) and not plain.with_hidden().goes_on(old, 0, 0)
    assert isinstance(ours.net, Hidden) and type(theirs.net) is Ipmn


def test_too_few_faces_for_the_first_phase_are_refused(celeba, tmp_path):
    few = dataclasses.replace(celeba, files=celeba.files[:12], pictures=celeba.pictures[:12])
    with pytest.raises(DataError, match=f"A batch of {MANY} needs to be even and at most all 12 faces"):
        training(few, tmp_path)


def test_one_training_is_one_baseline(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["ipmn", "--data", "x", "--out", "y", "--imn", "--hidden"])
    with pytest.raises(SystemExit):
        ipmn.main()
    assert "not allowed with argument --imn" in capsys.readouterr().err
