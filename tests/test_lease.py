"""A GPU lent for a job: what goes to the other process and comes back is pickled; Cancel gives the GPU back."""

from __future__ import annotations

import pickle
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from app import jobs, lease
from app.making import Request
from app.panel import Panel
from app.report import Progress, Result
from app.runtime import Runtime
from app.scoring import JobError

PANEL = Panel(("sface",), ("dlib-resnet",))


@pytest.fixture
def spaces(monkeypatch, runtime) -> SimpleNamespace:
    """Stands in for the package on a ZeroGPU Space: pickles both ways, and tells of errors by their class alone."""
    noted = SimpleNamespace(asked=[], given_back=0)

    def gpu(duration):
        def decorated(work):
            def call(*given):
                noted.asked.append(duration(*given))
                stream = work(*pickle.loads(pickle.dumps(given)))
                try:
                    for item in stream:
                        yield pickle.loads(pickle.dumps(item))
                except GeneratorExit:
                    noted.given_back += 1
                    raise
                except Exception as error:
                    raise RuntimeError(type(error).__name__) from None

            return call

        return decorated

    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    monkeypatch.setitem(sys.modules, "spaces", SimpleNamespace(GPU=gpu))
    monkeypatch.setattr(jobs, "_lent_runtime", lambda: runtime)
    monkeypatch.setattr(jobs, "_lent", lease.lend(jobs._with_lent, lease.seconds))
    return noted


def job(sitter, target, **params) -> Request:
    return Request(sitter, "tip-im", {"steps": 3, **params}, (target,), panel=PANEL, survival=False)


def test_a_job_with_a_lent_gpu_gives_what_it_gives_without(spaces, runtime, astronaut, hopper, monkeypatch):
    request = job(astronaut, hopper)
    *progress, lent = jobs.protect(runtime, request)
    assert progress and all(isinstance(one, Progress) for one in progress) and isinstance(lent, Result)
    assert spaces.asked == [lease.seconds(request)] and not runtime.work.locked()
    monkeypatch.delenv("SPACES_ZERO_GPU")
    *_, own = jobs.protect(runtime, request)
    assert np.array_equal(lent.after, own.after) and lent.scores == own.scores and len(spaces.asked) == 1


def test_its_errors_come_back_as_sentences(spaces, runtime, astronaut, hopper):
    with pytest.raises(JobError) as caught:
        list(jobs.protect(runtime, Request(astronaut, "tip-im", {"steps": 3}, (astronaut,), panel=PANEL)))
    assert "looks like the person" in str(caught.value) and not runtime.work.locked()


def test_cancel_gives_the_gpu_back(spaces, runtime, astronaut, hopper):
    seen = []
    for item in jobs.protect(runtime, job(astronaut, hopper, steps=50), lambda: bool(seen)):
        seen.append(item)
    assert len(seen) == 1 and spaces.given_back == 1 and not runtime.work.locked()


def test_longer_jobs_ask_for_longer(astronaut, hopper):
    asked = [lease.seconds(job(astronaut, hopper, steps=steps)) for steps in (1, 50, 200)]
    assert asked == sorted(set(asked)) and asked[0] >= lease.BASE
    assert lease.seconds(job(astronaut, hopper, steps="many")) == lease.BASE
    assert lease.seconds(job(astronaut, hopper, steps=float("nan"))) == lease.BASE
    two = Request(astronaut, params={"steps": 100}, panel=Panel(("sface", "compact-vgg"), ()))
    assert lease.seconds(two) == lease.BASE + 20


def test_elsewhere_nothing_is_lent_and_there_a_process_keeps_to_the_processor(monkeypatch):
    monkeypatch.delenv("SPACES_ZERO_GPU", raising=False)
    assert lease.lend(len, lease.seconds) is len
    monkeypatch.delenv("LARVATUS_DEVICE", raising=False)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert Runtime().device == "cuda"
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    assert Runtime().device == "cpu"
