"""Who may see the researcher's pages."""

from __future__ import annotations

import streamlit as st

from app.study import admin
from app.study.errors import StudyError
from app.workbench.state import store


def signed_in() -> bool:
    """Whether this browser session showed the token."""
    return bool(st.session_state.get("researcher"))


def require() -> None:
    """Ask for the token, and stop the page until it was given."""
    if signed_in():
        return
    st.title("Researcher's pages")
    st.write(
        "Studies, answers and results are for whoever runs this workbench. Its token is the value of "
        "`LARVATUS_ADMIN_TOKEN`, or was printed once when the workbench first started."
    )
    with st.form("token", border=False):
        given = st.text_input("Token", type="password", autocomplete="current-password")
        if st.form_submit_button("Sign in", type="primary"):
            _check(given)
    st.stop()


def _check(given: str) -> None:
    try:
        right = admin.is_admin(store(), given)
    except StudyError as error:
        st.error(str(error))
        return
    if not right:
        st.error("This is not the token of this workbench: copy it again, without spaces.")
        return
    st.session_state["researcher"] = True
    st.rerun()
