"""The geometric face swap: its points, its spline, its colours, and whole swaps of the built-in portraits."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from engines import recognise
from engines.face import ARCFACE112, CELEBA128, FaceError, align, retarget
from engines.nets.parser import CLASSES
from engines.swap import SIDE, coloured, found, region, spline, swap, swapped, warp
from engines.swap_points import RAYS, Points, mismatch, points


@pytest.fixture(scope="module")
def faces(astronaut, hopper) -> tuple[torch.Tensor, torch.Tensor]:
    """Eileen Collins and Grace Hopper, cut as CELEBA128."""
    return tuple(align(p.photo.pixels, p.landmarks, CELEBA128).pixels for p in (astronaut, hopper))


@pytest.fixture(scope="module")
def mask(faces) -> torch.Tensor:
    return swap(*faces)


def drawn(shift: int = 0, eyes: bool = True) -> torch.Tensor:
    """The classes of a face that is a disc with two eyes, a nose and a mouth, all moved to the right."""
    parts = torch.zeros(128, 128, dtype=torch.long)
    y, x = torch.meshgrid(torch.arange(128), torch.arange(128), indexing="ij")
    parts[(x - 64 - shift) ** 2 + (y - 78) ** 2 < 36**2] = CLASSES.index("skin")
    boxes = {"nose": (60, 76, 68, 88), "mouth": (54, 96, 74, 102)}
    boxes |= {"right_eye": (46, 62, 54, 68), "left_eye": (74, 62, 82, 68)} if eyes else {}
    for name, (x0, y0, x1, y1) in boxes.items():
        parts[y0:y1, x0 + shift : x1 + shift] = CLASSES.index(name)
    return parts


def test_points_are_where_the_parser_sees_eyes_nose_and_mouth():
    seen = points(drawn())
    expected = torch.tensor([[49.5, 64.5], [77.5, 64.5], [63.5, 84.8], [54.0, 98.5], [73.0, 98.5]])
    assert (seen.inner[:5] - expected).abs().max() < 1.5
    assert seen.inner[7, 1] == pytest.approx(96, abs=1) and seen.inner[8, 1] == pytest.approx(101, abs=1)


def test_the_outline_is_where_rays_leave_the_face_and_moves_with_it():
    seen, moved = points(drawn()), points(drawn(9))
    radius = (seen.outline - torch.tensor([64.0, 78.0])).norm(dim=1)
    assert seen.outline.shape == (RAYS, 2) and (radius - 36).abs().max() < 2
    torch.testing.assert_close(moved.all, seen.all + torch.tensor([9.0, 0.0]), atol=1.2, rtol=0)


def test_where_the_parser_misses_the_eyes_the_template_or_the_detector_says_where_they_are():
    blind = drawn(eyes=False)
    torch.testing.assert_close(points(blind).inner[:2], CELEBA128.tensor()[:2])
    five = CELEBA128.tensor() + 3
    assert torch.equal(points(blind, five).inner[:5], five)


def test_a_face_in_the_mirror_has_its_points_in_the_same_order():
    parts, sides = drawn(6).flip(1), [CLASSES.index(name) for name in ("left_eye", "right_eye")]
    left, right = (parts == side for side in sides)
    parts[left], parts[right] = sides[1], sides[0]
    seen, turned = points(drawn(6)), points(parts)
    mirrored = seen.mirrored()
    torch.testing.assert_close(mirrored.mirrored().all, seen.all, atol=1e-4, rtol=0)
    torch.testing.assert_close(mirrored.all, turned.all, atol=1.5, rtol=0)


def test_faces_that_look_the_same_way_match_wherever_and_however_large_they_are():
    seen = points(drawn())
    moved = Points(0.5 * seen.inner + 7, seen.outline, seen.face)
    turned = seen.inner.clone()
    turned[2, 0] += 14
    assert mismatch(seen, moved) < 1e-5
    assert 0.03 < mismatch(seen, Points(turned, seen.outline, seen.face)) < 0.3


def test_the_spline_meets_its_points_and_leaves_straight_lines_straight():
    target = torch.tensor([[10.0, 12.0], [40.0, 9.0], [30.0, 50.0], [55.0, 33.0], [8.0, 58.0]])
    bent = target + torch.tensor([[3.0, 0.0], [0.0, 2.0], [-4.0, 1.0], [0.0, 0.0], [1.0, 1.0]])
    flow = spline(target, bent, torch.zeros(5), 64)
    met = torch.stack([flow[int(y), int(x)] for x, y in target])
    torch.testing.assert_close(met, bent, atol=1e-3, rtol=0)
    even = spline(target, 0.5 * target + 3, torch.full((5,), 0.1), 64)
    torch.testing.assert_close(even[20, 40], torch.tensor([23.0, 13.0]), atol=1e-3, rtol=0)


def test_points_on_a_line_make_no_spline():
    line = torch.arange(5.0)[:, None].repeat(1, 2) * 10
    with pytest.raises(FaceError, match="on one line"):
        spline(line, line, torch.zeros(5), 64)


def test_warping_by_the_identity_changes_nothing_and_a_shift_shifts():
    pixels = torch.rand(1, 3, 16, 16)
    y, x = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    torch.testing.assert_close(warp(pixels, torch.stack([x, y], -1)), pixels, atol=1e-4, rtol=0)
    moved = warp(pixels, torch.stack([x + 2, y], -1))
    torch.testing.assert_close(moved[..., :12], pixels[..., 2:14], atol=1e-4, rtol=0)


def test_only_what_both_show_is_replaced_and_never_the_border():
    ours, hidden = points(drawn()), torch.ones(128, 128, dtype=torch.bool)
    hidden[:, :64] = False
    whole, half = region(ours, torch.ones(128, 128, dtype=torch.bool)), region(ours, hidden)
    assert (half <= whole).all() and not half[:, :58].any() and half[80, 80]
    assert not whole[~ours.face.numpy()].any() and set(whole.ravel()) == {0, 255}
    with pytest.raises(FaceError, match="too little in common"):
        region(ours, torch.zeros(128, 128, dtype=torch.bool))


def test_the_replacing_face_takes_on_the_colours_of_the_protected_one():
    generator = torch.Generator().manual_seed(0)
    one, two = (0.35 + 0.3 * torch.rand(1, 3, 32, 32, generator=generator) for _ in range(2))
    two[:, 0] *= 0.6
    inside = torch.ones(32, 32).numpy()
    moved = coloured(one, two, inside)
    assert (one.mean((2, 3)) - two.mean((2, 3))).abs().max() > 0.1
    torch.testing.assert_close(moved.mean((2, 3)), two.mean((2, 3)), atol=0.04, rtol=0)


def test_a_swap_keeps_what_lies_around_the_face_and_is_what_a_file_keeps(faces, mask):
    protected, _ = faces
    assert mask.shape == protected.shape and mask.min() >= 0 and mask.max() <= 1
    torch.testing.assert_close(mask * 255, (mask * 255).round(), atol=1e-4, rtol=0)
    changed = (mask - protected).abs().amax((0, 1)) > 1.01 / 255
    assert not changed[:4].any() and not changed[:, :4].any() and not changed[:, -4:].any()
    assert 0.05 < changed.float().mean() < 0.5 and changed[64:100, 50:78].float().mean() > 0.8


def test_the_same_faces_give_the_same_mask(faces, mask):
    assert torch.equal(swap(*faces), mask)


def test_a_recogniser_no_longer_matches_the_protected_face_and_sees_more_of_the_other(faces, mask):
    net = recognise.load("sface")
    protected, replacing, masked = (
        net.embed(retarget(pixels, CELEBA128, ARCFACE112))[0] for pixels in (*faces, mask)
    )
    assert masked @ protected < net.thresholds[0.01] and masked @ replacing > protected @ replacing + 0.1


def test_a_face_that_looks_the_other_way_is_mirrored_first(faces):
    protected, replacing = faces
    ours, other = found(protected), found(replacing)
    one = swapped(protected, replacing, ours, other)
    two = swapped(protected, replacing.flip(-1), ours, other.mirrored())
    torch.testing.assert_close(one, two, atol=2 / 255, rtol=0)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_crop_without_a_face_is_refused(faces, value):
    with pytest.raises(FaceError, match="No face can be made out"):
        swap(faces[0], torch.full((1, 3, SIDE, SIDE), value))


def test_a_crop_of_another_shape_is_refused(faces):
    with pytest.raises(FaceError, match=r"square crops \(1, 3, S, S\), not \(1, 3, 64, 80\)"):
        swap(faces[0], torch.rand(1, 3, 64, 80))


def test_faces_of_other_sizes_are_swapped_alike(faces, mask):
    large = [F.interpolate(face, (200, 200), mode="bicubic", align_corners=False).clamp(0, 1) for face in faces]
    made = swap(large[0], faces[1])
    assert made.shape == large[0].shape
    seen = F.interpolate(made, (128, 128), mode="bilinear", antialias=True, align_corners=False)
    assert float((seen - mask).abs().mean()) < 0.03
