"""What ErasableMask is compared with: each comes nearer to the target, and keeps to what it may change."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import normalize

from engines.nets.erasable_mask import ATTRIBUTES, Coder
from engines.train import mask_baselines as baselines
from engines.train.erasable_losses import missed
from engines.train.victims import Victim, still

SIZE = 32


@pytest.fixture
def victims() -> list[Victim]:
    """Two recognisers of one matrix each."""
    generator = torch.Generator().manual_seed(0)

    def one(name: str) -> Victim:
        weight = torch.randn(3 * SIZE * SIZE, 8, generator=generator)
        target = normalize(torch.randn(8, generator=generator), dim=0)
        return Victim(name, lambda pixels, where: normalize((pixels - 0.5).flatten(1) @ weight, dim=1), target)

    return [one("a"), one("b")]


@pytest.fixture
def pixels() -> torch.Tensor:
    return 2 * torch.rand(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1)) - 1


def likeness(victims: list[Victim], pixels: torch.Tensor) -> float:
    """The mean cosine to the target."""
    return 1 - float(torch.stack([missed(v, (pixels + 1) / 2, still()) for v in victims]).mean())


def test_steps_along_the_gradient_stay_in_the_ball_and_many_beat_one(victims, pixels):
    one, many = baselines.fgsm(victims, pixels), baselines.pgd_towards(victims, pixels)
    for moved in (one, many):
        assert (moved - pixels).abs().max() <= baselines.EPSILON + 1e-6 and moved.abs().max() <= 1
    assert likeness(victims, pixels) < likeness(victims, one) <= likeness(victims, many) + 1e-4
    assert torch.equal(one, baselines.fgsm(victims, pixels)) and torch.equal(
        many, baselines.pgd_towards(victims, pixels)
    )


def test_many_poses_of_the_target_are_aimed_at_by_their_mean(victims, pixels):
    target = torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(2))
    poses = [baselines.posed(victim, target) for victim in victims]
    assert all(rows.shape == (2 * baselines.POSES, 8) for rows in poses)
    moved = baselines.gmaa(victims, poses, pixels)
    aimed = [Victim(v.name, v.embed, normalize(rows.mean(0), dim=0)) for v, rows in zip(victims, poses, strict=True)]
    assert likeness(aimed, moved) > likeness(aimed, pixels) + 0.1
    assert (moved - pixels).abs().max() <= baselines.EPSILON + 1e-6


def test_a_sibling_task_also_leads_to_the_targets_attributes(victims, pixels):
    weight = torch.randn(3 * SIZE * SIZE, 5, generator=torch.Generator().manual_seed(3))
    target = torch.randn(5, generator=torch.Generator().manual_seed(4))

    def attributes(faces: torch.Tensor) -> torch.Tensor:
        return (faces - 0.5).flatten(1) @ weight

    def alike(some: torch.Tensor) -> float:
        return float(torch.cosine_similarity(attributes((some + 1) / 2), target[None]).mean())

    moved, alone = baselines.sibling(victims, attributes, target, pixels), baselines.pgd_towards(victims, pixels)
    assert likeness(victims, moved) > likeness(victims, pixels) and alike(moved) > alike(alone)
    assert (moved - pixels).abs().max() <= baselines.EPSILON + 1e-6


def test_attributes_are_mixed_towards_the_target_without_touching_the_network(victims, pixels):
    torch.manual_seed(0)
    coder = Coder((4, 6, 8, 8)).eval()
    before = {name: value.clone() for name, value in coder.state_dict().items()}
    own, wanted = torch.zeros(3, len(ATTRIBUTES)), torch.ones(3, len(ATTRIBUTES))
    middle = (coder(pixels, own) + coder(pixels, wanted)).detach() / 2
    moved = baselines.semantic_adv(victims, coder, pixels, own, wanted)
    assert moved.shape == pixels.shape and likeness(victims, moved) > likeness(victims, middle)
    assert all(torch.equal(value, before[name]) for name, value in coder.state_dict().items())
