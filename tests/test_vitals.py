"""Health and metrics: the first for everybody, the second for who knows the token, and nobody's photo in either."""

from __future__ import annotations

import gradio as gr
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from app.demo.vitals import Vitals
from engines.once import loaded
from engines.parse import parser

TOKEN = {"Authorization": "Bearer secret"}


@pytest.fixture
def demo():
    with gr.Blocks() as found:
        gr.Button().click(lambda: None, api_name="protect")
    found.queue(max_size=7)
    return found


@pytest.fixture
def client(demo, runtime):
    routes = [Route("/{path:path}", lambda request: PlainTextResponse("the page"), methods=["GET", "POST"])]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(Vitals, demo=demo, runtime=runtime)]))


def read(client) -> dict[tuple[str, str], float]:
    answer = client.get("/metrics", headers=TOKEN)
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/plain")
    families = text_string_to_metric_families(answer.text)
    return {(s.name, s.labels.get("event", "")): s.value for family in families for s in family.samples}


def test_health_answers_everybody_and_all_else_is_the_app(client, runtime):
    assert client.get("/health").json() == {"status": "ok", "device": runtime.device}
    assert client.get("/").text == client.post("/health").text == client.get("/health/x").text == "the page"


@pytest.mark.parametrize("token", [None, "", "other"])
def test_without_the_token_metrics_are_closed(client, monkeypatch, token):
    monkeypatch.delenv("LARVATUS_METRICS_TOKEN", raising=False)
    if token is not None:
        monkeypatch.setenv("LARVATUS_METRICS_TOKEN", token)
    for headers in ({}, TOKEN, {"Authorization": "Bearer "}):
        answer = client.get("/metrics", headers=headers)
        assert answer.status_code == 401 and "LARVATUS_METRICS_TOKEN" in answer.json()["detail"]


def test_metrics_are_the_queues_the_processs_and_the_models(client, demo, runtime, monkeypatch):
    monkeypatch.setenv("LARVATUS_METRICS_TOKEN", "secret")
    runtime.recogniser("sface")
    before = read(client)
    assert before["larvatus_queue_length", ""] == 0 and before["larvatus_queue_limit", ""] == 40
    assert before["larvatus_recognisers_loaded", ""] == len(runtime.loaded()) >= 1
    parser("parser")
    after = read(client)
    assert after["larvatus_networks_loaded", ""] == len(loaded()) >= 1
    weights = sum(tensor.nbytes for tensor in parser("parser").state_dict().values())
    assert after["larvatus_networks_bytes", ""] == sum(loaded().values()) >= weights > 1e5
    assert before["larvatus_recognisers_bytes", ""] == sum(runtime.loaded().values()) > 1e6
    assert before["process_resident_memory_bytes", ""] > 1e7
    function = next(one for one in demo.fns.values() if one.api_name == "protect")
    for seconds in (2.0, 3.0):
        demo._queue.process_time_per_fn[function].add(seconds)
    after = read(client)
    assert after["larvatus_event_seconds_count", "protect"] == 2
    assert after["larvatus_event_seconds_sum", "protect"] == 5
