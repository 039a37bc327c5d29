"""Files that nobody should put in, through every door: the page, the API, the command line, a study's import."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from serving import serving

from app import gallery
from app import photo as photos
from app.__main__ import main
from app.demo.calls import META
from app.photo import PhotoError
from app.study.errors import StudyError
from app.study.incoming import Incoming
from app.study.stimuli import prepare
from tests.corpus import corpus, largest
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


def peak(pid: int) -> int:
    """The most memory that a process ever had, in bytes."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return 1024 * int(found[1])


def asked_over_http(client: httpx.Client, name: str, data: bytes) -> str:
    """What a program is told that uploads a file and asks who is in it: a sentence, or the answer's JSON."""
    sent = client.post("/gradio_api/upload", files={"files": (f"{name[:40]}.png", data)})
    if sent.status_code != 200:
        return sent.json()["detail"] if sent.text.startswith("{") else sent.text
    call = client.post("/gradio_api/call/v2/reveal", json={"photo": {"path": sent.json()[0], "meta": META}})
    if call.status_code != 200:
        return call.json()["detail"]
    told = client.get(f"/gradio_api/call/v2/reveal/{call.json()['event_id']}").text
    kind, found = re.search(r"event: (complete|error)\ndata: (.*)", told).groups()
    return found if kind == "complete" else str(json.loads(found).get("error", found))


def test_by_the_api(files):
    """Over HTTP, as a program sends them: every third, and the largest that a decoder takes; 20 s, 1.5 GB at most."""
    slowest = 0.0
    with serving(example=False) as address, httpx.Client(base_url=str(address), timeout=60) as client:
        asked_over_http(client, "warm-up", gallery.portrait(gallery.COLLINS))
        before = peak(address.pid)
        for name, data in [*list(files.items())[::3], *largest().items()]:
            start = time.monotonic()
            told = asked_over_http(client, name, data)
            slowest = max(slowest, time.monotonic() - start)
            if told.startswith("["):
                assert decodes(data) and "on our side" not in told, name
            else:
                one_sentence(told)
        grown = peak(address.pid) - before
    assert slowest < 20 and grown < 1.5e9, (slowest, grown)


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
