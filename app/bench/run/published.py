"""What the papers print, read from `published/*.toml`: figures of others, never mixed with measured ones."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "published"
PAPERS = ("tip-im", "dip-watermark", "erasable-mask", "id-guard", "ipmn")
AVERAGED = ("recogniser", "attacked")  # theirs are other networks than ours: only means can stand beside ours


@dataclass(frozen=True)
class Printed:
    """One figure with what the table says of it: method, recogniser, measure ... `value` None for an empty cell."""

    names: dict[str, str]
    value: Decimal | None

    @property
    def black_box(self) -> bool:
        """Whether the recogniser is another one than was attacked."""
        return "attacked" not in self.names or self.names["attacked"] != self.names.get("recogniser")


@dataclass(frozen=True)
class Published:
    """One table as printed. `lines` start with the values of `rows`; the other cells run over the product `across`.

    `measures` maps what stands in the `measured` dimensions to our measures; `methods`, `after` and `forgers` map
    their names to ours, a method's with the parameters that it needs. `unit`: "%" or "share" for shares.
    """

    short: str
    paper: str
    number: str
    title: str
    note: str
    unit: str
    fixed: dict[str, str]
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    across: tuple[tuple[str, ...], ...]
    measured: tuple[str, ...]
    measures: dict[str, str]
    methods: dict[str, dict[str, Any]]
    after: dict[str, str]
    forgers: dict[str, str]
    lines: tuple[tuple[Any, ...], ...]

    @property
    def name(self) -> str:
        """How people cite it."""
        return f"{self.short}, Table {self.number}"

    @property
    def grouping(self) -> tuple[str, ...]:
        """The dimensions that tell one line of a comparison from another."""
        known = (*self.fixed, *self.rows, *self.columns)
        return tuple(name for name in known if name not in (*AVERAGED, *self.measured))

    @property
    def changes(self) -> dict[str, str]:
        """Our distortions that the table shows, with its words for them; none but the file itself in most."""
        return {ours: theirs for theirs, ours in self.after.items()} if "after" in self.grouping else {"none": ""}

    def cells(self) -> Iterator[Printed]:
        """Every figure of the table."""
        heads = tuple(product(*self.across))
        for line in self.lines:
            first, values = line[: len(self.rows)], line[len(self.rows) :]
            for head, value in zip(heads, values, strict=True):
                names = {**self.fixed, **dict(zip(self.rows, first, strict=True))}
                names |= dict(zip(self.columns, head, strict=True))
                yield Printed(names, None if value.is_nan() else value)

    def measure_of(self, cell: Printed) -> str | None:
        """The id of our measure of the same thing; None where we have none."""
        return self.measures.get(" ".join(cell.names[name] for name in self.measured))


@lru_cache(maxsize=1)
def tables() -> tuple[Published, ...]:
    """Every table, paper by paper."""
    return tuple(table for paper in PAPERS for table in _read(FOLDER / f"{paper}.toml"))


def _read(path: Path) -> Iterator[Published]:
    # As Decimal, so that 1.000 stays 1.000; names and numbers of columns are texts.
    given = tomllib.loads(path.read_text(), parse_float=Decimal)
    for table in given["table"]:
        yield Published(
            short=given["short"],
            paper=given["paper"],
            number=table["number"],
            title=table["title"],
            note=table.get("note", ""),
            unit=table["unit"],
            fixed=table.get("fixed", {}),
            rows=tuple(table["rows"]),
            columns=tuple(table["columns"]),
            across=tuple(tuple(str(name) for name in names) for names in table["across"]),
            measured=tuple(table.get("measured", ("measure",))),
            measures=table["measures"],
            methods=given["methods"],
            after=given.get("after", {}),
            forgers=given.get("forgers", {}),
            lines=tuple(_line(line, len(table["rows"])) for line in table["cells"]),
        )


def _line(line: list[Any], names: int) -> tuple[Any, ...]:
    return (*line[:names], *(Decimal(value) for value in line[names:]))
