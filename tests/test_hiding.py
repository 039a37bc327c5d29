"""IPMN from photo to file and back. The networks are random: what is tested is that nothing is lost on the way."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from app import erase, gallery
from app import photo as photos
from app.__main__ import main
from app.erase import LOSSY, MOVED, OTHER_WEIGHTS, UNNAMED, Erasure
from app.jobs import protect
from app.making import Request, protected_file
from app.photo import Photo
from app.report import Result
from app.scoring import JobError
from app.watermarks import watermark_of
from engines import marks
from engines.checkpoints import CheckpointError
from engines.face import CELEBA128
from engines.frame import frame, place
from engines.method import MethodError, Scene, run
from engines.methods import METHODS
from engines.methods.ipmn import OTHER, Ipmn, IpmnParams, sizes_of
from engines.nets.ipmn import Ipmn as Networks
from engines.nets.ipmn import Sizes
from engines.parse import parts

WORDS = watermark_of("Larvatus")


@pytest.fixture
def done(runtime, astronaut, hopper, hider) -> Result:
    """Collins behind Hopper's face."""
    request = Request(astronaut, "ipmn", targets=(hopper,), watermark=WORDS)
    return next(item for item in protect(runtime, request) if isinstance(item, Result))


def test_the_exported_file_holds_what_the_network_made_bit_for_bit(runtime, astronaut, hopper, hider):
    crop = frame(astronaut.photo.pixels, astronaut.landmarks)
    request = Request(astronaut, "ipmn", targets=(hopper,), watermark=WORDS)
    result = next(item for item in protect(runtime, request) if isinstance(item, Result))
    names = [name for name, _ in result.hidden.pictures]
    assert names == ["Mask", "Watermarked mask", "Masked photo", "Restored"]
    exported = photos.load(result.file)
    x, y, side = exported.settings["frame"][:3]
    cut = exported.pixels[0, :, y : y + side, x : x + side].permute(1, 2, 0).numpy()
    assert side == crop.template.size and np.array_equal(cut, dict(result.hidden.pictures)["Masked photo"])
    assert not np.array_equal(*[dict(result.hidden.pictures)[name] for name in names[:2]])
    assert result.hidden.figures["lost matrix"] > 0 and len(result.hidden.carried) == 2
    assert "gets the hidden face back at" in result.verdict and "restored_psnr" in result.as_dict()["hidden"]


def test_the_way_back_is_exact_where_the_lost_matrix_is_known(hider):
    face, carrier = torch.rand(2, 1, 3, 96, 96)
    masked, lost = hider.put_on(face, carrier)
    back, mask = hider.take_off(masked, lost)
    assert (back - face).abs().max() < 1e-4 and (mask - carrier).abs().max() < 1e-4


def test_only_the_face_is_replaced_by_the_mask_generator(done):
    shown = dict(done.hidden.pictures)
    before = done.before[: shown["Mask"].shape[0]]
    assert shown["Mask"].shape[0] == shown["Mask"].shape[1] and before.shape[2] == 3
    x, y, side = photos.load(done.file).settings["frame"][:3]
    changed = (shown["Mask"] != done.before[y : y + side, x : x + side]).any(-1)
    assert 0.05 < changed.mean() < 0.7, "a face, and not the hair around it"


def test_the_same_request_gives_the_same_file(runtime, astronaut, hopper, hider):
    request = Request(astronaut, "ipmn", targets=(hopper,), watermark=WORDS)
    one, two = (photos.load(protected_file(runtime, request)).pixels for _ in range(2))
    assert torch.equal(one, two)


def test_a_file_comes_back_with_its_watermark_and_says_who_is_known_again(runtime, astronaut, done):
    masked = photos.load(done.file)
    found = erase.erase(runtime, Erasure(masked, "ipmn", original=astronaut.photo, watermark=WORDS))
    assert found.psnr == pytest.approx(done.hidden.psnr, abs=0.2) and found.target == gallery.HOPPER
    assert [one.source for one in found.carried] == ["masked photo", "recovered mask"] and not found.notes
    assert "The model's watermark: in the masked photo" in found.verdict
    blind = erase.erase(runtime, Erasure(masked, "ipmn"))
    assert blind.carried[0].nc is None and blind.psnr is None
    other = erase.erase(runtime, Erasure(masked, "ipmn", OTHER, astronaut.photo))
    assert not np.array_equal(other.erased, found.erased)


@pytest.fixture
def masked(runtime, astronaut, hopper, hider) -> Photo:
    """The same as a file alone."""
    request = Request(astronaut, "ipmn", targets=(hopper,), watermark=WORDS)
    return photos.load(protected_file(runtime, request))


def test_a_lossy_a_moved_an_unnamed_and_a_foreign_file_are_restored_with_a_warning(runtime, masked):
    jpeg = photos.load(photos.encode(masked.pixels, "JPEG", 90, masked.settings))
    cases = {
        LOSSY.format(kind="JPEG"): jpeg,
        MOVED: dataclasses.replace(masked, pixels=masked.pixels[..., :200, :]),
        UNNAMED: dataclasses.replace(masked, settings=None),
    }
    for words, photo in cases.items():
        assert words in erase.erase(runtime, Erasure(photo, "ipmn")).notes
    stamps = [{"id": "ipmn", "sha256": "0" * 64}]
    made = {**masked.settings["provenance"], "networks": stamps}
    foreign = dataclasses.replace(masked, settings={**masked.settings, "provenance": made})
    assert OTHER_WEIGHTS in erase.erase(runtime, Erasure(foreign, "ipmn")).notes


def test_without_the_files_settings_the_frame_lies_where_the_face_is(runtime, masked):
    """It begins at even pixels, as the one that was masked did: the same wavelets."""
    stripped = dataclasses.replace(masked, settings=None)
    person = erase.find_person(runtime, "the file", stripped)
    assert all(value % 2 == 0 for value in place(person.crop(METHODS["ipmn"])))


def test_what_cannot_be_hidden_is_said_in_a_sentence(runtime, astronaut, hopper, hider):
    jpeg = Request(astronaut, "ipmn", targets=(hopper,), watermark=WORDS, format="JPEG")
    with pytest.raises(JobError, match="JPEG drops: choose PNG"):
        next(iter(protect(runtime, jpeg)))
    with pytest.raises(MethodError, match="needs a watermark: enter a few words"):
        list(protect(runtime, Request(astronaut, "ipmn", targets=(hopper,))))
    with pytest.raises(MethodError, match="needs at least one target face"):
        list(protect(runtime, Request(astronaut, "ipmn", watermark=WORDS)))
    crop = frame(astronaut.photo.pixels, astronaut.landmarks).pixels
    with pytest.raises(MethodError, match="multiple of 8 pixels a side, 64 or more, not 100"):
        run(Ipmn(), crop[..., :100, :100], IpmnParams(), Scene(targets=crop, watermark=WORDS))
    with pytest.raises(MethodError, match="There is no network called 'x'"):
        Ipmn().restore(crop, "x")
    with pytest.raises(MethodError, match="multiple of 8 from 64 on"):
        Ipmn().watermark(torch.rand(1, 3, 40, 40))


def test_of_several_faces_the_one_that_looks_the_same_way_replaces(astronaut, hopper, hider):
    ours, other = (person.crop(SimpleNamespace(template=CELEBA128)).pixels for person in (astronaut, hopper))
    scenes = [Scene(targets=targets, watermark=WORDS) for targets in (torch.cat([other, ours]), ours, other)]
    both, own, foreign = ([*run(Ipmn(), ours, IpmnParams(), scene)][0].pixels for scene in scenes)
    assert torch.equal(both, own) and not torch.equal(own, foreign)
    assert (parts(ours) >= 0).all()


def test_a_watermark_lies_side_by_side_in_large_frames_and_is_read_as_one():
    mark = torch.rand(1, 3, 128, 128)
    large = marks.tiled(mark, 320)
    assert torch.equal(large[..., 128:256, 128:256], mark) and large.shape[-1] == 320
    torch.testing.assert_close(marks.folded(large), mark)
    noisy = marks.folded(large + 0.3 * torch.randn_like(large))
    assert (noisy - mark).std() < 0.2, "the mean of several readings"
    small = marks.tiled(mark, 96)
    assert small.shape[-1] == 96 and torch.equal(marks.folded(small), small)


def test_a_picture_is_a_watermark_whole_and_on_black(png):
    photo = photos.load(png(Image.new("RGB", (200, 100), (250, 40, 10))))
    mark = watermark_of("", photo)
    assert mark.shape == (1, 3, 128, 128) and mark[..., :32, :].max() == 0 and mark[0, 0, 64].min() > 0.9
    with pytest.raises(marks.MarkError, match="choose a brighter picture"):
        watermark_of("", photos.load(png(Image.new("RGB", (64, 64)))))
    with pytest.raises(marks.MarkError, match="needs some text"):
        watermark_of("  ")


def test_sizes_are_read_off_the_tensors_and_other_tensors_refused():
    sizes = Sizes(blocks=3, growth=6, layers=4, embedder=(4, 6, 8), extractor=10, residuals=2)
    assert dataclasses.replace(sizes_of(Networks(sizes).state_dict()), critic=sizes.critic) == sizes
    with pytest.raises(CheckpointError, match="is missing"):
        sizes_of({"weight": torch.zeros(1)})


def test_the_command_line_masks_and_takes_off_again(hider, astronaut_file, tmp_path, capsys):
    masked, back = tmp_path / "masked.png", tmp_path / "back.png"
    asked = ["protect", str(astronaut_file), "--out", str(masked), "--method", "ipmn", "--target", gallery.HOPPER]
    assert main([*asked, "--watermark", "Buyer 7"]) == 0
    assert "gets the hidden face back" in capsys.readouterr().out
    mark = tmp_path / "mark.png"
    Image.new("RGB", (64, 64), (255, 255, 255)).save(mark)
    asked = ["reveal", str(masked), "--method", "ipmn", "--out", str(back), "--original", str(astronaut_file)]
    assert main([*asked, "--watermark", str(mark)]) == 0 and photos.load(back.read_bytes()).settings
    assert "The model's watermark" in capsys.readouterr().out
    assert main(["protect", str(astronaut_file), "--out", str(masked), "--watermark", "x"]) != 0
    assert "TIP-IM carries no such watermark" in capsys.readouterr().err
