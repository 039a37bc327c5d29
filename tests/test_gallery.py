"""The built-in faces, and where their heads are."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from app import gallery, lpips
from app.scoring import JobError
from engines.face import HEAD160, align


@pytest.mark.parametrize("name", gallery.LANDMARKS)
def test_the_landmarks_that_are_written_down_are_those_that_are_found(runtime, name):
    found = gallery.person(runtime, name).landmarks
    assert (found - torch.tensor(gallery.LANDMARKS[name])).abs().max() < 0.05


@pytest.mark.parametrize("name", gallery.LANDMARKS)
def test_a_head_is_cut_from_the_portrait_where_the_detector_sees_it(runtime, name):
    person = gallery.person(runtime, name)
    cut = 255 * align(person.photo.pixels, person.landmarks, HEAD160).pixels[0].permute(1, 2, 0).numpy()
    assert gallery.head(name).shape == (160, 160, 3) and np.abs(gallery.head(name) - cut).mean() < 0.5


def test_the_virtual_face_is_a_file_of_its_own_between_the_others():
    virtual = np.asarray(Image.open(io.BytesIO(gallery.portrait(gallery.VIRTUAL)))).astype(int)
    others = [gallery.head(name).astype(int) for name in gallery.LANDMARKS]
    assert np.abs(2 * virtual - sum(others)).max() <= 2


def test_who_is_not_built_in_is_named(runtime):
    with pytest.raises(JobError, match="no built-in face called 'Bob': choose from Grace Hopper"):
        gallery.person(runtime, "Bob")


def test_lpips_looks_for_the_file_that_torchvision_would_fetch():
    from torchvision.models import AlexNet_Weights

    assert AlexNet_Weights.DEFAULT.url.endswith(f"/{lpips.ALEXNET}")
