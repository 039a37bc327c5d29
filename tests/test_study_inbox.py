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


def test_what_is_left_is_fetched_once_by_its_code_whatever_its_spelling():
    code = inbox.leave(PICTURES)
    assert code not in str(list(inbox.folder().iterdir())), "the code itself is not kept"
    assert inbox.fetch(code.lower().replace("-", " ")) == PICTURES
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


@pytest.mark.parametrize("code", ["", "ABC", "../../etc/passwd", "7KQM-2XHW-R9TC"])
def test_a_wrong_code_is_a_sentence(code):
    with pytest.raises(StudyError):
        inbox.fetch(code)
