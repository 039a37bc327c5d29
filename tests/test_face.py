"""Alignment, pasting and detection."""

import shutil
from pathlib import Path

import facenet_pytorch
import pytest
import torch

from engines import detect
from engines.checkpoints import CheckpointError
from engines.face import (
    ARCFACE112,
    CELEBA128,
    DLIB150,
    HEAD160,
    TEMPLATES,
    align,
    compose,
    feather,
    invert,
    paste,
    retarget,
    similarity,
)


def test_similarity_finds_a_known_map():
    source = ARCFACE112.tensor()
    angle, scale = torch.tensor(0.3), 1.7
    turn = scale * torch.tensor([[angle.cos(), -angle.sin()], [angle.sin(), angle.cos()]])
    target = source @ turn.T + torch.tensor([5.0, -9.0])
    found = similarity(source, target)
    assert torch.allclose(found, torch.cat([turn, torch.tensor([[5.0], [-9.0]])], 1), atol=1e-4)
    identity = compose(invert(found), found)
    assert torch.allclose(identity, torch.eye(2, 3), atol=1e-5)


def test_similarity_refuses_one_point():
    with pytest.raises(ValueError, match="larger box"):
        similarity(torch.ones(5, 2), ARCFACE112.tensor())


def test_dlib_template_is_the_published_move():
    expected = (ARCFACE112.tensor() - torch.tensor([38.2946, 51.6])) * 1.4926 + torch.tensor([47.7, 47.1])
    assert torch.allclose(DLIB150.tensor(), expected, atol=1e-4)
    assert set(TEMPLATES) == {"arcface112", "dlib150", "head160", "celeba128"}


@pytest.mark.parametrize("template", [ARCFACE112, DLIB150, HEAD160, CELEBA128], ids=lambda t: t.name)
def test_crop_holds_the_landmarks_where_its_map_says(runtime, astronaut, template):
    """Detected again in the crop, the landmarks are where `to_crop` sends them, near the template's."""
    crop = align(astronaut.photo.pixels, astronaut.landmarks, template)
    assert crop.pixels.shape == (1, 3, template.size, template.size)
    found = runtime.detector.faces((crop.pixels * 255).round().byte(), least=0.5)
    assert found, "no face in the aligned crop"
    sent = astronaut.landmarks @ crop.to_crop[:, :2].T + crop.to_crop[:, 2]
    assert (torch.tensor(found[0].landmarks) - sent).norm(dim=1).max() < 0.06 * template.size
    assert (sent - template.tensor()).norm(dim=1).mean() < 0.06 * template.size


def test_uint8_and_float_photos_align_alike(astronaut):
    pixels = astronaut.photo.pixels
    a = align(pixels, astronaut.landmarks).pixels
    b = align(pixels.float() / 255, astronaut.landmarks).pixels
    assert torch.allclose(a, b, atol=1e-6)


def test_align_is_differentiable(astronaut):
    photo = (astronaut.photo.pixels.double() / 255).requires_grad_(True)
    weight = torch.rand(1, 3, 112, 112, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (align(photo, astronaut.landmarks).pixels * weight).sum().backward()
    y, x = 110, 225  # inside the face
    step = torch.zeros_like(photo)
    step[0, 1, y, x] = 1e-3

    def value(p):
        return float((align(p, astronaut.landmarks).pixels * weight).sum())

    slope = (value(photo.detach() + step) - value(photo.detach() - step)) / 2e-3
    assert slope == pytest.approx(float(photo.grad[0, 1, y, x]), rel=1e-3)
    assert photo.grad[..., :20, :20].abs().max() == 0


def test_paste_of_nothing_changes_nothing(astronaut):
    crop = align(astronaut.photo.pixels, astronaut.landmarks)
    assert torch.equal(paste(astronaut.photo.pixels, crop, crop.pixels), astronaut.photo.pixels)


@pytest.mark.parametrize("size", [300, 512, 1500])
def test_paste_keeps_the_outside_and_the_ball(runtime, astronaut, size):
    """Bit-identical outside the crop's square; never further than the residual; kept inside."""
    photo = torch.nn.functional.interpolate(
        astronaut.photo.pixels, size=(size, size), mode="bilinear", antialias=True
    )
    face = runtime.detector.faces(photo)[0]
    crop = align(photo, torch.tensor(face.landmarks))
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 14, 14, generator=generator) - 0.5
    mask = torch.nn.functional.interpolate(coarse, size=112, mode="bilinear") * 24 / 255
    edited = (crop.pixels + mask).clamp(0, 1)
    out = paste(photo, crop, edited)
    changed = (out != photo).any(1)[0]
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    points = torch.stack([x, y], -1).float() @ crop.to_crop[:, :2].T + crop.to_crop[:, 2]
    inside = ((points > -1) & (points < 112)).all(-1)
    assert changed.any() and not (changed & ~inside).any()
    assert (out.int() - photo.int()).abs().max() <= 12
    again = align(out, torch.tensor(face.landmarks)).pixels
    kept = (again - crop.pixels) - (edited - crop.pixels) * feather(112)
    assert kept.abs().mean() < 0.3 * ((edited - crop.pixels) * feather(112)).abs().mean()


def test_retarget_agrees_with_cutting_from_the_photo(astronaut):
    """A dlib chip cut out of the ArcFace crop is the chip cut out of the photo, where the crop reaches."""
    small = align(astronaut.photo.pixels, astronaut.landmarks, ARCFACE112).pixels
    chip = align(astronaut.photo.pixels, astronaut.landmarks, DLIB150).pixels
    moved = retarget(small, ARCFACE112, DLIB150)
    assert (moved - chip)[..., :130, :].abs().mean() < 0.03
    assert torch.equal(retarget(small, ARCFACE112, ARCFACE112), small)


def test_detector_orders_faces_by_size(runtime, astronaut, hopper):
    a, b = astronaut.photo.pixels, hopper.photo.pixels
    b = torch.nn.functional.interpolate(b, size=(256, 218), mode="bilinear", antialias=True)
    both = torch.zeros(1, 3, 512, 512 + 218, dtype=torch.uint8)
    both[..., :512, :512], both[..., :256, 512:] = a, b
    faces = runtime.detector.faces(both)
    assert len(faces) == 2 and faces[0].area > faces[1].area
    assert faces[0].box[0] < 512 < faces[1].box[0]


def test_large_photos_are_searched_small_but_answered_large(runtime, astronaut):
    face = runtime.detector.faces(astronaut.photo.pixels)[0]
    big = torch.nn.functional.interpolate(astronaut.photo.pixels, scale_factor=4.0, mode="nearest")
    found = runtime.detector.faces(big)[0]
    assert torch.allclose(torch.tensor(found.landmarks), 4 * torch.tensor(face.landmarks), atol=12)


@pytest.mark.parametrize("size", [(33, 5000), (5000, 33), (27, 300), (28, 28)])
def test_a_strip_has_no_face_and_is_no_error(runtime, size):
    assert runtime.detector.faces(torch.zeros(1, 3, *size, dtype=torch.uint8)) == ()


def test_no_face_and_the_manual_box(runtime):
    empty = torch.full((1, 3, 300, 300), 128, dtype=torch.uint8)
    assert runtime.detector.faces(empty) == ()
    face = runtime.detector.in_box(empty, (60, 50, 200, 230))
    assert face.score == 0 and align(empty, torch.tensor(face.landmarks)).pixels.shape[-1] == 112
    for box in [(10, 10, 20, 200), (400, 400, 500, 500), (100, 100, 50, 50)]:
        with pytest.raises(ValueError, match="box"):
            runtime.detector.in_box(empty, box)


def test_manual_box_finds_the_real_face(runtime, astronaut):
    face = runtime.detector.in_box(astronaut.photo.pixels, (150, 40, 300, 200))
    assert torch.allclose(torch.tensor(face.landmarks), astronaut.landmarks, atol=4)


def test_laid_in_points_are_near_the_detected_ones(runtime, astronaut, hopper):
    """The fallback of a drawn box: template points laid in MTCNN's own box come near MTCNN's landmarks."""
    from engines.detect import _laid_into

    for person in (astronaut, hopper):
        x0, _, x1, _ = person.face.box
        laid = torch.tensor(_laid_into(*person.face.box).landmarks)
        assert (laid - person.landmarks).norm(dim=1).mean() < 0.12 * (x1 - x0)


def test_a_detector_whose_file_was_changed_is_refused(tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(Path(facenet_pytorch.__file__).parent / "data", folder)
    detect.check(folder)
    whole = bytearray((folder / "rnet.pt").read_bytes())
    whole[-1] ^= 1
    (folder / "rnet.pt").write_bytes(whole)
    with pytest.raises(CheckpointError, match="rnet.pt is not what facenet-pytorch published: install it again"):
        detect.check(folder)
    (folder / "pnet.pt").unlink()
    with pytest.raises(CheckpointError, match="pnet.pt is not"):
        detect.check(folder)
