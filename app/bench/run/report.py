"""The report of a run: one HTML file with all in it, in the look of the study workbench's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from app.bench.run import papers, published
from app.bench.run.distortions import label as change_of
from app.bench.run.measures import BY_ID, MEASURES, Cell, cells, of
from app.bench.run.plan import FILE, FORGER, RECOGNISER
from app.bench.run.published import Published
from app.bench.run.report_groups import by_groups
from app.bench.run.report_parts import SHOWN, headed, picture, place_of, seen_by
from app.study.blocks import Part, Section, Table, Words
from app.study.report import html_page

SHORT = ("dodged", "led", "defended", "bits", "psnr", "ssim")
KINDS = (RECOGNISER, FILE, FORGER)
REASONS = 50  # failed photos that are listed
STYLE = "body { max-width: 76rem; } td { overflow-wrap: normal; }"  # wide tables; names are not broken
TOLD_APART = (
    "Columns in italics on a tinted ground, headed “published”, hold what a paper prints: other recognisers and "
    "photos than ours. All other figures were measured here, on exported files that were decoded, detected and "
    "aligned again. Published figures are the paper's at its own settings, means over the recognisers that the "
    "method did not attack (how many, in parentheses), as ours are over those held out; the paper's table "
    "as it is printed unfolds below each."
)
OTHER_CODE = (
    "Some rows were made by another version of this code and are kept as they are: figures may mix versions. Give "
    "another --out to compute all rows with one."
)
INTERVALS = (
    "n counts people where the data say who is on a photo, else photos. In brackets: 95 % intervals, Wilson's for "
    "shares with one row a person, otherwise a percentile bootstrap over people. Failed rows are in no figure."
)


def html_report(rows: pd.DataFrame, about: dict[str, Any], labels: Sequence[str]) -> str:
    """The page as text. `rows`: those of `rows.parquet`; `about`: what `run.json` says; `labels`: to slice by."""
    found = cells(rows)
    sections = [
        _short(rows),
        _facts(rows, about),
        *_results(found),
        *by_groups(rows, labels),
        *_failures(rows),
        *_papers(rows),
    ]
    return html_page([*sections, _definitions(found)], about["title"], offline=True, style=STYLE)


def _short(rows: pd.DataFrame) -> Section:
    """A line a setting: its figures on the exported file, over all held-out recognisers and all forgers."""
    own = rows[(rows["distortion"] == "none") & (rows["role"] != "surrogate")]
    settings = {name: {id: of(BY_ID[id], part) for id in SHORT} for name, part in own.groupby("setting", sort=False)}
    shown = [id for id in SHORT if any(found[id].value is not None for found in settings.values())]
    body = tuple((name, *(papers.own_text(BY_ID[id], found[id]) for id in shown)) for name, found in settings.items())
    titles = "; ".join(f"{BY_ID[id].symbol}: {BY_ID[id].title.lower()}" for id in shown)
    words = Words(f"{titles}. Means over all recognisers that are held out and all forgers, before any distortion.")
    return Section("In short", (Table(("Method", *(headed(BY_ID[id]) for id in shown)), body), words))


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
        ("Code", ", ".join(one[:12] for one in about["code"])),
        ("Gallery", f"{about['gallery']} photos" if about["gallery"] else "none"),
    ]
    if len(rows) < about["rows"]:
        facts.append(("Unfinished", "the same command goes on where this run stopped"))
    warnings = (Words(OTHER_CODE),) if len(about["code"]) > 1 else ()
    return Section("Run", (*warnings, Table(("What", "Value"), tuple(facts)), Words(INTERVALS)))


def _results(found: Sequence[Cell]) -> list[Section]:
    """The figures of the exported file itself as pictures; then all: by recognisers, of files, by forgers."""
    own = [cell for cell in found if cell.distortion == "none"]
    pictures = (picture(id, [(place_of(c), c.estimate) for c in own if c.measure.id == id]) for id in SHOWN)
    tables = (_everything([cell for cell in found if cell.measure.kind == kind]) for kind in KINDS)
    full = Section(
        "Results in full, also after each distortion", tuple(one for one in tables if one.rows), folded=True
    )
    return [Section("Results", tuple(one for one in pictures if one)), full] if found else []


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


def _papers(rows: pd.DataFrame) -> list[Section]:
    """A section for each paper's table that the run says something about; the others together at the end."""
    beside = [(table, papers.lines(table, rows)) for table in published.tables()]
    measured = [(table, lines) for table, lines in beside if any(line.ours for line in lines)]
    sections = [section for table, lines in measured for section in _paper(table, lines, rows)]
    others = [table for table, lines in beside if not any(line.ours for line in lines)]
    if sections:
        sections.insert(0, Section("Beside the papers", (Words(TOLD_APART),)))
    if others:
        parts: list[Part] = [Words("This run measured nothing of these; the figures are the papers' alone.")]
        for table in others:
            parts += [Words(f"{table.name}: {table.title}."), _printed(table)]
        sections.append(Section("Published, not measured by this run", tuple(parts), folded=True))
    return sections


def _paper(table: Published, beside: Sequence[papers.Line], rows: pd.DataFrame) -> tuple[Section, Section]:
    head, body, marked = papers.comparison(table, beside)
    own_head, own = papers.in_full(table, rows)
    words = Words(f"{table.title}. {table.paper}. {table.note}".strip())
    full = (
        Words("Measured here, by each recogniser or forger:"),
        Table(own_head, tuple(own)),
        Words(f"Published: {table.name}, as it is printed ({_unit(table)}):"),
        _printed(table),
    )
    return (
        Section(f"{table.name}: beside what was measured here", (words, Table(head, tuple(body), marked))),
        Section(f"{table.name} in full, here and as printed", full, folded=True),
    )


def _printed(table: Published) -> Table:
    head, body = papers.as_printed(table)
    return Table(head, tuple(body), tuple(range(len(head))))


def _unit(table: Published) -> str:
    return {"%": "shares in percent", "share": "shares from 0 to 1"}.get(table.unit, "in the units of the columns")


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
