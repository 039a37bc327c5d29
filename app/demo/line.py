"""The line for heavy work, which is done one job at a time: who no longer gets in is told for how long.

Gradio's own limit counts every event: once reached it would refuse the clicks, too, that do not need to wait.
"""

from __future__ import annotations

import math
from typing import Any

import gradio as gr

from app.demo.calls import NAMED

HEAVY = "heavy"  # the concurrency_id of all that takes seconds
MOST = 40  # jobs that may wait
USUAL = 5.0  # seconds of a kind of work that was not done yet since the start
EVENTS = 400  # of any kind that may wait: only a flood has so many


class Line:
    """What waits for heavy work in `demo`, `most` jobs at most."""

    def __init__(self, demo: gr.Blocks, most: int = MOST):
        self.demo, self.most = demo, most

    def wait(self, path: str, event: Any) -> int | None:
        """Whole seconds until the line is done, where this event would join it and it is full; else None."""
        work = self._work(path, event)
        full = work is not None and work.concurrency_id == HEAVY and self.length() >= self.most
        return max(1, math.ceil(self.seconds())) if full else None

    def length(self) -> int:
        """How many wait."""
        return len(self._waiting())

    def seconds(self) -> float:
        """How long those who wait will take, by what their kinds of work took so far."""
        times = self.demo._queue.process_time_per_fn
        return sum(times[one.fn].avg_time if one.fn in times else USUAL for one in self._waiting())

    def _waiting(self) -> list[Any]:
        line = self.demo._queue.event_queue_per_concurrency_id.get(HEAVY)
        return line.queue if line else []

    def _work(self, path: str, event: Any) -> Any:
        """Gradio's record of what an event asks for; None where there is no such thing."""
        if named := NAMED.match(path):
            return next((work for work in self.demo.fns.values() if work.api_name == named[2]), None)
        index = event.get("fn_index") if isinstance(event, dict) else None
        return self.demo.fns.get(index) if isinstance(index, int) else None
