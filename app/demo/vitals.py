"""/health and /metrics, for whoever runs the app: whether it answers, and how busy it is. No visitor is in either.

/metrics tells how busy the machine is: it answers only to who knows LARVATUS_METRICS_TOKEN, and without one to
nobody.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator

import gradio as gr
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.demo.line import Line
from app.runtime import Runtime
from engines import once


class Load(Collector):
    """What is read at each scrape: the queue, how long its work took, the networks in memory."""

    def __init__(self, demo: gr.Blocks, runtime: Runtime):
        self.demo, self.runtime, self.line = demo, runtime, Line(demo)

    def collect(self) -> Iterable[Metric]:
        """See prometheus_client."""
        yield from self._queue()
        loaded = self.runtime.loaded()
        yield GaugeMetricFamily("larvatus_recognisers_loaded", "Recognisers in memory.", len(loaded))
        yield GaugeMetricFamily("larvatus_recognisers_bytes", "What they take.", sum(loaded.values()))
        yield GaugeMetricFamily("larvatus_recognisers_budget_bytes", "What they may take.", self.runtime.budget)
        others = once.loaded()
        yield GaugeMetricFamily("larvatus_networks_loaded", "Methods' and forgers' networks in memory.", len(others))
        yield GaugeMetricFamily("larvatus_networks_bytes", "What they take.", sum(others.values()))

    def _queue(self) -> Iterator[Metric]:
        queue = self.demo._queue
        yield GaugeMetricFamily("larvatus_queue_length", "Heavy jobs that wait.", self.line.length())
        yield GaugeMetricFamily("larvatus_queue_limit", "Heavy jobs that may wait.", self.line.most)
        yield GaugeMetricFamily("larvatus_queue_seconds", "How long those who wait will take.", self.line.seconds())
        yield GaugeMetricFamily("larvatus_events_waiting", "Events of any kind that wait.", len(queue))
        yield GaugeMetricFamily("larvatus_working", "Events under way.", queue.get_active_worker_count())
        took = SummaryMetricFamily("larvatus_event_seconds", "Events that ended, by what they did.", labels=["event"])
        times: dict[str, tuple[int, float]] = {}
        for function, time in list(queue.process_time_per_fn.items()):
            name = str(function.api_name or function.name)
            count, total = times.get(name, (0, 0.0))
            times[name] = (count + time.count, total + time.process_time)
        for name, (count, total) in times.items():
            took.add_metric([name], count, total)
        yield took


class Vitals:
    """ASGI middleware in front of all else."""

    def __init__(self, app: ASGIApp, demo: gr.Blocks, runtime: Runtime):
        self.app, self.runtime = app, runtime
        self._registry = CollectorRegistry()
        self._registry.register(Load(demo, runtime))
        ProcessCollector(registry=self._registry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        answer = self._answer(scope) if scope["type"] == "http" else None
        await (answer(scope, receive, send) if answer else self.app(scope, receive, send))

    def _answer(self, scope: Scope) -> Response | None:
        if scope["method"] not in ("GET", "HEAD"):
            return None
        if scope["path"] == "/health":
            return JSONResponse({"status": "ok", "device": self.runtime.device})
        if scope["path"] != "/metrics":
            return None
        if not _allowed(dict(scope["headers"]).get(b"authorization", b"")):
            return JSONResponse({"detail": "Send the token of LARVATUS_METRICS_TOKEN as a bearer token."}, 401)
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)


def _allowed(header: bytes) -> bool:
    token = os.environ.get("LARVATUS_METRICS_TOKEN", "")
    return bool(token) and secrets.compare_digest(header, f"Bearer {token}".encode())
