"""The Gradio demo: the only package that imports gradio."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def no_stubs() -> Iterator[None]:
    """While Gradio is imported: it does not look whether the type stubs beside its components are as they should be.

    They are for editors, and cost a third of the import: two seconds. Gradio leaves a component without one where
    the file of its class cannot be found.
    """
    find = inspect.getfile

    def getfile(what: Any) -> str:
        if isinstance(what, type) and what.__module__.startswith("gradio."):
            raise OSError("no stubs are written")
        return find(what)

    inspect.getfile = getfile
    try:
        yield
    finally:
        inspect.getfile = find


with no_stubs():
    import gradio  # noqa: F401

from app.demo.build import build, launch_options  # noqa: E402

__all__ = ["build", "launch_options"]
