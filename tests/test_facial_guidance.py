"""DiffFace's facial guidance: what each loss is by hand, and how far a step may be bent."""

from __future__ import annotations

import pytest
import torch

from engines.face import CELEBA128, align, retarget
from engines.facial_guidance import Guidance, Weights, soft_parts


@pytest.fixture(scope="module")
def faces(astronaut, hopper) -> tuple[torch.Tensor, torch.Tensor]:
    """Eileen Collins and Grace Hopper, cut as CELEBA128."""
    return tuple(align(p.photo.pixels, p.landmarks, CELEBA128).pixels for p in (astronaut, hopper))


def test_the_correction_is_the_slope_s_and_never_longer_than_its_limit(faces):
    guidance = Guidance(*faces, weights=Weights(0, 0, 0, limit=0.5))
    noisy, kept = torch.ones(1, 3, 2, 2, requires_grad=True), torch.tensor(0.75)
    short = guidance.correction({"a": (noisy * 0.1).sum(), "b": (noisy * 0.1).sum()}, noisy, 2 * noisy.detach(), kept)
    torch.testing.assert_close(short, torch.full((1, 3, 2, 2), 0.5 * 0.2))
    long = guidance.correction({"a": (noisy * 9).sum()}, noisy, 2 * noisy.detach(), kept)
    torch.testing.assert_close(long, torch.ones(1, 3, 2, 2))


def test_the_losses_by_hand(faces, make_tiny):
    protected, replacing = faces
    nets = [make_tiny(0), make_tiny(1)]
    guidance = Guidance(protected, replacing, nets, Weights(2, 3, 5), gaze=lambda face: face.mean((2, 3)))
    found = guidance.terms(replacing, 0.3)
    assert float(found["identity"]) == pytest.approx(0, abs=1e-5)
    assert float(found["gaze"]) == pytest.approx(
        5 * float((replacing.mean((2, 3)) - protected.mean((2, 3))).abs().mean())
    )
    apart = (soft_parts(replacing) - soft_parts(protected)).abs().mean((0, 2, 3)).sum()
    assert float(found["parsing"]) == pytest.approx(3 * float(apart)) and apart > 0.1
    rows = [[net.embed(retarget(face, CELEBA128, net.template))[0] for face in faces] for net in nets]
    likeness = [float(one @ two) for one, two in rows]
    assert float(guidance.terms(protected, 0.3)["identity"]) == pytest.approx(2 * (1 - sum(likeness) / 2), abs=1e-5)


def test_gaze_is_asked_for_with_a_network_and_in_the_middle_alone(faces):
    assert not Guidance(*faces, weights=Weights(30, 0, 10))
    guidance = Guidance(*faces, weights=Weights(0, 0, 10), gaze=lambda face: face.mean((2, 3)))
    assert guidance and [list(guidance.terms(faces[1], share)) for share in (0.05, 0.3, 0.6)] == [[], ["gaze"], []]
