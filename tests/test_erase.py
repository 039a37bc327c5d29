"""Erasing a mask: from file to file, with the figures of both. The networks are random: it is the plumbing."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
import torch

from app import erase, gallery, jobs
from app import photo as photos
from app.erase import Erasure
from app.making import Request, protected_file
from app.photo import Photo
from app.scoring import JobError
from engines.methods import METHODS
from engines.params import ParamError


@pytest.fixture
def masked(runtime, astronaut, mask) -> Photo:
    """Collins, masked towards Hopper."""
    request = Request(astronaut, "erasable-mask", {"target": gallery.HOPPER})
    return photos.load(protected_file(runtime, request))


def test_protecting_says_first_how_many_are_led_to_the_target(runtime, astronaut, mask):
    *_, result = jobs.protect(runtime, Request(astronaut, "erasable-mask", {"target": gallery.HOPPER}))
    assert re.match(r"\d of 2 recognisers take the face for Grace Hopper; \d of", result.verdict)


def test_a_masked_file_comes_back_with_scores_of_both_files(runtime, astronaut, masked):
    found = erase.erase(runtime, Erasure(masked, "erasable-mask", original=astronaut.photo))
    again = photos.load(found.file)
    assert again.pixels.shape == masked.pixels.shape and again.settings["provenance"]["erased"] == "erasable-mask"
    assert found.target == gallery.HOPPER, "the file says who it leads to"
    assert found.compared_with == "the original photo" and found.original.shape == found.erased.shape
    assert np.isfinite(found.psnr) and 0 < found.ssim < 1
    assert {score.role for score in found.after} == {"surrogate", "judge"}
    assert "recognisers know the person after erasing" in found.verdict
    report = found.as_dict()
    assert [row["file"] for row in report["rows"]] == ["masked"] * len(found.before) + ["erased"] * len(found.after)
    assert all(row["target"] == gallery.HOPPER for row in report["rows"] if row["to_target"] is not None)


def test_without_anybody_to_compare_with_nobody_is_said_to_be_known(runtime, masked):
    found = erase.erase(runtime, Erasure(masked, "erasable-mask"))
    assert found.compared_with == "" and found.psnr is None and found.original is None
    assert "Add the original or another photo" in found.verdict
    assert all(row["to_self"] is None and row["matches_self"] is None for row in found.as_dict()["rows"])


def test_another_photo_of_the_person_is_the_stricter_comparison(runtime, astronaut, hopper, masked):
    job = Erasure(masked, "erasable-mask", original=astronaut.photo, reference=hopper.photo)
    found = erase.erase(runtime, job)
    assert found.compared_with == "another photo of the person" and found.psnr is not None


def test_the_other_restorer_gives_another_picture(runtime, masked):
    own, other = (erase.erase(runtime, Erasure(masked, "erasable-mask", target)) for target in ("", gallery.COLLINS))
    assert other.target == gallery.COLLINS and not np.array_equal(own.erased, other.erased)


def test_what_cannot_be_erased_is_said_in_a_sentence(runtime, hopper, masked):
    with pytest.raises(JobError, match="The original has another size"):
        erase.erase(runtime, Erasure(masked, "erasable-mask", original=hopper.photo))
    with pytest.raises(JobError, match="TIP-IM leaves no mask that could be erased: choose from erasable-mask"):
        erase.erase(runtime, Erasure(masked, "tip-im"))
    with pytest.raises(ParamError, match="no restorer called 'Nobody': choose from Grace Hopper"):
        erase.erase(runtime, Erasure(masked, "erasable-mask", "Nobody"))
    blank = dataclasses.replace(masked, pixels=torch.full_like(masked.pixels, 127))
    with pytest.raises(JobError, match="No face found in the masked photo"):
        erase.erase(runtime, Erasure(blank, "erasable-mask"))
    assert erase.made_with(Photo(masked.pixels, "PNG", (), {"provenance": 7}), "erasable-mask") == {}
    assert "erasable-mask" in METHODS
