"""A result of the demo that goes to the study workbench."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from PIL import Image

from app import photo as photos
from app import to_study
from app.made import Made
from app.study import inbox
from app.study.errors import StudyError
from app.study.stimuli import prepare, unseen

SETTINGS = {"provenance": {"method": "tip-im", "params": {"epsilon": 8.0, "kernel": [1, 2]}}}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("LARVATUS_STUDIES", str(tmp_path / "studies"))
    monkeypatch.delenv(to_study.VARIABLE, raising=False)
    monkeypatch.delenv("SPACE_ID", raising=False)


@pytest.fixture
def made(astronaut) -> Made:
    """The photo with its first pixel black."""
    pixels = astronaut.photo.pixels.clone()
    pixels[..., 0, 0] = 0
    return Made(astronaut, photos.encode(pixels, "PNG"), "tip-im", "x.png", SETTINGS, {"SSIM": 0.9})


def test_the_code_brings_photo_and_result_with_what_is_known_of_them(made):
    said = to_study.send(made)
    code = re.search("enter the code <code>([^<]+)</code>", said).group(1)
    assert to_study.CONSENT in said and "make workbench" in said
    reference, version = inbox.fetch(code)
    assert (reference.role, version.role) == ("reference", "test") and reference.photo == version.photo
    assert version.method == "tip-im" and version.parameters == {"epsilon": 8.0} and version.measures == {"SSIM": 0.9}
    assert version.data == made.file and version.provenance == SETTINGS
    with Image.open(io.BytesIO(reference.data)) as image:
        assert image.size == (made.person.photo.width, made.person.photo.height)


def test_two_photos_of_one_name_stay_apart_and_one_photo_comes_once(made):
    other = replace(made, person=replace(made.person, photo=photos.load(made.file)))
    first, second = to_study.pictures(made), to_study.pictures(other)
    assert first[0].photo != second[0].photo and first[0].photo.startswith(made.person.name)
    there = [prepare(one).row("study") for one in to_study.pictures(made)]
    assert unseen(map(prepare, first), there) == []
    later = to_study.pictures(replace(made, file=photos.encode(255 - made.person.photo.pixels, "PNG")))
    assert [one.source.role for one in unseen(map(prepare, later), there)] == ["test"]


@pytest.mark.parametrize(
    "space, address, expected",
    [("", "", True), ("a/b", "", False), ("a/b", "https://x.example", True), ("a/b", "javascript:alert(1)", False)],
)
def test_on_a_space_it_is_offered_where_the_workbench_has_an_address(space, address, expected, monkeypatch):
    monkeypatch.setenv("SPACE_ID", space)
    monkeypatch.setenv(to_study.VARIABLE, address)
    assert to_study.offered() == expected


def test_the_address_is_a_link_and_never_markup(made, monkeypatch):
    monkeypatch.setenv(to_study.VARIABLE, 'https://x.example/"><script>')
    assert "<script>" not in to_study.send(made)
    monkeypatch.setenv(to_study.VARIABLE, "https://x.example")
    assert 'href="https://x.example"' in to_study.send(made)


def test_a_folder_that_cannot_be_written_is_one_sentence(made, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LARVATUS_STUDIES", str(tmp_path / "file"))
    with pytest.raises(StudyError, match="set LARVATUS_STUDIES to one that you may write to"):
        to_study.send(made)
