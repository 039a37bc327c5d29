"""Who closes the tab or the connection: the work for them stops, and nothing is kept for nobody."""

from __future__ import annotations

import uuid
from types import SimpleNamespace

import gradio as gr
import pytest

from app import gallery
from app.demo import api, api_base, api_boards
from app.demo.api import Api
from app.demo.build import build
from app.demo.line import HEAVY
from app.demo.session import Desk
from app.demo.visitor import Owners, asking, visitor_of

ALICE = SimpleNamespace(session_hash="alice", cookies={})


@pytest.fixture
def endpoints(runtime, tmp_path):
    return Api(runtime, Desk(tmp_path / "desk"))


@pytest.fixture
def photo(tmp_path):
    def put() -> str:
        path = tmp_path / f"{uuid.uuid4().hex}.png"
        path.write_bytes(gallery.portrait(gallery.COLLINS))
        return str(path)

    return put


def leaving(work, endpoints, seen: list):
    """The same work, whose visitor leaves after its first item."""

    def done(*given):
        for item in work(*given):
            seen.append(item)
            yield item
            endpoints.desk.leave(ALICE)

    return done


def test_protecting_stops(endpoints, photo, monkeypatch):
    seen: list = []
    monkeypatch.setattr(api, "protect", leaving(api.protect, endpoints, seen))
    asked = {"targets": [gallery.HOPPER], "method": "pgd", "params": {"steps": 60}, "surrogates": ["sface"]}
    with pytest.raises(gr.Error, match="connection was closed"):
        endpoints.protect(photo(), **asked, request=ALICE)
    assert len(seen) < 5, "of a dozen pictures on the way"


def test_forging_stops(endpoints, photo, forgers, monkeypatch):
    seen: list = []
    monkeypatch.setattr(api_boards, "build", leaving(api_boards.build, endpoints, seen))
    with pytest.raises(gr.Error, match="connection was closed"):
        endpoints.forge(photo(), photo(), "age", request=ALICE)
    assert len(seen) == 1


def test_comparing_stops(endpoints, photo, small_panel, monkeypatch):
    seen: list = []
    monkeypatch.setattr(api_boards, "compare", leaving(api_boards.compare, endpoints, seen))
    with pytest.raises(gr.Error, match="connection was closed"):
        endpoints.compare([photo()], ["fgsm:Balanced", "pgd:Balanced"], [gallery.HOPPER], request=ALICE)
    assert not any(getattr(item, "name", "") == "pgd:Balanced" for item in seen)


def test_a_program_that_cancels_stops_its_work_and_nobody_elses(endpoints, photo, monkeypatch):
    """Gradio would only stop listening: the work, and the place in line, would go on to the end."""
    seen: list = []

    bob = SimpleNamespace(session_hash="bob", cookies={"larvatus": "b"})

    def cancelling(work):
        def done(*given):
            for item in work(*given):
                seen.append(item)
                yield item
                own = [(ALICE, "alice")] if len(seen) == 3 else []
                for who, session in [(bob, "alice"), (ALICE, "bob"), *own]:
                    asking.set(visitor_of(who))
                    api_base.cancel({"session_hash": session, "fn_index": 1, "event_id": "x"}, Owners())

        return done

    monkeypatch.setattr(api, "protect", cancelling(api.protect))
    asked = {"targets": [gallery.HOPPER], "method": "pgd", "params": {"steps": 60}, "surrogates": ["sface"]}
    with pytest.raises(gr.Error, match="connection was closed"):
        endpoints.protect(photo(), **asked, request=ALICE)
    assert len(seen) == 3, "of a dozen: not before Alice said so herself"


def test_who_comes_back_can_work_again(endpoints, photo):
    endpoints.desk.leave(ALICE)
    found, _ = endpoints.protect(
        photo(), targets=[gallery.HOPPER], method="fgsm", surrogates=["sface"], judges=["dlib-resnet"], request=ALICE
    )
    assert found


@pytest.fixture
def lanes(runtime, mask, hider, monkeypatch):
    """Which line every event of the page stands in, by the name of its function."""
    monkeypatch.setenv("LARVATUS_EXAMPLE", "0")
    works = [work for work in build(runtime).fns.values() if work.fn is not None]
    return {getattr(work.fn, "__qualname__", ""): work.concurrency_id for work in works}


def test_what_waits_for_the_machine_stands_in_the_line_for_heavy_work(lanes):
    """An event that holds `runtime.work` anywhere else would let four clicks stop everybody's page."""
    slow = [name for name in lanes if name.startswith(("EraserEvents.", "StolenEvents."))]
    assert len(slow) >= 6 and {lanes[name] for name in slow} == {HEAVY}


def test_no_click_waits_for_the_photos_of_others(lanes):
    """What opens a page, or answers a click at once, stands in no line with what decodes photos."""
    looking = ("take", "receive", "read_again", "control", "slide", "try_portrait", "sweep")
    slow = {name: lane for name, lane in lanes.items() if name.split(".")[-1].startswith(looking)}
    assert len(slow) >= 12 and set(slow.values()) <= {HEAVY, "looks", "curves"}, slow
    assert lanes["RunEvents.open"] == lanes["RunEvents.welcome"] == lanes["SettingEvents.choose_view"] == "light"
