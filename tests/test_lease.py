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
from engines.methods import METHODS

PANEL = Panel(("sface",), ("dlib-resnet",))
DIFFFACE = ("DiffFace", 2), ("DiffFace", 100)


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


def test_a_process_that_dies_is_a_sentence_and_frees_the_place(spaces, runtime, astronaut, hopper, monkeypatch):
    def dies(request):
        yield Progress(1, 3, 0.1, None, "Protecting")
        raise RuntimeError("worker exited: SIGKILL /tmp/x")

    monkeypatch.setattr(jobs, "_lent", dies)
    with pytest.raises(JobError, match="The lent GPU was lost"):
        list(jobs.protect(runtime, job(astronaut, hopper)))
    assert not runtime.work.locked()


def test_cancel_gives_the_gpu_back(spaces, runtime, astronaut, hopper):
    seen = []
    for item in jobs.protect(runtime, job(astronaut, hopper, steps=50), lambda: bool(seen)):
        seen.append(item)
    assert len(seen) == 1 and spaces.given_back == 1 and not runtime.work.locked()


def asked(method: str, attacked=("sface",), judges=("dlib-resnet",), targets=0, survival=True, **params) -> int:
    people = (SimpleNamespace(),) * targets
    return lease.seconds(Request(None, method, params, people, panel=Panel(attacked, judges), survival=survival))


@pytest.mark.parametrize("method", METHODS)
def test_more_judges_take_longer_and_what_survives_does(method):
    few, many = asked(method), asked(method, judges=("dlib-resnet", "compact-inception", "compact-edgenext"))
    assert lease.BASE < few < many and asked(method, survival=False) < few
    usual = Request(None, method)
    assert lease.seconds(usual) > lease.BASE, "the method's usual panel"


@pytest.mark.parametrize("method", [id for id, one in METHODS.items() if "surrogates" in one.needs])
def test_steps_take_longer_against_each_who_is_attacked(method):
    most = next(knob.high for knob in METHODS[method].Params.knobs() if knob.name == "steps")
    found = [asked(method, steps=steps) for steps in sorted({1, most})]
    assert found == sorted(set(found))
    assert asked(method, ("sface", "compact-vgg"), steps=most) > found[-1]


def test_greedy_insertion_looks_at_every_target_once_and_others_take_one():
    assert asked("tip-im", targets=20) == asked("tip-im") + 2 and asked("pgd", targets=20) == asked("pgd")


def test_each_methods_own_work_is_counted():
    once = asked("dip-watermark")
    assert asked("erasable-mask") == once and asked("id-guard") == once + lease.WALL
    geometric, few, many = (asked("ipmn", mask=mask, steps=n) for mask, n in (("Geometric swap", 100), *DIFFFACE))
    assert geometric == once and once + lease.LOADING < few < many, "only DiffFace takes steps"


WRONG = [{"steps": "many"}, {"steps": float("nan")}, {"steps": 10**9}, {"nosuch": 1}]


@pytest.mark.parametrize("params", WRONG, ids=str)
@pytest.mark.parametrize("method", METHODS)
def test_what_cannot_be_asks_for_the_least(method, params):
    assert asked(method, **params) == lease.BASE


def test_an_unknown_method_asks_for_the_least():
    assert asked("nosuch") == lease.BASE and lease.seconds(Request(None, "tip-im", None)) == lease.BASE


@pytest.mark.parametrize(("said", "lent"), [("true", 1), ("1", 1), ("T", 1), ("false", 0), ("0", 0), ("", 0)])
def test_a_gpu_is_lent_where_the_space_says_so(said, lent, monkeypatch):
    monkeypatch.setenv("SPACES_ZERO_GPU", said)
    assert lease.lent() == bool(lent)


def test_elsewhere_nothing_is_lent_and_there_a_process_keeps_to_the_processor(monkeypatch):
    monkeypatch.delenv("SPACES_ZERO_GPU", raising=False)
    assert lease.lend(len, lease.seconds) is len
    monkeypatch.delenv("LARVATUS_DEVICE", raising=False)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert Runtime().device == "cuda"
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    assert Runtime().device == "cpu"
