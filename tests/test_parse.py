"""Keeping an edit to the head: the soft mask of a parser that is faked here, and pasting under it."""

from __future__ import annotations

import pytest
import torch

from app import photo as photos
from app.making import Request, protected_file
from app.panel import Panel
from engines import parse
from engines.face import ARCFACE112, CELEBA128, align, paste
from engines.nets.parser import CLASSES


@pytest.fixture
def parted(monkeypatch):
    """A parser that sees hair in the middle and cloth below, whatever it is shown."""
    shown = torch.zeros(1, 128, 128, dtype=torch.long)
    shown[:, 40:80, 40:80], shown[:, 100:] = CLASSES.index("hair"), CLASSES.index("cloth")
    monkeypatch.setattr(parse, "parts", lambda pixels: shown.expand(len(pixels), -1, -1))


def test_the_mask_is_one_on_the_head_and_falls_smoothly_to_nothing(parted, astronaut):
    crop = align(astronaut.photo.pixels, astronaut.landmarks, CELEBA128)
    found = parse.head(crop)
    assert found.shape == (1, 1, 128, 128) and found[..., 42:78, 42:78].min() == 1
    assert found[..., :28, :].max() == 0 and found[..., 100:, :].max() == 0
    row = found[0, 0, 60]
    assert (row[28:45].diff() >= 0).all() and row.diff().abs().max() < 0.35


def test_the_mask_follows_the_crop_s_own_template(parted, astronaut):
    crop = align(astronaut.photo.pixels, astronaut.landmarks, ARCFACE112)
    found = parse.head(crop)
    assert found.shape == (1, 1, 112, 112) and found.max() == 1 and found.min() == 0


def test_an_edit_is_pasted_only_where_it_may_be(astronaut):
    crop = align(astronaut.photo.pixels, astronaut.landmarks, CELEBA128)
    edited, where = (crop.pixels + 0.1).clamp(0, 1), torch.zeros(1, 1, 128, 128)
    assert torch.equal(paste(astronaut.photo.pixels, crop, edited, where), astronaut.photo.pixels)
    whole = paste(astronaut.photo.pixels, crop, edited)
    assert torch.equal(paste(astronaut.photo.pixels, crop, edited, where + 1), whole)
    where[..., :64] = 1
    half = paste(astronaut.photo.pixels, crop, edited, where)
    changed = (half != astronaut.photo.pixels).sum()
    assert 0.3 < changed / (whole != astronaut.photo.pixels).sum() < 0.7


def test_a_job_keeps_to_the_head_where_it_is_asked_to(runtime, guard, parted, astronaut):
    def changed(region: str) -> int:
        asked = Request(astronaut, "id-guard", {"region": region}, panel=Panel((), ("compact-inception",)))
        return int((photos.load(protected_file(runtime, asked)).pixels != astronaut.photo.pixels).sum())

    assert 0 < changed("Head") < 0.4 * changed("Whole crop")
