"""The reversible mosaic: what it shows, what it gives back, and when it says that it cannot."""

from __future__ import annotations

import pytest
import torch

from engines.distort import real_jpeg
from engines.face import CELEBA128, align
from engines.measure import psnr
from engines.mosaic import MosaicError, mosaic, restored


@pytest.fixture(scope="module")
def face(astronaut) -> torch.Tensor:
    return align(astronaut.photo.pixels, astronaut.landmarks, CELEBA128).pixels


def test_a_mosaic_shows_blocks_and_gives_the_face_back(face):
    made = mosaic(face, 16, 2)
    torch.testing.assert_close(made * 255, (made * 255).round(), atol=1e-4, rtol=0)
    blocks = made.unfold(2, 16, 16).unfold(3, 16, 16).flatten(-2)
    assert (blocks.amax(-1) - blocks.amin(-1)).max() < 4 / 255, "nothing but the lowest bits differs in a block"
    means = torch.nn.functional.avg_pool2d(face, 16)
    assert (blocks.mean(-1) - means).abs().max() < 4 / 255
    back = restored(made)
    assert back.shape == face.shape and psnr(back, face) > 34


def test_more_bits_keep_more_of_the_face_and_show_more_noise(face):
    found = [float(psnr(restored(mosaic(face, 16, bits), bits), face)) for bits in (1, 2)]
    assert found[1] > found[0] + 1 and torch.equal(mosaic(face), mosaic(face))


def test_sides_that_are_no_multiple_of_the_block_are_kept(face):
    part = face[..., :97, :101]
    assert restored(mosaic(part)).shape == part.shape == mosaic(part).shape


def test_what_was_never_a_mosaic_or_was_saved_with_loss_is_refused(face):
    lossy = real_jpeg((mosaic(face) * 255).round().byte(), 95).float() / 255
    for pixels in (face, lossy):
        with pytest.raises(MosaicError, match="give the mosaic as the lossless file"):
            restored(pixels)


def test_bad_input_is_refused(face):
    with pytest.raises(MosaicError, match=r"one picture \(1, 3, H, W\), not \(2, 3, 8, 8\)"):
        mosaic(torch.rand(2, 3, 8, 8))
    with pytest.raises(MosaicError, match="too little room"):
        mosaic(face[..., :16, :16])
