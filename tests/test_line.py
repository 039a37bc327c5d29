"""The line for heavy work: who no longer gets in is told for how long, and who need not wait is let through."""

from __future__ import annotations

from types import SimpleNamespace

import gradio as gr
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from app.demo.asked import Asked
from app.demo.line import HEAVY, USUAL, Line

MOST = 3


@pytest.fixture
def demo():
    with gr.Blocks() as found:
        gr.Button().click(lambda: None, api_name="protect", concurrency_id=HEAVY, concurrency_limit=1)
        gr.Button().click(lambda: None, api_name="tick", concurrency_id="light")
    for work in found.fns.values():
        found._queue.create_event_queue_for_fn(work)
    return found


def work(demo: gr.Blocks, name: str):
    return next(one for one in demo.fns.values() if one.api_name == name)


def crowd(demo: gr.Blocks, count: int) -> None:
    """So many jobs wait."""
    heavy = work(demo, "protect")
    demo._queue.event_queue_per_concurrency_id[HEAVY].queue = [SimpleNamespace(fn=heavy)] * count


@pytest.fixture
def client(demo, tmp_path):
    routes = [Route("/{path:path}", lambda request: JSONResponse("in"), methods=["POST"])]
    guard = Middleware(Asked, root=tmp_path, wait=Line(demo, MOST).wait)
    return TestClient(Starlette(routes=routes, middleware=[guard]))


@pytest.mark.parametrize(
    "path", ["/gradio_api/call/protect", "/call/v2/protect", "/gradio_api/queue/join"]
)
def test_a_full_line_says_for_how_long(demo, client, path):
    event = {"data": [], "fn_index": work(demo, "protect")._id}
    crowd(demo, MOST - 1)
    assert client.post(path, json=event).json() == "in"
    crowd(demo, MOST)
    answer = client.post(path, json=event)
    assert answer.status_code == 429 and answer.headers["retry-after"] == str(int(MOST * USUAL))
    assert answer.json()["detail"] == f"The queue is full, about {MOST * USUAL:.0f} s: try again then. " + (
        "Nothing of yours is lost."
    )


def test_seconds_are_those_that_the_same_work_took(demo):
    line = Line(demo, MOST)
    assert (line.length(), line.seconds()) == (0, 0)
    crowd(demo, MOST)
    for seconds in (1.0, 1.5):
        demo._queue.process_time_per_fn[work(demo, "protect")].add(seconds)
    assert line.seconds() == MOST * 1.25 and line.wait("/gradio_api/call/protect", {}) == 4


@pytest.mark.parametrize("event", [{"fn_index": 1}, {"fn_index": 99}, {"fn_index": "0"}, {}, [], 7])
def test_what_needs_no_waiting_is_let_through_a_full_line(demo, client, event):
    crowd(demo, MOST + 1)
    assert client.post("/gradio_api/queue/join", json=event).json() == "in"
    assert client.post("/gradio_api/call/tick", json={"data": []}).json() == "in"
