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
def refused() -> dict[str, bytes]:
    """One file of each sentence that the decoder has for them."""
    found: dict[str, bytes] = {}
    for data in corpus().values():
        try:
            photos.load(data)
        except PhotoError as error:
            found.setdefault(re.sub(r"[\d,]+", "0", str(error)), data)
    assert len(found) >= 10
    return found


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


def test_on_the_page(refused, tab, tmp_path):  # noqa: F811
    for data in refused.values():
        out = tab.photos.take_photo(put(tmp_path, data), ["dlib-resnet"], VISITOR)
        shown = out[tab.view.faces_line]
        one_sentence(re.sub(r"<[^>]*>", "", shown).strip())
    assert not list(tmp_path.glob("photo*")), "the upload is gone"


def test_by_the_api(refused, runtime, tmp_path):
    api = Api(runtime, Desk(tmp_path / "desk"))
    for data in refused.values():
        for call in (api.reveal, api.protect):
            with pytest.raises(gr.Error) as caught:
                call(put(tmp_path, data), request=VISITOR)
            one_sentence(str(caught.value.message))


def test_on_the_command_line(refused, tmp_path, capsys):
    file = tmp_path / "photo.png"
    for data in refused.values():
        file.write_bytes(data)
        for command in (["score", str(file), "--against", str(file)], ["reveal", str(file)]):
            assert main(command) == 2
            one_sentence(capsys.readouterr().err.strip())


def test_in_the_import_of_a_study(refused):
    for data in refused.values():
        with pytest.raises(StudyError) as caught:
            prepare(Incoming(data, photo="one"))
        one_sentence(str(caught.value))
