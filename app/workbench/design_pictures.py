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
from app.study.stimuli import import_files, import_zip, prepare, unseen, with_anchors
from app.workbench.state import store
from engines.methods import METHODS
from engines.params import ParamError

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
    made, sent, imported = st.tabs(["Make them here", "From the demo", "Import a folder or ZIP"])
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
    if bare := sorted({row.photo for row in rows} - {row.photo for row in rows if row.role == "reference"}):
        st.warning(
            f"No unaltered photo (role reference) for {', '.join(bare[:5])}{' and others' if len(bare) > 5 else ''}: "
            "raters see no hidden reference there, and no DMOS and no anchors are had from it. Import it, too."
        )
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
    varied = _varied()
    anchors = st.checkbox("Add anchors", True)
    st.caption(CONSENT)
    ready = (asked or varied) and (files or built_in)
    if not st.button("Make the pictures", type="primary", disabled=not ready):
        return
    sources = [(name, gallery.portrait(name)) for name in built_in]
    sources += [(file.name.rsplit(".", 1)[0], file.getvalue()) for file in files or ()]
    _rendered(study, sources, [*map(_setting, asked), *varied], anchors)


def _varied() -> list[Setting]:
    """One setting of one method at several values, all others as usual: what a recommended value is read from."""
    left, middle, right = st.columns(3)
    id = left.selectbox("Vary a setting of", list(METHODS), format_func=lambda id: METHODS[id].title)
    knobs = {knob.name: knob for knob in METHODS[id].Params.knobs() if knob.kind in (int, float)}
    titles = {name: f"{knob.label} {knob.symbol}" for name, knob in knobs.items()}
    name = middle.selectbox("Setting", list(knobs), format_func=titles.__getitem__)
    written = right.text_input("Values, comma separated", placeholder="0, 1, 2", disabled=not knobs)
    if not (knobs and written.strip()):
        return []
    try:
        values = [knobs[name].kind(part) for part in written.split(",")]
        for value in values:
            METHODS[id].Params.read({name: value})
    except ValueError as error:  # ParamError is one, too
        fault = str(error) if isinstance(error, ParamError) else "The values are no numbers: write them as 0, 1, 2."
        st.error(fault)
        return []
    return [Setting(id, {name: value}) for value in dict.fromkeys(values)]


def _setting(asked: str) -> Setting:
    title, _, preset = asked.rpartition(": ")
    method = next(method for method in METHODS.values() if method.title == title)
    return Setting(method.id, method.presets[preset], asked)


def _rendered(study: Study, sources: list[tuple[str, bytes]], settings: list[Setting], anchors: bool) -> None:
    bar, made, failed = st.progress(0.0, "Loading the networks"), [], []
    for step in render(runtime(), sources, settings):
        bar.progress(step.done / step.of, f"{step.done} of {step.of}: {step.words}")
        if step.made is not None:
            made.append(prepare(step.made))  # our own file: nothing in it can be refused
        if step.failed:
            failed.append(step.failed)
    whole = _added(study, made, anchors)
    for words in failed:
        st.warning(words)
    if whole and not failed:
        st.rerun()


def _added(study: Study, made: Iterable[Prepared], anchors: bool) -> bool:
    """Put in what is not there yet; whether that went well."""
    try:
        fresh = unseen(made, store().stimuli(study.id))
        store().add(study.id, with_anchors(fresh, tuple(ANCHORS) if anchors else ()))
    except StudyError as error:
        st.error(str(error))
        return False
    return True


def _sent(study: Study) -> None:
    st.write("“Send to a study” in the demo gives a code: what was sent waits here for a day.")
    code = st.text_input("Code", key="inbox code", autocomplete="off")
    anchors = st.checkbox("Add anchors", True, key="anchors of the inbox")
    if not st.button("Fetch", disabled=not code):
        return
    try:
        waiting = [prepare(one) for one in inbox.fetch(code)]
    except StudyError as error:
        st.error(str(error))
        return
    if _added(study, waiting, anchors):
        inbox.drop(code)
        st.rerun()


def _import(study: Study) -> None:
    st.write(
        "A folder or ZIP with pictures and a `manifest.csv` whose columns are `file, photo, role, method, condition` "
        "(role: test, reference, anchor or catch); any `measure_NAME` column joins the result."
    )
    file = st.file_uploader("ZIP", ["zip"])
    folder = st.file_uploader("or a folder", accept_multiple_files="directory")
    st.caption(CONSENT)
    if not (file or folder) or not st.button("Import"):
        return
    try:
        files = {one.name: one.getvalue() for one in folder or ()}
        store().add(study.id, import_zip(file.getvalue()) if file else import_files(files))
    except StudyError as error:
        st.error(str(error))
    else:
        st.rerun()
