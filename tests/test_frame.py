"""Frames: the very pixels of a photo out and back, wherever the face lies."""

from __future__ import annotations

import pytest
import torch

from engines.face import CELEBA128, FaceError, align
from engines.frame import LEAST, MOST, frame, framed, place, settle
from engines.measure import psnr


def photo(height: int, width: int) -> torch.Tensor:
    return torch.randint(0, 256, (1, 3, height, width), dtype=torch.uint8)


def face(side: float, x: float, y: float) -> torch.Tensor:
    """Landmarks of a face whose CELEBA128 crop has `side` pixels and begins at (x, y)."""
    return CELEBA128.tensor() * side / 128 + torch.tensor([x, y])


def test_a_frame_shows_the_very_pixels_of_what_the_template_shows(astronaut):
    crop = frame(astronaut.photo.pixels, astronaut.landmarks)
    x, y, side = place(crop)
    assert side % 8 == 0 and x % 2 == 0 and y % 2 == 0
    cut = astronaut.photo.pixels[..., y : y + side, x : x + side]
    assert torch.equal((crop.pixels * 255).round().byte(), cut)
    seen = align(astronaut.photo.pixels, astronaut.landmarks, CELEBA128).pixels
    small = torch.nn.functional.interpolate(crop.pixels, (128, 128), mode="bilinear", antialias=True)
    assert psnr(small, seen) > 18, "about the same view"
    own = torch.tensor(crop.template.points) + torch.tensor([x, y])
    torch.testing.assert_close(own, astronaut.landmarks, atol=1e-4, rtol=0)


def test_what_is_settled_in_a_frame_is_there_bit_for_bit_and_nothing_else_is_changed():
    pixels = photo(220, 260)
    crop = frame(pixels, face(150, 40, 30))
    x, y, side = place(crop)
    edited = torch.randint(0, 256, crop.pixels.shape) / 255
    out = settle(pixels, crop, edited)
    assert torch.equal(framed(out, x, y, side, torch.tensor(crop.template.points)).pixels, edited.float())
    outside = torch.ones_like(pixels, dtype=torch.bool)
    outside[..., y : y + side, x : x + side] = False
    assert torch.equal(out[outside], pixels[outside])
    assert torch.equal(settle(pixels, crop, crop.pixels), pixels)


@pytest.mark.parametrize(("x", "y"), [(-30, -40), (200, 170), (60, -25)])
def test_at_the_edge_a_frame_moves_inwards_and_in_a_small_photo_it_shrinks(x, y):
    crop = frame(photo(251, 299), face(128, x, y))
    left, top, side = place(crop)
    assert side == 128 and 0 <= left <= 299 - side and 0 <= top <= 251 - side
    assert place(frame(photo(101, 143), face(128, x / 9, y / 9)))[2] == 96


def test_a_face_too_small_or_too_large_is_refused_with_what_to_do():
    with pytest.raises(FaceError, match=f"choose a photo where it takes {LEAST} pixels or more"):
        frame(photo(300, 300), face(40, 50, 50))
    with pytest.raises(FaceError, match="make the photo smaller, to 48% of its size"):
        frame(photo(40, 40), face(MOST / 0.48, 0, 0))


@pytest.mark.parametrize("where", [(1, 0, 96), (0, 0, 90), (0, 0, 48), (0, 60, 96), (-2, 0, 96), (0, 0, 800)])
def test_a_frame_that_is_none_of_the_photo_is_refused(where):
    with pytest.raises(FaceError, match="cut or resized since"):
        framed(photo(150, 150), *where, CELEBA128.tensor())
