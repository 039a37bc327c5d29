"""The panel: who is attacked, who is held out, who stands in, and how much memory it takes."""

import dataclasses
import json

import pytest

from app import panel as panels
from app import photo as photos
from app import runtime as runtimes
from app.__main__ import main
from app.panel import Panel, PanelError, check, default, members, panel_of
from app.report import verdict
from app.runtime import Runtime
from app.scoring import Scorer
from engines.checkpoints import CheckpointError, checkpoint, registry
from engines.hub_errors import Unreachable

KNOWN = registry()


def test_the_default_attacks_sface_and_holds_out_every_judge_that_needs_no_download():
    found = default(KNOWN)
    assert found.attacked == ("sface",) and "dlib-resnet" in found.held_out
    assert all(KNOWN[id].role == "judge" and KNOWN[id].source in ("pip", "bundled") for id in found.held_out)
    check(found, KNOWN)


def test_lists_left_empty_have_the_defaults_and_nobody_is_in_both():
    assert panel_of(KNOWN) == default(KNOWN)
    assert panel_of(KNOWN, ["facenet"]) == Panel(("facenet",), default(KNOWN).held_out)
    assert panel_of(KNOWN, [], ["facenet"]) == Panel(("sface",), ("facenet",))


@pytest.mark.parametrize(
    ("panel", "says"),
    [
        (Panel(("dlib-resnet",)), "held-out judge: choose a surrogate"),
        (Panel(("sface",), ("sface",)), "SFace is named twice"),
        (Panel(("nosuch",)), "no recogniser called 'nosuch'"),
        (Panel((), ()), "switch one on"),
    ],
)
def test_a_panel_that_cannot_be_is_one_sentence(panel, says):
    with pytest.raises((PanelError, CheckpointError), match=says):
        check(panel, KNOWN)


def test_who_can_be_attacked_and_who_can_be_held_out(monkeypatch):
    monkeypatch.setattr(panels, "here", lambda card: card.id in ("sface", "dlib-resnet", "sface-hub", "odd"))
    odd = dataclasses.replace(KNOWN["sface"], id="odd", state="untrained")
    attackable, judging = panels.usable({**KNOWN, "odd": odd})
    assert [card.id for card in attackable] == ["sface", "sface-hub"]
    assert [card.id for card in judging] == ["dlib-resnet", "sface", "sface-hub"]


@pytest.mark.parametrize(
    ("panel", "says"),
    [
        (Panel(("sface",), ("dlib-resnet",)), ""),
        (Panel(("sface", "sface-hub")), ""),
        (Panel(("sface",), ("sface-hub",)), "the very network of SFace, which is attacked"),
        (Panel((), ("sface",)), "TIP-IM needs at least one recogniser to work against"),
        (Panel((), ()), "No recogniser is switched on"),
        (Panel(("nosuch",)), "no recogniser called"),
    ],
)
def test_what_stands_in_the_way_of_a_run_is_said_before_it(panel, says):
    runtime = Runtime("cpu", budget=40_000_000)
    said = panels.obstacle(runtime, panel, "tip-im")
    assert says in said and bool(said) == bool(says) and not runtime.loaded()


def test_what_was_measured_counts_against_the_budget_not_the_size_of_the_file(runtime):
    runtime.recogniser("sface")
    tight = Runtime("cpu", budget=40_000_000)
    panel = Panel(("sface",), ("dlib-resnet",))
    assert panels.obstacle(tight, panel, "tip-im") == "" and tight.memory(KNOWN["sface"]) == KNOWN["sface"].bytes
    tight.recogniser("sface")
    assert "more than the 40 MB" in panels.obstacle(tight, panel, "tip-im")


def test_the_role_is_that_of_this_run(runtime, astronaut):
    found, notes = members(runtime, Panel((), ("sface", "dlib-resnet")))
    assert not notes and [member.attacked for member in found] == [False, False]
    rows = Scorer(runtime, found, astronaut).file(astronaut.photo, astronaut.face)
    assert [row.role for row in rows] == ["judge", "judge"]
    assert verdict(rows) == "2 of 2 held-out judges still match you (at a false-acceptance rate of 1 %)."


def test_without_a_threshold_there_is_a_likeness_and_no_verdict(runtime, astronaut, make_tiny):
    member = panels.Member(make_tiny(thresholds={}), attacked=True)
    (row,) = Scorer(runtime, [member], astronaut).file(astronaut.photo, astronaut.face)
    assert row.to_self == pytest.approx(1.0) and row.threshold is None and row.matches_self is None
    assert "no threshold yet" in row.word and "no verdict" in verdict((row,))
    other = dataclasses.replace(row, recogniser="b", role="judge", threshold=0.3)
    assert verdict((row, other)).startswith("the held-out judge matches you")


@pytest.fixture
def networks(monkeypatch, make_tiny):
    """Any id is a tiny network of that name; returns the ids in the order in which they were loaded."""
    asked = []

    def load(id, device):
        asked.append(id)
        return make_tiny(1, id=id, title=KNOWN[id].title, role=KNOWN[id].role)

    monkeypatch.setattr(runtimes, "load", load)
    monkeypatch.setattr(runtimes, "here", lambda card: True)
    return asked


def test_the_least_recently_used_network_is_dropped_above_the_budget(networks, make_tiny):
    runtime = Runtime("cpu", budget=2 * make_tiny(1).nbytes)
    for id in ("sface", "facenet", "sface", "irse50"):
        runtime.recogniser(id)
    assert list(runtime.loaded()) == ["sface", "irse50"] and networks == ["sface", "facenet", "irse50"]
    runtime.recogniser("facenet")
    assert list(runtime.loaded()) == ["irse50", "facenet"] and networks[-1] == "facenet"
    assert sum(runtime.loaded().values()) <= runtime.budget


def test_one_network_above_the_budget_is_still_served(networks):
    runtime = Runtime("cpu", budget=1)
    assert runtime.recogniser("sface").card.id == "sface" and list(runtime.loaded()) == ["sface"]


def test_a_panel_above_the_budget_is_refused_with_the_way_out(networks, make_tiny):
    runtime = Runtime("cpu", budget=2 * make_tiny(1).nbytes)
    assert len(members(runtime, Panel(("sface",), ("facenet",)))[0]) == 2
    with pytest.raises(PanelError, match="LARVATUS_MEMORY_MB"):
        members(runtime, Panel(("sface",), ("facenet", "irse50")))


def test_the_budget_is_read_from_the_environment(monkeypatch):
    monkeypatch.setenv("LARVATUS_MEMORY_MB", "300")
    assert Runtime("cpu").budget == 300_000_000
    for bad in ("lots", "-1", "nan", "inf"):
        monkeypatch.setenv("LARVATUS_MEMORY_MB", bad)
        with pytest.raises(ValueError, match="LARVATUS_MEMORY_MB is"):
            Runtime("cpu")


@pytest.fixture
def offline(networks, monkeypatch):
    """FaceNet and the vision transformer cannot be fetched."""

    def here(card):
        return card.source != "hub"

    def locate(card, report=None):
        raise Unreachable("no network")

    monkeypatch.setattr(runtimes, "here", here)
    monkeypatch.setattr(runtimes, "locate", locate)
    return networks


def test_a_network_that_needs_no_download_stands_in_and_is_named(offline):
    runtime = Runtime("cpu")
    usual = panels.stand_in(KNOWN["facenet"], KNOWN)
    found, notes = members(runtime, Panel(("facenet",), ("dlib-resnet",)))
    assert [(member.id, member.attacked) for member in found] == [(usual, True), ("dlib-resnet", False)]
    title = KNOWN[usual].title
    assert notes == (f"FaceNet could not be fetched, so {title} was used instead.",)


def test_who_is_on_anyway_does_not_stand_in_twice(offline):
    usual = panels.stand_in(KNOWN["facenet"], KNOWN)
    found, notes = members(Runtime("cpu"), Panel((usual, "facenet")))
    assert [member.id for member in found] == [usual] and "left out" in notes[0]
    found, notes = members(Runtime("cpu"), Panel(("facenet", "vit-tiny-cosface")))
    assert [member.id for member in found] == [usual] and len(notes) == 2


def test_who_stands_in_for_a_held_out_one_is_never_one_that_can_be_attacked(offline):
    found, notes = members(Runtime("cpu"), Panel(("facenet",), ("vit-tiny-cosface",)))
    assert [(member.recogniser.card.role, member.attacked) for member in found] == [
        ("surrogate", True),
        ("judge", False),
    ]
    assert len(notes) == 2


def test_a_file_that_is_missing_is_said_and_nothing_stands_in(runtime, monkeypatch, tmp_path):
    copy = tmp_path / "registry.toml"
    copy.write_text(checkpoint_file())
    monkeypatch.setenv("LARVATUS_REGISTRY", str(copy))
    with pytest.raises(CheckpointError, match="weights convert"):
        members(runtime, Panel(("ir152",)))


def checkpoint_file():
    from engines.checkpoints import REGISTRY

    return REGISTRY.read_text()


def test_command_line_offline_uses_the_stand_in(astronaut_file, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("LARVATUS_OFFLINE", "1")
    monkeypatch.setenv("LARVATUS_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert main(["score", str(astronaut_file), "--against", str(astronaut_file), "--judge", "facenet", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    usual = panels.stand_in(checkpoint("facenet"), registry(), "judge")
    assert [row["recogniser"] for row in found["rows"]] == [usual] and "used instead" in found["notes"][0]
    assert [len(stamp["sha256"]) for stamp in found["provenance"]["checkpoints"]] == [64]
    assert main(["score", str(astronaut_file), "--against", str(astronaut_file), "--judge", "facenet"]) == 0
    assert found["notes"][0] in capsys.readouterr().out.splitlines()  # people are told too


def test_score_knows_what_a_file_was_made_against(astronaut, astronaut_file, tmp_path, capsys):
    made = {"provenance": {"checkpoints": [{"id": "sface", "sha256": "0" * 64}]}}
    path = tmp_path / "made.png"
    path.write_bytes(photos.encode(astronaut.photo.pixels, settings=made))
    options = ["--against", str(astronaut_file), "--judge", "sface", "--judge", "dlib-resnet", "--json"]
    assert main(["score", str(path), *options]) == 0
    roles = {row["recogniser"]: row["role"] for row in json.loads(capsys.readouterr().out)["rows"]}
    assert roles == {"sface": "surrogate", "dlib-resnet": "judge"}


def test_score_knows_an_attacked_network_by_its_file_too(astronaut, astronaut_file, tmp_path, capsys):
    made = {"provenance": {"checkpoints": [{"id": "sface-hub", "sha256": KNOWN["sface"].sha256}, {"id": "gone"}]}}
    path = tmp_path / "made.png"
    path.write_bytes(photos.encode(astronaut.photo.pixels, settings=made))
    assert main(["score", str(path), "--against", str(astronaut_file), "--judge", "sface", "--json"]) == 0
    assert [row["role"] for row in json.loads(capsys.readouterr().out)["rows"]] == ["surrogate"]
