"""What a result is made of: sections of words, tables and figures, for any interface to show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.study import figures
from app.study.intervals import Estimate


@dataclass(frozen=True)
class Words:
    """A paragraph; plain text."""

    text: str


@dataclass(frozen=True)
class Table:
    """Rows of anything that has a text, under `head`. `marked`: the places of columns to be told apart."""

    head: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    marked: tuple[int, ...] = ()


@dataclass(frozen=True)
class Figure:
    """A Plotly figure, and what it says for those who do not see it."""

    figure: figures.go.Figure
    says: str


Part = Words | Table | Figure


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it; `folded`: the heading alone is seen until someone opens it."""

    title: str
    parts: tuple[Part, ...]
    folded: bool = False


def number(value: float | None) -> str:
    """Two decimals, or nothing."""
    return "" if value is None else f"{value:.2f}"


def within(e: Estimate) -> str:
    """An estimate with its interval, or the reason why there is none."""
    if e.value is None:
        return e.note
    if e.low is None or e.high is None:
        return f"{e.value:.2f} ({e.note})"
    return f"{e.value:.2f} [{e.low:.2f}, {e.high:.2f}]"
