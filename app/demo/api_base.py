"""What every endpoint of the Gradio API stands on: values that are checked first, people, panels, watermarks."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import gradio as gr
from torch import Tensor

from app import photo as photos
from app.demo.session import Desk, taken
from app.demo.visitor import Owners, asking, visitor_of
from app.demo.wishes import check
from app.errors import sentence
from app.panel import Panel, panel_of
from app.runtime import Runtime
from app.scoring import JobError, Person, find_person
from app.watermarks import USUAL as WORDS
from app.watermarks import watermark_of

# The switch that stops what a program has asked for, by visitor and Gradio's session hash, while it is worked on.
RUNNING: WeakValueDictionary[tuple[str, str], threading.Event] = WeakValueDictionary()
LEFT = "The connection was closed, so the work was stopped: ask again."


def checked(work: Callable[..., Any]) -> Callable[..., Any]:
    """An endpoint whose values are checked first, None the usual ones, and whose errors are one sentence each."""
    signature = inspect.signature(work)
    usual = {name: one.default for name, one in signature.parameters.items() if one.default is not one.empty}

    @wraps(work)
    def done(self: Base, *values: Any, **named: Any) -> Any:
        given = signature.bind(self, *values, **named).arguments
        try:
            check(work.__name__, given, self.runtime.cards)
            return work(**{name: usual.get(name) if value is None else value for name, value in given.items()})
        except Exception as error:
            raise gr.Error(sentence(error), print_exception=False) from None

    return done


def cancel(event: Any, owners: Owners) -> bool:
    """The visitor whose request is being answered cancels what a program of theirs has asked for, if anything.

    False where the session or the event that they name is another's.
    """
    told = event if isinstance(event, dict) else {}
    session, name = str(told.get("session_hash")), told.get("event_id")
    if (stop := RUNNING.get((asking.get(), session))) is not None:
        stop.set()
    return owners.mine(session) and (name is None or owners.mine(str(name)))


class Base:
    """One runtime, and the desks of those who call."""

    def __init__(self, runtime: Runtime, desk: Desk):
        self.runtime, self.desk = runtime, desk

    def _left(self, request: gr.Request | None) -> Callable[[], bool]:
        """Whether who called is gone since now: then nobody waits for the result."""
        session = self.desk.of(request)
        session.stop = threading.Event()
        if request is not None:
            RUNNING[visitor_of(request), str(request.session_hash)] = session.stop
        return session.stop.is_set

    @staticmethod
    def _watermark(words: str, path: str | None) -> Tensor:
        return watermark_of(words or WORDS, photos.load(taken(path)) if path else None)

    def _panel(self, surrogates: list[str], judges: list[str]) -> Panel | None:
        """The panel that is asked for; None, where nothing is, for the method's usual one."""
        if not surrogates and not judges:
            return None
        return panel_of(self.runtime.cards, surrogates, judges)

    def _person(self, path: str, name: str = "photo") -> Person:
        if not path:
            raise JobError(f"There is no photo: give one as `{name}`.")
        return find_person(self.runtime, Path(path).name, taken(path))
