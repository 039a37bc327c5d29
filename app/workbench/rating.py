"""The rater's pages: consent, trials, pause and coming back, withdrawal, thanks."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app.study.design import Design
from app.study.enrolment import EXTERNAL
from app.study.errors import StudyError
from app.study.screens import Enrolment
from app.study.strings import text
from app.workbench import trial
from app.workbench.state import parameter, said, show_said, store

NARROW = """<style>
[data-testid="stHeader"], [data-testid="stToolbar"] { display: none; }
.block-container { padding: 0.75rem 1rem 2rem; max-width: 1180px; }
</style>"""


def page(study_id: str) -> None:
    """What a rater sees of a study."""
    st.html(NARROW)
    try:
        design = store().design(study_id)
    except StudyError as error:
        st.error(str(error))
        return
    rater = _rater(study_id)
    show_said()
    if st.session_state.get("left"):
        _left(design)
    elif st.session_state.get("paused"):
        _paused(design)
    elif not rater:
        _welcome(study_id, design)
    else:
        _session(rater, design)


def _rater(study_id: str) -> str:
    """The rater of this browser session; the page's address keeps it, so that a reload goes on."""
    rater = str(st.session_state.get("rater") or parameter("session"))
    if not rater:
        return ""
    try:
        own = store().study_of(rater) == study_id
    except StudyError:
        own = False
    if not own:
        st.session_state.pop("rater", None)
        st.query_params.pop("session", None)
        return ""
    st.session_state["rater"] = rater
    return rater


def _welcome(study_id: str, design: Design) -> None:
    say = design.language
    st.title(design.title)
    st.write(design.instructions or text("welcome", say))
    st.subheader(text("consent.title", say))
    st.write(design.consent)
    answers = {}
    if design.demographics:
        with st.expander(text("demographics", say)):
            for question in design.demographics:
                skip = text("demographics.skip", say)
                found = st.selectbox(question.caption, (skip, *question.choices), key=f"about {question.name}")
                answers[question.name] = "" if found == skip else found
    agreed = st.checkbox(text("consent.agree", say), key="agreed")
    st.button(
        text("start", say),
        type="primary",
        disabled=not agreed,
        on_click=_start,
        args=(study_id, design, answers),
    )
    with st.expander(text("resume", say)):
        _by_code(say)


@said
def _start(study_id: str, design: Design, answers: dict[str, str]) -> None:
    external = {name: value for name in EXTERNAL if (value := parameter(name))}
    _entered(store().enrol(study_id, design.consent_version, external, answers))


def _entered(enrolment: Enrolment) -> None:
    st.session_state["rater"] = enrolment.rater
    st.session_state["code"] = enrolment.code
    st.query_params["session"] = enrolment.rater


def _by_code(say: str) -> None:
    """Go on, or have everything deleted."""
    st.text_input(text("code.name", say), key="typed code", autocomplete="off")
    go, delete = st.columns(2)
    go.button(text("resume.button", say), on_click=_resume, width="stretch")
    delete.button(text("withdraw", say), on_click=_ask, width="stretch")
    if st.session_state.get("ask"):
        st.warning(text("withdraw.sure", say))
        st.button(text("withdraw.yes", say), type="primary", on_click=_withdraw)


@said
def _resume() -> None:
    rater = store().resume(st.session_state.get("typed code", ""))
    st.session_state["rater"], st.session_state["paused"] = rater, False
    st.query_params["session"] = rater


def _ask() -> None:
    st.session_state["ask"] = True


@said
def _withdraw() -> None:
    gone = store().withdraw(st.session_state.get("typed code", ""))
    for name in ("rater", "code", "ask", "paused"):
        st.session_state.pop(name, None)
    st.query_params.pop("session", None)
    st.session_state["left"] = gone + 1  # true also where nothing had been answered


def _left(design: Design) -> None:
    st.title(design.title)
    st.success(text("withdrawn", design.language, answers=st.session_state["left"] - 1))


def _session(rater: str, design: Design) -> None:
    try:
        screen = store().next_trial(rater)
        ahead = store().upcoming(rater)
    except StudyError as error:
        st.error(str(error))
        return
    if screen is None:
        _thanks(rater, design)
        return
    _code(rater, design, opened=screen.index == 0)
    trial.show(screen, ahead, store().picture, lambda value: _record(rater, value), design.language)
    st.button(text("pause", design.language), on_click=_pause, args=(rater,))


def _code(rater: str, design: Design, opened: bool) -> None:
    """The code, large before the first answer, folded away afterwards."""
    code, say = st.session_state.get("code", ""), design.language
    if opened and code:
        st.info(text("code", say, code=code))
        return
    with st.expander(text("code.name", say)):
        if code:
            st.write(text("code", say, code=code))
        else:
            st.write(text("code.unknown", say))
            st.button(text("code.renew", say), on_click=_renew, args=(rater,))


@said
def _renew(rater: str) -> None:
    st.session_state["code"] = store().renew_code(rater)


@said
def _record(rater: str, value: dict[str, Any]) -> None:
    """Keep what the browser sent; whatever it sent, a sentence at worst."""
    size = (value.get("screen_width", 0), value.get("screen_height", 0))
    sent = (value.get("trial", ""), value.get("answer"), value.get("token", ""), value.get("seconds", -1.0))
    store().record(rater, *sent, screen_size=size)


@said
def _pause(rater: str) -> None:
    store().pause(rater)
    st.session_state["paused"] = True
    st.query_params.pop("session", None)
    st.session_state.pop("rater", None)


def _paused(design: Design) -> None:
    st.title(design.title)
    st.info(text("paused", design.language))
    _by_code(design.language)


def _thanks(rater: str, design: Design) -> None:
    say = design.language
    st.title(text("finished", say))
    if design.completion_url:
        st.link_button(text("completion", say), design.completion_url, type="primary")
    _code(rater, design, opened=True)
    with st.expander(text("withdraw", say)):
        _by_code(say)
