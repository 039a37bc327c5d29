"""What a measure is good for: whether lower is better, and the value that a recommendation has to reach."""

from __future__ import annotations

import streamlit as st

from app.study.choices import Choices
from app.study.joined import direction, lower_is_better, measures_of
from app.workbench.sources import Source

WAYS = {True: "lower is better", False: "higher is better", None: "left out"}
RULE = (
    "A recommended parameter is the most natural one whose measure reaches the value; without a value, the one "
    "closest to the ideal corner."
)


def show(source: Source, choices: Choices) -> Choices:
    """`choices` with what is chosen here for each measure of the pictures; nothing is shown where there is none."""
    names = measures_of(source.stimuli)
    if not names:
        return choices
    limits, directions = {}, {}
    with st.expander("Measures: which way is better, and what to reach"):
        for name in names:
            way, limit = _one(source.key, name, choices)
            if way is not None and way != lower_is_better(name):
                directions[name] = way
            if limit is not None:
                limits[name] = limit
        st.caption(RULE)
    out = [name for name in names if direction(name, directions) is None]
    if out:
        st.caption(f"Left out, since nothing says whether lower is better: {', '.join(out)}. Say it under Measures.")
    return choices.but(limits=limits, directions=directions)


def _one(key: str, name: str, choices: Choices) -> tuple[bool | None, float | None]:
    left, right = st.columns(2)
    ways = list(WAYS) if lower_is_better(name) is None else [True, False]
    before = ways.index(direction(name, choices.directions))
    way = left.selectbox(name, ways, before, format_func=lambda one: WAYS[one], key=f"way {key} {name}")
    given = {"value": choices.limits.get(name), "format": "%.4f", "placeholder": "any"}
    return way, right.number_input(f"{name} to reach", key=f"reach {key} {name}", **given)
