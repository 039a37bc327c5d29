"""ID-Guard's losses, its two strategies and Algorithm 1, on small random forgers; published constants."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from engines import manipulate, recognise
from engines.checkpoints import checkpoint
from engines.manipulate import signed
from engines.measure import defended, l2_face
from engines.nets import hisd, stargan
from engines.nets.id_guard import EPSILON, PerturbationGenerator, Projected
from engines.nets.parser import CLASSES
from engines.train import disrupt, id_guard, idm, prior, weighting
from engines.train.datasets import DataError
from engines.train.opponents import Opponents, priors
from engines.train.pgd import pgd
from tests.test_forger_recipe import faces, same, state  # noqa: F401  (faces is a fixture)


def test_the_generator_has_the_published_size():
    """7,850,819 parameters (Table IV), beside δ_p."""
    with torch.device("meta"):
        net = PerturbationGenerator()
    assert sum(p.numel() for name, p in net.named_parameters() if name != "prior") == 7_850_819


def test_perturbations_stay_in_the_ball():
    net = PerturbationGenerator(32, 8, 1)
    with torch.no_grad():
        net.main[-1].weight.mul_(100)
    delta = net(torch.rand(2, 3, 32, 32) * 2 - 1)
    assert delta.shape == (2, 3, 32, 32) and delta.abs().max() <= EPSILON == 0.05
    assert delta.abs().max() > 0.049


def test_a_gradient_passes_at_the_balls_edge_unless_it_leads_out():
    drawn = torch.tensor([0.5, 2.0, 2.0, -2.0, -2.0], requires_grad=True)
    cut = Projected.apply(drawn)
    (slope,) = torch.autograd.grad(cut, drawn, torch.tensor([3.0, 3.0, -3.0, 3.0, -3.0]))  # descent goes against it
    assert cut.tolist() == [0.5, 1, 1, -1, -1] and slope.tolist() == [3, 3, 0, 0, -3]


def test_the_least_norm_of_two_losses_is_the_closed_form():
    """Sener & Koltun, 2018: with two gradients the best weight is known."""
    one, two = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0])
    assert weighting.least_norm(torch.stack([one, two])).tolist() == pytest.approx([0.8, 0.2])
    assert weighting.least_norm(torch.stack([one, 3 * one])).tolist() == pytest.approx([1, 0])


def test_the_least_norm_of_five_losses_is_no_worse_than_any_other_weighting():
    torch.manual_seed(0)
    rows = torch.randn(5, 40) + 0.3
    weights = weighting.least_norm(rows)
    assert weights.sum() == pytest.approx(1) and weights.min() >= 0
    least = float((weights @ rows.double()).norm())
    others = torch.distributions.Dirichlet(torch.ones(5)).sample((2000,)).double()
    assert least <= float((others @ rows.double()).norm(dim=1).min()) + 1e-6
    # At the optimum no loss's gradient points against the common one: a step lowers them all.
    assert float((rows.double() @ (weights @ rows.double())).min()) >= least**2 - 1e-4


def test_a_forger_that_is_hard_to_disrupt_weighs_more():
    performance, priors = torch.tensor([0.01, 0.3, 1.0, 7.0]), torch.tensor([10.0, 1, 1, 1])
    expected = [10 * -0.99 * torch.tensor(0.01).log(), -0.7 * torch.tensor(0.3).log(), 0, 0]
    assert weighting.hardness(performance, priors).tolist() == pytest.approx([float(v) for v in expected], abs=1e-6)
    assert [weighting.prior_of(d, 0.5) for d in (0.5, 0.06, 0.05, 0.004)] == [1, 1, 10, 100]


def test_distances_are_means_over_the_mask():
    one, two = torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 3.0)
    two[:, :, :, 2:] = 5
    left = torch.zeros(2, 1, 4, 4)
    left[..., :2] = 1
    assert float(idm.apart(one, two, left)) == pytest.approx(3, abs=0.01)
    assert float(idm.apart(one, one, left)) == 0
    # Eq. 16 counts in [-1, 1]: a difference of 1/4 in [0, 1] is 1/2 there, and 1/4 squared.
    assert l2_face(one, one + 0.25, left).tolist() == [0.25, 0.25]
    assert l2_face(one, one + 1, torch.zeros_like(left)).tolist() == [0, 0]
    assert defended(torch.tensor([0.06, 0.06, 0.04]), torch.tensor([0.3, 0.5, 0.3])).tolist() == [True, False, False]


@pytest.fixture(scope="module")
def bench() -> Opponents:
    """Two small random forgers, one bundled recogniser, and a parser that takes the middle for the nose."""
    torch.manual_seed(0)
    card = checkpoint("sface")
    one = manipulate.LabelForger(dataclasses.replace(card, id="stargan"), stargan.StarGan(5, 8, 1), "cpu")
    sizes = hisd.Sizes((8, 16, 16), (8, 8), (8, 8), 8, 8)
    two = manipulate.StyleForger(dataclasses.replace(card, id="hisd"), hisd.Hisd(sizes), "cpu")

    def parse(pixels: torch.Tensor) -> torch.Tensor:
        parts = torch.full((len(pixels), 128, 128), CLASSES.index("skin"))
        parts[:, 40:90, 40:90] = CLASSES.index("nose")
        return parts

    return Opponents((one, two), torch.tensor([1.0, 10.0]), (recognise.load("compact-vgg"),), parse)


SHORT = id_guard.Recipe(steps=2, batch=2, width=8)


def test_masks_are_the_components_and_a_heat_map_of_the_recogniser(bench, faces):  # noqa: F811
    pixels = signed(faces.pixels([0, 1], 128))
    found = idm.masks(pixels, bench.parse, bench.members[0])
    assert found.parts.sum() == 2 * 50 * 50 and found.heat.shape == (2, 1, 128, 128)
    assert found.heat.amax((1, 2, 3)).tolist() == pytest.approx([1, 1]) and found.heat.min() >= 0


def test_an_unprotected_face_is_not_disrupted_and_each_term_has_the_sign_of_its_purpose(bench, faces):  # noqa: F811
    pixels = signed(faces.pixels([0, 1], 128))
    where, labels = idm.masks(pixels, bench.parse, bench.members[0]), torch.zeros(2, 5)
    for forger in bench.forgers:
        before = idm.clean(forger, "black hair", labels, pixels, bench.members)
        still = idm.terms(before, pixels, where, bench.members)
        assert float(still.identity) == pytest.approx(1, abs=1e-4)
        assert float(still.parts) == float(still.heat) == float(still.features) == 0
        moved = (pixels + 0.05 * torch.randn_like(pixels).sign()).clamp(-1, 1).requires_grad_()
        found = idm.terms(before, moved, where, bench.members)
        parts, heat, identity, features = (float(value.detach()) for value in vars(found).values())
        assert float(found.total.detach()) == pytest.approx(identity - parts - heat - features)
        assert parts > 0 and features > 0 and identity < 1
        assert torch.autograd.grad(found.total, moved)[0].abs().sum() > 0


@pytest.mark.parametrize("strategy", ["S-I", "S-II"])
def test_algorithm_1_moves_generator_and_prior_and_resumes(strategy, bench, faces, tmp_path):  # noqa: F811
    recipe = dataclasses.replace(SHORT, strategy=strategy, robust=strategy == "S-II")
    whole = id_guard.Training(recipe, faces, bench, tmp_path / "whole")
    before = state(whole.net)
    log = whole.step()
    after = state(whole.net)
    assert not same(before, after) and whole.net.prior.abs().max() <= EPSILON and whole.net.prior.abs().sum() > 0
    assert log["stargan λ"] + log["hisd λ"] == pytest.approx(1, abs=1e-5)
    whole.save()
    whole.step()
    again = id_guard.Training(recipe, faces, bench, tmp_path / "whole")
    assert same(after, state(again.net))
    again.step()
    assert same(state(whole.net), state(again.net))


def test_the_weight_of_a_forger_grows_tenfold_with_each_power_that_it_moves_less(bench, faces):  # noqa: F811
    """α of Sec. III-C2: an output drawn into a 1,250th of the range moves by so much less."""
    still = SimpleNamespace(
        edits=("age",), forge=lambda pixels, edit, labels: 0.0008 * bench.forgers[0].forge(pixels, edit, labels)
    )
    found = priors((bench.forgers[0], still), faces, count=2)
    assert found.tolist() == pytest.approx([1, 1e3])


def test_what_a_training_logs_is_measured_on_others(bench, faces, tmp_path):  # noqa: F811
    work = id_guard.Training(SHORT, faces, bench, tmp_path)
    found = id_guard.held_out(work, faces, faces=2)
    assert set(found) == {"DSR G stargan", "DSR G hisd", "DSR P stargan", "DSR P hisd"}
    assert found["DSR P stargan"] == found["DSR P hisd"] == 0  # δ_p is still zero: nothing is disrupted


def test_pgd_climbs_and_stays_in_the_ball():
    pixels, generator = torch.rand(2, 3, 8, 8) * 2 - 1, torch.Generator().manual_seed(0)
    delta = pgd(lambda moved: (moved - pixels).square().mean(), pixels, generator)
    assert delta.abs().max() <= EPSILON + 1e-6 and (pixels + delta).abs().max() <= 1
    inside = (pixels.abs() < 0.9).expand_as(delta)
    assert delta.abs()[inside].mean() > 0.049  # ten steps of 0.01 reach the edge wherever there is room


def test_the_prior_is_the_mean_of_what_pgd_finds(faces, tmp_path):  # noqa: F811
    torch.manual_seed(0)
    net = prior.Reconstruction(8).requires_grad_(False)
    found, again = (prior.prior(net, faces, count=4, part=2) for _ in range(2))
    assert found.shape == (1, 3, 128, 128) and torch.equal(found, again) and 0 < found.abs().max() <= EPSILON + 1e-6
    with pytest.raises(DataError, match="no prior perturbation"):
        prior.found(tmp_path)
    save_file({"prior": found}, tmp_path / prior.KEPT)
    assert torch.equal(prior.found(tmp_path), found)


@pytest.mark.parametrize("loss, parts", [("output", 1), ("output and features", 2)])
def test_the_baselines_losses_are_parts_of_the_whole(loss, parts):
    terms = idm.Terms(*(torch.tensor(v) for v in (1.0, 10.0, 100.0, 1000.0)))
    assert float(id_guard.LOSSES[loss](terms)) == {1: -1, 2: -1001}[parts]
    assert float(id_guard.LOSSES["idm"](terms)) == 100 - 1 - 10 - 1000


def test_a_baseline_trains_with_equal_weights_and_no_masks(bench, faces, tmp_path):  # noqa: F811
    recipe = dataclasses.replace(SHORT, strategy="equal", loss="output and features")
    log = id_guard.Training(recipe, faces, bench, tmp_path).step()
    assert log["stargan λ"] == log["hisd λ"] == 0.5 and log["hisd parts"] == log["hisd heat"] > 0


def test_disrupting_and_cmua_push_forgeries_away_inside_the_ball(bench, faces):  # noqa: F811
    forger, labels = bench.forgers[0], torch.zeros(2, 5)
    pixels = signed(faces.pixels([0, 1], 128))
    delta = disrupt.disrupting(forger, labels, pixels)
    assert delta.abs().max() <= EPSILON + 1e-6 and (pixels + delta).abs().max() <= 1 + 1e-6

    def apart(moved: torch.Tensor) -> float:
        one, two = (disrupt._forged(forger, "age", labels, some) for some in (pixels, moved.clamp(-1, 1)))
        return float((one - two).square().mean())

    noise = EPSILON * torch.randn_like(pixels).sign()
    assert apart(pixels + delta) > 2 * apart(pixels + noise)
    mark = disrupt.cmua(bench.forgers, [(pixels, labels)] * 2)
    assert mark.shape == (1, 3, 128, 128) and 0 < mark.abs().max() <= EPSILON
    assert torch.equal(mark, disrupt.cmua(bench.forgers, [(pixels, labels)] * 2))
    assert apart(pixels + mark * EPSILON / mark.abs().max()) > apart(pixels + noise)
