"""The columns of the board: what they are called, which way is better, how a value is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.compare.job import Line


@dataclass(frozen=True)
class Column:
    """A figure of the board. `best` is 1 where more is better, -1 where less is."""

    name: str
    title: str
    help: str
    best: int
    digits: int

    def written(self, value: float | None) -> str:
        """The value with its digits; a dash where there is none."""
        return "–" if value is None else f"{value:.{self.digits}f}"


STILL = Column(
    "still match %", "Still match (%)", "share of held-out judges that still match you; lower protects better", -1, 0
)
COLUMNS = (
    STILL,
    Column(
        "judge cosine", "Judge cosine", "mean likeness to you by the held-out judges; lower protects better", -1, 2
    ),
    Column("SSIM", "SSIM", "of the face to before; 1 is identical", 1, 2),
    Column("PSNR", "PSNR (dB)", "of the face to before; higher changes less", 1, 1),
    Column("MS-SSIM", "MS-SSIM", "of the head to before, on five scales; 1 is identical", 1, 2),
    Column("LPIPS", "LPIPS", "perceived difference of the head to before; 0 is identical", -1, 3),
    Column("seconds", "Seconds", "until the file was made, scored and explained", -1, 1),
)
BY_NAME = {column.name: column for column in COLUMNS}


def there(lines: Sequence[Line]) -> tuple[Column, ...]:
    """The columns of which any line has a value."""
    return tuple(column for column in COLUMNS if any(column.name in line.figures for line in lines))


def ordered(lines: Sequence[Line], by: str | None) -> list[Line]:
    """The lines, the best by a column first; those without a value last; without `by` as they are."""
    if by not in BY_NAME:
        return list(lines)
    way = BY_NAME[by].best
    return sorted(lines, key=lambda line: (by not in line.figures, -way * line.figures.get(by, 0.0)))


def best(lines: Sequence[Line], column: Column) -> float | None:
    """The best value of a column as it is written, so that ties are all marked; None where nobody has one."""
    values = [column.best * line.figures[column.name] for line in lines if column.name in line.figures]
    return column.best * max(values) if values else None


def is_best(line: Line, lines: Sequence[Line], column: Column) -> bool:
    """Whether a line's value is written as the best one is; never where the values there are all read the same."""
    value, top = line.figures.get(column.name), best(lines, column)
    written = {column.written(other.figures[column.name]) for other in lines if column.name in other.figures}
    return len(written) > 1 and value is not None and column.written(value) == column.written(top)
