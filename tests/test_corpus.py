"""Files that nobody should put in, through every door: the page, the API, the command line, a study's import."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import gradio as gr
import pytest

from app import photo as photos
from app.__main__ import main
from app.demo.api import Api
from app.demo.session import Desk
from app.photo import PhotoError
from app.study.errors import StudyError
from app.study.incoming import Incoming
from app.study.stimuli import prepare
from tests.corpus import corpus
from tests.test_demo import VISITOR, put, tab  # noqa: F401  (tab is a fixture)

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return corpus()


def one_sentence(text: str) -> str:
    assert re.fullmatch(r"[^\n!]{20,220}\.", text) and "Traceback" not in text and "on our side" not in text, text
    return text


def test_the_corpus_costs_neither_memory_nor_time():
    """In a process of its own, so that the peak is the decoder's: at most 1.5 GB and 20 s a file."""
    done = subprocess.run([sys.executable, "-m", "tests.corpus"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["files"] >= 300 and 20 < found["read"] < found["files"]
    assert found["slowest"][1] < 20 and found["peak"] < 1.5e9, found


def decodes(data: bytes) -> bool:
    try:
        photos.load(data)
    except PhotoError:
        return False
    return True


def test_on_the_page(files, tab, tmp_path):  # noqa: F811
    for name, data in files.items():
        out = tab.photos.take_photo(put(tmp_path, data), ["dlib-resnet"], VISITOR)
        shown = re.sub(r"<[^>]*>", "", out[tab.view.faces_line]).strip()
        if not decodes(data):
            one_sentence(shown)
        assert shown and "on our side" not in shown, name
    assert not list(tmp_path.glob("photo*")), "the upload is gone"


def test_by_the_api(files, runtime, tmp_path):
    api = Api(runtime, Desk(tmp_path / "desk"))
    for name, data in files.items():
        try:
            found = api.reveal(put(tmp_path, data), request=VISITOR)
        except gr.Error as error:
            one_sentence(str(error.message))
        else:
            assert decodes(data) and json.dumps(found), name


def test_on_the_command_line(files, tmp_path, capsys):
    file = tmp_path / "photo.png"
    for name, data in files.items():
        if re.search(r" (cut at|flipped|overwritten|doubled|emptied) ", name) and decodes(data):
            continue  # the same picture again, and each command starts the detector anew
        file.write_bytes(data)
        status, (printed, told) = main(["reveal", str(file)]), capsys.readouterr()
        assert status in (0, 1, 2) and (printed or told), name
        if status == 2:
            one_sentence(told.strip())
        assert decodes(data) or status == 2, name


def test_in_the_import_of_a_study(files):
    taken = 0
    for name, data in files.items():
        incoming = Incoming(data, photo="one", role="reference")
        try:
            prepare(incoming)
        except StudyError as error:
            assert "cannot be used: " in one_sentence(str(error)), name
        else:
            taken += 1
            assert decodes(data), name
    assert 100 < taken < len(files)
