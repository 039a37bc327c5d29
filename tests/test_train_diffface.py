"""DiffFace's recipe: whom faces show, what a draw is, what a step moves, that it goes on, bad data."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from engines import recognise
from engines.checkpoints import checkpoint
from engines.diffface_network import KINDS, from_state
from engines.face import CELEBA128, retarget
from engines.nets.diffusion import Sizes
from engines.train import diffface, diffface_faces
from engines.train.datasets import DataError
from engines.train.diffface import ID, Training
from engines.train.diffface_faces import Faces, identities
from engines.train.diffface_grid import SHOWN, pairs
from engines.train.diffface_recipe import CONFIGS, Recipe

TINY = Sizes(16, 8, (1, 2), 1, (8,), 8, 16, groups=4)
SHORT = Recipe(steps=4, batch=6, rate=1e-3, warm=0, sizes=TINY, identity="tiny-0")


@pytest.fixture
def training(celeba, make_tiny, monkeypatch):
    """Makes trainings on pictures of noise; in half of them the parser makes out a face."""
    test = dataclasses.replace(celeba, files=celeba.files[:20], pictures=celeba.pictures[:20])

    def whole(pixels: torch.Tensor) -> torch.Tensor:
        return torch.full((len(pixels), 128, 128), int(pixels.mean() > 0.5))

    monkeypatch.setattr("engines.diffface.parts", whole)
    return lambda folder, recipe=SHORT, faces=celeba: Training(recipe, faces, test, make_tiny(0), folder)


def state(work: Training) -> dict[str, torch.Tensor]:
    """All that a step may change."""
    nets = {"net": work.net, "average": work.average}
    return {f"{part}.{name}": v.clone() for part, net in nets.items() for name, v in net.state_dict().items()}


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], two[name]) for name in one)


def test_whom_faces_show_is_found_once_and_kept(celeba, make_tiny, tmp_path, monkeypatch):
    file, net = tmp_path / "deep" / "identities.safetensors", make_tiny(0)
    rows = identities(celeba, net, file)
    expected = net.embed(retarget(celeba.pixels(np.array([5]), 128), CELEBA128, net.template))
    torch.testing.assert_close(rows[5:6], expected)
    assert rows.shape == (48, 16) and not list(file.parent.glob("*.part"))
    monkeypatch.setattr(diffface_faces, "_embedded", lambda *args: torch.zeros(len(args[2]), 16))
    assert torch.equal(identities(celeba, net, file), rows)
    other = dataclasses.replace(celeba, files=celeba.files[::-1])
    assert not identities(other, net, file).any()
    assert not identities(celeba, make_tiny(1), file).any()  # another recogniser
    file.write_bytes(b"cut off")
    assert not identities(celeba, net, file).any()


def test_a_draw_is_faces_under_noise_at_times_that_lie_evenly(celeba):
    rows = torch.arange(48.0)[:, None]
    faces = Faces(celeba, rows, 16)
    index = np.array([7, 3, 30, 9, 1, 44, 20, 21])
    one, two = (faces.draw(index, np.random.default_rng(5), 1000) for _ in range(2))
    for a, b in zip(vars(one).values(), vars(two).values(), strict=True):
        assert torch.equal(a, b)
    assert one.identity[:, 0].tolist() == index.tolist()
    assert sorted((one.times // 125).tolist()) == list(range(8)) and one.times.dtype == torch.int64
    own = 2 * celeba.pixels(index, 16) - 1
    mirrored = [torch.allclose(a, b.flip(-1), atol=1e-5) for a, b in zip(one.pixels, own, strict=True)]
    plain = [torch.allclose(a, b, atol=1e-5) for a, b in zip(one.pixels, own, strict=True)]
    assert any(mirrored) and any(plain) and all(a or b for a, b in zip(mirrored, plain, strict=True))
    assert abs(float(one.noise.mean())) < 0.05 and float(one.noise.std()) == pytest.approx(1, abs=0.05)
    assert [len(part.times) for part in one.split(3)] == [3, 3, 2]


def test_the_loss_is_the_error_of_the_noise(training, tmp_path):
    work = training(tmp_path)
    draw = work.draw(0)
    silence = float(draw.noise.square().mean())
    assert float(work.loss(work.average, draw)) == pytest.approx(silence, rel=1e-5)
    seen = {}

    def oracle(noisy, times, rows):
        seen.update(noisy=noisy, times=times, rows=rows)
        return torch.cat([draw.noise + 0.1, noisy], 1)

    assert float(work.loss(oracle, draw)) == pytest.approx(0.01, rel=1e-4)
    torch.testing.assert_close(seen["noisy"], work.schedule.noised(draw.pixels, draw.noise, draw.times))
    assert torch.equal(seen["rows"], draw.identity) and torch.equal(seen["times"], draw.times)


def test_a_step_learns_and_the_average_follows(training, tmp_path):
    work = training(tmp_path, dataclasses.replace(SHORT, steps=400, rate=4e-3))
    before = state(work)
    losses = [work.step()["noise"] for _ in range(60)]
    moved = {name for name, value in state(work).items() if not torch.equal(value, before[name])}
    assert {"net.id_embed.0.weight", "net.time_embed.0.weight", "average.out.2.weight"} <= moved
    assert np.mean(losses[-10:]) < 0.8 * losses[0]
    assert work.held_out() == work.held_out() and work.held_out() < losses[0]


def test_a_resumed_training_ends_where_an_uninterrupted_one_does(training, tmp_path):
    whole = training(tmp_path / "whole")
    whole.run(every=2)
    first = training(tmp_path / "parts")
    first.step(), first.step(), first.save()
    second = training(tmp_path / "parts")
    assert second.done == 2
    second.run(every=2)
    assert second.done == 4 and same(state(whole), state(second)) and whole.history[-1] == second.history[-1]


def test_a_training_leaves_its_network_its_log_and_a_picture(training, tmp_path):
    work = training(tmp_path)
    work.run(every=2)
    log = json.loads((tmp_path / "log.json").read_text())
    assert log["id"] == ID and log["done"] == 4 and log["recipe"]["batch"] == 6 and log["seconds"] >= 0
    assert [set(row) for row in log["history"]] == [{"step", "noise", "held out"}] * 2
    with Image.open(tmp_path / "grid.png") as file:
        assert file.size == (SHOWN * 130 + 2, 4 * 130 + 2)
    kept = load_file(tmp_path / "weights.safetensors")
    assert set(kept) == set(work.average.state_dict()) and all(v.dtype == torch.float16 for v in kept.values())


def test_what_is_bundled_can_be_read_again(training, tmp_path, monkeypatch):
    work = training(tmp_path)
    work.step(), work.save()
    monkeypatch.setitem(KINDS, ID, dataclasses.replace(KINDS[ID], sizes=TINY))
    state = {name: value.float() for name, value in load_file(tmp_path / "weights.safetensors").items()}
    again = from_state(dataclasses.replace(checkpoint("parser"), id="mine", network=ID), state)
    draw = work.draw(0)
    found, expected = (net(draw.pixels, draw.times, draw.identity) for net in (again, work.average))
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-2)


def test_other_settings_and_too_few_faces_are_refused(training, celeba, tmp_path):
    training(tmp_path).save()
    for change in ({"batch": 4}, {"seed": 1}, {"identity": "other"}, {"sizes": dataclasses.replace(TINY, width=16)}):
        with pytest.raises(DataError, match="holds a training with other settings: name another folder"):
            training(tmp_path, dataclasses.replace(SHORT, **change))
    training(tmp_path, dataclasses.replace(SHORT, steps=8, rate=1e-4))  # may go on for longer
    few = dataclasses.replace(celeba, files=celeba.files[:3], pictures=celeba.pictures[:3])
    with pytest.raises(DataError, match="A batch of 6 needs as many faces, not 3: lower --batch"):
        training(tmp_path / "few", faces=few)


def test_the_rate_rises_and_falls():
    recipe = Recipe(steps=100, batch=1, rate=1.0, warm=10)
    assert [recipe.rate_at(step) for step in (0, 4, 9, 50, 75, 100)] == pytest.approx([0.1, 0.5, 1, 1, 0.5, 0])


def test_faces_are_swapped_with_others_of_their_sex(celeba):
    found = pairs(celeba)
    male = celeba.labels(("Male",))[:, 0]
    assert found.shape == (SHOWN, 2) and len(set(found[:, 0])) == SHOWN
    assert (male[found[:, 0]] == male[found[:, 1]]).all() and (found[:, 0] != found[:, 1]).all()


def test_the_recipes_listen_to_the_network_that_will_be_listened_to():
    for recipe in CONFIGS.values():
        assert recipe.identity == KINDS[ID].identity and recipe.sizes == KINDS[ID].sizes
    assert recognise.load(KINDS[ID].identity).raw(torch.zeros(1, 3, 112, 112)).shape[1] == KINDS[ID].sizes.identity


def test_without_data_the_command_says_so_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["diffface", "--data", str(tmp_path), "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit, match="There is no celeba160-train"):
        diffface.main()
    assert not (tmp_path / "out").exists()
