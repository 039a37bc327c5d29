"""The researcher's page for one study: what is asked, the pictures, how many answers, and opening it."""

from __future__ import annotations

import streamlit as st

from app.study import order
from app.study.design import Design
from app.study.errors import StudyError
from app.study.freeze import items
from app.study.model import Study
from app.study.protocols import PROTOCOLS
from app.workbench import design_form, design_pictures, design_power, previewing
from app.workbench.researcher import require
from app.workbench.state import address, said, show_said, store

NEW = "A new study"
MET = {"raters": "raters", "answers": "answers", "answers_per_item": "answers for each item"}


def page() -> None:
    """Choose or begin a study; then its four steps."""
    require()
    if st.session_state.get("previewing"):
        previewing.page(st.session_state["previewing"])
        return
    st.title("Studies")
    show_said()
    study = chosen()
    if study is None:
        _begin()
        return
    design = store().design(study.id)
    _state(study, design)
    ask, pictures, plan, run = st.tabs(["1 Question", "2 Pictures", "3 How many answers", "4 Open and share"])
    with ask:
        design_form.show(study, design)
    with pictures:
        design_pictures.show(study)
    with plan:
        design_power.show(study, design)
    with run:
        _run(study, design)


def chosen() -> Study | None:
    """The study that is worked on; None for a new one."""
    studies = {one.id: one for one in store().studies()}
    current = st.session_state.get("study")  # None at first: the newest one
    options = [*studies, ""]
    found = st.selectbox(
        "Study",
        options,
        index=options.index(current) if current in options else 0,
        format_func=lambda id: f"{studies[id].title} ({studies[id].state})" if id else NEW,
    )
    st.session_state["study"] = found
    return studies.get(found)


def _begin() -> None:
    """A title and a protocol are enough to begin; everything else has a value that works."""
    with st.form("begin", border=False):
        title = st.text_input("Title, as raters will read it")
        protocol = st.selectbox("What raters do", list(PROTOCOLS), format_func=lambda id: PROTOCOLS[id].title)
        if st.form_submit_button("Begin", type="primary"):
            try:
                study = store().create({"title": title, "protocol": protocol})
            except StudyError as error:
                st.error(str(error) if title else "The study has no title yet: give it one.")
            else:
                st.session_state["study"] = study.id
                st.rerun()


def _state(study: Study, design: Design) -> None:
    found = store().progress(study.id)
    if design.simulated:
        st.warning("The raters of this study are simulated: it is an example, and no evidence about people.")
    with st.container(horizontal=True, gap="medium"):
        st.metric("State", study.state, width="content")
        st.metric("Raters", found.raters, width="content")
        st.metric("Finished", found.finished, width="content")
        st.metric("Answers", found.answers, width="content")
        if found.withdrawn_raters:
            gone = f"{found.withdrawn_raters} ({found.withdrawn_answers} answers)"
            st.metric("Withdrawn", gone, width="content")
    if found.enough:
        st.info(f"The stopping rule is met ({MET[found.enough]}): no new rater is let in.")
    if study.protocol_hash:
        st.caption(f"Protocol frozen {study.opened_at}, SHA-256 `{study.protocol_hash}`")


def _run(study: Study, design: Design) -> None:
    pictures = store().stimuli(study.id)
    try:
        trials = len(order.session(design, items(pictures), 0))
    except StudyError as error:
        st.info(str(error))
        return
    st.write(f"Each rater sees **{trials} screens**, practice included.")
    st.button("Preview: see it as a rater, nothing is stored", on_click=_preview, args=(study.id,))
    if study.state == "draft":
        st.write("Opening freezes the protocol: question, pictures, order and consent text can no longer be changed.")
        st.button("Open the study", type="primary", on_click=_open, args=(study.id,))
        return
    if study.state == "open":
        st.write("Send raters this address. Prolific: add its three parameters; they are kept with the session.")
        st.code(address(study=study.id), language=None)
        prolific = "&PROLIFIC_PID={{%PROLIFIC_PID%}}&STUDY_ID={{%STUDY_ID%}}&SESSION_ID={{%SESSION_ID%}}"
        st.code(address(study=study.id) + prolific, language=None)
        st.button("Close: take no more answers", on_click=_close, args=(study.id,))
    else:
        st.button("Open again, as it was", on_click=_open, args=(study.id,))


def _preview(study_id: str) -> None:
    st.session_state["previewing"] = study_id


@said
def _open(study_id: str) -> None:
    store().open(study_id)


@said
def _close(study_id: str) -> None:
    store().close(study_id)
