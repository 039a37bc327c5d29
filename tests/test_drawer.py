"""The panel's drawer, the download box and the Models tab, without a browser; the Hub is a small local one."""

from __future__ import annotations

import dataclasses
import json
import time
from types import SimpleNamespace

import gradio as gr
import pytest
import tomlkit
from hub_server import HubServer, sha
from huggingface_hub import constants

from app.demo import models, panel, protect, pull
from app.demo.build import build
from app.demo.controls import Controls
from app.demo.panel_events import PanelEvents
from app.demo.pull import PullEvents
from app.demo.session import Desk
from app.runtime import Runtime
from engines import frbench, hub
from engines.checkpoints import REGISTRY, registry

VISITOR = SimpleNamespace(session_hash="one")
DATA = bytes(range(256)) * 4000
REPO = "opencv/face_recognition_sface"


@pytest.fixture
def known(tmp_path, monkeypatch):
    """A registry of two that are here, two of the Hub, one to be added by hand; nothing of this computer."""
    whole = tomlkit.parse(REGISTRY.read_text())
    entries = {id: whole[id] for id in ("sface", "sface-hub", "dlib-resnet", "facenet", "ir152")}
    entries["sface-hub"].update({"sha256": sha(DATA), "bytes": len(DATA)})
    path = tmp_path / "weights" / "registry.toml"
    path.parent.mkdir()
    path.write_text(tomlkit.dumps(entries))
    for name in ("HF_TOKEN", "HF_ENDPOINT", "LARVATUS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "clients"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("LARVATUS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FRBENCH_CACHE", str(tmp_path / "frbench"))
    monkeypatch.setenv("LARVATUS_REGISTRY", str(path))
    return registry()


@pytest.fixture
def server(known, monkeypatch):
    with HubServer() as server:
        server.files[f"{REPO}/{known['sface-hub'].file}"] = DATA
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        yield server


@pytest.fixture
def page(known, tmp_path):
    """The drawer and the Models tab, outside a server."""
    runtime = Runtime("cpu")
    with gr.Blocks():
        protect.draw(Controls())
        side = panel.draw(runtime, panel.button(runtime))
        shelf = models.draw(runtime)
    boxes = [side.box, shelf.box]
    events = PanelEvents(runtime, side, boxes)
    pulls = PullEvents(runtime, side.box, Desk(tmp_path / "desk"))
    return SimpleNamespace(runtime=runtime, side=side, shelf=shelf, events=events, pulls=pulls, box=side.box)


def ids(group):
    return [id for _, id in (group["choices"] if isinstance(group, dict) else group.choices)]


def fetched(page, id="sface-hub"):
    """All that the download box shows, one update after another."""
    page.pulls.begin(VISITOR)
    return list(page.pulls.run(id, VISITOR))


# the lists


def test_the_drawer_starts_with_the_usual_panel_and_judges_can_only_be_held_out(page):
    assert page.side.attacked.value == ["sface"] and page.side.held_out.value == ["dlib-resnet"]
    assert ids(page.side.attacked) == ["sface"] and ids(page.side.held_out) == ["dlib-resnet", "sface"]
    assert page.side.button.value == "Panel: 1 attacked, 1 held out" and "Off: none." in page.side.line.value
    assert "IR152" in page.side.local.value and "weights convert" in page.side.local.value
    assert (
        "99.4 %" in page.side.facts.value and "0.30 at 1 % false matches (LFW, 6,000 pairs)" in page.side.facts.value
    )


def test_checking_in_one_list_unchecks_in_the_other(page):
    out = page.events.hold_out(["sface"], ["dlib-resnet", "sface"], "tip-im")
    assert out[page.side.attacked] == [] and out[page.side.button] == "Panel: 0 attacked, 2 held out"
    assert "TIP-IM needs at least one recogniser" in out[page.side.line] and 'role="alert"' in out[page.side.line]
    out = page.events.attack(["sface"], ["dlib-resnet", "sface"], "tip-im")
    assert out[page.side.held_out] == ["dlib-resnet"] and "alert" not in out[page.side.line]
    out = page.events.attack(["sface"], [], "tip-im")
    assert "Off: dlib ResNet." in out[page.side.line] and "Nobody is held out" in out[page.side.line]
    out = page.events.usual("tip-im")
    assert out[page.side.attacked]["value"] == ["sface"] and out[page.side.held_out]["value"] == ["dlib-resnet"]


def test_a_choice_that_cannot_work_is_said_at_once(page):
    assert "No recogniser is switched on" in page.events.attack([], [], "tip-im")[page.side.line]
    page.runtime.budget = 20_000_000
    out = page.events.attack(["sface"], ["dlib-resnet"], "tip-im")
    assert "more than the 20 MB" in out[page.side.line] and out[page.side.held_out] == ["dlib-resnet"]


# the download box


def test_everything_is_said_before_anything_is_fetched(page, server):
    out = page.pulls.choose("sface-hub")
    card = page.runtime.cards["sface-hub"]
    for text in ("1.0 MB", "Apache-2.0", "MS1MV2", REPO, card.revision[:12], f"pinned: {card.sha256[:16]}"):
        assert text in out[page.box.facts], text
    assert out[page.box.download]["visible"] and out[page.box.download]["value"] == "Download 1.0 MB"
    out = page.pulls.choose("facenet")
    assert "112 MB" in out[page.box.facts] and "locked at the first download" in out[page.box.facts]
    unknown = dataclasses.replace(card, bytes=0, about="", thresholds={})
    assert "size not known beforehand" in pull.facts(unknown) and "no verdict" in pull.facts(unknown)
    assert page.pulls.choose(None)[page.box.facts] == "" and not server.asked


def test_a_download_shows_its_bytes_and_ends_in_both_lists_unchecked(page, server):
    server.ways[REPO], server.pause = "slow", 0.15
    seen = fetched(page)
    assert any(" of 1.0 MB" in part[page.box.status] for part in seen[:-1])
    end = seen[-1]
    assert "is here now, and off" in end[page.box.status] and ids(end[page.box.choice]) == ["facenet"]
    out = page.events.refresh(["sface"], ["dlib-resnet"], "tip-im", None, "sface-hub")
    assert ids(out[page.side.attacked]) == ["sface", "sface-hub"] and out[page.side.attacked]["value"] == ["sface"]
    assert ids(out[page.side.held_out])[-1] == "sface-hub" and "Off: SFace (from the Hub)." in out[page.side.line]
    assert out[page.shelf.box.choice]["value"] is None, "it is no longer on the other list"


def test_cancel_keeps_what_came_and_the_next_download_goes_on(page, server):
    server.ways[REPO], server.pause = "slow", 0.2
    page.pulls.begin(VISITOR)
    work = page.pulls.run("sface-hub", VISITOR)
    while " of 1.0 MB" not in next(work)[page.box.status]:
        pass
    assert "What came is kept" in page.pulls.cancel("sface-hub", VISITOR)[page.box.status]
    (last,) = work  # said once more: a bar that was still on its way would else stay
    assert "What came is kept" in last[page.box.status] and last[page.box.download]["interactive"]
    assert "sface-hub" in dict(pull.elsewhere(page.runtime.cards)).values()
    server.ways[REPO] = "whole"
    time.sleep(0.6)  # the network's thread hears of it at its next bytes
    assert "is here now" in fetched(page)[-1][page.box.status]
    assert server.gets()[-1][0].startswith("bytes="), "it went on"


def test_a_stopped_download_does_not_talk_into_the_next_one(page, server):
    server.ways[REPO], server.pause = "slow", 0.2
    page.pulls.begin(VISITOR)
    work = page.pulls.run("sface-hub", VISITOR)
    next(work)
    page.pulls.cancel("sface-hub", VISITOR)
    page.pulls.begin(VISITOR)
    assert list(work) == []


def test_a_closed_tab_stops_its_download(page, server):
    server.ways[REPO], server.pause = "slow", 0.2
    page.pulls.begin(VISITOR)
    work = page.pulls.run("sface-hub", VISITOR)
    next(work)
    page.pulls.desk.leave(VISITOR)
    assert len(list(work)) == 1  # that it has stopped; nobody hears it
    page.pulls.begin(VISITOR)
    page.pulls.cancel("sface-hub", VISITOR)
    gets = len(server.gets())
    (only,) = page.pulls.run("sface-hub", VISITOR)
    assert "What came is kept" in only[page.box.status] and len(server.gets()) == gets


@pytest.mark.parametrize("way", ["offline", "mute", "gone", "other"])
def test_what_went_wrong_is_one_sentence_that_names_the_stand_in(page, server, monkeypatch, way):
    monkeypatch.setattr(hub, "PATIENCE", 0.6)
    if way == "offline":
        monkeypatch.setenv("LARVATUS_OFFLINE", "1")
    server.ways[REPO] = way
    start = time.monotonic()
    end = fetched(page)[-1]
    said = end[page.box.status]
    assert 'role="alert"' in said and "sface, which is already installed, can stand in." in said
    assert "Traceback" not in said and "127.0.0.1" not in said and time.monotonic() - start < 5
    assert end[page.box.download]["interactive"] and not end[page.box.cancel]["visible"]


def test_download_without_a_choice_is_a_sentence(page):
    for nothing in (None, "nosuch"):
        assert "Choose a recogniser first." in fetched(page, nothing)[-1][page.box.status]


# the Models tab


def test_the_models_tab_shows_what_is_loaded_and_thresholds_with_their_data(page):
    out = models.read(page.runtime, page.shelf)
    assert "0 of 1,024 MB, 0 recognisers loaded" in out[page.shelf.memory]
    assert "loaded now" not in out[page.shelf.table] and "on this computer" in out[page.shelf.table]
    page.runtime.recogniser("dlib-resnet")
    out = models.read(page.runtime, page.shelf)
    assert "22 of 1,024 MB, 1 recogniser loaded" in out[page.shelf.memory]
    for text in (
        "loaded now<small>22 MB",
        "98.80 ± 0.15 %",
        "98.7 / 92.1 %",
        "0.91 / 0.93",
        "<small>LFW, 6,000 pairs",
    ):
        assert text in out[page.shelf.table], text
    assert "0.41 / –" in out[page.shelf.table] and "published: DIP-Watermark" in out[page.shelf.table]
    assert "Not here: on the Hub (2)" in out[page.shelf.table] and "(1): IR152" in out[page.shelf.table]


def test_every_bundled_network_of_a_method_says_what_was_measured():
    cards = [card for card in registry(REGISTRY).values() if card.kind != "recogniser" and card.source == "bundled"]
    found = {card.id: models.measured(card) for card in cards}
    assert len(found) > 10 and "not measured" not in found.values()
    assert "mean of the forgers: ID-Guard (S-I), CelebA" in found["id-guard"] and "%" in found["erasable-mask"]


def test_shares_of_a_mask_are_means_of_its_judges():
    card = registry(REGISTRY)["erasable-mask"]
    row = {"ASR a": 0.5, "ASR b": 0.7, "ESR a": 0.9, "ESR b": 1.0, "known a": 1.0, "known b": 0.98, "SSIM": 0.2}
    figures = {"data": "faces", "Grace Hopper": row, "after changes": {"ASR a": 0.1}}
    assert models.measured(dataclasses.replace(card, figures=figures)) == (
        "towards Grace Hopper: taken for the target 60%, no longer once erased 95%, known again 99%"
        "<small>on faces</small>"
    )
    assert models.measured(dataclasses.replace(card, figures={"data": "faces"})) == "not measured"


def test_a_network_that_gives_faces_back_says_how_well_and_where_its_watermark_is_read():
    card, back = registry(REGISTRY)["erasable-mask"], {models.HIDDEN: {"PSNR": 34.26, "SSIM": 0.9}}
    figures = {"data": "faces", "Tables 2 and 7": back}
    assert models.measured(dataclasses.replace(card, figures=figures)).startswith(
        "gives a hidden face back at 34.3 dB<"
    )
    sources = {"words, x_wmf": 1.0, "words, x'_wm": 0.97, "flower, x_wmf": 0.03, "flower, x'_wm": 0.05}
    figures["Table 3"] = {name: {"SR_E": share, "NC": 0.9} for name, share in sources.items()}
    assert "at 34.3 dB; watermark read: words in 97%, flower in 3% of files<" in models.measured(
        dataclasses.replace(card, figures=figures)
    )


def test_many_rows_of_frbench_are_folded(page, known, monkeypatch):
    more = {
        f"frbench-{i}": dataclasses.replace(known["facenet"], id=f"frbench-{i}", source="frbench", title=f"<Net {i}>")
        for i in range(50)
    }
    monkeypatch.setattr(Runtime, "cards", {**known, **more})
    found = models.tables(page.runtime)
    assert "<details><summary>Not here: in FRBench&#x27;s zoo (50)" in found and "<Net" not in found
    assert len(pull.elsewhere(page.runtime.cards)) == 52
    page.pulls.begin(VISITOR)
    assert "starts afresh" in page.pulls.cancel("frbench-1", VISITOR)[page.box.status]


@pytest.mark.skipif(not frbench.installed(), reason="FRBench is not installed: no list of its own.")
def test_the_real_list_of_frbench_is_read_when_it_comes(page, tmp_path):
    assert "weights pull frbench" in models.tables(page.runtime)
    entries = {
        f"net-{i}_arcface_data": {"target_name": f"net-{i}", "contents": {"weight": "w.pth"}, "size": 10**8}
        for i in range(50)
    }
    (tmp_path / "frbench").mkdir()
    (tmp_path / "frbench" / "manifest.json").write_text(json.dumps(entries))
    start = time.perf_counter()
    found = models.tables(page.runtime)
    assert "zoo (50)" in found and "weights pull frbench" not in found and time.perf_counter() - start < 2
    said = page.pulls.choose("frbench-net-1_arcface_data")[page.box.facts]
    assert "100 MB" in said and "FRBench compares" in said


def test_a_bundled_network_shows_its_card(known, tmp_path, monkeypatch):
    folder = tmp_path / "weights"
    (folder / "cards").mkdir()
    (folder / "cards" / "dlib-resnet.md").write_text("# Its card")
    monkeypatch.setattr(
        Runtime, "cards", {"dlib-resnet": dataclasses.replace(known["dlib-resnet"], source="bundled")}
    )
    with gr.Blocks():
        shelf = models.draw(Runtime("cpu"))
    assert shelf.cards["dlib-resnet"].value == "# Its card"


def test_the_page_is_built_where_nothing_is_here(tmp_path, monkeypatch):
    path = tmp_path / "registry.toml"
    path.write_text("")
    monkeypatch.setenv("LARVATUS_REGISTRY", str(path))
    monkeypatch.setenv("LARVATUS_EXAMPLE", "0")
    build(Runtime("cpu"))
    assert panel.usual(Runtime("cpu")).ids == ()
