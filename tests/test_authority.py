"""The Authority tab's handlers, and the API's /reveal, without a browser."""

from __future__ import annotations

import uuid
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from app import gallery
from app.channel import CHANGES
from app.demo import api, authority, marks, protect
from app.demo.authority_events import AuthorityEvents
from app.demo.controls import Controls
from app.demo.session import Desk
from app.demo.setting_events import SettingEvents
from app.demo.visitor import visitor_of
from app.identities import Identities

ALICE, BOB = SimpleNamespace(session_hash="alice"), SimpleNamespace(session_hash="bob")
KEY = "larvatus"


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    return Desk(tmp_path_factory.mktemp("desk"))


@pytest.fixture(scope="module")
def tab(runtime, desk):
    with gr.Blocks():
        view = authority.draw()
    return SimpleNamespace(view=view, events=AuthorityEvents(runtime, view, desk))


@pytest.fixture(scope="module")
def endpoints(runtime, desk):
    return api.Api(runtime, desk)


@pytest.fixture(scope="module")
def marked(endpoints, desk, tmp_path_factory):
    """A protected file of visitor Alice, made through the API."""
    path = tmp_path_factory.mktemp("in") / "photo.png"
    path.write_bytes(gallery.portrait(gallery.COLLINS))
    file, report = endpoints.protect(
        str(path), method="dip-watermark", identity="Alice", judges=["compact-edgenext"], request=ALICE
    )
    assert report["mark"]["name"] == "Alice" and [row["recogniser"] for row in report["rows"]] != []
    with open(file, "rb") as data:
        return data.read()


def put(tmp_path, data: bytes, name: str = "photo.png") -> str:
    path = tmp_path / f"{uuid.uuid4().hex}-{name}"
    path.write_bytes(data)
    return str(path)


def test_a_photo_is_read_and_a_claim_checked(tab, marked, tmp_path):
    view = tab.view
    out = tab.events.take(put(tmp_path, marked), KEY, "alice", ALICE)
    assert "registered here as “Alice”" in out[view.verdict] and "Accepted" in out[view.verdict]
    assert out[view.marks].count("<i style") == 50 and out[view.photo].startswith("<img") and out[view.drop] is None
    again = tab.events.read_again("another key", "", ALICE)
    assert "no identity can be read with this key" in again[view.verdict]
    control = tab.events.control(ALICE)
    assert "Control" in control[view.status] and "no identity can be read" in control[view.status]


def test_mistakes_are_said_and_lose_nothing(tab, marked, tmp_path, desk):
    view = tab.view
    tab.events.take(put(tmp_path, marked), KEY, "", ALICE)
    held = desk.of(ALICE).inspected
    grey = tmp_path / "grey.png"
    Image.fromarray(np.full((200, 200, 3), 127, np.uint8)).save(grey)
    for out, words in (
        (tab.events.take(put(tmp_path, b"no photo"), KEY, "", ALICE), "JPEG, PNG"),
        (tab.events.take(str(grey), KEY, "", ALICE), "No face found"),
        (tab.events.read_again("", "", ALICE), "key must have 1 to 200"),
        (tab.events.read_again(KEY, "Mallory", ALICE), "“Mallory” is not registered"),
        (tab.events.read_again(KEY, "1" * 30, ALICE), "too long"),
    ):
        assert set(out) <= {view.status, view.drop} and words in out[view.status], words
        assert 'role="alert"' in out[view.status] and desk.of(ALICE).inspected is held
    nobody = SimpleNamespace(session_hash="nobody")
    for out in (tab.events.read_again(KEY, "", nobody), tab.events.control(nobody)):
        assert "no photo to read yet" in out[view.status]
    assert "no photo to read yet" in tab.events.receive(KEY, "", nobody)[view.status]


def test_another_visitor_does_not_see_who_is_registered(tab, marked, tmp_path):
    view = tab.view
    assert (
        "Alice" in tab.events.open(ALICE)[view.registry]
        and "Nobody is registered" in tab.events.open(BOB)[view.registry]
    )
    out = tab.events.take(put(tmp_path, marked), KEY, "", BOB)
    assert "which is not registered here" in out[view.verdict] and "Alice" not in out[view.verdict]


def test_a_session_that_ends_takes_its_registry_along(tmp_path, monkeypatch):
    desk, visitor = Desk(tmp_path), SimpleNamespace(session_hash="x")
    registry = desk.of(visitor).identities
    registry.register("Alice")
    assert registry.path.is_file() and tmp_path not in registry.path.parents, "what is in the folder may be served"
    desk.forget((visitor_of(visitor), "x"), float("inf"))
    assert not registry.path.exists()
    monkeypatch.setenv("LARVATUS_IDENTITIES", str(tmp_path / "shared.sqlite"))
    shared = Desk(tmp_path)
    shared.of(visitor).identities.register("Alice")
    shared.forget((visitor_of(visitor), "x"), float("inf"))
    assert Identities(tmp_path / "shared.sqlite").look_up("Alice")


def test_the_registry_registers_looks_up_and_deletes(tab):
    view, visitor = tab.view, SimpleNamespace(session_hash="registrar")
    out = tab.events.register("Carol", False, visitor)
    number = out[view.registry_line].split("number ")[1].split(".")[0]
    assert number in out[view.registry] and "Carol" in out[view.registry]
    assert number in tab.events.look_up("carol", visitor)[view.registry_line]
    hashed = tab.events.register("<Dave>", True, visitor)
    assert "verify only" in hashed[view.registry] and "Dave" not in hashed[view.registry]
    assert "&lt;Eve&gt;" in tab.events.register("<Eve>", False, visitor)[view.registry]
    assert "Carol" not in tab.events.delete("Carol", visitor)[view.registry]
    for out in (
        tab.events.look_up("Carol", visitor),
        tab.events.delete("", visitor),
        tab.events.register("x" * 61, False, visitor),
    ):
        assert 'role="alert"' in out[view.registry_line] and view.registry not in out


def test_sliders_and_curves(tab, marked, tmp_path):
    view = tab.view
    tab.events.take(put(tmp_path, marked), KEY, "", ALICE)
    figures = [out[view.curve] for out in tab.events.sweep("blur", ALICE)]
    points = next(change for change in CHANGES if change.id == "blur").points
    assert (
        len(figures) == len(points) + 1 and list(figures[-1].data[0].x) == list(points)[: len(figures[-1].data[0].x)]
    )
    assert max(figures[-1].data[0].y) <= 1 and figures[0].data[0].y[0] > 0.9
    assert len(list(tab.events.sweep("blur", ALICE))) == 1, "measured once"
    assert list(view.sliders) == ["jpeg", "noise", "scale", "blur"], "as slide() takes them"
    out = tab.events.slide("jpeg", 30.0, 0.0, 100.0, 1.0, ALICE)
    assert "of 50 bits as before" in out[view.left] and any(len(part.x) == 1 for part in out[view.curve].data)
    nobody = SimpleNamespace(session_hash="nobody")
    assert view.left in tab.events.slide("jpeg", 1, 2, 3, 4, nobody)


def test_the_identity_is_shown_as_bits_while_it_is_typed(desk):
    controls = Controls()
    with gr.Blocks():
        view = protect.draw(controls)
    settings = SettingEvents(view, controls, desk)
    shown = settings.name_identity("Zoe", KEY, BOB)
    assert shown.count("0") + shown.count("1") >= 50 and str(desk.of(BOB).identities.look_up("Zoe").number) in shown
    assert "Number 42." in settings.name_identity(f"{42:024b}", KEY, BOB)
    for text, key, words in (
        ("", KEY, "identity is empty"),
        ("1" * 25, KEY, "too long"),
        ("Zoe", "", "key must have"),
    ):
        assert words in settings.name_identity(text, key, BOB)
    folds = settings.choose_method("dip-watermark")
    assert folds[view.identity_fold]["visible"] and not folds[view.target_fold]["visible"]
    back = settings.choose_method("tip-im")
    assert not back[view.identity_fold]["visible"] and back[view.target_fold]["visible"]


def test_the_api_reveals(endpoints, marked, tmp_path):
    out = endpoints.reveal(put(tmp_path, marked), claim="Alice", request=ALICE)
    assert out["rows"][0]["name"] == "Alice" and out["claim"]["accepted"] is True
    out = endpoints.reveal(put(tmp_path, marked), request=BOB)
    assert out["rows"][0]["found"] and out["rows"][0]["name"] is None and "claim" not in out
    for given, words in (
        ({"photo": ""}, "no photo"),
        ({"photo": put(tmp_path, marked), "key": ""}, "key must have"),
        ({"photo": put(tmp_path, marked), "method": "tip-im"}, "leaves no mark"),
        ({"photo": put(tmp_path, marked), "method": "nosuch"}, "no method called"),
        ({"photo": put(tmp_path, b"x")}, "JPEG, PNG"),
    ):
        with pytest.raises(gr.Error, match=words):
            endpoints.reveal(**given, request=ALICE)


def test_marks_are_escaped_and_pale_where_unsure(tab, marked, tmp_path, desk):
    tab.events.take(put(tmp_path, marked), KEY, "", ALICE)
    found = desk.of(ALICE).inspected.found[0]
    html = marks.reading(found)
    assert "“Alice”" in html and "opacity:1.00" in html and "<script" not in html
