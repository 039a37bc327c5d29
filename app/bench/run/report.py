"""The report of a run: one HTML file with all in it, in the look of the study workbench's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from app.bench.run import papers, published
from app.bench.run.distortions import label as change_of
from app.bench.run.measures import BY_ID, MEASURES, Cell, Measure, cells
from app.bench.run.plan import FILE, FORGER, RECOGNISER
from app.bench.run.published import Published
from app.bench.run.slices import Line, Slice, slices
from app.study.blocks import Figure, Part, Section, Table, Words
from app.study.figures import forest
from app.study.intervals import Estimate
from app.study.report import html_page

SHOWN = ("dodged", "led", "r1-ut", "r1-t", "erased", "bits", "defended", "psnr", "ssim")  # those with a figure
KINDS = (RECOGNISER, FILE, FORGER)
REASONS = 50  # failed photos that are listed
STYLE = "td { overflow-wrap: normal; }"  # tables of many columns scroll; names are not broken
ROLES = {"judge": "held out", "surrogate": "attacked"}
TOLD_APART = (
    "Columns in italics on a tinted ground, headed “published”, hold what a paper prints: other recognisers and "
    "photos than ours. All other figures were measured here, on exported files that were decoded, detected and "
    "aligned again. Published figures are the paper's at its own settings, means over the recognisers that the "
    "method did not attack (how many, in parentheses), as ours are over those held out; below stands the paper's "
    "table as it is printed."
)
INTERVALS = (
    "n counts people where the data say who is on a photo, else photos. In brackets: 95 % intervals, Wilson's for "
    "shares with one row a person, otherwise a percentile bootstrap over people. Failed rows are in no figure."
)


def html_report(rows: pd.DataFrame, about: dict[str, Any], labels: Sequence[str]) -> str:
    """The page as text. `rows`: those of `rows.parquet`; `about`: what `run.json` says; `labels`: to slice by."""
    found = cells(rows)
    sections = [_facts(rows, about), *_results(found), *_slices(rows, labels), *_failures(rows), *_papers(rows)]
    return html_page([*sections, _definitions(found)], about["title"], offline=True, style=STYLE)


def _facts(rows: pd.DataFrame, about: dict[str, Any]) -> Section:
    spec = about["spec"]
    failed = int(rows["reason"].notna().sum())
    facts = [
        ("Data", spec["photos"]["name"] or "not named"),
        ("Photos", f"{rows['photo_sha256'].nunique()} of {about['photos']}"),
        ("Rows", f"{len(rows)} of {about['rows']}, {failed} of them failed"),
        ("Settings", "; ".join(dict.fromkeys(rows["setting"]))),
        ("Recognisers", "; ".join(f"{one['title']} ({one['id']})" for one in about["recognisers"])),
        ("Distortions", "; ".join(f"{change_of(id)} ({id})" for id in dict.fromkeys(rows["distortion"]))),
        ("Thresholds", f"at a false-acceptance rate of {100 * spec['far']:g} %"),
        ("Compared with", "the photo itself" if spec["against"] == "itself" else "another photo of the person"),
        ("File", spec["format"] + (f", quality {spec['quality']}" if spec["format"] == "JPEG" else "")),
        ("Seeds", ", ".join(map(str, spec["seeds"]))),
        ("Gallery", f"{about['gallery']} photos" if about["gallery"] else "none"),
    ]
    if len(rows) < about["rows"]:
        facts.append(("Unfinished", "the same command goes on where this run stopped"))
    return Section("Run", (Table(("What", "Value"), tuple(facts)), Words(INTERVALS)))


def _results(found: Sequence[Cell]) -> list[Section]:
    """The figures of the exported file itself as pictures; then all: by recognisers, of files, by forgers."""
    own = [cell for cell in found if cell.distortion == "none"]
    pictures = (_picture(id, [(place_of(c), c.estimate) for c in own if c.measure.id == id]) for id in SHOWN)
    tables = (_everything([cell for cell in found if cell.measure.kind == kind]) for kind in KINDS)
    parts: list[Part] = [one for one in pictures if one]
    parts += [one for one in tables if one.rows]
    return [Section("Results", tuple(parts))] if found else []


def _picture(id: str, points: Sequence[tuple[str, Estimate]], by: str = "") -> Figure | None:
    """Points with their intervals, shares on one scale; None without any."""
    if not points:
        return None
    measure = BY_ID[id]
    better = {True: ", higher is better", False: ", lower is better", None: ""}[measure.higher]
    figure = forest(points, f"{measure.symbol}, {'share' if measure.share else measure.unit or 'mean'}")
    if measure.share:
        figure.update_xaxes(range=[-0.02, 1.02])
    return Figure(figure, f"{measure.title} ({measure.symbol}{better}){by}")


def _everything(found: Sequence[Cell]) -> Table:
    """A row a setting, distortion and look; a column a figure."""
    shown = [measure for measure in MEASURES if any(cell.measure.id == measure.id for cell in found)]
    lines: dict[tuple[str, ...], dict[str, Cell]] = {}
    for cell in found:
        lines.setdefault((cell.setting, cell.distortion, seen_by(cell)), {})[cell.measure.id] = cell
    body = []
    for place, own in lines.items():
        texts = (papers.own_text(m, own[m.id].estimate) if m.id in own else "" for m in shown)
        counts = (max(cell.estimate.n for cell in own.values()), max(cell.failed for cell in own.values()))
        body.append((*place, *texts, *counts))
    head = ("Method", "After", "Seen by", *map(headed, shown), "n", "Failed rows")
    return Table(head, tuple(body))


def headed(measure: Measure) -> str:
    """A measure over a column, with its unit."""
    unit = "%" if measure.share else measure.unit
    return f"{measure.symbol}, {unit}" if unit else measure.symbol


def seen_by(one: Cell | Line) -> str:
    """A recogniser and its role, a forger and its edit, or the file."""
    more = one.edit or ROLES.get(one.role or "", "")
    return f"{one.by} ({more})" if more else one.by or "the file"


def place_of(one: Cell | Line) -> str:
    """A line of a figure."""
    return f"{one.setting} · {seen_by(one)}" if one.by else one.setting


def _papers(rows: pd.DataFrame) -> list[Section]:
    """A section for each paper's table that the run says something about; the others together at the end."""
    beside = [(table, papers.lines(table, rows)) for table in published.tables()]
    sections = [_paper(table, lines, rows) for table, lines in beside if any(line.ours for line in lines)]
    others = [table for table, lines in beside if not any(line.ours for line in lines)]
    if sections:
        sections.insert(0, Section("Beside the papers", (Words(TOLD_APART),)))
    if others:
        parts: list[Part] = [Words("This run measured nothing of these; the figures are the papers' alone.")]
        for table in others:
            parts += [Words(f"{table.name}: {table.title}."), _printed(table)]
        sections.append(Section("Published, not measured by this run", tuple(parts)))
    return sections


def _paper(table: Published, beside: Sequence[papers.Line], rows: pd.DataFrame) -> Section:
    head, body, marked = papers.comparison(table, beside)
    own_head, own = papers.in_full(table, rows)
    parts = (
        Words(f"{table.title}. {table.paper}. {table.note}".strip()),
        Table(head, tuple(body), marked),
        Words("Measured here, by each recogniser or forger:"),
        Table(own_head, tuple(own)),
        Words(f"Published: {table.name}, as it is printed ({_unit(table)}):"),
        _printed(table),
    )
    return Section(f"{table.name}: beside what was measured here", parts)


def _printed(table: Published) -> Table:
    head, body = papers.as_printed(table)
    return Table(head, tuple(body), tuple(range(len(head))))


def _unit(table: Published) -> str:
    return {"%": "shares in percent", "share": "shares from 0 to 1"}.get(table.unit, "in the units of the columns")


def _slices(rows: pd.DataFrame, labels: Sequence[str]) -> list[Section]:
    found, notes = slices(rows, labels)
    sections = [_slice(one) for one in found]
    if notes:
        sections.append(Section("Not sliced", tuple(map(Words, notes))))
    return sections


def _slice(one: Slice) -> Section:
    """Each figure in each group, and how far the groups are from one another."""
    pictures = (_picture(id, _grouped(one, id), f", by {one.label}") for id in SHOWN)
    head = ("Figure", "Method", "After", "Seen by", *(f"{one.label}: {g}" for g in one.groups), "Largest difference")
    table = Table(head, tuple(_line(one, line) for line in one.lines))
    return Section(f"By {one.label}", (*(picture for picture in pictures if picture), table))


def _grouped(one: Slice, id: str) -> list[tuple[str, Estimate]]:
    """The points of a figure, of exported files that held-out recognisers see, group beside group."""
    own = (line for line in one.lines if line.measure.id == id and line.distortion == "none")
    return [
        (f"{place_of(line)} · {group}", cell.estimate)
        for line in own
        if line.role != "surrogate"
        for group, cell in line.groups.items()
    ]


def _line(one: Slice, line: Line) -> tuple[str, ...]:
    texts = []
    for group in one.groups:
        cell = line.groups.get(group)
        text = "" if cell is None else f"{papers.own_text(line.measure, cell.estimate)}, n = {cell.estimate.n}"
        texts.append(text)
    return (headed(line.measure), line.setting, line.distortion, seen_by(line), *texts, gap_text(line))


def gap_text(line: Line) -> str:
    """The largest difference in words: how much, between whom, and whether the intervals overlap."""
    if line.gap is None:
        return ""
    difference, high, low = line.gap
    share = line.measure.share
    size = f"{100 * difference:.1f} points" if share else f"{difference:{papers.form_of(line.measure, difference)}}"
    words = {True: "intervals apart", False: "intervals overlap", None: "no interval"}[line.apart]
    return f"{size}: {high} above {low}, {words}" if difference else "none"


def _failures(rows: pd.DataFrame) -> list[Section]:
    failed = rows[rows["reason"].notna()]
    if failed.empty:
        return []
    reasons = failed.groupby("reason")
    counts = tuple((reason, len(part), part["photo_sha256"].nunique()) for reason, part in reasons)
    first = failed.drop_duplicates(["photo", "setting", "reason"])[["photo", "setting", "reason"]].head(REASONS)
    listed = Table(("Photo", "Method", "Reason"), tuple(map(tuple, first.to_numpy())))
    words = Words("A photo that fails with one method fails in its rows alone; the others stand.")
    return [Section("Failed rows", (words, Table(("Reason", "Rows", "Photos"), counts), listed))]


def _definitions(found: Sequence[Cell]) -> Section:
    """What each figure is, of those that are there."""
    ids = {cell.measure.id for cell in found}
    body = tuple(
        (m.symbol, m.title, "share" if m.share else m.unit or "mean", m.kind) for m in MEASURES if m.id in ids
    )
    words = (
        "A recogniser takes two faces for one person where their cosine reaches its threshold; where no face is "
        "found in a file any more, nobody is recognised in it. Ranks are in the gallery of other photos."
    )
    return Section(
        "How it was computed", (Words(words), Table(("Figure", "What it is", "Unit", "Measured on"), body))
    )
