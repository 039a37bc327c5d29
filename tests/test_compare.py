"""Comparing: rows, their order, tables, the figure, the archive, claims, and the tab's handlers."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import zipfile
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
import torch
from PIL import Image

from app import gallery
from app.compare import entries, tables, threats, tradeoff
from app.compare.archive import archive
from app.compare.columns import BY_NAME, is_best, ordered, there
from app.compare.entries import Entry
from app.compare.figure import drawn, encoded, figure, pictures
from app.compare.job import Cell, Comparison, Line, Working, compare, lines, request
from app.compare.likeness import likeness
from app.demo import board
from app.demo import compare as compare_tab
from app.demo.compare_events import NOTHING, CompareEvents
from app.demo.faces import from_person
from app.demo.session import Desk
from app.scoring import JobError
from engines.methods import METHODS
from engines.params import ParamError

ALICE = SimpleNamespace(session_hash="alice")
FAST = Entry("fgsm", "Balanced", {})
MANY = tuple(Entry("fgsm", f"{i}", {"epsilon": 1 + i / 4}) for i in range(25))
WEAK = Entry("fgsm", "ε 2", {"epsilon": 2.0})


def line(name: str, failed: str = "", **figures: float) -> Line:
    entry = Entry("fgsm", name)
    result = None if failed else SimpleNamespace(scores=(), window=(0, 0, 1, 1))
    return Line(entry, (Cell(entry, 0, result, failed, figures),))


@pytest.fixture
def cells(runtime, astronaut, small_panel) -> list[Cell]:
    """FGSM twice on one photo, and a setting that no photo bears."""
    job = Comparison((astronaut,), (FAST, WEAK))
    return [item for item in compare(runtime, job) if isinstance(item, Cell)]


def test_each_entry_becomes_a_line_with_its_figures(cells):
    found = lines((FAST, WEAK), cells)
    assert [one.entry for one in found] == [FAST, WEAK]
    strong, weak = (one.figures for one in found)
    assert strong["SSIM"] < weak["SSIM"] < 1 and strong["judge cosine"] < 1 and strong["seconds"] > 0
    assert found[0].verdict.endswith("of 1 held-out judges")
    shown = pictures(cells[0])
    assert list(shown)[:3] == ["Original", "Protected", "Difference × 8"] and "Grad-CAM after" in shown
    assert not cells[0].result.survival, "not asked for here"


def test_what_fails_is_a_line_with_its_reason_and_the_others_go_on(runtime, astronaut, small_panel, monkeypatch):
    def fails(self, pixels, params, scene, generator):
        raise ValueError("This face is too dark.\nmore")

    monkeypatch.setattr(type(METHODS["pgd"]), "protect", fails)
    job = Comparison((astronaut,), (Entry("pgd", "Balanced"), FAST))
    found = list(compare(runtime, job))
    done = [item for item in found if isinstance(item, Cell)]
    assert done[0].error == "This face is too dark." and done[1].result is not None
    assert any(isinstance(item, Working) and item.all == 2 for item in found)
    text = board.board(lines(job.entries, done))
    assert "This face is too dark." in text and text.count("lv-zoom") >= 3


def test_a_job_that_cannot_start_says_why(runtime, astronaut):
    for job, words in (
        (Comparison((astronaut,), ()), "choose at least one method"),
        (Comparison((), (FAST,)), "put in a photo"),
        (Comparison((astronaut,) * 9, (FAST,)), "9 photos are too many"),
        (Comparison((astronaut,), MANY), "25 rows"),
    ):
        with pytest.raises(JobError, match=words):
            list(compare(runtime, job))
    with pytest.raises(ParamError):
        list(compare(runtime, Comparison((astronaut,), (Entry("fgsm", "x", {"epsilon": -1}),))))


def test_cancel_stops_between_lines(runtime, astronaut, small_panel):
    stop: list[bool] = []
    found = []
    for item in compare(runtime, Comparison((astronaut,), (FAST, WEAK)), lambda: bool(stop)):
        found.append(item)
        if isinstance(item, Cell):
            stop.append(True)
    assert sum(isinstance(item, Cell) for item in found) == 1


def test_every_method_is_given_what_it_needs(runtime, astronaut, hider):
    for id, method in METHODS.items():
        asked = request(runtime, Comparison((astronaut,), ()), Entry(id, "Balanced"), astronaut)
        assert bool(asked.targets) == ("targets" in method.needs)
        assert all(person.name != astronaut.name for person in asked.targets)
        assert bool(asked.identity) == ("message" in method.needs)
        assert (asked.watermark is not None) == ("watermark" in method.needs)


def test_presets_and_sweeps_are_named_once_and_wrong_ones_refused():
    assert "tip-im:Balanced" in entries.choices() and entries.title("tip-im:Balanced") == "TIP-IM, Balanced"
    swept = entries.sweep("tip-im", 4)
    assert [entry.params["gamma"] for entry in swept] == [0, 1, 2, 3] and swept[1].name == "γ 1"
    assert entries.swept("fgsm").name == "epsilon", "its γ is fixed: there is nothing to sweep"
    with pytest.raises(JobError, match="no preset 'x'"):
        entries.named("tip-im:x")
    with pytest.raises(JobError, match="3 to 12 steps"):
        entries.sweep("tip-im", 2)
    assert len(entries.checked([FAST, dataclasses.replace(FAST, name="again")])) == 1


def test_a_link_brings_settings_back_and_nothing_else():
    for link in (
        entries.Link(("tip-im:Natural", "pgd:Balanced"), far=0.001),
        entries.Link((), "tip-im", 7),
        entries.Link(("fgsm:Strong",), "fgsm", 3),
    ):
        assert entries.linked(link.query) == link
    known = entries.Link(("tip-im:Natural",))
    assert entries.linked("?compare=<script>,tip-im:Natural&sweep=tip-im:9999&far=7") == known
    assert entries.linked("") is None is entries.linked("?other=1&sweep=nobody:5")


def test_the_best_of_a_column_is_marked_by_what_is_written_and_sorting_puts_it_first():
    rows = [line("a", SSIM=0.951, seconds=3.0), line("b", SSIM=0.949, seconds=1.0), line("c", failed="No face.")]
    assert [column.name for column in there(rows)] == ["SSIM", "seconds"]
    assert [is_best(row, rows, BY_NAME["SSIM"]) for row in rows] == [True, True, False], "both are written 0.95"
    assert [row.entry.name for row in ordered(rows, "seconds")] == ["b", "a", "c"]
    assert [row.entry.name for row in ordered(rows, "SSIM")] == ["a", "b", "c"]
    assert ordered(rows, None) == rows and not is_best(rows[0], rows[:1], BY_NAME["SSIM"])


def test_tables_are_latex_and_markdown_with_everything_escaped():
    rows = [line("50% & γ_1", SSIM=0.9), line("b|c", SSIM=0.8)]
    text = tables.latex(rows)
    assert r"FGSM, 50\% \& $\gamma$\_1 & \textbf{0.90} \\" in text and text.count(r"\\") == 3
    assert "% SSIM: of the face to before" in text and text.endswith("\\end{tabular}\n")
    marked = tables.markdown(rows)
    assert "| FGSM, b\\|c | 0.80 |" in marked and "**0.90**" in marked
    assert tables.latex_text("a\\b~^{}") == r"a\textbackslash{}b\textasciitilde{}\textasciicircum{}\{\}"


def test_the_front_is_what_nothing_beats_in_both():
    rows = [
        line("natural", SSIM=0.9, **{"judge cosine": 0.8}),
        line("beaten", SSIM=0.8, **{"judge cosine": 0.85}),
        line("strong", SSIM=0.7, **{"judge cosine": 0.2}),
        line("no judge", SSIM=0.99),
    ]
    made = tradeoff.tradeoff(rows)
    assert list(made.data[0].x) == [0.7, 0.9] and len(made.data) == 4
    blind = tradeoff.tradeoff(rows, names={row.entry.title: chr(65 + i) for i, row in enumerate(rows)})
    assert {trace.text[0] for trace in blind.data[1:]} == {"A", "B", "C"}
    assert len({trace.marker.color for trace in blind.data[1:]}) == 1, "no colour gives a method away"


def test_the_figure_and_the_archive_hold_everything(cells):
    rows = lines((FAST, WEAK), cells)
    made = drawn(rows)
    image = Image.open(io.BytesIO(made["png"]))
    assert image.width > 1200 and abs(image.info["dpi"][0] - 300) < 1 and made["pdf"].startswith(b"%PDF")
    with pytest.raises(ValueError, match="png or pdf"):
        encoded(figure(rows), "svg")
    packed = zipfile.ZipFile(io.BytesIO(archive(rows, made)))
    assert packed.read("figure.png") == made["png"]
    names = set(packed.namelist())
    assert {"figures.csv", "table.tex", "table.md", "figure.png", "figure.pdf"} <= names
    files = sorted(name for name in names if name.endswith(".png") and name.startswith("files/"))
    assert len(files) == 2 and packed.read(files[0]) in {cell.result.file for cell in cells}
    assert json.loads(packed.read(files[0].replace(".png", ".json")))["provenance"]["provenance"]["method"] == "fgsm"
    read = list(csv.DictReader(io.StringIO(packed.read("figures.csv").decode())))
    assert float(read[0]["SSIM"]) == pytest.approx(cells[0].figures["SSIM"])


def test_claims_name_threats_that_exist_and_methods_that_help_come_first():
    assert all(threat in threats.THREATS for said in threats.CLAIMS.values() for threat in said)
    rows = threats.claims(threats.TRACE)
    assert rows[0][0] == "dip-watermark" and rows[0][1].helps and rows[-1][1] is None
    assert threats.suited(threats.TRAIN) == ()
    text = board.claims(threats.TRAIN)
    assert "says that it does not" in text and threats.SILENT in text


def test_likeness_is_one_for_the_same_picture_and_needs_enough_pixels():
    one = torch.rand(1, 3, 200, 190)
    found = likeness(one, one)
    assert found["MS-SSIM"] == pytest.approx(1, abs=1e-4)
    assert "MS-SSIM" not in likeness(one[..., :100, :100], one[..., :100, :100])


def test_blind_letters_say_nothing_about_the_order():
    rows = [line(str(i)) for i in range(6)]
    one, two = board.letters(rows, 1), board.letters(rows, 1)
    assert one == two and sorted(one.values()) == list("ABCDEF")
    titles = [row.entry.title for row in rows]
    assert len({tuple(board.letters(rows, seed)[title] for title in titles) for seed in range(6)}) > 3


@pytest.fixture
def tab(runtime, small_panel, tmp_path):
    desk = Desk(tmp_path)
    with gr.Blocks():
        view, far = compare_tab.draw(), gr.Radio([0.01, 0.001])
    events = CompareEvents(runtime, view, desk, far)
    return SimpleNamespace(view=view, events=events, session=desk.of(ALICE))


def run(tab, *chosen: str, sweep: str = "", blind: bool = False):
    return list(tab.events.run(list(chosen), sweep, 3, blind, "SSIM", 0.01, ALICE))


def test_the_tab_streams_lines_sorts_hides_names_and_packs(tab, astronaut):
    view, events = tab.view, tab.events
    tab.session.sitter = from_person(astronaut)
    assert "<img" in events.open("?compare=fgsm:Balanced", ALICE)[view.sitter]
    brought = events.open("?compare=fgsm:Balanced&sweep=fgsm:4&far=0.001", ALICE)
    assert [brought[part] for part in (view.chosen, view.swept, view.steps, events.far)] == [
        ["fgsm:Balanced"],
        "fgsm",
        4,
        0.001,
    ]
    out = run(tab, "fgsm:Balanced", sweep="fgsm")
    boards = [step[view.board] for step in out if step.get(view.board)]
    assert [html.count("lv-shots") for html in boards] == [1, 2, 3, 4, 4], "one more each time, and all at the end"
    packed = next(step for step in out if view.pack in step)
    assert zipfile.is_zipfile(packed[view.pack]) and Path(packed[view.pdf]).read_bytes().startswith(b"%PDF")
    assert packed[view.link] == "?compare=fgsm%3ABalanced&sweep=fgsm%3A3&far=0.01" and "Done." in out[-1][view.status]
    sorted_ = events.sort(False, gr.EventData(None, {"sort": "SSIM"}), ALICE)
    assert 'aria-pressed="true"' in sorted_
    assert 'aria-pressed="true"' not in events.sort(False, gr.EventData(None, {"sort": "SSIM"}), ALICE)
    blind = events.look(0, True, "SSIM", ALICE)
    assert "Method A" in blind[view.board] and "FGSM" not in blind[view.board] and blind[view.verdict] == ""
    assert "FGSM" in events.show_step(2, ALICE)
    assert "enter the code" in events.send_to_study(ALICE)


def test_the_tab_says_what_is_wrong_where_the_person_looks(tab, tmp_path):
    view, events = tab.view, tab.events
    assert "choose at least one method" in run(tab)[0][view.status]
    assert "None of the methods here" in events.choose_suited(threats.TRAIN)[view.status]
    assert events.choose_suited(threats.TRACE)[view.chosen] == ["dip-watermark:Balanced", "erasable-mask:Balanced"]
    assert events.send_to_study(ALICE) == NOTHING and events.show_step(1, ALICE) == ""
    assert events.look(0, False, "SSIM", ALICE) == {view.status: gr.skip()}
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no photo")
    assert "not a picture" in events.take([str(bad)], ALICE)[view.status]
    assert events.take(None, ALICE) == {view.status: gr.skip()}
    good = tmp_path / "good.png"
    good.write_bytes(gallery.portrait(gallery.COLLINS))
    shown = events.take([str(good)], ALICE)
    assert shown[view.clear]["visible"] and len(tab.session.comparing.people) == 1
    assert not events.clear(ALICE)[view.clear]["visible"]
    assert "Stopped" in events.cancel(ALICE)[view.status]


def test_a_closed_tab_stops_its_comparison(tab):
    tab.events.open("", ALICE)
    tab.events.desk.leave(ALICE)
    assert tab.session.comparing.stop.is_set()


def test_pictures_of_the_board_are_escaped():
    rows = [line("<b>x</b>", failed="<i>no</i>")]
    text = board.board(rows)
    assert "<b>x</b>" not in text and "<i>no</i>" not in text and "&lt;b&gt;" in text
