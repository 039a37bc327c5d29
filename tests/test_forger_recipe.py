"""The recipes of forgers, attribute classifier and parser: what moves what, determinism, resuming, bad data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from engines.edits import LABELS
from engines.nets.attributes import NAMES, AttributeNet
from engines.nets.parser import CLASSES, FACE, Parser, mask
from engines.train import attributes, forgers
from engines.train import parser as parsing
from engines.train import teacher as teacher_net
from engines.train.celeba import Celeba
from engines.train.datasets import DataError
from engines.train.forger_losses import OBJECTIVES
from engines.train.forger_terms import Batch, slope
from engines.train.hisd_losses import TAGS, Hisd
from engines.train.rel_losses import orthogonality
from engines.train.supervised import Supervised, Task
from engines.train.teacher import coarser, lesson

SHORT = forgers.Recipe(steps=2, batch=2, real=4, warm=1, width=8, size=64)


@pytest.fixture(scope="module")
def faces(celeba) -> Celeba:
    """48 pictures of noise with random attributes."""
    return celeba


def state(net: torch.nn.Module) -> list[torch.Tensor]:
    return [value.clone() for value in net.state_dict().values()]


def same(one: list[torch.Tensor], two: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("id", OBJECTIVES)
def test_each_loss_moves_its_own_network(id, faces, tmp_path):
    work = forgers.Training(id, SHORT, faces, tmp_path)
    before = state(work.critic)
    real = work.draw(0)
    batch = real.first(2)
    work.critic.requires_grad_(False)
    work._update(0, work.objective.generator_terms(batch))
    assert same(before, state(work.critic)) and all(p.grad is None for p in work.critic.parameters())
    work.critic.requires_grad_(True)
    drawn, grads = state(work.generator), [p.grad.clone() for p in work.generator.parameters() if p.grad is not None]
    assert grads and all(grad.isfinite().all() for grad in grads)
    work._update(1, work.objective.critic_terms(batch, real))
    assert same(drawn, state(work.generator)) and not same(before, state(work.critic))
    now = [p.grad for p in work.generator.parameters() if p.grad is not None]
    assert same(grads, now)


@pytest.mark.parametrize("id", ["relgan", "hisd"])
def test_a_resumed_training_ends_where_an_uninterrupted_one_does(id, faces, tmp_path):
    whole = forgers.Training(id, SHORT, faces, tmp_path / "whole")
    whole.run(faces, every=2)
    first = forgers.Training(id, SHORT, faces, tmp_path / "parts")
    first.warm()
    first.step()
    first.save()
    second = forgers.Training(id, SHORT, faces, tmp_path / "parts")
    second.run(faces, every=2)
    assert second.done == 2 and same(state(whole.average), state(second.average))
    assert (tmp_path / "parts" / "grid.png").is_file() and len(second.history) == 1


class Plain(torch.nn.Module):
    """Says of every attribute how bright a face is, and its place in NAMES."""

    def forward(self, pixels):
        return pixels.mean((1, 2, 3))[:, None] + 0.1 * torch.arange(len(NAMES))


def test_a_lesson_is_the_cross_entropy_of_the_names_that_were_asked_for():
    made = torch.full((2, 3, 64, 64), 0.5, requires_grad=True)  # 0.75 in [0, 1]
    aims = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    loss = lesson(Plain(), made, aims, ("Male", "Bald"))
    logits = 0.75 + 0.1 * torch.tensor([NAMES.index("Male"), NAMES.index("Bald")])
    by_hand = -(aims * logits.sigmoid().log() + (1 - aims) * (-logits).sigmoid().log()).sum() / 2
    assert float(loss.detach()) == pytest.approx(float(by_hand), rel=2e-3), "the noise hardly moves a mean"
    loss.backward()
    assert made.grad.abs().sum() > 0


def test_the_teacher_sees_what_is_there_coarsely_and_hardly_a_pattern_of_single_pixels():
    torch.manual_seed(0)
    plain, board = torch.full((1, 3, 64, 64), 0.3), torch.ones(1, 3, 64, 64)
    board[..., ::2, ::2] = board[..., 1::2, 1::2] = -1
    torch.testing.assert_close(coarser(plain), plain)
    left = [float(coarser(board).std()) for _ in range(40)]
    assert sum(left) / len(left) < 0.5 and coarser(board).shape == board.shape


@pytest.mark.parametrize("id", ["stargan", "relgan", "hisd"])
def test_a_teacher_moves_the_generator_and_is_remembered_from_its_first_step(id, faces, tmp_path):
    alone, taught = (
        forgers.Training(id, SHORT, faces, tmp_path / name, teacher=teacher)
        for name, teacher in (("alone", None), ("taught", teacher_net.Teacher().eval().requires_grad_(False)))
    )
    rows = alone.step(), taught.step()
    assert "taught" not in str(rows[0]) and rows[1]["g taught"] > 0
    assert not same(state(alone.generator), state(taught.generator))
    alone.save()
    later = forgers.Training(id, SHORT, faces, tmp_path / "alone", teacher=taught.teacher)
    assert (alone.taught_from, taught.taught_from, later.taught_from) == (None, 0, 1)
    later.save()
    assert forgers.Training(id, SHORT, faces, tmp_path / "alone", teacher=taught.teacher).taught_from == 1


def test_a_folder_without_a_teacher_says_how_to_train_one(tmp_path):
    with pytest.raises(DataError, match="train one with `python -m engines.train.teacher`"):
        teacher_net.read(tmp_path, "cpu")


def test_a_step_with_an_infinite_gradient_is_left_out(faces, tmp_path):
    work = forgers.Training("stargan", SHORT, faces, tmp_path)
    before, total = state(work.generator), sum(p.sum() for p in work.generator.parameters())
    work._update(0, {"loss": float("inf") * total})
    assert same(before, state(work.generator))
    work._update(0, {"loss": sum(p.sum() for p in work.generator.parameters())})
    assert not same(before, state(work.generator))


def test_the_rate_falls_over_the_second_half(faces, tmp_path):
    work = forgers.Training("stargan", replace(SHORT, steps=100), faces, tmp_path)
    assert [work.rate_at(step) for step in (0, 50, 75, 100)] == pytest.approx([2e-4, 2e-4, 1e-4, 0])


def test_hisd_shows_faces_of_one_value_and_as_many_of_another(faces):
    labels, rng = faces.labels(Hisd.names), np.random.default_rng(0)
    objective, seen = OBJECTIVES["hisd"]("hisd", 64, 8), set()
    for _ in range(200):
        index, asked = objective.draw(labels, 4, rng)
        columns = [Hisd.names.index(name) for name in TAGS[asked["tag"]]]
        for half, value in ((index[:2], asked["value"]), (index[2:], asked["aim"])):
            rows = labels[half][:, columns]
            if len(columns) == 1:
                assert (rows[:, 0] == (value == 0)).all()
            else:
                assert rows[:, value].all() and (rows.sum(1) == 1).all()
        assert asked["aim"] != asked["value"]
        seen.add((asked["tag"], asked["value"], asked["aim"]))
    assert len(seen) == 2 + 2 + 6


def test_hisd_s_critic_is_right_where_each_half_scores_high_for_its_own_value_alone():
    objective = OBJECTIVES["hisd"]("hisd", 64, 8)
    own = torch.tensor([[9.0, -9], [9, -9], [-9, 9], [-9, 9]])[:, None].expand(4, 2, 2)
    objective._score = lambda seen, batch, value: own
    terms = objective.warm_terms(Batch(torch.zeros(4, 3, 64, 64), torch.zeros(4, 7), aim=1))
    assert (float(terms["real"]), float(terms["wrong"])) == (0, 0)
    objective._score = lambda seen, batch, value: -own
    terms = objective.warm_terms(Batch(torch.zeros(4, 3, 64, 64), torch.zeros(4, 7), aim=1))
    assert (float(terms["real"]), float(terms["wrong"])) == (20, 20)


def test_hisd_s_forgeries_shall_show_the_aim_and_keep_the_rest():
    objective = OBJECTIVES["hisd"]("hisd", 64, 8)
    face = torch.tensor([[1.0, 0, 0, 1, 0, 1, 0]])  # bangs, blond, male
    for tag, aim, expected in (
        (0, 1, [0, 0, 0, 1, 0, 1, 0]),
        (1, 0, [1, 1, 0, 1, 0, 1, 0]),
        (2, 0, [1, 0, 1, 0, 0, 1, 0]),
    ):
        assert objective.wanted(Batch(torch.zeros(1), face, tag, 0, aim)).tolist() == [expected]


def test_the_slope_and_orthogonality_are_those_by_hand():
    pixels = torch.rand(2, 3, 4, 4, requires_grad=True)
    assert slope(3 * pixels.flatten(1).sum(1), pixels).tolist() == pytest.approx([3 * 48**0.5] * 2)
    conv = torch.nn.Conv2d(2, 2, 3)
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight[:, :, 1, 1] = torch.tensor([[1.0, 0], [0, 2]])
    assert float(orthogonality(conv).detach()) == 0
    with torch.no_grad():
        conv.weight[:, :, 1, 1] = torch.ones(2, 2)
    assert float(orthogonality(conv).detach()) == 2 * 2**2


def test_a_batch_without_its_later_faces_keeps_what_is_asked():
    batch = Batch(torch.rand(4, 3, 8, 8), torch.rand(4, 5), 2, 1, 0).first(3)
    assert len(batch.pixels) == len(batch.labels) == 3 and (batch.tag, batch.value, batch.aim) == (2, 1, 0)


def test_data_that_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(DataError, match="There is no celeba160-train"):
        Celeba.read(tmp_path, "train")
    with pytest.raises(DataError, match="There is no celebamask160"):
        parsing.Masks.read(tmp_path, None)


def test_faces_and_labels_are_those_of_the_rows(faces):
    assert faces.pixels(np.array([3]), 64).shape == (1, 3, 64, 64) and len(faces) == 48
    assert (faces.labels(LABELS)[:, 3] == faces.attributes[:, NAMES.index("Male")]).all()


def test_supervised_learning_resumes_where_it_stopped(tmp_path):
    inputs, targets = torch.rand(16, 4), torch.rand(16, 1)
    task = Task(
        "line", 16, lambda index, rng: (inputs[index], targets[index]), torch.nn.functional.mse_loss, lambda net: {}
    )

    def training(name: str, epochs: int = 3) -> Supervised:
        torch.manual_seed(0)
        return Supervised(task, torch.nn.Linear(4, 1), tmp_path / name, epochs, size=4)

    whole = training("whole")
    whole.run()
    part = training("parts")
    part.epoch()
    part.save()
    rest = training("parts")
    rest.run()
    assert rest.done == 3 and same(state(whole.net), state(rest.net))
    assert whole.rate_at(0) < whole.rate_at(1) > whole.rate_at(2.9) and whole.rate_at(3) == 0


def test_accuracy_counts_both_classes_alike(faces):
    class Never(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, pixels):
            return torch.full((len(pixels), 40), -1.0)

    figures, each = attributes.accuracy(Never(), faces)
    assert figures["balanced"] == 0.5 and figures["accuracy"] == pytest.approx(1 - faces.attributes.mean(), abs=1e-4)
    assert each["Male"][0] == pytest.approx(1 - faces.labels(("Male",)).mean())


def test_moved_faces_stay_pictures_and_depend_on_the_seed_alone():
    pixels = torch.rand(3, 3, 32, 32)
    one, two = (attributes.moved(pixels, np.random.default_rng(5)) for _ in range(2))
    assert torch.equal(one, two) and one.shape == pixels.shape and one.min() >= 0 and one.max() <= 1
    assert AttributeNet()(torch.rand(2, 3, 128, 128)).shape == (2, 40)


def test_a_mirror_swaps_left_and_right():
    parts = torch.zeros(1, 2, 4, dtype=torch.long)
    parts[0, 0, 0], parts[0, 1, 3] = CLASSES.index("left_eye"), CLASSES.index("right_ear")
    _, seen = parsing.mirrored(torch.zeros(1, 3, 2, 4), parts)
    assert seen[0, 0, 3] == CLASSES.index("right_eye") and seen[0, 1, 0] == CLASSES.index("left_ear")
    _, again = parsing.mirrored(torch.zeros(1, 3, 2, 4), seen)
    assert torch.equal(again, parts)


def test_the_parsers_loss_is_cross_entropy_and_dice_by_hand():
    """Half of the nose is seen as nose, half as skin, all of it with certainty; nothing else is there."""
    nose, skin = CLASSES.index("nose"), CLASSES.index("skin")
    parts = torch.full((1, 1, 2), nose)
    logits = torch.zeros(1, len(CLASSES), 1, 2)
    logits[0, nose, 0, 0] = logits[0, skin, 0, 1] = 100
    dice = [1.0] * (len(FACE) - 2) + [(2 * 1 + 1) / (2 + 1 + 1), 1 / (1 + 1)]
    assert float(parsing.loss(logits, parts)) == pytest.approx(50 + 1 - sum(dice) / len(dice))


def test_overlap_is_intersection_over_union_by_hand():
    """Half of the skin is taken for hair; everything else is background, and right."""
    parts = torch.zeros(1, 1, 160, 160)
    parts[..., :, :] = CLASSES.index("skin")
    still = torch.tensor([[1.0, 0, 0], [0, 1, 0]])
    masks = parsing.Masks([torch.zeros(1, 3, 160, 160, dtype=torch.uint8)] * 100, [parts] * 100, [still] * 100)

    class Half(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, pixels):
            out = torch.zeros(len(pixels), len(CLASSES), 128, 128)
            out[:, CLASSES.index("skin"), :, :64] = 1
            out[:, CLASSES.index("hair"), :, 64:] = 1
            return out

    found = parsing.overlap(Half(), masks)
    assert found["skin"] == 0.5 and found["hair"] == 0 and found["face"] == pytest.approx(0.5 / len(FACE))


def test_the_parser_names_every_pixel_and_masks_are_of_the_parts():
    logits = Parser((4, 8, 8, 8, 8))(torch.rand(1, 3, 64, 64))
    assert logits.shape == (1, 19, 64, 64)
    parts = torch.tensor([[[CLASSES.index("nose"), CLASSES.index("skin"), CLASSES.index("hair")]]])
    assert mask(parts, ("nose",)).tolist() == [[[[1, 0, 0]]]] and mask(parts, FACE).tolist() == [[[[1, 1, 0]]]]
