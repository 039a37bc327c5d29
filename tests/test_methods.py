"""TIP-IM and its family: the equations, the invariants that `run()` holds, and what it refuses."""

import math

import pytest
import torch

from app.bench.tip_im_speed import literal
from app.compare.entries import swept
from engines.iterate import GradientParams, Problem, Views, diversify, iterate, smooth
from engines.measure import psnr, ssim
from engines.method import Budget, MethodError, Scene, project, run
from engines.methods import METHODS, method
from engines.methods.tip_im import GreedyInsertion, TipIm, TipImParams, gain
from engines.params import ParamError, Params


def scene_of(make_tiny, targets=4, members=1):
    faces = torch.rand(targets, 3, 112, 112, generator=torch.Generator().manual_seed(5))
    return Scene([make_tiny(seed) for seed in range(members)], faces)


@pytest.fixture
def faces():
    return torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(6))


def problem_of(scene, pixels, params=None, alpha=0.002):
    params = params or TipImParams(steps=6)
    return Problem(
        pixels,
        scene,
        params,
        TipIm().budget(params, pixels),
        TipIm.template,
        torch.Generator().manual_seed(0),
        alpha,
    )


def last(work):
    for snapshot in work:
        final = snapshot
    return final


def test_gradient_is_that_of_equation_4(make_tiny, faces):
    """The vector-Jacobian shortcut equals automatic differentiation of Eq. 2 written out, for an ensemble too."""
    problem = problem_of(scene_of(make_tiny, members=2), faces)
    point = problem.forward(faces)
    chosen = torch.tensor([2, 0])
    short = problem.gradient(point, chosen, torch.arange(2))
    leaf = faces.clone().requires_grad_(True)
    rows = problem.embed(leaf)
    loss = (rows - problem.targets[chosen]).square().sum() - (rows - problem.own).square().sum()
    long = torch.autograd.grad(loss, leaf)[0]
    assert torch.allclose(short, long, atol=1e-7)
    assert torch.allclose(loss.detach(), problem.loss(rows.detach()).gather(1, chosen[:, None]).sum(), atol=1e-5)


def test_ensemble_distance_is_the_mean_of_its_members(make_tiny, faces):
    problem = problem_of(scene_of(make_tiny, members=3), faces)
    members = problem.embed.members
    mean = sum((m.embed(faces[:1]) - m.embed(faces[1:])).square().sum() for m in members) / 3
    rows = problem.embed(faces)
    assert torch.allclose((rows[0] - rows[1]).square().sum(), mean, atol=1e-6)
    assert torch.allclose(rows.norm(dim=1), torch.ones(2), atol=1e-6)


def test_gain_is_equation_7():
    own, targets = torch.eye(3)[:1], torch.eye(3)[1:]
    row = torch.tensor([[0.6, 0.8, 0.0]])
    away = float((row - own).square().sum())
    near = [float((row - t).square().sum()) for t in targets]
    assert gain(row, own, targets).item() == pytest.approx(math.log(1 + max(math.exp(away - d) for d in near)))
    assert gain(row, own, targets, "G1").item() == pytest.approx(math.log(1 + sum(math.exp(away - d) for d in near)))


def test_lazy_greedy_chooses_as_algorithm_1_does(runtime, astronaut, hopper):
    """The literal algorithm, written separately, chooses the same targets and ends at the same gain."""
    member, params = runtime.recogniser("sface"), TipImParams(steps=9)
    face, other = astronaut.crop(member).pixels, hopper.crop(member).pixels
    targets = torch.cat([other, other.flip(3), other.roll(8, 2), 1 - other, (face + other) / 2, other * 0.5])
    problem = problem_of(Scene([member], targets), face, params, alpha=1.5 * params.epsilon / 255 / 9)
    slow, chosen = literal(face, problem, params)
    choose = GreedyInsertion()
    fast = last(iterate(problem, choose)).pixels
    same = sum(a == int(b[0]) for a, b in zip(chosen, choose.chosen, strict=True))
    assert same >= 8
    ends = [float(gain(problem.embed(p), problem.own, problem.targets).detach()) for p in (slow, fast)]
    assert ends[1] == pytest.approx(ends[0], rel=0.01)
    assert choose.evaluated < 9 * 6 * 2 / 3


def test_a_batch_gives_what_single_faces_give(make_tiny, faces):
    scene, params = scene_of(make_tiny), TipImParams(steps=5, gamma=1.0)
    together = last(run(TipIm(), faces, params, scene)).pixels
    first = last(run(TipIm(), faces[:1], params, scene)).pixels
    assert (together[:1] - first).abs().mean() < 1e-3  # signs of near-zero gradients may differ


@pytest.mark.parametrize("name", [id for id, method in METHODS.items() if "norm" in method.Params.model_fields])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_every_method_stays_in_its_ball_and_is_repeatable(make_tiny, faces, name, norm):
    chosen, scene = METHODS[name], scene_of(make_tiny)
    steps = 1 if name == "fgsm" else 4
    values = {"epsilon": 8.0, "norm": norm, "steps": steps}
    seen = [snapshot.pixels for snapshot in run(chosen, faces, values, scene, seed=3)]
    assert len(seen) == steps
    for pixels in seen:
        assert pixels.min() >= 0 and pixels.max() <= 1
        mask = pixels - faces
        if norm == "linf":
            assert mask.abs().max() <= 8 / 255 + 1e-6
        else:
            assert (mask.flatten(1).norm(dim=1) <= 8 / 255 * mask[0].numel() ** 0.5 + 1e-4).all()
        assert mask.abs().max() > 0
    again = [snapshot.pixels for snapshot in run(chosen, faces, values, scene, seed=3)]
    assert all(torch.equal(a, b) for a, b in zip(seen, again, strict=True))


def test_projection_onto_both_balls():
    original = torch.full((1, 3, 2, 2), 0.95)
    far = original + torch.tensor([1.0, -1.0, 0.5])[None, :, None, None]
    box = project(far, original, Budget("linf", 0.1))
    assert torch.allclose(box[0, :, 0, 0], torch.tensor([1.0, 0.85, 1.0]))
    ball = project(original - 0.5, original, Budget("l2", 0.3))
    assert (ball - original).norm() == pytest.approx(0.3, abs=1e-6)


def test_methods_raise_the_gain_on_a_real_network(runtime, astronaut, hopper):
    """Real faces, a real network: every iterative method brings the face nearer to the target than to its owner."""
    member = runtime.recogniser("compact-vgg")
    own, target = astronaut.crop(member).pixels, hopper.crop(member).pixels
    with torch.no_grad():
        row_own, row_target = member.embed(own), member.embed(target)
    for name in ("tip-im", "center-opt", "mim", "pgd", "dim", "tim", "mt-dim"):
        done = last(run(METHODS[name], own, {"steps": 8}, Scene([member], target))).pixels
        with torch.no_grad():
            row = member.embed(done)
        assert float((row @ row_target.T).squeeze()) > float((row @ row_own.T).squeeze()), name


def test_gamma_buys_naturalness(runtime, astronaut, hopper):
    """Table 5's direction: with γ the same number of steps gives a higher PSNR and SSIM and a lower MMD."""
    member = runtime.recogniser("compact-vgg")
    pixels = torch.cat([astronaut.crop(member).pixels, hopper.crop(member).pixels])
    scene = Scene([member], pixels.flip(0).flip(3))
    figures = []
    for gamma in (0.0, 3.0):
        done = last(run(TipIm(), pixels, {"steps": 10, "gamma": gamma}, scene)).pixels
        views = Views(pixels[:1], torch.Generator().manual_seed(0))
        from engines.measure import mmd

        figures.append(
            (
                float(psnr(done, pixels).mean()),
                float(ssim(done, pixels).mean()),
                -float(mmd(views.of(done[:1]), views.of(pixels[:1]))),
            )
        )
    assert all(natural > plain for plain, natural in zip(*figures, strict=True))


def test_diversity_and_smoothing(faces):
    generator = torch.Generator().manual_seed(1)
    assert diversify(faces, 0.0, generator) is faces
    changed = diversify(faces, 1.0, generator)
    assert changed.shape == faces.shape and not torch.equal(changed, faces)
    spike = torch.zeros(1, 3, 21, 21)
    spike[..., 10, 10] = 1
    soft = smooth(spike, 3)
    assert soft.sum().item() == pytest.approx(3, abs=1e-4) and soft[0, 0, 10, 10] < 0.2
    assert torch.allclose(soft, soft.transpose(2, 3)) and soft[0, 0, 10, 14] == 0


def test_cancel_stops_after_the_step(make_tiny, faces):
    asked = []

    def cancelled():
        asked.append(1)
        return len(asked) == 3

    work = run(TipIm(), faces, TipImParams(steps=50), scene_of(make_tiny), cancelled=cancelled)
    assert [s.step for s in work] == [1, 2, 3] and work.was_cancelled and work.provenance.cancelled
    assert work.provenance.steps == 3


def test_provenance_says_what_made_it(make_tiny, faces):
    work = run(TipIm(), faces[:1], {"steps": 2, "gamma": 0.5}, scene_of(make_tiny), seed=7)
    last(work)
    stamp = work.provenance.as_dict()
    assert stamp["method"] == "tip-im" and stamp["seed"] == 7 and stamp["params"]["gamma"] == 0.5
    assert stamp["checkpoints"] == ({"id": "tiny-0", "sha256": "0" * 64, "state": "trained"},)
    assert stamp["seconds"] > 0


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda s, f, t: (Scene([], s.targets), f), "surrogate"),
        (lambda s, f, t: (Scene([t(0, role="judge")], s.targets), f), "judge"),
        (lambda s, f, t: (Scene([t(0, state="untrained")], s.targets), f), "not trained"),
        (lambda s, f, t: (Scene(s.surrogates, None), f), "target"),
        (lambda s, f, t: (Scene(s.surrogates, s.targets[..., :50]), f), "target"),
        (lambda s, f, t: (s, f + 1), "0 to 1"),
        (lambda s, f, t: (s, f * float("nan")), "NaN"),
        (lambda s, f, t: (s, f[:0]), "pixels"),
        (lambda s, f, t: (s, f[..., :100]), "shape"),
        (lambda s, f, t: (s, (f * 255).byte()), "shape"),
    ],
)
def test_run_refuses_with_one_sentence(make_tiny, faces, change, word):
    scene, pixels = change(scene_of(make_tiny), faces, make_tiny)
    with pytest.raises(MethodError, match=word) as caught:
        run(TipIm(), pixels, {}, scene)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"gamma": 9}, "from 0 to 3"),
        ({"gamma": float("nan")}, "from 0 to 3"),
        ({"epsilon": "a lot"}, "a number"),
        ({"steps": 2.5}, "whole number"),
        ({"norm": "l7"}, "linf, l2"),
        ({"colour": 1}, "no setting called"),
    ],
)
def test_wrong_settings_are_one_sentence(make_tiny, faces, values, word):
    with pytest.raises(ParamError, match=word):
        run(TipIm(), faces, values, scene_of(make_tiny))


def test_other_refusals(make_tiny, faces):
    with pytest.raises(MethodError, match="tip-im"):
        method("no-such")
    with pytest.raises(MethodError, match="seed"):
        run(TipIm(), faces, {}, scene_of(make_tiny), seed=-1)
    with pytest.raises(MethodError, match="own settings"):
        run(TipIm(), faces, Params(), scene_of(make_tiny))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_declares_itself(name):
    """What the interfaces need: words, knobs with help and bounds, presets that are valid."""
    chosen = METHODS[name]
    assert chosen.id == name and chosen.title and chosen.summary.endswith(".") and chosen.paper
    for spec in chosen.Params.knobs():
        assert spec.label and spec.help
        assert spec.choices or (spec.low is not None and spec.high is not None and spec.step)
    assert set(chosen.presets) == ({"Balanced"} if swept(name) is None else {"Natural", "Balanced", "Strong"})
    for values in chosen.presets.values():
        chosen.Params.read(values)


def test_paper_defaults():
    """TIP-IM Sec. 5.1: N = 50, ε = 12, ℓ∞, momentum 1; α = 1.5 ε / N as in the authors' code."""
    params = TipImParams()
    assert (params.steps, params.epsilon, params.norm, params.momentum, params.gamma) == (
        50,
        12.0,
        "linf",
        1.0,
        0.0,
    )
    assert TipIm().budget(params, torch.zeros(1, 3, 112, 112)) == Budget("linf", 12 / 255)
    assert issubclass(TipImParams, GradientParams)
