"""Figures out of rows: means and intervals by hand, slices, the papers' figures told apart, and the page."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from math import sqrt
from statistics import mean

import numpy as np
import pandas as pd
import pytest

from app.bench import dip_paper
from app.bench.run import papers, published
from app.bench.run.measures import BY_ID, cells, estimate, of
from app.bench.run.papers import OURS, THEIRS
from app.bench.run.report import OTHER_CODE, html_report
from app.bench.run.slices import SliceError, group_of, sliced, slices
from app.bench.run.store import SCHEMA

EVIL = "</script><img src=x onerror=alert(1)>&\"'"
Z = 1.959963984540054


def wilson(count: int, n: int) -> tuple[float, float]:
    """By the formula of the textbook."""
    p, middle = count / n, (count + Z**2 / 2) / (n + Z**2)
    half = Z / (1 + Z**2 / n) * sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
    return middle - half, middle + half


def row(number: int, **figures) -> dict:
    """One row of a recogniser, unless `figures` says otherwise; men are odd, ages rise."""
    usual = {"photo": f"{number}.png", "photo_sha256": f"{number:064x}", "kind": "recogniser", "by": "dlib-resnet"}
    usual |= {"method": "tip-im", "setting": "TIP-IM", "params": '{"gamma": 0.0}', "seed": 0, "attacked": "sface"}
    usual |= {"distortion": "none", "role": "judge", "label_Male": number % 2 == 1, "label_age": 20 + number}
    return usual | figures


def table(rows: list[dict]) -> pd.DataFrame:
    """As `rows.parquet` gives them: every column there."""
    labels = [name for name in rows[0] if name.startswith("label_")]
    return pd.DataFrame(rows).reindex(columns=[*SCHEMA.names, *labels])


@pytest.fixture
def rows():
    """20 people: 3 of 10 women and 8 of 10 men are no longer matched; another recogniser, the file, a failure."""
    freed = {0, 2, 4, 1, 3, 5, 7, 9, 11, 13, 15}
    found = [
        row(i, matches_self=i not in freed, matches_target=i in freed, rank_self=2, rank_target=1 + i % 3)
        for i in range(20)
    ]
    found += [row(i, by="sface", role="surrogate", matches_self=False, matches_target=True) for i in range(20)]
    found += [row(i, kind="file", by="", role=None, found=True, psnr=28.0 + i % 4, ssim=0.7) for i in range(20)]
    found += [row(20, reason=f"No face found in {EVIL}.", photo=EVIL)]
    return table(found)


def test_a_share_and_its_interval_by_hand(rows):
    found = of(BY_ID["dodged"], rows[rows["by"] == "dlib-resnet"])
    assert (found.value, found.n) == (11 / 20, 20)
    assert (found.low, found.high) == pytest.approx(wilson(11, 20), abs=1e-9)


def test_ranks_are_counted_by_hand(rows):
    judge = rows[rows["by"] == "dlib-resnet"]
    ranks = [1 + i % 3 for i in range(20)]
    assert of(BY_ID["r1-t"], judge).value == ranks.count(1) / 20 and of(BY_ID["r5-t"], judge).value == 1
    assert of(BY_ID["r1-ut"], judge).value == 1 and of(BY_ID["r5-ut"], judge).value == 0
    nobody = table([row(0, rank_self=0, rank_target=0)])  # no face in the file: nobody is found by it
    assert of(BY_ID["r5-t"], nobody).value == 0 and of(BY_ID["r5-ut"], nobody).value == 1


def test_rows_of_one_person_are_one_draw():
    values, people = np.repeat(np.arange(20) % 2, 2).astype(float), np.repeat(np.arange(20), 2)
    held = estimate(values, people, True)  # both photos of a person agree: 20 draws and not 40
    # Ten of twenty, drawn again: X / 20 with X of B(20, 1/2). The tails are Φ(-2.147) = 0.0159 each, and
    # P(X <= 4) = 0.0059 < 0.0159 < P(X <= 5) = 0.0207.
    assert (held.value, held.low, held.high, held.n) == (0.5, 0.25, 0.75, 20)
    alike = estimate(np.ones(6), [1, 1, 1, 2, 2, 2], True)  # Wilson over people, not a width of zero
    assert alike.n == 2 and alike.low == pytest.approx(wilson(2, 2)[0], abs=1e-9)
    assert estimate(np.array([0.5, 0.5, 0.5]), [1, 2, 3], False).note == "no interval: all the same"
    assert estimate(np.array([0.4, 0.5, 0.6]), [1, 2, 3], False).note == "too few for an interval: 3"


def test_failed_rows_are_in_no_figure_and_are_counted(rows):
    found = {(c.by, c.measure.id): c for c in cells(rows)}
    assert found["dlib-resnet", "dodged"].estimate.n == 20 and found["dlib-resnet", "dodged"].failed == 1
    assert found["sface", "dodged"].failed == 0
    assert found["", "psnr"].estimate.value == pytest.approx(29.5)


def test_a_slice_counts_its_groups_and_says_how_far_they_are_apart(rows):
    by = sliced(rows, "Male")
    assert by.groups == ("no", "yes")
    line = next(one for one in by.lines if one.measure.id == "dodged" and one.by == "dlib-resnet")
    women, men = (line.groups[group].estimate for group in by.groups)
    assert (women.value, women.n, men.value, men.n) == (0.3, 10, 0.8, 10)
    assert (women.low, women.high) == pytest.approx(wilson(3, 10), abs=1e-9)
    assert (men.low, men.high) == pytest.approx(wilson(8, 10), abs=1e-9)
    assert line.gap == (pytest.approx(0.5), "yes", "no")
    assert line.apart is (wilson(8, 10)[0] > wilson(3, 10)[1])


def test_numbers_fall_into_quarters_and_labels_can_be_crossed(rows):
    ages = group_of(rows, "age")
    assert sorted(ages.unique()) == ["20 to 25", "25 to 30", "30 to 35", "35 to 40"]
    crossed = sliced(rows, "Male+age")
    assert "yes, 20 to 25" in crossed.groups and len(crossed.groups) == 8
    with pytest.raises(SliceError, match="no label 'Young': choose from Male, age"):
        group_of(rows, "Young")
    names = rows.assign(label_name=rows["photo"])
    found, notes = slices(names, ["name"])
    assert len(found[0].groups) == 12 and found[0].groups[-1] == "other" and not notes
    counted = {cell.estimate.n for line in found[0].lines for cell in [line.groups["other"]]}
    assert counted == {9}, "one of the ten failed"
    assert (
        "unknown"
        in sliced(
            rows.assign(label_Male=rows["label_Male"].astype(object).where(rows["photo"] != "0.png")), "Male"
        ).groups
    )


def test_every_table_of_the_papers_is_there():
    names = [one.name for one in published.tables()]
    wanted = [
        ("TIP-IM", "3 4 5"),
        ("DIP-Watermark", "2 4"),
        ("ErasableMask", "II V VI"),
        ("ID-Guard", "I"),
        ("IPMN", "2 3 11"),
    ]
    assert names == [f"{paper}, Table {number}" for paper, numbers in wanted for number in numbers.split()]
    for one in published.tables():
        assert set(one.measures.values()) <= set(BY_ID), one.name
        assert {one.measure_of(cell) for cell in one.cells()} - {None}, one.name


@pytest.mark.parametrize(
    "name, where, value",
    [
        (
            "TIP-IM, Table 3",
            {"attacked": "MobileFace", "method": "TIP-IM", "recogniser": "FaceNet", "measure": "R5-T"},
            "46.2",
        ),
        (
            "TIP-IM, Table 4",
            {"attacked": "ResNet50", "method": "MT-DIM", "recogniser": "ArcFace", "measure": "R5-UT"},
            "52.4",
        ),
        ("TIP-IM, Table 5", {"attacked": "MobileFace", "gamma": "2.0", "measure": "PSNR"}, "25.72"),
        (
            "DIP-Watermark, Table 2",
            {"data": "CelebA", "method": "PGD", "recogniser": "FaceNet", "measure": "ASR"},
            "0.270",
        ),
        (
            "ErasableMask, Table II",
            {"data": "FFHQ", "method": "ErasableMask", "recogniser": "FaceNet", "measure": "ESR"},
            "98.22",
        ),
        (
            "ErasableMask, Table V",
            {"after": "Central crop", "method": "GMAA", "recogniser": "IR152", "measure": "ASR"},
            "62.4",
        ),
        ("ErasableMask, Table VI", {"method": "Reconstructed", "measure": "FID"}, "55.89"),
        (
            "ID-Guard, Table I",
            {"data": "LFW", "method": "ID-Guard (S-I)", "forger": "HiSD", "measure": "DSR"},
            "0.998",
        ),
        ("IPMN, Table 2", {"pair": "(x_wm, x_wmf)", "measure": "PSNR"}, "53.65"),
        ("IPMN, Table 3", {"watermark": "Flower", "source": "x_sm", "measure": "NC"}, "0.99"),
        ("IPMN, Table 11", {"method": "Shan et al., high", "after": "Gaussian blur"}, "83.2"),
    ],
)
def test_published_figures_are_the_papers(name, where, value):
    one = next(one for one in published.tables() if one.name == name)
    found = [cell.value for cell in one.cells() if where.items() <= cell.names.items()]
    assert [str(cell) for cell in found] == [value]


def test_published_figures_agree_with_those_of_the_other_bench():
    two, four = (one for one in published.tables() if one.short == "DIP-Watermark")
    for measure, printed in (("ASR", dip_paper.PAPER_ASR), ("ACC", dip_paper.PAPER_BITS)):
        for method, values in printed.items():
            where = {"data": "LFW", "method": method, "measure": measure}
            assert [float(c.value) for c in two.cells() if where.items() <= c.names.items()] == list(values)
    for id, both in dip_paper.PAPER_CHANGED.items():
        change = next(name for name, other in four.after.items() if other == id.replace("resize-half", "resize0.5"))
        for measure, values in zip(("ASR", "ACC"), both, strict=True):
            where = {"after": change, "method": "DIP-Watermark", "measure": measure}
            assert [float(c.value) for c in four.cells() if where.items() <= c.names.items()] == list(values)


def test_a_comparison_holds_ours_beside_theirs_and_never_in_one_column(rows):
    one = next(one for one in published.tables() if one.name == "TIP-IM, Table 3")
    head, body, marked = papers.comparison(one, papers.lines(one, rows))
    assert all((THEIRS in head[i]) == (i in marked) and (OURS in head[i]) != (i in marked) for i in range(2, 6))
    line = next(line for line in body if line[0] == "TIP-IM")
    judge = of(BY_ID["r1-t"], rows[rows["by"] == "dlib-resnet"])
    assert line[head.index(f"R1-T, {OURS}")].startswith(f"{100 * judge.value:.1f}\u00a0[")
    black = [
        c.value for c in one.cells() if c.black_box and c.names["method"] == "TIP-IM" and c.names["measure"] == "R1-T"
    ]
    assert len(black) == 3 * 5 and line[head.index(f"R1-T, {THEIRS}")] == f"{mean(black):.1f} (15)"
    assert not any(line[0] == "MIM" for line in body)  # nothing of ours stands beside it
    assert "97.2" in papers.as_printed(one)[1][4]


def test_gamma_is_held_against_the_column_of_gamma(rows):
    one = next(one for one in published.tables() if one.name == "TIP-IM, Table 5")
    found = papers.lines(one, rows)
    assert [line.names["gamma"] for line in found] == ["0.0"]  # only γ = 0 was run
    assert found[0].ours["psnr"].value == pytest.approx(29.5)


class Page(HTMLParser):
    """Tags, and the texts of the cells of tables by their class."""

    def __init__(self, page: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.cells: list[tuple[bool, str]] = []
        self.cell: bool | None = None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in ("td", "th"):
            self.cell = dict(attrs).get("class") == "marked"
            self.cells.append((self.cell, ""))

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.cell = None

    def handle_data(self, data):
        if self.cell is not None:
            self.cells[-1] = (self.cell, self.cells[-1][1] + data)


@pytest.fixture
def page(rows):
    spec = {"photos": {"name": EVIL}, "far": 0.01, "against": "itself", "format": "PNG", "seeds": [0]}
    about = {"title": EVIL, "spec": spec, "photos": 21, "rows": len(rows), "gallery": 0, "code": ["aa" * 32]}
    about["recognisers"] = [{"id": "dlib-resnet", "title": "dlib ResNet"}]
    named = rows.assign(label_Male=np.where(rows["label_Male"], EVIL, "no"))
    named.loc[named["setting"] == "TIP-IM", "setting"] = f"TIP-IM {EVIL}"
    assert OTHER_CODE in html_report(rows, about | {"code": ["aa" * 32, "bb" * 32]}, [])
    page = html_report(named, about, ["Male"])
    assert OTHER_CODE not in page
    return page


def test_the_page_is_whole_and_tells_published_figures_apart(page):
    found = Page(page)
    assert not [attrs["src"] for tag, attrs in found.tags if "src" in attrs]  # nothing comes from elsewhere
    marked = [text for mark, text in found.cells if mark]
    assert {"97.2", "41.05", "0.326", "R1-T, published", "published, Table II"} <= set(marked)
    plain = [text for mark, text in found.cells if not mark]
    assert "R1-T, measured here" in plain and not any("published" in text for text in plain)
    assert any(text.startswith("30.0\u00a0[") and text.endswith("n = 10") for text in plain)  # 3 of 10 women
    assert "50.0 points" in " ".join(plain)
    for heading in (
        "TIP-IM, Table 3: beside what was measured here",
        "In short",
        "By Male",
        "Failed rows",
        "How it was computed",
    ):
        assert f"<h2>{heading}</h2>" in page


def test_what_is_long_is_folded_and_what_is_in_short_comes_first(page):
    folded = re.findall(r"<summary><h2>(.*?)</h2></summary>", page)
    assert {"Results in full, also after each distortion", "By Male: every figure"} <= set(folded)
    assert page.index("<h2>In short</h2>") < page.index("<h2>Run</h2>") < page.index("<details")
    short = Page(page[page.index("<h2>In short</h2>") : page.index("<h2>Run</h2>")])
    assert [text for _, text in short.cells][:2] == ["Method", "SR_P, %"]
    assert f"TIP-IM {EVIL}" in [text for _, text in short.cells]


def test_nothing_of_the_data_runs_in_the_page(page):
    assert not any(attrs.get("src") == "x" or "onerror" in attrs for _, attrs in Page(page).tags)
    assert "&lt;img src=x" in page
    assert not re.search(r"<img\s+src=x", page)
