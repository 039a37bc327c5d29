"""The part of a run's report that sets groups of people beside one another, so that unequal protection is seen."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from app.bench.run import papers
from app.bench.run.report_parts import SHOWN, headed, picture, place_of, seen_by
from app.bench.run.slices import Line, Slice, slices
from app.study.blocks import Section, Table, Words
from app.study.intervals import Estimate

APART = (
    "In {apart} of {lines} figures the 95 % intervals of two groups do not overlap. Of many figures some differ by "
    "chance alone, and of few people most differences stay unseen."
)


def by_groups(rows: pd.DataFrame, labels: Sequence[str]) -> list[Section]:
    """Two sections a label, and why one cannot be sliced by."""
    found, notes = slices(rows, labels)
    sections = [section for one in found for section in _slice(one)]
    if notes:
        sections.append(Section("Not sliced", tuple(map(Words, notes))))
    return sections


def _slice(one: Slice) -> tuple[Section, Section]:
    """Where groups differ beyond their intervals, in sight; each figure in each group, folded."""
    head = ("Figure", "Method", "After", "Seen by", *(f"{one.label}: {g}" for g in one.groups), "Largest difference")
    apart = [line for line in one.lines if line.apart]
    words = Words(APART.format(apart=len(apart), lines=len(one.lines)))
    seen = (words, Table(head, tuple(_line(one, line) for line in apart))) if apart else (words,)
    pictures = (picture(id, _grouped(one, id), f", by {one.label}") for id in SHOWN)
    table = Table(head, tuple(_line(one, line) for line in one.lines))
    everything = (*(figure for figure in pictures if figure), table)
    return Section(f"By {one.label}", seen), Section(f"By {one.label}: every figure", everything, folded=True)


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
