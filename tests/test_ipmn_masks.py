"""The faces and masks that IPMN is trained on."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from engines.face import CELEBA128, FaceError
from engines.swap_points import Points
from engines.train import ipmn_masks
from engines.train.datasets import DataError
from engines.train.ipmn import source
from engines.train.ipmn_masks import Swapped, Whole, made


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
