"""What a browser session of the workbench knows: the store, who may see the researcher's pages, what was said."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import streamlit as st

from app.study import admin, sync
from app.study.errors import StudyError
from app.study.store import Store


@st.cache_resource(show_spinner=False)
def store() -> Store:
    """One store for all sessions of this server; on a Space its snapshots come from and go to the Hub.

    The researcher's token is printed where it is new.
    """
    sync.wake()
    found = Store()
    sync.start(found)
    admin.announce(found)
    return found


def parameter(name: str) -> str:
    """A parameter of the page's address, "" where it is not there."""
    return str(st.query_params.get(name, ""))


def address(**parameters: str) -> str:
    """This workbench's own address with these parameters."""
    parts = urlsplit(str(st.context.url or ""))
    return urlunsplit((parts.scheme, parts.netloc, "/", urlencode(parameters), ""))


def said(call: Callable[..., Any]) -> Callable[..., Any]:
    """A callback whose StudyError becomes the sentence that the page shows next."""

    @wraps(call)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return call(*args, **kwargs)
        except StudyError as error:
            st.session_state["said"] = str(error)
            st.session_state["refused"] = st.session_state.get("refused", 0) + 1
            return None

    return guarded


def show_said() -> None:
    """The sentence of the last callback, once. Its place is always there, so that what is open below stays open."""
    place = st.empty()
    if words := st.session_state.pop("said", ""):
        place.error(words)
