"""What a study found: figures, tables and their words, with exclusions that can be taken back, and the exports."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from app.study import export, figures, formats, votes
from app.study.analysis import Analysis, analyse
from app.study.blocks import Figure, Section, Table, Words
from app.study.errors import StudyError
from app.study.report import html_report
from app.study.sections import sections
from app.workbench import example
from app.workbench.researcher import require
from app.workbench.state import store

MOST_MAPS = 12
EXAMPLE = "A worked example (simulated raters)"


@dataclass(frozen=True)
class Source:
    """A study's tables, whether they come from the store, a file or the example."""

    title: str
    votes: pd.DataFrame
    stimuli: pd.DataFrame
    frozen: str = ""
    protocol_hash: str = ""
    id: str = ""  # in the store, with its pictures and raters: an export has none


def page() -> None:
    """Choose a study, or read an export; then its whole result."""
    require()
    st.title("Results")
    source = _chosen()
    if source is not None:
        show(source)


def show_example() -> None:
    """The result of a study whose raters are simulated, open to everybody."""
    st.title(EXAMPLE)
    show(example.source())


def _chosen() -> Source | None:
    studies = {one.id: one for one in store().studies() if one.state != "draft"}
    found = st.selectbox(
        "Study",
        [*studies, "file"],
        format_func=lambda id: "An export, read back" if id == "file" else studies[id].title,
    )
    try:
        return _from_file() if found == "file" else _from_store(studies[found])
    except StudyError as error:
        st.error(str(error))
        return None


def _from_store(study) -> Source:  # type: ignore[no-untyped-def]
    tables = votes.votes(store(), study.id), votes.stimuli(store(), study.id)
    return Source(study.title, *tables, study.frozen or "", study.protocol_hash or "", study.id)


def _from_file() -> Source | None:
    file = st.file_uploader("The ZIP that this page exports", ["zip"])
    if file is None:
        return None
    found = export.read(file.getvalue())
    return Source(file.name, found.votes, found.stimuli, found.frozen, found.protocol_hash)


def show(source: Source) -> None:
    """Screening first, since it decides what follows; then the sections, then the exports."""
    if source.votes.empty:
        st.info("No answers yet: the result appears with the first ones.")
        return
    try:
        first = _analysed(source, ())
        out = _exclusions(first)
        found = _analysed(source, out) if out else first
    except StudyError as error:
        st.error(str(error))
        return
    if found.simulated:
        st.warning("Simulated raters: an example, and no evidence about people.")
    parts = (*_on_pictures(source, found), *sections(found, source.protocol_hash))
    for tab, part in zip(st.tabs([part.title for part in parts]), parts, strict=True):
        with tab:
            _section(part)
    _exports(source, found)


@st.cache_data(show_spinner="Reading the answers", max_entries=20)
def _computed(data: bytes, exclusions: tuple[str, ...]) -> Analysis:
    found = export.read(data)
    return analyse(found.votes, found.stimuli, exclusions=exclusions)


def _analysed(source: Source, exclusions: tuple[str, ...]) -> Analysis:
    return _computed(_packed(source), exclusions)


def _packed(source: Source) -> bytes:
    return export.export(source.votes, source.stimuli, source.frozen, source.protocol_hash)


def _exclusions(analysis: Analysis) -> tuple[str, ...]:
    """Who is left out: nobody by itself; what the rules found is one click away, and listed with its reason."""
    found = analysis.screening
    with st.expander(f"Screening: {len(found.raters)} of {analysis.counts.raters_before} raters stand out"):
        for finding in found.findings:
            st.write(f"`{finding.rater}` {finding.rule}: {finding.reason}")
        for note in found.notes:
            st.caption(note)
        everyone = sorted(check.rater for check in found.checks)
        follow = st.toggle("Leave out whom the rules found", False, disabled=not found.raters)
        return tuple(st.multiselect("Left out", everyone, list(found.raters) if follow else []))


def _on_pictures(source: Source, found: Analysis) -> tuple[Section, ...]:
    """What was marked, over the pictures themselves: the most marked ones."""
    if found.artefacts is None or not source.id:
        return ()
    rows = {row.stimulus: row for row in source.stimuli.itertuples()}
    maps = sorted(found.artefacts.stimuli, key=lambda one: -max(max(row) for row in one.share))[:MOST_MAPS]
    shown = []
    for one in maps:
        row = rows[one.name]
        picture = "data:image/png;base64," + b64encode(store().picture(row.sha256)).decode()
        says = f"{row.photo}, {row.condition}: share of the raters ({one.raters}) who marked each spot"
        shown.append(Figure(figures.heat_figure(one, picture), says))
    return (Section("On the pictures", (Words("The most marked pictures first."), *shown)),)


def _section(part: Section) -> None:
    for one in part.parts:
        if isinstance(one, Words):
            st.write(one.text)
        elif isinstance(one, Table):
            st.table(pd.DataFrame(one.rows, columns=list(one.head)).astype(str).set_index(one.head[0]))
        elif isinstance(one, Figure):
            st.plotly_chart(one.figure, width="stretch", theme=None, key=f"{part.title} {one.says}")
            st.caption(one.says)


def _exports(source: Source, analysis: Analysis) -> None:
    st.divider()
    left, right = st.columns(2)
    name = "".join(c if c.isalnum() else "-" for c in source.title.lower()).strip("-")[:40] or "study"
    left.download_button(
        "Download all data (CSV, Parquet, JSON)", _packed(source), f"larvatus-{name}.zip", "application/zip"
    )
    parts = (_withdrawn(source), *_on_pictures(source, analysis))
    page = html_report(analysis, source.title, source.protocol_hash, offline=True, more=parts)
    right.download_button("Download the report (HTML)", page, f"larvatus-{name}.html", "text/html")
    if source.id:
        found = votes.raters(store(), source.id)
        left.download_button(
            "Download the raters (CSV, with Prolific's ids: for payment, not for publication)",
            formats.to_csv(found.astype(str), dict.fromkeys(found.columns, "str")),
            f"larvatus-{name}-raters.csv",
            "text/csv",
        )


def _withdrawn(source: Source) -> Section:
    """How many asked for their answers to be deleted; an export does not know."""
    if not source.id:
        return Section("Withdrawals", (Words("Not known: this result was read from an export."),))
    found = store().progress(source.id)
    said = f"{found.withdrawn_raters} raters withdrew, and {found.withdrawn_answers} answers were deleted."
    return Section("Withdrawals", (Words(said),))

