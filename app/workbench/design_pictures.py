"""The pictures of a study: imported with a manifest, or made here from photos by the methods."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from app import gallery
from app.render import Setting, render
from app.runtime import Runtime
from app.study import inbox
from app.study.anchors import ANCHORS
from app.study.errors import StudyError
from app.study.incoming import Prepared
from app.study.model import Study
from app.study.stimuli import import_zip, prepare, unseen, with_anchors
from app.workbench.state import store
from engines.methods import METHODS

CONSENT = "Only use photos of people who agreed to be shown to raters."


@st.cache_resource(show_spinner=False)
def runtime() -> Runtime:
    """The networks, once for all sessions."""
    return Runtime()


def show(study: Study) -> None:
    """What is there, and two ways to add more while the study is a draft."""
    _listed(study)
    if study.state != "draft":
        return
    made, sent, imported = st.tabs(["Make them here", "From the demo", "Import a ZIP"])
    with made:
        _make(study)
    with sent:
        _sent(study)
    with imported:
        _import(study)


def _listed(study: Study) -> None:
    rows = store().stimuli(study.id)
    if not rows:
        st.write("No pictures yet.")
        return
    photos = len({row.photo for row in rows})
    st.write(f"**{len(rows)} pictures** of {photos} photo{'s' if photos > 1 else ''}.")
    with st.container(horizontal=True):
        for row in rows[:24]:
            st.image(store().picture(row.sha256), caption=f"{row.photo}: {row.condition}", width=150)
    if len(rows) > 24:
        st.caption(f"The first 24 of {len(rows)}.")
    if study.state == "draft" and st.button("Remove all pictures"):
        for row in rows:
            store().remove_stimulus(study.id, row.id)
        st.rerun()


def _make(study: Study) -> None:
    st.write("Photos x methods x presets. The unaltered photo and deliberately bad versions (anchors) are added.")
    files = st.file_uploader("Photos", ["jpg", "jpeg", "png", "webp"], accept_multiple_files=True)
    built_in = st.multiselect("or built-in portraits", list(gallery.NAMES), help="Public domain.")
    presets = [f"{method.title}: {preset}" for method in METHODS.values() for preset in method.presets]
    asked = st.multiselect("Methods", presets)
    anchors = st.checkbox("Add anchors", True)
    st.caption(CONSENT)
    if not st.button("Make the pictures", type="primary", disabled=not (asked and (files or built_in))):
        return
    sources = [(name, gallery.portrait(name)) for name in built_in]
    sources += [(file.name.rsplit(".", 1)[0], file.getvalue()) for file in files or ()]
    _rendered(study, sources, [_setting(one) for one in asked], anchors)


def _setting(asked: str) -> Setting:
    title, _, preset = asked.rpartition(": ")
    method = next(method for method in METHODS.values() if method.title == title)
    return Setting(method.id, method.presets[preset], asked)


def _rendered(study: Study, sources: list[tuple[str, bytes]], settings: list[Setting], anchors: bool) -> None:
    bar, made, failed = st.progress(0.0, "Loading the networks"), [], []
    for step in render(runtime(), sources, settings):
        bar.progress(step.done / step.of, f"{step.done} of {step.of}: {step.words}")
        if step.made is not None:
            made.append(prepare(step.made))
        if step.failed:
            failed.append(step.failed)
    _added(study, made, anchors)
    for words in failed:
        st.warning(words)
    if not failed:
        st.rerun()


def _added(study: Study, made: Iterable[Prepared], anchors: bool) -> None:
    try:
        store().add(study.id, with_anchors(made, tuple(ANCHORS) if anchors else ()))
    except StudyError as error:
        st.error(str(error))


def _sent(study: Study) -> None:
    st.write("“Send to a study” in the demo gives a code: what was sent waits here for a day.")
    code = st.text_input("Code", key="inbox code", autocomplete="off")
    anchors = st.checkbox("Add anchors", True, key="anchors of the inbox")
    if not st.button("Fetch", disabled=not code):
        return
    try:
        _added(study, unseen(map(prepare, inbox.fetch(code)), store().stimuli(study.id)), anchors)
    except StudyError as error:
        st.error(str(error))


def _import(study: Study) -> None:
    st.write(
        "A ZIP with pictures and a `manifest.csv` whose columns are `file, photo, role, method, condition` "
        "(role: test, reference, anchor or catch); any `measure_NAME` column joins the result."
    )
    file = st.file_uploader("ZIP", ["zip"])
    st.caption(CONSENT)
    if file is None or not st.button("Import"):
        return
    try:
        store().add(study.id, import_zip(file.getvalue()))
    except StudyError as error:
        st.error(str(error))
    else:
        st.rerun()
