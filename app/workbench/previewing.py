"""A study as a rater sees it, with nothing stored."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app.study.errors import StudyError
from app.study.preview import Preview
from app.study.strings import text
from app.workbench import trial
from app.workbench.state import said, show_said, store


def page(study_id: str) -> None:
    """The screens of rater 0, until the end or until it is left."""
    st.button("Leave the preview", on_click=_leave)
    try:
        session = _session(study_id)
    except StudyError as error:
        st.error(str(error))
        return
    language = session.design.language
    st.info(text("preview", language))
    show_said()
    screen = session.next_trial()
    if screen is None:
        st.success(text("finished", language))
        return
    trial.show(screen, session.upcoming(), store().picture, lambda value: _record(session, value), language)


def _session(study_id: str) -> Preview:
    kept = st.session_state.get("preview")
    if kept is None or kept[0] != study_id:
        kept = st.session_state["preview"] = (study_id, store().preview(study_id))
    return kept[1]


@said
def _record(session: Preview, value: dict[str, Any]) -> None:
    session.record(value.get("trial", ""), value.get("answer"), value.get("token", ""), value.get("seconds", -1.0))


def _leave() -> None:
    for name in ("preview", "previewing"):
        st.session_state.pop(name, None)
