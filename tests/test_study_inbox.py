"""Results on their way from the demo to a study."""

from __future__ import annotations

import os

import pytest

from app.study import inbox
from app.study.errors import StudyError
from app.study.incoming import Incoming


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("LARVATUS_STUDIES", str(tmp_path))


PICTURES = [
    Incoming(b"one", "ann", role="reference"),
    Incoming(b"two", "ann", method="tip-im", parameters={"epsilon": 8}, measures={"SSIM": 0.9}),
]


def test_what_is_left_is_fetched_by_its_code_whatever_its_spelling_until_it_is_dropped():
    code = inbox.leave(PICTURES)
    assert code not in str(list(inbox.folder().iterdir())), "the code itself is not kept"
    assert inbox.fetch(code.lower().replace("-", " ")) == inbox.fetch(code) == PICTURES
    inbox.drop(code)
    with pytest.raises(StudyError, match="Nothing waits under this code"):
        inbox.fetch(code)


def test_what_waited_a_day_is_gone_and_a_full_inbox_says_so(monkeypatch):
    code = inbox.leave(PICTURES)
    monkeypatch.setattr(inbox, "MOST", 1)
    with pytest.raises(StudyError, match="too many results waiting"):
        inbox.leave(PICTURES)
    for path in inbox.folder().iterdir():
        os.utime(path, (0, 0))
    inbox.leave(PICTURES)
    with pytest.raises(StudyError, match="Nothing waits"):
        inbox.fetch(code)


@pytest.mark.parametrize("harm", [lambda data: data[:50], lambda data: b"x", lambda data: b""])
def test_what_was_damaged_is_a_sentence(harm):
    code = inbox.leave(PICTURES)
    (path,) = inbox.folder().glob("*.zip")
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(StudyError, match="was damaged: send the result again"):
        inbox.fetch(code)


@pytest.mark.parametrize("code", ["", "ABC", "../../etc/passwd", "7KQM-2XHW-R9TC"])
def test_a_wrong_code_is_a_sentence(code):
    with pytest.raises(StudyError):
        inbox.fetch(code)
