"""Many visitors at once: what is counted of them. The run itself is `python -m app.crowd`."""

from __future__ import annotations

from types import SimpleNamespace

import httpx
import pytest

from app import crowd
from app.crowd_figures import CANCELLED, LEFT, Seen, faults, overtaken, summary
from app.demo.calls import fault
from app.demo.wishes import CHECKS
from engines.checkpoints import registry

JOBS = [(0, "fgsm", 0.0, 4.0), (1, "score", 1.0, 5.0), (0, "fgsm", 4.0, 9.0)]


def test_jobs_in_order_are_not_overtaken_and_others_are_counted():
    assert overtaken(JOBS) == 0
    assert overtaken([*JOBS, (2, "fgsm", 3.0, 3.5)]) == 1, "before the two that were asked for earlier"
    assert overtaken([*JOBS, (2, "fgsm", 0.5, 3.5)]) == 0, "within the slack"


def test_the_figures_are_those_of_what_was_seen():
    memory = [(3.0, 900.0), (4.5, 1000.0), (7.0, 1040.0), (8.0, 1010.0)]  # by 5 s each kind was done once
    found = summary(Seen(JOBS, [30], ["score: no"], [0.1, 0.3, 0.2], memory), 3, 1.5)
    assert found["jobs"] == {"fgsm": 2, "score": 1} and found["jobs of a visitor"] == [0, 2]
    assert found["seconds of a job"] == {"median": 4.0, "longest": 5.0}
    assert found["page"] == {"median": 0.2, "longest": 0.3} and found["failures"] == ["score: no"]
    assert found["memory"] == {"warm": 1000, "most later": 1040, "end": 1010}
    assert found["told that the queue is full"] == 1 and found["done out of order"] == 0


def test_a_promise_that_is_not_kept_is_named():
    times = {"median": 0.1, "longest": 0.4, "times": 3}
    kept = summary(Seen(JOBS, [30], [], [0.1], [(3.0, 900.0), (9.0, 980.0)]), 2, 1.0)
    kept = {**kept, CANCELLED: times, LEFT: times}
    assert faults(kept) == []
    late = {**times, "longest": 1.2}
    assert faults({**kept, CANCELLED: late}) == [f"{CANCELLED}: 1.2, promised 1"]
    assert faults({**kept, LEFT: {**times, "longest": 11.0}}) == [f"{LEFT}: 11.0, promised 10"]
    assert faults({**kept, "failures": ["x", "y"]}) == ["2 failures"]
    assert "memory grew to 1000 MB" in faults({**kept, "memory": {"warm": 900, "most later": 1000}})[0]
    assert faults({**kept, "memory": {}}) and faults({**kept, "jobs of a visitor": [0, 3]})


def test_nothing_seen_is_no_error():
    assert summary(Seen(), 2, 0.1)["jobs of a visitor"] == [0, 0]


def test_every_kind_of_job_is_one_that_the_api_takes(tmp_path):
    """And each endpoint that makes somebody wait in line is among them."""
    photo = tmp_path / "photo.png"
    photo.write_bytes(b"a photo")
    for kind in crowd.JOBS:
        job = crowd.asked(kind, photo)
        assert fault(f"/call/v2{job.pop('api_name')}", job, registry()) is None, kind
    light = {"send_to_study", "methods", "models", "claims", "identities"}
    assert {job["api_name"].strip("/") for job in crowd.JOBS.values()} == set(CHECKS) - light


@pytest.mark.parametrize(("status", "told", "failed"), [(429, [7], 0), (500, [], 1)])
def test_who_is_sent_away_comes_back_later_and_an_error_is_a_failure(monkeypatch, status, told, failed):
    slept = []
    monkeypatch.setattr(crowd.time, "sleep", slept.append)

    def predict(**job):
        answer = httpx.Response(status, headers={"Retry-After": "7"}, request=httpx.Request("POST", "http://x"))
        answer.raise_for_status()

    seen = Seen()
    crowd._ask(SimpleNamespace(predict=predict), (0, "fgsm"), {}, seen)
    assert seen.told == told == slept and len(seen.failures) == failed and not seen.jobs
