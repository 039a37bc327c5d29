"""The Forge tab's handlers without a browser. Forgers and ID-Guard are random: what is asked is who sees what."""

from __future__ import annotations

import uuid
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest

from app import gallery
from app import photo as photos
from app.demo import api
from app.demo import forge as forge_tab
from app.demo.faces import from_person
from app.demo.forge_events import NOTHING, ForgeEvents
from app.demo.session import Desk
from app.jobs import protect
from app.made import Made
from app.making import Request
from app.panel import Panel
from engines import manipulate
from engines.methods import METHODS

ALICE = SimpleNamespace(session_hash="alice")


@pytest.fixture
def tab(runtime, guard, tmp_path):
    desk = Desk(tmp_path)
    with gr.Blocks():
        view = forge_tab.draw()
    return SimpleNamespace(view=view, events=ForgeEvents(runtime, view, desk), session=desk.of(ALICE))


def given(tab, **changes):
    """What the page holds: every input at its first value."""
    view = tab.view
    values = {part: part.value for part in view.inputs}
    return values | {getattr(view, name): value for name, value in changes.items()}


def test_the_example_is_forged_at_once_and_tiles_come_one_by_one(tab):
    view = tab.view
    *partly, last, end = tab.events.open(given(tab), ALICE)
    walls = [out[view.wall] for out in (*partly, last) if view.wall in out]
    assert [html.count("data-forger") for html in walls] == [1, 2, 2] and walls[0].count("lv-empty") == 1
    assert "of 2 forgers fail" in last[view.verdict] and last[view.faces].count("<figure>") == 3
    assert last[view.closer]["visible"] and len(last[view.slider]) == 2 and "Done in" in end[view.status]
    settings = photos.load(Path(last[view.download]).read_bytes()).settings
    assert [row["forger"] for row in settings["forged"]] == ["stargan", "hisd"]
    protected = photos.load(Path(last[view.download_file]).read_bytes()).settings
    assert protected["provenance"]["method"] == "id-guard"
    assert list(tab.events.open(given(tab), ALICE)) == [{view.status: gr.skip()}]


def test_the_visitors_own_face_is_forged_only_when_asked(tab, astronaut, tmp_path):
    path = tmp_path / f"{uuid.uuid4().hex}.png"
    path.write_bytes(gallery.portrait(gallery.COLLINS))
    out = tab.events.take(str(path), ALICE)
    assert out[tab.view.sitter].startswith("<img") and not path.exists() and out[tab.view.wall] == ""
    assert list(tab.events.again(given(tab), ALICE)) == [{tab.view.status: gr.skip()}]
    *_, last, _ = tab.events.run(given(tab, edit="age"), ALICE)
    assert "<span>age<" in last[tab.view.wall] and "<span>black hair<" in last[tab.view.wall]  # HiSD has no age
    *_, last, _ = tab.events.again(given(tab, edit="black hair"), ALICE)
    assert "<span>age<" not in last[tab.view.wall]


def test_an_own_photo_from_protect_waits_for_the_press(tab, astronaut):
    tab.session.sitter = replace(from_person(astronaut), own=True)
    found = list(tab.events.open(given(tab), ALICE))
    assert len(found) == 1 and tab.session.forging.wall is None


def test_what_was_protected_elsewhere_can_be_sent(tab, astronaut):
    file = photos.encode(astronaut.photo.pixels, "PNG", 95, {})
    assert NOTHING in next(tab.events.receive(given(tab), ALICE))[tab.view.status]
    tab.session.made = Made(astronaut, file, "tip-im", "larvatus-tip-im.png")
    first, *_, last, _ = tab.events.receive(given(tab), ALICE)
    source = first[tab.view.source]
    assert source["visible"] and source["choices"][-1] == ("TIP-IM, sent from Protect", forge_tab.SENT)
    assert first[tab.view.knobs_fold]["visible"] is False
    assert "None of 2 forgers fails" in last[tab.view.verdict]  # the file is the photo itself
    assert Path(last[tab.view.download_file]).read_bytes() == file
    assert tab.events.choose("id-guard")[tab.view.knobs_fold]["visible"]


def test_without_forgers_nothing_is_offered(guard, monkeypatch):
    assert forge_tab.offered()
    monkeypatch.setattr(manipulate, "available", lambda: ())
    assert not forge_tab.offered()


def test_without_a_method_against_forgers_the_last_result_is_forged(
    runtime, forgers, astronaut, tmp_path, monkeypatch
):
    monkeypatch.delitem(METHODS, "id-guard", raising=False)
    desk = Desk(tmp_path)
    with gr.Blocks():
        view = forge_tab.draw()
    events, session = ForgeEvents(runtime, view, desk), desk.of(ALICE)
    tab = SimpleNamespace(view=view, events=events, session=session)
    assert forge_tab.offered() and view.knobs == {} and not view.drop.visible and view.source.value is None
    assert NOTHING in next(events.open(given(tab), ALICE))[view.status]
    session.sitter = from_person(astronaut)
    file = photos.encode(astronaut.photo.pixels, "PNG", 95, {})
    session.made = Made(astronaut, file, "tip-im", "larvatus-tip-im.png")
    *_, last, _ = events.open(given(tab), ALICE)
    assert "None of 2 forgers fails" in last[view.verdict]
    assert list(events.open(given(tab), ALICE)) == [{view.status: gr.skip()}]
    session.made = replace(session.made, name="another.png")
    assert len(list(events.open(given(tab), ALICE))) > 2, "a new result is forged anew"
    *_, last, _ = events.again(given(tab, edit="black hair"), ALICE)
    assert "<span>black hair<" in last[view.wall]


def test_a_click_enlarges_the_pair(tab):
    list(tab.events.open(given(tab), ALICE))
    out = tab.events.enlarge(gr.EventData(None, {"forger": "hisd"}), ALICE)
    assert "HiSD" in out[tab.view.closer_line]
    assert tab.events.enlarge(gr.EventData(None, {"forger": "nobody"}), ALICE) == {tab.view.closer: gr.skip()}


def test_mistakes_are_said_where_the_person_looks(tab, tmp_path):
    path = tmp_path / "bad.png"
    path.write_bytes(b"no photo")
    assert "JPEG, PNG" in tab.events.take(str(path), ALICE)[tab.view.status]
    assert tab.events.take(None, ALICE) == {tab.view.status: gr.skip()}
    list(tab.events.open(given(tab), ALICE))
    wall = tab.session.forging.wall
    *_, end = tab.events.run(given(tab, source=forge_tab.SENT), ALICE)
    assert NOTHING in end[tab.view.status] and tab.session.forging.wall is wall


def test_cancel_stops_between_tiles(tab):
    run = tab.events.open(given(tab), ALICE)
    for out in run:
        if tab.view.wall in out:
            break
    assert "Stopped" in tab.events.cancel(ALICE)[tab.view.status]
    (end,) = list(run)
    assert "Stopped" in end[tab.view.status] and tab.session.forging.wall is None


def test_the_api_gives_the_wall_and_its_rows(tab, runtime, tmp_path):
    endpoints = api.Api(runtime, tab.events.desk)

    def photo() -> str:
        path = tmp_path / f"{uuid.uuid4().hex}.png"
        path.write_bytes(gallery.portrait(gallery.COLLINS))
        return str(path)

    file, report = endpoints.forge(photo(), photo(), "age", ["stargan"])
    assert photos.load(Path(file).read_bytes()).settings["forged"][0]["forger"] == "stargan"
    assert [row["verdict"] for row in report["rows"]] == ["not defended"] and "agreed" in report["notes"][2]
    for asked, words in (
        ((photo(), ""), "no protected file"),
        ((photo(), photo(), "moustache"), "No forger makes the edit"),
        ((photo(), photo(), "age", "stargan"), "lists of ids"),
    ):
        with pytest.raises(gr.Error, match=words):
            endpoints.forge(*asked)


def test_a_disruptor_s_job_says_what_forgers_make_of_its_file(runtime, guard, astronaut):
    request = Request(astronaut, "id-guard", panel=Panel((), ("compact-inception",)))
    *_, result = protect(runtime, request)
    assert [tile.forger for tile in result.wall.tiles] == ["stargan", "hisd"]
    assert "of 2 forgers" in result.verdict and "As for recognition" in result.verdict
    assert "does not hide you" in result.notes[0] and len(result.as_dict()["forged"]) == 2
