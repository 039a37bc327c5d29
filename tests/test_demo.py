"""The demo's handlers without a browser, and its API through gradio_client."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from app import gallery, plots
from app.demo import faces, panel, protect, restore, scoreboard
from app.demo.controls import Controls, fixed
from app.demo.panel_events import PanelEvents
from app.demo.photo_events import PhotoEvents
from app.demo.protect_events import RunEvents
from app.demo.session import Desk
from app.demo.setting_events import preset_of, settings
from app.demo.visitor import visitor_of
from app.report import Curve, PanelRow, Score
from app.runtime import Runtime
from app.scoring import JobError
from engines.methods import METHODS

ROOT = Path(__file__).resolve().parents[1]
VISITOR = SimpleNamespace(session_hash="one")


@pytest.fixture(scope="module")
def runtime():
    return Runtime()


@pytest.fixture
def tab(runtime, tmp_path):
    """The Protect tab's view and handlers, outside a server."""
    controls = Controls()
    with gr.Blocks():
        view = protect.draw(controls)
        side = panel.draw(runtime, panel.button(runtime))
    desk = Desk(tmp_path)
    return SimpleNamespace(
        view=view,
        side=side,
        controls=controls,
        desk=desk,
        photos=PhotoEvents(runtime, view, PanelEvents(runtime, side, []), controls, desk),
        run=RunEvents(runtime, view, side, controls, desk, None),
    )


def put(tmp_path: Path, data: bytes, name: str = "photo.png") -> str:
    path = tmp_path / name
    path.write_bytes(data)
    return str(path)


def given(tab, steps: int = 3, **changes):
    """What the page would send for a run."""
    view = tab.view
    values = {
        view.method: "tip-im",
        view.targets: [gallery.HOPPER],
        view.seed: 0,
        view.far: 0.01,
        view.format: "PNG",
        view.quality: 95,
        view.identity: "Visitor",
        view.key: "larvatus",
        tab.side.attacked: ["sface"],
        tab.side.held_out: ["dlib-resnet"],
    }
    values |= {part: part.value for part in tab.controls.components}
    values |= {
        part: steps for part, key in zip(tab.controls.components, tab.controls.keys, strict=True) if key[0] == "steps"
    }
    return values | {getattr(view, name): value for name, value in changes.items()}


@pytest.mark.parametrize("method", METHODS)
def test_knobs_come_from_the_declaration(method):
    controls = Controls()
    with gr.Blocks():
        controls.draw(method, advanced=False)
        controls.draw(method, advanced=True)
    values = controls.read(method, tuple(part.value for part in controls.components))
    left_alone = {knob.name: () for knob in METHODS[method].Params.knobs() if knob.several}  # no box is ticked yet
    assert METHODS[method].Params.read(values) == METHODS[method].Params(**left_alone)
    free = [knob for knob in METHODS[method].Params.knobs() if not fixed(knob)]
    assert sum(part.visible for part in controls.components) == len(free)
    assert all(knob.symbol in " ".join(str(part.label) for part in controls.components) for knob in free)


@pytest.mark.parametrize(("method", "shown"), [("tip-im", True), ("ipmn", False)])
def test_settings_are_hidden_where_they_leave_nothing_to_choose(method, shown):
    parts = ("method", "summary", "preset", "settings", "target_fold", "identity_fold", "watermark_fold")
    with gr.Blocks():
        controls = Controls()
        for advanced in (False, True):
            controls.draw("tip-im", advanced)
    found = settings(SimpleNamespace(**{part: part for part in parts}), controls, method)
    assert found["settings"]["visible"] is shown


def test_presets_are_recognised():
    assert preset_of("tip-im", {}) == "Balanced"
    assert preset_of("tip-im", METHODS["tip-im"].presets["Strong"]) == "Strong"
    assert preset_of("tip-im", {"epsilon": 3.0}) is None


@pytest.mark.parametrize(
    "bad",
    [
        None,
        3,
        [],
        {},
        {"provenance": {"method": "no-such", "params": {}}},
        {"provenance": {"method": ["tip-im"], "params": {}}},
        {"provenance": {"method": "tip-im", "params": {"steps": 10**9}}},
        {"provenance": {"method": "tip-im", "params": {"epsilon": "<b>"}}},
    ],
)
def test_bad_settings_in_a_file_are_a_sentence(bad):
    found = restore.read(bad)
    assert found.method is None and "the photo is used as it is" in found.sentence


def test_restored_settings_are_checked_one_by_one():
    found = restore.read(
        {
            "provenance": {"method": "tip-im", "params": {"gamma": 1.0}, "seed": -5},
            "quality": True,
            "targets": [gallery.HOPPER, "my neighbour.jpg"],
            "format": "EXE",
            "face": 7,
        }
    )
    assert (found.method, found.seed, found.format, found.quality) == ("tip-im", 0, "PNG", 95)
    assert found.targets == (gallery.HOPPER,) and found.params["gamma"] == 1.0 and "add it again" in found.sentence


def test_the_attacked_are_restored_as_far_as_they_are_here(runtime):
    made = {"provenance": {"method": "tip-im", "params": {}}}
    for stamps, here, gone in (
        ([{"id": "sface"}, {"id": "sface"}, {"id": ["x"]}, 3], ("sface",), ""),
        ([{"id": "sface"}, {"id": "ir152"}], ("sface",), "not here: IR152."),
        ([{"id": "<b>"}, {"id": "dlib-resnet"}], (), "one that this app does not know and dlib ResNet."),
        ("sface", (), ""),
        ([{"id": str(i)} for i in range(10**5)], (), "one that this app does not know."),
    ):
        made["provenance"]["checkpoints"] = stamps
        ids, said = restore.attacked(restore.read(made), runtime.cards)
        assert ids == here and said.endswith(gone) and bool(said) == bool(gone)


def test_everything_shown_is_escaped():
    score = Score("x", "<i>x", "judge", 0.3, 0.01, "LFW", 0.1, 0.2, "<script>alert(1)</script>")
    assert "<script>" not in scoreboard._row(0, score, None) and "<i>x" not in scoreboard._row(0, score, None)
    assert "<b>" not in scoreboard.alert("<b>") and "<b>" not in scoreboard.said("<b>")


def test_curves_draw_each_threshold_as_a_line():
    figure = plots.score_curves(
        [Curve(1, {"a": (0.9, 0.1), "b": (0.9, None)}), Curve(2, {"a": (0.5, None)})],
        (PanelRow("a", "A", "judge", 0.3), PanelRow("b", "B", "surrogate", None)),
    )
    assert len(figure.data) == 3 and len(figure.layout.shapes) == 1 and figure.layout.shapes[0].y0 == 0.3
    assert figure.layout.paper_bgcolor == "rgba(0,0,0,0)"


def test_a_photo_of_two_is_outlined_and_clicked(runtime, tab, tmp_path):
    one = Image.open(io.BytesIO(gallery.portrait(gallery.COLLINS))).convert("RGB")
    pair = Image.new("RGB", (1024, 512))
    pair.paste(one, (0, 0))
    pair.paste(one.resize((400, 400)), (560, 50))
    buffer = io.BytesIO()
    pair.save(buffer, "PNG")
    path = put(tmp_path, buffer.getvalue())
    out = tab.photos.take_photo(path, [], VISITOR)
    sitter = tab.desk.of(VISITOR).sitter
    assert "2 faces" in out[tab.view.faces_line] and sitter.chosen == 0 and not Path(path).exists()
    x0, y0, x1, y1 = (v * sitter.scale for v in sitter.faces[1].box)
    tab.photos.click(SimpleNamespace(index=[(x0 + x1) / 2, (y0 + y1) / 2]), VISITOR)
    assert tab.desk.of(VISITOR).sitter.chosen == 1
    assert out[tab.view.face]["visible"] and not out[tab.view.edges]["visible"]
    assert "Face 1 is chosen" in tab.photos.choose_face("1", VISITOR)[tab.view.faces_line]
    assert list(tab.photos.choose_face("3", VISITOR)) == [tab.view.status], "there is none"


@pytest.mark.parametrize("text", ["", "a, b, c, d", "1, 2, 3", "10 10 5 50", "-5 0 50 50", "0 0 50 101", "nan 0 5 5"])
def test_a_box_typed_wrong_is_asked_for_again(runtime, text):
    sitter = faces.look(runtime, "x", gallery.portrait(gallery.COLLINS))
    with pytest.raises(JobError, match="Type four numbers"):
        faces.typed(runtime, sitter, text)


def test_a_typed_box_is_the_one_that_two_clicks_draw(runtime):
    sitter = faces.look(runtime, "x", gallery.portrait(gallery.COLLINS))
    side = sitter.photo.width * sitter.scale
    drawn = faces.clicked(runtime, faces.replace(sitter, boxing=True), 0.2 * side, 0)
    drawn = faces.clicked(runtime, drawn, 0.7 * side, 0.6 * sitter.photo.height * sitter.scale)
    assert faces.typed(runtime, sitter, "20%, 0, 70, 60").faces == drawn.faces and drawn.chosen == 1


@pytest.mark.parametrize("odd", [{"seed": "x"}, {"far": None}, {"quality": float("inf")}])
def test_a_number_that_is_none_is_a_sentence(runtime, tab, odd):
    tab.desk.of(VISITOR).sitter = faces.from_person(gallery.person(runtime, gallery.COLLINS))
    ended = list(tab.run.run(given(tab, **odd), VISITOR))[-1]
    assert "is no number: choose them again" in ended[tab.view.status]


def test_no_face_is_a_sentence_and_a_box_by_hand(runtime, tab, tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(np.full((300, 400, 3), 90, np.uint8)).save(buffer, "PNG")
    out = tab.photos.take_photo(put(tmp_path, buffer.getvalue()), ["dlib-resnet"], VISITOR)
    assert 'role="alert"' in out[tab.view.faces_line] and "No face found" in out[tab.view.faces_line]
    ended = list(tab.run.run(given(tab), VISITOR))[-1]
    assert "no face to protect" in ended[tab.view.status]
    for corner in ([100, 50], [101, 51]):
        out = tab.photos.click(SimpleNamespace(index=corner), VISITOR)
    assert "too small" in out[tab.view.faces_line]
    for corner in ([250, 250], [100, 50]):
        tab.photos.click(SimpleNamespace(index=corner), VISITOR)
    assert tab.desk.of(VISITOR).sitter.person is not None


def test_a_file_that_is_no_photo_loses_nothing(tab, tmp_path):
    tab.photos.take_photo(put(tmp_path, gallery.portrait(gallery.COLLINS)), ["dlib-resnet"], VISITOR)
    before = tab.desk.of(VISITOR).sitter
    out = tab.photos.take_photo(put(tmp_path, b"not a photo"), ["dlib-resnet"], VISITOR)
    assert 'role="alert"' in out[tab.view.faces_line] and tab.desk.of(VISITOR).sitter is before


def test_run_stop_and_run_again(runtime, tab, tmp_path):
    tab.photos.take_photo(put(tmp_path, gallery.portrait(gallery.COLLINS)), ["dlib-resnet"], VISITOR)
    tab.run.begin(VISITOR)
    work = tab.run.run(given(tab, steps=50), VISITOR)
    assert "Step 1 of 50" in next(work)[tab.view.status]
    assert "Stopped at step 1 of 50. Nothing was exported." in tab.run.cancel(VISITOR)[tab.view.status]
    assert "Stopped" in list(work)[-1][tab.view.status] and not runtime.work.locked()
    tab.run.begin(VISITOR)
    closed = tab.run.run(given(tab, steps=50), VISITOR)
    next(closed)
    closed.close()
    assert not runtime.work.locked(), "a closed tab must not hold the work lock"
    tab.run.begin(VISITOR)
    ended = list(tab.run.run(given(tab, steps=3), VISITOR))[-1]
    assert "Done" in ended[tab.view.status] and "lv-verdict" in ended[tab.view.verdict]
    file = Path(ended[tab.view.download]["value"])
    assert file.name.startswith("larvatus-tip-im-") and file.suffix == ".png"
    assert json.loads(Path(ended[tab.view.settings_file]["value"]).read_text())["file"] == file.name
    again = tab.photos.take_photo(put(tmp_path, file.read_bytes()), ["dlib-resnet"], VISITOR)
    assert "settings are restored" in again[tab.view.faces_line]
    assert [again[part]["value"] for part in (tab.side.attacked, tab.side.held_out)] == [["sface"], ["dlib-resnet"]]


def test_a_run_has_the_rows_and_roles_of_the_chosen_panel(runtime, tab, tmp_path):
    tab.photos.take_photo(put(tmp_path, gallery.portrait(gallery.COLLINS)), [], VISITOR)
    for attacked, held_out, shown in (
        (["sface"], [], ("attacked",)),
        (["sface"], ["dlib-resnet"], ("attacked", "held-out")),
    ):
        tab.run.begin(VISITOR)
        chosen = given(tab, steps=2) | {tab.side.attacked: attacked, tab.side.held_out: held_out}
        board = list(tab.run.run(chosen, VISITOR))[-1][tab.view.board]
        assert board.count("<tr><td>") == len(shown) and all(role in board for role in shown)
    last = tab.desk.of(VISITOR).shown
    for attacked, held_out, says in (
        ([], ["sface"], "TIP-IM needs at least one recogniser"),
        ([], [], "No recogniser is switched on"),
        (["sface"], ["sface-hub"], "the very network of SFace"),
    ):
        tab.run.begin(VISITOR)
        chosen = given(tab, steps=2) | {tab.side.attacked: attacked, tab.side.held_out: held_out}
        ended = list(tab.run.run(chosen, VISITOR))[-1]
        assert says in ended[tab.view.status] and 'role="alert"' in ended[tab.view.status]
        assert ended[tab.view.board] == last[tab.view.board], "nothing is lost"


def test_an_unforeseen_error_is_never_shown(tab, monkeypatch, tmp_path):
    def broken(*_):
        raise RuntimeError("secret path /etc")

    monkeypatch.setattr(faces, "look", broken)
    out = tab.photos.take_photo(put(tmp_path, b"x"), ["dlib-resnet"], VISITOR)
    assert "on our side" in out[tab.view.faces_line] and "secret" not in out[tab.view.faces_line]


def test_sessions_are_apart_and_forgotten(tab):
    other = SimpleNamespace(session_hash="two")
    mine, theirs = tab.desk.of(VISITOR), tab.desk.of(other)
    mine.save(np.zeros((8, 8, 3), np.uint8))
    assert mine is not theirs and mine.folder != theirs.folder and list(mine.folder.rglob("*.png"))
    tab.desk.leave(VISITOR)
    assert mine.stop.is_set() and not theirs.stop.is_set()
    tab.desk.forget((visitor_of(VISITOR), "one"), time.monotonic())
    assert not mine.folder.exists() and tab.desk.of(VISITOR) is not mine


def test_manual_box_outside_is_refused(runtime):
    sitter = faces.look(runtime, "x", gallery.portrait(gallery.COLLINS))
    with pytest.raises(JobError):
        faces.clicked(runtime, faces.replace(sitter, boxing=True, corner=(0.0, 0.0)), 2, 2)


@pytest.mark.parametrize(("name", "target"), [(gallery.HOPPER, gallery.COLLINS), (gallery.COLLINS, gallery.HOPPER)])
def test_who_tries_a_portrait_is_led_to_somebody_else(tab, name, target):
    updates = tab.photos.try_portrait(SimpleNamespace(example=name), VISITOR)
    assert updates[tab.view.targets] == [target] and "public domain" in updates[tab.view.faces_line]
