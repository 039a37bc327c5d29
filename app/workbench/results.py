"""What a study found: figures, tables and their words, with exclusions that can be taken back, and the exports."""

from __future__ import annotations

from functools import partial

import pandas as pd
import streamlit as st

from app.study import export
from app.study.analysis import Analysis
from app.study.blocks import Figure, Section, Table, Words
from app.study.choices import Choices
from app.study.errors import StudyError
from app.study.report import html_report
from app.study.sections import Beside, sections
from app.workbench import example, result_measures, result_pictures
from app.workbench.researcher import require
from app.workbench.sources import Source, from_file, from_store
from app.workbench.state import store


def page() -> None:
    """Choose a study, or read an export; then its whole result."""
    require()
    st.title("Results")
    source = _chosen()
    if source is not None:
        show(source)


def show_example() -> None:
    """The result of a study whose raters are simulated, open to everybody."""
    st.title(example.TITLE)
    show(example.source())


def _chosen() -> Source | None:
    studies = {one.id: one for one in store().studies() if one.state != "draft"}
    found = st.selectbox(
        "Study",
        [*studies, "file"],
        format_func=lambda id: "An export, read back" if id == "file" else studies[id].title,
    )
    try:
        return from_file() if found == "file" else from_store(studies[found])
    except StudyError as error:
        st.error(str(error))
        return None


def show(source: Source) -> None:
    """Screening first, since it decides what follows; then the sections, then the exports."""
    if source.votes.empty:
        st.info("No answers yet: the result appears with the first ones.")
        return
    try:
        choices = result_measures.show(source, source.choices)
        first = _analysed(source, choices.but(exclusions=()))
        choices = choices.but(exclusions=_exclusions(first, choices.exclusions))
        found = _analysed(source, choices) if choices.exclusions else first
    except StudyError as error:
        st.error(str(error))
        return
    if found.simulated:
        st.warning("Simulated raters: an example, and no evidence about people.")
    beside = Beside(result_pictures.by_condition(source, found), source.withdrawn)
    parts = (*result_pictures.most_marked(source, found), *sections(found, source.protocol_hash, beside))
    for tab, part in zip(st.tabs([part.title for part in parts]), parts, strict=True):
        with tab:
            _section(part)
    _exports(source, found, choices, beside)


@st.cache_data(show_spinner="Reading the answers", max_entries=20)
def _computed(data: bytes) -> Analysis:
    found = export.read(data)
    return found.choices.analysed(found.votes, found.stimuli)


def _analysed(source: Source, choices: Choices) -> Analysis:
    return _computed(source.packed(choices))


def _exclusions(analysis: Analysis, before: tuple[str, ...]) -> tuple[str, ...]:
    """Who is left out: nobody by itself, or who was `before`; whom the rules found is one click away."""
    found = analysis.screening
    with st.expander(f"Screening: {len(found.raters)} of {analysis.counts.raters_before} raters stand out"):
        for finding in found.findings:
            st.write(f"`{finding.rater}` {finding.rule}: {finding.reason}")
        for note in found.notes:
            st.caption(note)
        everyone = sorted(check.rater for check in found.checks)
        follow = st.toggle("Leave out whom the rules found", False, disabled=not found.raters)
        out = {*before, *(found.raters if follow else ())}
        return tuple(sorted(st.multiselect("Left out", everyone, sorted(out))))


def _section(part: Section) -> None:
    for one in part.parts:
        if isinstance(one, Words):
            st.write(one.text)
        elif isinstance(one, Table):
            st.table(pd.DataFrame(one.rows, columns=list(one.head)).astype(str).set_index(one.head[0]))
        elif isinstance(one, Figure):
            st.plotly_chart(one.figure, width="stretch", theme=None, key=f"{part.title} {one.says}")
            st.caption(one.says)


def _exports(source: Source, analysis: Analysis, choices: Choices, beside: Beside) -> None:
    st.divider()
    everything, report, raters = st.columns(3)
    name = f"larvatus-{source.name}"
    data = partial(source.packed, choices)
    everything.download_button(
        "Download all data (CSV, Parquet, JSON)", data, f"{name}.zip", "application/zip", on_click="ignore"
    )
    page = partial(html_report, analysis, source.title, source.protocol_hash, offline=True, beside=beside)
    report.download_button("Download the report (HTML)", page, f"{name}.html", "text/html", on_click="ignore")
    if source.study:
        raters.download_button(
            "Raters (CSV, for payment)",
            source.payments,
            f"{name}-raters.csv",
            "text/csv",
            on_click="ignore",
            help="With the ids that Prolific gave them: keep it to yourself, and do not publish it.",
        )
