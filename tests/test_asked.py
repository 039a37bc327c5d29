"""Events bring only files that were uploaded here: no address is fetched, no other path is read."""

from __future__ import annotations

import json

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from app.demo import asked
from app.demo.asked import Asked


async def echo(request) -> PlainTextResponse:
    return PlainTextResponse(await request.body())


@pytest.fixture
def root(tmp_path):
    return tmp_path / "files"


@pytest.fixture
def client(root):
    routes = [Route("/{path:path}", echo, methods=["GET", "POST"])]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(Asked, root=root)]))


def file(path) -> dict:
    return {"path": path, "meta": {"_type": "gradio.FileData"}, "orig_name": "photo.png"}


WAYS = ("/gradio_api/queue/join", "/queue/join", "/gradio_api/call/protect", "/gradio_api/run/x", "/api/protect")


def test_a_cancel_is_heard_of_and_passed_on(root):
    heard = []
    routes = [Route("/{path:path}", echo, methods=["POST"])]

    def cancel(event):
        heard.append(event)
        return event["session_hash"] == "alice"

    client = TestClient(Starlette(routes=routes, middleware=[Middleware(Asked, root=root, cancel=cancel)]))
    told = {"session_hash": "alice", "fn_index": 3, "event_id": "x"}
    assert client.post("/gradio_api/cancel", json=told).json() == told and heard == [told]
    assert client.post("/gradio_api/cancel", content=b"{").status_code == 400
    client.post("/gradio_api/queue/join", json={"data": []})
    assert heard == [told]
    refused = client.post("/gradio_api/cancel", json={**told, "session_hash": "bob"})
    assert refused.status_code == 404 and "Nothing of yours" in refused.json()["detail"]


@pytest.mark.parametrize("way", WAYS)
def test_what_was_uploaded_passes_to_the_byte(client, root, way):
    body = json.dumps({"data": [file(str(root / "ab" / "photo.png")), {"path": None}, None, "http://x"]}).encode()
    answer = client.post(way, content=body)
    assert answer.status_code == 200 and answer.content == body


@pytest.mark.parametrize(
    "path",
    [
        "http://127.0.0.1:80/x.png",
        "http://169.254.169.254/latest/meta-data/",
        "https://example.org/photo.png",
        "file:///etc/passwd",
        "/etc/passwd",
        "../secret.png",
        "{root}/../secret.png",
        "photo\0.png",
        "",
        7,
        ["/etc/passwd"],
    ],
)
@pytest.mark.parametrize("way", WAYS)
def test_addresses_and_other_paths_are_refused(client, root, path, way):
    path = path.replace("{root}", str(root)) if isinstance(path, str) else path
    for data in ([file(path)], [{"path": path}], [[{"deep": [file(str(root / "good.png")), file(path)]}]]):
        answer = client.post(way, json={"data": data})
        assert answer.status_code == 400 and answer.json()["detail"] == asked.ELSEWHERE


def test_what_is_no_event_is_left_alone(client):
    body = json.dumps([file("/etc/passwd")])
    assert client.post("/gradio_api/upload", content=body).status_code == 200
    assert client.get("/gradio_api/call/protect/7").status_code == 200


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 200_000])
def test_broken_json_is_a_sentence(client, body):
    answer = client.post("/gradio_api/queue/join", content=body)
    assert answer.status_code == 400 and answer.json()["detail"] == asked.BROKEN


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_is_none_is_a_sentence(client, number):
    for body in (f'{{"data": [{number}]}}', f'{{"data": [[{{"gamma": {number}}}], 1]}}'):
        answer = client.post("/gradio_api/queue/join", content=body)
        assert answer.status_code == 400 and number in answer.json()["detail"]
    assert client.post("/gradio_api/queue/join", json={"data": [number]}).status_code == 200, "as text it may stand"


def test_a_large_body_is_refused_before_it_is_read_whole(client):
    pulled = []

    def parts():
        for i in range(100):
            pulled.append(i)
            yield b" " * 1_000_000

    answer = client.post("/gradio_api/queue/join", content=parts())
    assert answer.status_code == 413 and answer.json()["detail"] == asked.TOO_LARGE
