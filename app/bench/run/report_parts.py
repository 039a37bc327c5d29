"""What every part of a run's report is made of: a picture of one figure, and how its lines are called."""

from __future__ import annotations

from collections.abc import Sequence

from app.bench.run.measures import BY_ID, Cell, Measure
from app.bench.run.slices import Line
from app.study.blocks import Figure
from app.study.figures import forest
from app.study.intervals import Estimate

SHOWN = ("dodged", "led", "r1-ut", "r1-t", "erased", "bits", "defended", "psnr", "ssim")  # those with a picture
ROLES = {"judge": "held out", "surrogate": "attacked"}


def picture(id: str, points: Sequence[tuple[str, Estimate]], by: str = "") -> Figure | None:
    """Points with their intervals, shares on one scale; None without any."""
    if not points:
        return None
    measure = BY_ID[id]
    better = {True: ", higher is better", False: ", lower is better", None: ""}[measure.higher]
    figure = forest(points, f"{measure.symbol}, {'share' if measure.share else measure.unit or 'mean'}")
    if measure.share:
        figure.update_xaxes(range=[-0.02, 1.02])
    return Figure(figure, f"{measure.title} ({measure.symbol}{better}){by}")


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
    return f"{one.setting}\n{seen_by(one)}" if one.by else one.setting
