"""Heat maps over the pictures themselves, for studies whose pictures are kept here."""

from __future__ import annotations

import streamlit as st

from app.study import figures
from app.study.analysis import Analysis
from app.study.blocks import Figure, Section, Words
from app.study.underlay import underlay
from app.workbench.sources import Source
from app.workbench.state import store

MOST_MAPS = 12


def by_condition(source: Source, found: Analysis) -> dict[str, str]:
    """A picture to lie under each condition's map: of the first photo, so that all show one face."""
    if found.artefacts is None or not source.study:
        return {}
    first = source.stimuli.sort_values("photo").drop_duplicates("condition")
    pictures = dict(zip(first["condition"], first["sha256"], strict=True))
    return {one.name: _small(pictures[one.name]) for one in found.artefacts.conditions}


def most_marked(source: Source, found: Analysis) -> tuple[Section, ...]:
    """What was marked on single pictures: the most marked ones."""
    if found.artefacts is None or not source.study:
        return ()
    rows = {row.stimulus: row for row in source.stimuli.itertuples()}
    maps = sorted(found.artefacts.stimuli, key=lambda one: -max(max(row) for row in one.share))[:MOST_MAPS]
    shown = []
    for one in maps:
        row = rows[one.name]
        says = f"{row.photo}, {row.condition}: share of the raters ({one.raters}) who marked each spot"
        shown.append(Figure(figures.heat_figure(one, _small(str(row.sha256))), says))
    return (Section("On the pictures", (Words("The most marked pictures first."), *shown)),)


@st.cache_data(show_spinner=False, max_entries=500)
def _small(sha256: str) -> str:
    return underlay(store().picture(sha256))
