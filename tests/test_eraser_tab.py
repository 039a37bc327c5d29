"""Erasing a mask without a browser: the tab's handlers, the settings that a photo brings along, command line, API."""

from __future__ import annotations

import uuid
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
import torch

from app import gallery
from app import photo as photos
from app.__main__ import main
from app.demo import api, eraser, protect
from app.demo.controls import Controls
from app.demo.eraser_events import NO_ORIGINAL, NO_PHOTO, EraserEvents
from app.demo.faces import from_person
from app.demo.session import Desk
from app.demo.setting_events import SettingEvents, preset_of
from app.made import Made
from app.making import Request, protected_file
from engines.nets.erasable_mask import ATTRIBUTES

METHOD, WORDS = "erasable-mask", "Larvatus"
ALICE = SimpleNamespace(session_hash="alice")
HOPPER, COLLINS = gallery.HOPPER, gallery.COLLINS


@pytest.fixture
def file(runtime, astronaut, mask) -> bytes:
    """Collins, masked towards Hopper, with bangs."""
    return protected_file(runtime, Request(astronaut, "erasable-mask", {"attributes": ["Bangs"]}))


@pytest.fixture
def tab(runtime, mask, tmp_path):
    desk = Desk(tmp_path)
    with gr.Blocks():
        view = eraser.draw()
    return SimpleNamespace(view=view, events=EraserEvents(runtime, view, desk), session=desk.of(ALICE))


def upload(folder: Path, data: bytes) -> str:
    path = folder / f"{uuid.uuid4().hex}.png"
    path.write_bytes(data)
    return str(path)


def test_what_was_masked_on_protect_is_erased_beside_its_original(tab, astronaut, file):
    view, events = tab.view, tab.events
    assert NO_PHOTO in events.receive(COLLINS, WORDS, ALICE)[view.status]
    tab.session.made = Made(astronaut, file, "tip-im", "larvatus-tip-im.png")
    assert NO_PHOTO in events.receive(COLLINS, WORDS, ALICE)[view.status], "another method leaves no mask"
    tab.session.made = Made(astronaut, file, "erasable-mask", "larvatus-erasable-mask.png")
    out = events.receive(COLLINS, WORDS, ALICE)
    assert out[view.restorer]["value"] == HOPPER, "the file says whom it leads to"
    assert "know the person after erasing" in out[view.verdict] and out[view.faces].count("<figure>") == 3
    assert f'data-head="To {HOPPER}"' in out[view.board], "a phone shows no head of the table"
    assert "PSNR" in out[view.board] and out[view.board].count("→") > 4
    assert out[view.unmasked]["interactive"] and out[view.erase]["interactive"]
    saved = photos.load(Path(out[view.download]["value"]).read_bytes())
    assert saved.settings["provenance"]["restorer"] == HOPPER
    assert f"Control, by the restorer {COLLINS}: " in events.other(HOPPER, WORDS, ALICE)[view.status]
    assert "Control, a photo that has no mask: " in events.unmasked(HOPPER, WORDS, ALICE)[view.status]
    again = events.again(COLLINS, WORDS, ALICE)
    assert again[view.faces] != out[view.faces] and f"took the masked face for {COLLINS}" in again[view.verdict]


def test_a_masked_file_and_another_photo_of_the_person_can_be_dropped(tab, tmp_path, file):
    view, events = tab.view, tab.events
    for control in (events.again, events.other):
        assert NO_PHOTO in control(HOPPER, WORDS, ALICE)[view.status]
    assert NO_ORIGINAL in events.unmasked(HOPPER, WORDS, ALICE)[view.status]
    out = events.take(upload(tmp_path, file), METHOD, COLLINS, WORDS, ALICE)
    assert out[view.faces].count("<figure>") == 2 and "Add the original" in out[view.verdict]
    assert not out[view.unmasked]["interactive"] and "to you" not in out[view.board]
    more = events.take_reference(upload(tmp_path, gallery.portrait(COLLINS)), HOPPER, WORDS, ALICE)
    assert "another photo of the person" in more[view.board] and "<img" in more[view.reference_line]
    kept = events.take(upload(tmp_path, file), METHOD, COLLINS, WORDS, ALICE)
    assert "another photo of the person" in kept[view.board], "the other photo stays"


def test_a_file_that_is_no_photo_changes_nothing(tab, tmp_path, file):
    view, events = tab.view, tab.events
    events.take(upload(tmp_path, file), METHOD, HOPPER, WORDS, ALICE)
    before = tab.session.erasing
    blank = photos.encode(torch.full((1, 3, 200, 200), 127, dtype=torch.uint8), "PNG", 95, {})
    assert "not a picture" in events.take(upload(tmp_path, b"no photo"), METHOD, HOPPER, WORDS, ALICE)[view.status]
    assert "No face found" in events.take(upload(tmp_path, blank), METHOD, HOPPER, WORDS, ALICE)[view.status]
    other = events.take_reference(upload(tmp_path, blank), HOPPER, WORDS, ALICE)
    assert "No face found" in other[view.reference_line]
    assert tab.session.erasing is before
    asked = (HOPPER, WORDS, ALICE)
    assert events.take(None, METHOD, *asked) == {view.status: gr.skip()} == events.take_reference(None, *asked)


def test_the_boxes_are_filled_by_the_photo_or_by_its_file(runtime, mask, astronaut, file, tmp_path):
    desk, controls = Desk(tmp_path), Controls()
    with gr.Blocks():
        view = protect.draw(controls)
    events, boxes = SettingEvents(view, controls, desk), controls.components[_boxes(controls)]
    assert events.suggest("erasable-mask", ALICE) == {view.status: gr.skip()}, "nobody is chosen yet"
    desk.of(ALICE).sitter = from_person(astronaut)
    assert events.suggest("tip-im", ALICE) == {view.status: gr.skip()}
    assert events.suggest("erasable-mask", ALICE)[boxes] == []
    person = replace(astronaut, photo=photos.load(file))
    desk.of(ALICE).sitter = from_person(person)
    assert events.suggest("erasable-mask", ALICE)[boxes] == ["Bangs"]
    assert preset_of("erasable-mask", {"attributes": ("Bangs",)}) == "Balanced"
    values = [part.value for part in controls.components]
    values[_boxes(controls)] = ["Bald", "Young"]
    assert controls.read("erasable-mask", tuple(values))["attributes"] == ("Bald", "Young")
    assert [choice[1] for choice in boxes.choices] == list(ATTRIBUTES)


def _boxes(controls: Controls) -> int:
    return next(i for i, key in enumerate(controls.keys) if key[1] == "boxes")


def test_the_command_line_erases_to_a_file(mask, file, tmp_path, capsys):
    masked, out = tmp_path / "masked.png", tmp_path / "erased.png"
    masked.write_bytes(file)
    (tmp_path / "original.png").write_bytes(gallery.portrait(COLLINS))
    asked = ["reveal", str(masked), "--method", "erasable-mask"]
    assert main([*asked, "--out", str(out), "--original", str(tmp_path / "original.png")]) == 0
    assert photos.load(out.read_bytes()).settings["provenance"]["erased"] == "erasable-mask"
    assert "know the person after erasing" in capsys.readouterr().out
    assert main(asked) != 0 and "name it with --out FILE.png" in capsys.readouterr().err
    assert main([*asked, "--out", str(tmp_path / "no" / "x.png")]) != 0
    assert "create it first" in capsys.readouterr().err


def test_the_api_erases_too(runtime, mask, file, tmp_path):
    endpoints = api.Api(runtime, Desk(tmp_path))
    path, report = endpoints.erase(upload(tmp_path, file), reference=upload(tmp_path, gallery.portrait(COLLINS)))
    assert photos.load(Path(path).read_bytes()).settings and report["compared_with"] == "another photo of the person"
    for bad, words in (((None,), "There is no photo"), ((upload(tmp_path, file), "tip-im"), "no mask that could")):
        with pytest.raises(gr.Error, match=words):
            endpoints.erase(*bad)
