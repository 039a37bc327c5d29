"""Uploads by strangers: a folder each, in the visitor's own, while there is room; gone with "Delete now"."""

from __future__ import annotations

import errno
import importlib
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
from starlette.testclient import TestClient

from app.demo import uploads
from app.demo.session import Desk
from app.demo.visitor import COOKIE, folder_of
from app.errors import DISK


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def app(root, monkeypatch):
    build = importlib.import_module("app.demo.build")
    uploads.keep_apart()
    monkeypatch.setattr(build, "room", lambda: root)
    with gr.Blocks() as demo:
        gr.File()
    runtime = SimpleNamespace(cards={}, device="cpu", loaded=dict, budget=0)
    options = build.launch_options(demo, runtime)
    kept = {name: options[name] for name in ("max_file_size", "app_kwargs")}
    server, _, _ = demo.launch(prevent_thread_lock=True, server_port=None, quiet=True, **kept)
    yield server
    demo.close()


def visitor(app) -> TestClient:
    client = TestClient(app)
    client.get("/")
    return client


def sent(client: TestClient, data: bytes = b"photo", name: str = "photo.png"):
    return client.post("/gradio_api/upload", files={"files": (name, data)})


def secret(client: TestClient) -> str:
    return client.cookies[COOKIE]


def test_an_upload_lies_in_its_visitors_folder_under_a_name_of_its_own(app, root):
    alice, bob = visitor(app), visitor(app)
    paths = [Path(sent(who).json()[0]) for who in (alice, alice, bob)]
    assert len(set(paths)) == 3 and all(path.read_bytes() == b"photo" for path in paths)
    owners = [path.relative_to(root).parts[0] for path in paths]
    assert owners == [folder_of(secret(who)) for who in (alice, alice, bob)]
    assert alice.get(f"/gradio_api/file={paths[0]}").status_code == 200
    assert bob.get(f"/gradio_api/file={paths[0]}").status_code == 404


def test_delete_now_takes_what_was_uploaded_and_never_used(app, root):
    alice, bob = visitor(app), visitor(app)
    hers, his = (Path(sent(who).json()[0]) for who in (alice, bob))
    asked = SimpleNamespace(session_hash="one", cookies={COOKIE: secret(alice)})
    assert Desk(root).delete(asked) == (1, 5)
    assert not hers.exists() and his.exists()


def test_more_than_25_mb_is_refused_while_it_comes(app, root):
    answer = sent(visitor(app), bytes(27_000_000))
    assert answer.status_code == 413 and not [path for path in root.rglob("*") if path.is_file()]


def test_who_uploads_much_and_uses_nothing_is_told_to_wait(app, monkeypatch):
    monkeypatch.setattr(uploads, "MOST", 12)
    alice = visitor(app)
    assert [sent(alice).status_code for _ in range(4)] == [200, 200, 200, 413]
    assert sent(alice).text == uploads.TOO_MUCH and sent(visitor(app)).status_code == 200


def test_a_full_disk_is_said_before_and_while_an_upload_comes(app, monkeypatch):
    alice = visitor(app)
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as small:
        small.setattr(uploads.shutil, "disk_usage", lambda path: usage(10, 9, uploads.SPARE - 1))
        answer = sent(alice)
        assert (answer.status_code, answer.text) == (507, DISK)
    with monkeypatch.context() as full:

        def mkdir(*given, **named):
            raise OSError(errno.ENOSPC, "full")

        full.setattr(Path, "mkdir", mkdir)
        answer = sent(alice)
        assert (answer.status_code, answer.text) == (507, DISK)
    assert sent(alice).status_code == 200
