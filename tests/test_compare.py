"""Comparing: rows, their order, tables, the figure, the archive, claims, and the tab's handlers."""

from __future__ import annotations

import base64
import csv
import dataclasses
import io
import json
import re
import zipfile
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
import torch
from chromium import ARGS, CHROMIUM, MINUTE, needed, once, says
from PIL import Image
from serving import registry_of, serving

from app import gallery
from app import photo as photos
from app.compare import entries, tables, threats, tradeoff
from app.compare.archive import STILL_MATCH, archive
from app.compare.columns import BY_NAME, STILL, is_best, ordered, there
from app.compare.entries import Entry
from app.compare.figure import Look, drawn, encoded, figure, judged, look, pictures
from app.compare.job import Cell, Comparison, Line, Working, compare, lines, request
from app.compare.likeness import likeness
from app.compare.link import Link, linked
from app.demo import board, compare_events, compare_shown
from app.demo import compare as compare_tab
from app.demo.api import Api
from app.demo.build import build
from app.demo.compare import Borrowed
from app.demo.compare_events import NOTHING, CompareEvents
from app.demo.controls import Controls
from app.demo.faces import from_person
from app.demo.session import Desk
from app.panel import Panel, PanelError
from app.report import Cam, Progress
from app.scoring import JobError
from app.study import inbox
from engines.method import MethodError
from engines.methods import METHODS
from engines.params import ParamError

ALICE = SimpleNamespace(session_hash="alice")
FAST = Entry("fgsm", "Balanced", {})
MANY = tuple(Entry("fgsm", f"{i}", {"epsilon": 1 + i / 4}) for i in range(25))
WEAK = Entry("fgsm", "ε 2", {"epsilon": 2.0})
PANEL = Panel(("compact-vgg",), ("compact-inception",))


def line(name: str, failed: str = "", **figures: float) -> Line:
    entry = Entry("fgsm", name)
    empty = dict.fromkeys(("before", "after", "difference"), np.zeros((1, 1, 3), np.uint8))
    empty |= dict.fromkeys(("scores", "cams"), ()) | dict.fromkeys(("wall", "hidden"))
    result = None if failed else SimpleNamespace(**empty, window=(0, 0, 1, 1))
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


def test_every_line_has_grad_cam_on_one_scale_and_a_mask_comes_off_again(runtime, astronaut, small_panel):
    """A method without targets is looked at towards the same stranger as the others."""
    job = Comparison((astronaut,), (FAST, WEAK, Entry("erasable-mask", "Balanced")))
    found = [item for item in compare(runtime, job) if isinstance(item, Cell)]
    assert {judged(cell).reference for cell in found} == {gallery.HOPPER}
    board_of = lines(job.entries, found)
    by = look(board_of, 0)
    assert by.top == max(judged(cell, by).top for cell in found) and look(board_of, 1) is None
    assert "Grad-CAM by" in board.board(board_of) and look(board_of, 0).recogniser == "compact-inception"
    befores = [pictures(cell, by)["Grad-CAM before"] for cell in found]
    assert all(np.array_equal(one, befores[0]) for one in befores), "the same photo, the same colours"
    assert found[0].restored is None and "Restored" not in pictures(found[0])
    shown = {name: pixels.astype(float) for name, pixels in pictures(found[2]).items()}
    away = [np.abs(shown[name] - shown["Original"]).mean() for name in ("Restored", "Protected")]
    assert shown["Restored"].shape == shown["Original"].shape and away[0] < away[1]


def test_who_is_held_out_of_all_lines_looks_at_all_of_them():
    """A method is judged by those whom it was not made against, and another one by others."""

    def seen(by: list[str], judges: list[str]) -> Line:
        cams = tuple(Cam(id, id.title(), "x", torch.zeros(2, 3, 4, 4), torch.full((2, 4, 4), len(id))) for id in by)
        scores = tuple(SimpleNamespace(recogniser=id, role="judge" if id in judges else "surrogate") for id in by)
        result = SimpleNamespace(cams=cams, scores=scores)
        return Line(FAST, (Cell(FAST, 0, result),))

    one, two = seen(["a", "bb", "ccc"], ["a", "bb"]), seen(["a", "bb", "ccc"], ["bb", "ccc"])
    assert look([one], 0).recogniser == "a" and look([two], 0).recogniser == "bb"
    both = look([one, two], 0)
    assert both == Look("bb", "Bb", 2.0) and judged(one.cells[0], both).recogniser == "bb"
    assert look([one, seen(["a", "ccc"], ["ccc"])], 0) is None and judged(two.cells[0]).recogniser == "bb"


def test_what_fails_is_a_line_with_its_reason_and_the_others_go_on(runtime, astronaut, small_panel, monkeypatch):
    def fails(self, pixels, params, scene, generator):
        raise MethodError("This face is too dark.")

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
    with pytest.raises(PanelError, match="No recogniser"):
        list(compare(runtime, Comparison((astronaut,), (FAST,), panel=Panel((), ()))))


def test_a_method_that_the_panel_does_not_suit_says_so_in_its_line(runtime, astronaut):
    job = Comparison((astronaut,), (FAST,), panel=Panel((), ("compact-inception",)))
    assert "FGSM needs at least one recogniser" in next(iter(compare(runtime, job))).error


def test_nobody_is_led_to_themselves(runtime, astronaut, hopper):
    for targets, towards in (((hopper,), hopper), ((astronaut, hopper), hopper), ((astronaut,), hopper)):
        assert request(runtime, Comparison((astronaut,), (), targets), FAST, astronaut).targets == (towards,)


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


def test_the_same_settings_are_one_entry_however_they_are_written():
    usual = METHODS["fgsm"].Params().epsilon
    said = Entry("fgsm", "said", {"epsilon": int(usual)})
    assert entries.checked([FAST, dataclasses.replace(FAST, name="again"), said, WEAK]) == (FAST, WEAK)


def test_every_knob_that_trades_looks_for_protection_can_be_swept():
    known = {"tip-im.gamma", "tip-im.epsilon", "pgd.epsilon", "mim.epsilon", "erasable-mask.beta"}
    assert known <= {*entries.sweeps()}
    assert "fgsm.gamma" not in entries.sweeps() and entries.swept("fgsm.gamma") is None
    assert entries.sweep_title("tip-im.epsilon") == "TIP-IM, ε (largest change)"
    assert [entry.params for entry in entries.sweep("tip-im.epsilon", 3)] == [
        {"epsilon": value} for value in (0.5, 16.0, 32)
    ]
    assert entries.sweep("tip-im", 4) == entries.sweep("tip-im.gamma", 4), "a plain id means its first knob"
    assert linked("?sweep=tip-im:7") == Link((), "tip-im.gamma", 7)


def test_a_link_brings_settings_back_and_nothing_else():
    for link in (
        Link(("tip-im:Natural", "pgd:Balanced"), far=0.001),
        Link((), "tip-im.epsilon", 7),
        Link(("fgsm:Strong",), targets=(gallery.VIRTUAL,), attacked=("sface", "compact-vgg"), held_out=()),
        Link(("fgsm:Strong",), "fgsm.epsilon", 3, threat=threats.BACK, natural="PSNR", blind=True),
    ):
        assert linked(link.query) == link
    known = Link(("tip-im:Natural",))
    assert known.query == "?compare=tip-im%3ANatural&far=0.01", "what is usual is left out"
    wrong = "&sweep=tip-im:9999&far=7&threat=x&looks=Beauty&blind=no"
    assert linked(f"?compare=<script>,tip-im:Natural{wrong}") == known
    assert linked("") is None is linked("?other=1&sweep=nobody:5")


def test_the_best_of_a_column_is_marked_by_what_is_written_and_sorting_puts_it_first():
    rows = [line("a", SSIM=0.951, seconds=3.0), line("b", SSIM=0.949, seconds=1.0), line("c", failed="No face.")]
    assert [column.name for column in there(rows)] == ["SSIM", "seconds"]
    assert not any(is_best(row, rows, BY_NAME["SSIM"]) for row in rows), "both are written 0.95: none is better"
    more = [*rows, line("d", SSIM=0.9)]
    assert [is_best(row, more, BY_NAME["SSIM"]) for row in more] == [True, True, False, False]
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
    assert b"Type42" in made["pdf"] or b"/CIDFontType2" in made["pdf"]
    assert b"/Type3" not in made["pdf"], "publishers refuse those fonts"
    second = [dataclasses.replace(cell, photo=1) for cell in cells]
    rows = lines((FAST, WEAK), [*cells, *second])
    data = archive(rows)
    packed = zipfile.ZipFile(io.BytesIO(data))
    assert packed.read("figure-photo1.png") == made["png"] and packed.read("figure-photo2.pdf").startswith(b"%PDF")
    names = set(packed.namelist())
    assert {"figures.csv", "table.tex", "table.md", "figure-photo1.pdf", "tradeoff.html"} <= names
    plot = packed.read("tradeoff.html").decode()
    assert '<script src="http' not in plot and packed.getinfo("tradeoff.html").compress_size < 2_000_000
    for place, cell in ((1, cells[0]), (2, second[0])):
        shown = pictures(cell, look(rows, cell.photo))
        for caption, file in (("Difference × 8", "difference-8"), ("Grad-CAM after", "grad-cam-after")):
            read = Image.open(io.BytesIO(packed.read(f"pictures/fgsm-balanced-photo{place}-{file}.png")))
            assert np.array_equal(np.asarray(read), shown[caption])
    files = sorted(name for name in names if name.endswith(".png") and name.startswith("files/"))
    assert len(files) == 4 and packed.read(files[0]) in {cell.result.file for cell in cells}
    assert json.loads(packed.read(files[0].replace(".png", ".json")))["provenance"]["provenance"]["method"] == "fgsm"
    read = list(csv.DictReader(io.StringIO(packed.read("figures.csv").decode())))
    assert float(read[0]["SSIM"]) == pytest.approx(cells[0].figures["SSIM"])
    assert float(read[0]["still match %"]) == cells[0].figures["still match %"]
    assert read[0][STILL_MATCH].endswith(" of 1") and rows[0].still.endswith(" of 2")


def test_what_fails_on_the_first_photo_is_drawn_on_the_next_and_what_always_fails_not_at_all(cells):
    failed = Cell(FAST, 0, None, "Too dark.")
    second = [dataclasses.replace(cell, photo=1) for cell in cells]
    assert drawn(lines((FAST, WEAK), [failed, *second]))["png"] == drawn(lines((FAST, WEAK), cells))["png"]
    rows = lines((FAST,), [failed])
    assert drawn(rows) == {}
    assert not [
        name for name in zipfile.ZipFile(io.BytesIO(archive(rows))).namelist() if name.endswith(("png", "pdf"))
    ]


def test_the_api_says_in_rows_why_nothing_worked(runtime, astronaut_file, small_panel, tmp_path, monkeypatch):
    def fails(self, pixels, params, scene, generator):
        raise MethodError("This face is too dark.")

    monkeypatch.setattr(type(METHODS["fgsm"]), "protect", fails)
    photo = tmp_path / "photo.png"
    photo.write_bytes(astronaut_file.read_bytes())
    _, found = Api(runtime, Desk(tmp_path / "desk")).compare([str(photo)], ["fgsm:Balanced"], request=ALICE)
    assert [row["photos"] for row in found["rows"]] == [[{"photo": 1, "failed": "This face is too dark."}]]


def test_claims_name_threats_that_exist_and_methods_that_help_come_first():
    assert all(threat in threats.THREATS for said in threats.CLAIMS.values() for threat in said)
    rows = threats.claims(threats.TRACE)
    assert rows[0][0] == "dip-watermark" and rows[0][1].helps and rows[-1][1] is None
    assert threats.suited(threats.TRAIN) == ()
    text = board.claims(threats.TRAIN)
    assert "says that it does not" in text and threats.SILENT in text


def test_a_claim_names_its_paper_and_section_and_an_experiment_is_no_claim_to_help(monkeypatch):
    assert "(Yang et al., TIP-IM, Sec. 1)" in board.claims(threats.SEARCH)
    said = [claim for threat in threats.THREATS for _, claim in threats.claims(threat) if claim]
    assert said and all(re.search(r"^\w+ et al., .+, Sec\. [\dIVX]", claim.where) for claim in said)
    monkeypatch.setitem(
        METHODS, "id-guard", METHODS.get("id-guard") or SimpleNamespace(title="ID-Guard", paper="Qu, x")
    )
    text = board.claims(threats.TRACE)
    assert "We migrate the proposed ID-Guard framework to proactive forensics" in text and "tried, but not" in text
    assert "id-guard" not in threats.suited(threats.TRACE)


def test_likeness_is_one_for_the_same_picture_and_needs_enough_pixels():
    one = torch.rand(1, 3, 200, 190)
    found = likeness(one, one)
    assert found["MS-SSIM"] == pytest.approx(1, abs=1e-4)
    assert "MS-SSIM" not in likeness(one[..., :100, :100], one[..., :100, :100])


def test_the_share_of_judges_that_still_match_is_a_column_like_the_others():
    rows = [line("a", **{STILL.name: 200 / 3, "SSIM": 0.9}), line("b", **{STILL.name: 0.0, "SSIM": 0.8})]
    assert there(rows)[0] is STILL and [row.entry.name for row in ordered(rows, STILL.name)] == ["b", "a"]
    html = board.board(rows, by=STILL.name)
    assert "<b>★ 0</b>" in html and html.count('aria-sort="ascending"') == 1 and html.count('aria-sort="none"') == 1
    assert 'aria-sort="descending"' in board.board(rows, by="SSIM"), "the most first"
    assert r"FGSM, b & \textbf{0} & 0.80" in tables.latex(rows) and r"Still match (\%)" in tables.latex(rows)
    assert "| FGSM, a | 67 | **0.90** |" in tables.markdown(rows)


def test_how_many_judges_still_match_is_read_in_the_row_and_in_the_tables():
    row = line("a", **{STILL.name: 100 / 3})
    judges = [
        SimpleNamespace(recogniser="x", role="judge", matches_self=match) for match in (True, False, False, None)
    ]
    row.cells[0].result.scores = (*judges, SimpleNamespace(recogniser="y", role="surrogate", matches_self=True))
    assert row.still == "1 of 3" and row.verdict == "1 of 3 held-out judges" and line("b").still == ""
    assert "33<small>1 of 3 still match</small></td>" in board.board([row])
    assert "FGSM, a & 33 (1 of 3)" in tables.latex([row]) and "| 33 (1 of 3) |" in tables.markdown([row])


def test_blind_letters_are_drawn_by_lot():
    few = [Entry("fgsm", str(i)) for i in range(2)]
    drawn_ = [board.letters(few) for _ in range(64)]
    assert {tuple(one.values()) for one in drawn_} == {("A", "B"), ("B", "A")}, "whatever the number of rows"
    assert sorted(board.letters(MANY[: entries.MOST]).values()) == list("ABCDEFGHIJKLMNOPQRSTUVWX")


def test_a_blind_board_is_in_the_order_of_its_letters_until_it_is_sorted():
    rows = [line("a", SSIM=0.7), line("b", SSIM=0.8), line("c", SSIM=0.9), line("d", failed="FGSM cannot.")]
    names = dict(zip((row.entry.title for row in rows), "CBAD", strict=True))
    assert re.findall(r"<th>Method (.)</th>", board.board(rows, names=names)) == list("ABCD")
    by_looks = board.board(rows, by="SSIM", names=names)
    assert re.findall(r"<th>Method (.)</th>", by_looks) == list("ABCD") and 'aria-sort="descending"' in by_looks
    rows[0] = line("a", SSIM=0.85)
    by_looks = board.board(rows, by="SSIM", names=names)
    assert re.findall(r"<th>Method (.)</th>", by_looks) == list("ACBD") and "FGSM" not in by_looks


@pytest.fixture
def tab(runtime, small_panel, tmp_path):
    desk = Desk(tmp_path)
    with gr.Blocks():
        controls = Controls()
        controls.draw("tip-im", False), controls.draw("tip-im", True)
        view, lists = compare_tab.draw(), [gr.CheckboxGroup() for _ in range(3)]
        borrowed = Borrowed(gr.Radio([0.01, 0.001]), *lists)
    events = CompareEvents(runtime, view, desk, borrowed, controls)
    return SimpleNamespace(view=view, events=events, session=desk.of(ALICE))


@pytest.fixture
def good(tmp_path) -> str:
    path = tmp_path / "good.png"
    path.write_bytes(gallery.portrait(gallery.COLLINS))
    return str(path)


@pytest.fixture(scope="module")
def result(runtime, astronaut):
    """What FGSM makes of a photo."""
    done = compare(runtime, Comparison((astronaut,), (FAST,), panel=PANEL))
    return next(item.result for item in done if isinstance(item, Cell))


@pytest.fixture
def quick(tab, result, monkeypatch):
    """The tab, where every line is made at once: of FGSM's one result, with figures that follow from its ε."""

    def made(runtime, job, cancelled):
        for i, entry in enumerate(job.entries):
            yield Working(i, len(job.entries), entry, 0, Progress(1, 1, 0.0, None, "Making the mask"))
            strength = METHODS["fgsm"].Params.read(entry.params).epsilon
            yield Cell(entry, 0, result, figures={"SSIM": 1 - strength / 40, "judge cosine": 0.9, "PSNR": 30.0})
            if cancelled():
                return

    monkeypatch.setattr(compare_events, "compare", made)
    return tab


def press(tab, *chosen: str, sweep: str = "", blind: bool = False, targets=(), panel: Panel = PANEL):
    asked = (list(chosen), sweep, 3, 0.01, threats.SEARCH, "SSIM", blind)
    return tab.events.begin(*asked, list(targets), list(panel.attacked), list(panel.held_out), ALICE)


def run(tab, *chosen: str, **asked):
    return [press(tab, *chosen, **asked), *tab.events.run(ALICE)]


def until_a_line(work, view):
    """As far as the first line."""
    return next(step for step in work if step.get(view.board))


def test_the_tab_streams_lines_sorts_hides_names_and_packs(tab, astronaut):
    view, events = tab.view, tab.events
    tab.session.sitter = from_person(astronaut)
    assert "<img" in events.open("", threats.SEARCH, ALICE)[view.sitter]
    out = run(tab, "fgsm:Balanced", sweep="fgsm")
    boards = [step[view.board] for step in out if step.get(view.board)]
    assert [html.count("lv-shots") for html in boards] == [1, 2, 3, 4, 4], "one more each time, and all at the end"
    packed = next(step for step in out if view.pack in step)
    assert zipfile.is_zipfile(packed[view.pack]) and Path(packed[view.pdf]).read_bytes().startswith(b"%PDF")
    assert packed[view.link] == out[0][view.link] and "Done." in out[-1][view.status]
    assert 'aria-sort="descending"' in events.sort(gr.EventData(None, {"sort": "SSIM"}), ALICE)
    assert 'aria-sort="descending"' not in events.sort(gr.EventData(None, {"sort": "SSIM"}), ALICE)
    blind = events.look(0, True, "SSIM", ALICE)
    assert "Method A" in blind[view.board] and "FGSM" not in blind[view.board] and blind[view.verdict] == ""
    assert "looks=PSNR" in events.look(0, False, "PSNR", ALICE)[view.link]
    assert "enter the code" in events.send_to_study(ALICE)


def test_the_threat_comes_before_photos_and_board_in_the_tabs_full_width(tab):
    ways = {}
    for name in ("threat", "claims", "sitter", "board"):
        part, ways[name] = getattr(tab.view, name), []
        while part := part.parent:
            ways[name].insert(0, part)
    top, columns = ways["threat"][1], ways["sitter"][1]
    assert top.elem_id == "lv-threats" and top is ways["claims"][1] and columns is ways["board"][1]
    assert top.parent.children.index(top) < top.parent.children.index(columns)


def test_a_link_opens_the_tab_and_brings_its_settings_once(tab):
    view, events = tab.view, tab.events
    query = "?compare=fgsm:Balanced&sweep=fgsm:4&far=0.001&threat=trace&looks=PSNR&blind=1"
    assert events.arrive(query).selected == "compare" and not isinstance(events.arrive(""), gr.Tabs)
    brought = events.open(query, threats.SEARCH, ALICE)
    there = (view.chosen, view.swept, view.steps, events.borrowed.far, view.threat, view.natural, view.blind)
    assert [brought[part] for part in there] == [
        *(brought[view.chosen], "fgsm.epsilon", 4, 0.001),
        *(threats.TRACE, "PSNR", True),
    ]
    assert brought[view.claims] == board.claims(threats.TRACE)
    assert brought[view.chosen]["value"] == ["fgsm:Balanced"]
    again = events.open(query, threats.BACK, ALICE)
    assert view.chosen not in again and again[view.claims] == board.claims(threats.BACK), "what was changed stays"


def test_a_link_is_there_when_a_run_begins_and_brings_targets_and_recognisers_back(tab, runtime):
    view, asked = tab.view, tab.events.borrowed
    query = press(tab, "fgsm:Balanced", targets=[gallery.VIRTUAL])[view.link]
    tab.session.comparing.linked = False
    brought = tab.events.open(query, threats.SEARCH, ALICE)
    whom = [brought[part] for part in (asked.targets, asked.attacked, asked.held_out)]
    assert whom == [[gallery.VIRTUAL], ["compact-vgg"], ["compact-inception"]] and view.status not in brought
    tab.session.comparing.linked = False
    query = "?compare=fgsm:Balanced&targets=Nobody&attacked=nobody,compact-vgg&held=compact-vgg"
    brought = tab.events.open(query, threats.SEARCH, ALICE)
    whom = [brought[part] for part in (asked.targets, asked.attacked, asked.held_out)]
    assert whom == [[], ["compact-vgg"], []] and "left out: Nobody, nobody." in brought[view.status]
    tab.session.comparing.linked = False
    assert not {asked.targets, asked.attacked} & {*tab.events.open("?compare=fgsm:Strong", threats.SEARCH, ALICE)}


def test_what_protect_is_set_to_is_an_entry_that_a_link_carries(quick):
    view, events = quick.view, quick.events
    usual = {
        **{knob.name: knob.default for knob in METHODS["fgsm"].Params.knobs()},
        "epsilon": 10.5,
        "diversity": 0.3,
    }
    values = [usual.get(name) for name, _, _ in events.controls.keys]
    added = events.add(["fgsm:Balanced"], "fgsm", *values)[view.chosen]
    own = "fgsm(epsilon=10.5;diversity=0.3)"
    assert added["value"] == ["fgsm:Balanced", own] and (entries.title(own), own) in added["choices"]
    assert entries.named(own).params == {"epsilon": 10.5, "diversity": 0.3} and "ε 10.5" in entries.title(own)
    assert events.add(added["value"], "fgsm", *values)[view.chosen]["value"] == added["value"], "once"
    link = press(quick, own)[view.link]
    assert linked(link).chosen == (own,)
    query = "?compare=fgsm(epsilon=900),fgsm(x=1),no(epsilon=1),fgsm(),fgsm:Strong"
    assert linked(query).chosen == ("fgsm()", "fgsm:Strong")
    last = list(events.run(ALICE))[-1]
    assert "ε 10.5" in last[view.board] and r"$\varepsilon$ 10.5" in last[view.latex]
    for id in METHODS:
        assert entries.named(entries.set_to(id, {})).key == Entry(id, "x").key


def test_names_hidden_during_a_run_stay_hidden(quick):
    view, events = quick.view, quick.events
    press(quick, "fgsm:Balanced", sweep="fgsm")
    work = events.run(ALICE)
    assert "FGSM" in until_a_line(work, view)[view.board]
    events.look(0, True, "PSNR", ALICE)
    rest = list(work)
    assert not any("FGSM" in str(step.get(part)) for step in rest for part in (view.board, view.status, view.verdict))
    assert rest[-1][view.plot].layout.xaxis.title.text.startswith("PSNR") and rest[-1][view.step_view] == ""
    assert not rest[-1][view.export]["visible"], "it would show the names"
    assert events.look(0, False, "PSNR", ALICE)[view.export]["visible"]


def test_a_blind_run_tells_no_name_and_keeps_its_letters(quick):
    view, events, session = quick.view, quick.events, quick.session
    chosen = ("fgsm:Balanced", "fgsm:Natural", "fgsm:Strong")
    told, seen = [], {}
    press(quick, *chosen, blind=True)
    letters = dict(session.comparing.letters)
    for step in events.run(ALICE):
        told += [str(step[part]) for part in (view.status, view.board, view.verdict, view.plot) if part in step]
        for letter, ssim in re.findall(r'<th>Method (.)</th>.*?SSIM">(?:<b>★ )?([\d.]+)', step.get(view.board) or ""):
            assert seen.setdefault(letter, ssim) == ssim, "nobody changes places when a line comes"
    assert len(letters) == len(seen) == 3 and not any("FGSM" in text for text in told)
    assert any("Line 1 of 3" in text for text in told) and session.comparing.letters == letters


def test_in_a_blind_run_not_even_the_order_of_the_work_is_that_of_the_choice(tab, monkeypatch):
    orders = []
    monkeypatch.setattr(compare_events, "compare", lambda runtime, job, stop: orders.append(job.entries) or iter(()))
    for blind, count in ((False, 1), (True, 2)):
        orders.clear()
        for _ in range(64):
            run(tab, "fgsm:Balanced", "fgsm:Natural", blind=blind)
        assert len({*(tuple(entry.name for entry in order) for order in orders)}) == count


@pytest.mark.parametrize("change", ["take", "clear"])
def test_other_photos_stop_a_run_which_shows_nothing_more(tab, good, change):
    view, events = tab.view, tab.events
    press(tab, "fgsm:Balanced", "fgsm:Natural")
    old, work = tab.session.comparing, events.run(ALICE)
    until_a_line(work, view)
    shown = events.take([good], ALICE) if change == "take" else events.clear(ALICE)
    assert old.stop.is_set() and shown[view.board] == "" and shown[view.compare]["interactive"]
    assert all(step == events.unchanged for step in work), "also the last, which Gradio sends again"
    assert len(old.cells) == 1 and not tab.session.comparing.cells and not tab.session.comparing.stop.is_set()
    assert list(events.run(ALICE)) == [events.unchanged], "nothing is asked of the new photos yet"
    tab.events.desk.leave(ALICE)
    assert tab.session.comparing.stop.is_set()


def test_a_study_gets_the_photos_that_were_compared(tab, astronaut, hopper, tmp_path, monkeypatch):
    monkeypatch.setenv("LARVATUS_STUDIES", str(tmp_path / "studies"))
    tab.session.sitter = from_person(astronaut)
    run(tab, "fgsm:Balanced")
    tab.session.sitter = from_person(hopper)
    code = re.search("enter the code <code>([^<]+)</code>", tab.events.send_to_study(ALICE)).group(1)
    reference, *versions = inbox.fetch(code)
    assert torch.equal(photos.load(reference.data).pixels, astronaut.photo.pixels)
    assert [one.data for one in versions] == [cell.result.file for cell in tab.session.comparing.cells]
    assert {one.photo for one in versions} == {reference.photo}


def test_the_step_is_kept_and_a_new_run_begins_at_the_first(quick):
    view, events = quick.view, quick.events
    run(quick, "fgsm:Balanced", sweep="fgsm")
    third = events.show_step(3, ALICE)
    looked = events.look(0, False, "SSIM", ALICE)
    assert "ε 32" in third and looked[view.step_view] == third and looked[view.step]["value"] == 3
    quick.session.comparing.photo = 1
    assert events.open("", threats.SEARCH, ALICE)[view.photo]["value"] == 1
    begun = press(quick, sweep="fgsm")
    assert begun[view.step]["value"] == 1 and begun[view.photo]["value"] == 0
    assert [step[view.step]["value"] for step in events.run(ALICE) if view.step in step] == [1] * 4


def test_the_figures_files_are_those_of_the_photo_that_is_looked_at(quick):
    view, events = quick.view, quick.events
    run(quick, "fgsm:Balanced")
    kept = quick.session.comparing
    other = dataclasses.replace(kept.cells[0].result, after=kept.cells[0].result.before)
    kept.cells.append(dataclasses.replace(kept.cells[0], photo=1, result=other, strips={}))
    one, two = (
        Path(compare_shown.figures(view, quick.session, kept)[view.png]).read_bytes() for kept.photo in (0, 1)
    )
    kept.photo = 0
    looked = events.look(1, False, "SSIM", ALICE)
    assert Path(looked[view.png]).read_bytes() == two != one and Path(looked[view.pdf]).read_bytes()[:4] == b"%PDF"
    assert view.png not in events.look(1, False, "PSNR", ALICE), "the same photo, the same figure"


def test_a_step_that_is_also_chosen_is_one_line_and_still_a_step(quick, monkeypatch):
    monkeypatch.setitem(METHODS["fgsm"].presets, "Natural", {"epsilon": 0.5})
    run(quick, "fgsm:Natural", sweep="fgsm")
    kept = quick.session.comparing
    assert len(kept.lines) == 3 and [one.entry.name for one in kept.steps] == ["Natural", "ε 16", "ε 32"]


def test_the_panel_and_the_targets_of_protect_count_here_too(tab, hopper, runtime, monkeypatch):
    press(tab, "fgsm:Balanced", targets=[gallery.HOPPER])
    job = tab.session.comparing.job
    assert job.panel == PANEL and [one.name for one in job.targets] == [gallery.HOPPER]
    tab.session.extras = (dataclasses.replace(hopper, name="upload"),)
    press(tab, "fgsm:Balanced", targets=[gallery.HOPPER])
    assert [one.name for one in tab.session.comparing.job.targets] == [gallery.HOPPER, "upload"]
    kept = tab.session.comparing
    assert "No recogniser" in press(tab, "fgsm:Balanced", panel=Panel((), ()))[tab.view.status]
    assert tab.session.comparing is kept
    monkeypatch.setenv("LARVATUS_EXAMPLE", "0")
    begin = [fn for fn in build(runtime).fns.values() if fn.name == "begin" and len(fn.inputs) > 1]
    assert {"lv-attacked", "lv-held-out", "lv-targets"} <= {part.elem_id for part in begin[0].inputs}


def test_the_tab_says_what_is_wrong_where_the_person_looks(tab, tmp_path, good):
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
    shown = events.take([good], ALICE)
    assert shown[view.clear]["visible"] and len(tab.session.comparing.own) == 1
    assert not events.clear(ALICE)[view.clear]["visible"]
    assert "Stopped" in events.cancel(ALICE)[view.status]


@needed
def test_in_a_browser_a_link_opens_the_tab_and_faces_zoom_while_pages_scroll(tmp_path):
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: no browser tests.")
    with (
        serving(example=False, **registry_of(tmp_path, "sface", "dlib-resnet")) as url,
        sync_api.sync_playwright() as started,
        started.chromium.launch(executable_path=CHROMIUM, args=ARGS) as browser,
    ):
        page = browser.new_page()
        page.goto(f"{url}/?compare=fgsm:Natural&blind=1", wait_until="load")
        page.wait_for_selector("#lv-compare-button:visible", timeout=MINUTE)
        assert "FGSM, Natural" in says(page, "#lv-compare-methods", "FGSM, Natural")
        page.click("#lv-compare-button")
        says(page, "#lv-compare-status", "Done", 2 * MINUTE)
        assert page.is_checked("#lv-blind input") and "FGSM" not in page.inner_text("#lv-compare-board")
        page.click("#lv-compare-board button[data-sort=SSIM]")
        page.wait_for_selector("#lv-compare-board th[aria-sort=descending]", timeout=MINUTE)
        face = page.locator("#lv-compare-board .lv-zoom").first
        face.scroll_into_view_if_needed()
        place = face.bounding_box()
        x, y = place["x"] + 40, place["y"] + 40
        looks = "face => getComputedStyle(face)"
        shift = "face => new DOMMatrix(getComputedStyle(face.querySelector('img')).transform).e"
        assert face.evaluate(f"{looks}.touchAction") == "pan-y"
        assert face.locator("img").get_attribute("draggable") == "false"
        page.mouse.move(x, y)
        for _ in range(6):
            page.mouse.wheel(0, -100)
        page.wait_for_function(f"face => ({looks})(face).touchAction === 'none'", arg=face.element_handle())
        page.mouse.down()
        page.mouse.move(x - 300, y, steps=4)
        page.mouse.move(x - 300, y - 300, steps=4)
        once(page, lambda: face.evaluate(shift) < -50, lambda: "the pointer is not followed beyond the face")
        left = face.evaluate(shift)
        page.mouse.up()
        page.mouse.move(x, y, steps=4)
        assert face.evaluate(shift) == left, "and let go"


def test_faces_are_large_enough_to_zoom_into_and_written_once(result):
    large = dataclasses.replace(
        result,
        window=(0, 0, 600, 600),
        **dict.fromkeys(("before", "after", "difference"), np.zeros((600, 600, 3), np.uint8)),
    )
    large = dataclasses.replace(large, cams=())
    cell = Cell(FAST, 0, large)
    text = board.board(lines((FAST,), [cell]))
    assert set(sides(text)) == {512} and text.count('loading="lazy"') == 3
    object.__setattr__(cell, "result", SimpleNamespace(cams=(), scores=(), survival=()))
    assert board.board(lines((FAST,), [cell])) == text, "not drawn again"
    many = [dataclasses.replace(cell, entry=entry, result=large, strips={}) for entry in MANY[:9]]
    assert set(sides(board.board(lines(MANY[:9], many)))) == {256}, "a page of many lines stays light"


def sides(text: str) -> list[int]:
    """Of the pictures inside a page."""
    found = (base64.b64decode(data) for data in re.findall(r'src="data:image/webp;base64,([^"]+)"', text))
    return [max(Image.open(io.BytesIO(data)).size) for data in found]


def test_a_closed_tab_stops_its_comparison(tab):
    tab.events.open("", threats.SEARCH, ALICE)
    tab.events.desk.leave(ALICE)
    assert tab.session.comparing.stop.is_set()


def test_pictures_of_the_board_are_escaped():
    rows = [line("<b>x</b>", failed="<i>no</i>")]
    text = board.board(rows)
    assert "<b>x</b>" not in text and "<i>no</i>" not in text and "&lt;b&gt;" in text
