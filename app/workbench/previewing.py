"""A study as a rater sees it, with nothing stored."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app.study.design import Design
from app.study.errors import StudyError
from app.study.preview import Preview
from app.study.strings import text
from app.workbench import trial
from app.workbench.state import said, show_said, store


def page(study_id: str) -> None:
    """Consent, the screens of rater 0 and the end, until it is left."""
    st.button("Leave the preview", on_click=_leave)
    try:
        session = _session(study_id)
    except StudyError as error:
        st.error(str(error))
        return
    design = session.design
    st.info(text("preview", design.language))
    show_said()
    if not st.session_state.get("preview began"):
        _welcome(design)
        return
    screen = session.next_trial()
    if screen is None:
        _thanks(design)
        return
    trial.show(screen, session.upcoming(), store().picture, lambda value: _record(session, value), design.language)


def _welcome(design: Design) -> None:
    """What a rater reads before the first screen; nothing can be filled in."""
    say = design.language
    st.title(design.title)
    st.write(design.instructions or text("welcome", say))
    st.subheader(text("consent.title", say))
    st.write(design.consent)
    if design.demographics:
        with st.expander(text("demographics", say), expanded=True):
            for question in design.demographics:
                choices = (text("demographics.skip", say), *question.choices)
                st.selectbox(question.caption, choices, key=f"shown {question.name}", disabled=True)
    st.checkbox(text("consent.agree", say), True, disabled=True)
    st.button(text("start", say), type="primary", on_click=_begin)


def _thanks(design: Design) -> None:
    st.success(text("finished", design.language))
    if design.completion_url:
        st.link_button(text("completion", design.language), design.completion_url, type="primary")


def _session(study_id: str) -> Preview:
    kept = st.session_state.get("preview")
    if kept is None or kept[0] != study_id:
        kept = st.session_state["preview"] = (study_id, store().preview(study_id))
    return kept[1]


@said
def _record(session: Preview, value: dict[str, Any]) -> None:
    session.record(value.get("trial", ""), value.get("answer"), value.get("token", ""), value.get("seconds", -1.0))


def _begin() -> None:
    st.session_state["preview began"] = True


def _leave() -> None:
    for name in ("preview", "previewing", "preview began"):
        st.session_state.pop(name, None)
