"""The endpoint that leaves pictures for a study, as the button "Send to a study" does."""

from __future__ import annotations

from typing import Any, Optional

import gradio as gr

from app import photo as photos
from app import to_study
from app.demo.api_base import Base, checked
from app.demo.api_values import ids
from app.demo.session import taken
from app.made import Made
from app.scoring import JobError, Person
from app.study.errors import StudyError
from engines.methods import METHODS

NOBODY = "There is no study workbench beside this page: run both on one computer."
HOURS = 24  # that the pictures wait


class Studies(Base):
    """`send_to_study`."""

    @checked
    def send_to_study(
        self,
        photo: str,
        files: list[str],
        method: str = "",
        conditions: list[str] | None = None,
        request: Optional[gr.Request] = None,  # noqa: UP045  Gradio looks for this very annotation
    ) -> dict[str, Any]:
        """Leave a photo and the files that methods made of it for a user study, under a code.

        Args:
            photo: The photo as it was before; who is in it must have agreed to be shown to raters.
            files: The files that methods made of it, at most 24.
            method: The id of the method, for files that do not name theirs.
            conditions: A name in the study for each file; none means method and settings.

        Returns:
            The code to enter in the study workbench, for how many hours it waits, and a row a picture.
        """
        if not to_study.offered():
            raise JobError(NOBODY)
        person, names = self._person(photo), ids(conditions, "Conditions") or [""] * len(files)
        try:
            pairs = [
                to_study.pictures(made(person, taken(path), method), name)
                for path, name in zip(files, names, strict=True)
            ]
            sent = [pairs[0][0], *(version for _, version in pairs)]
            code = _left(sent)
        except StudyError as error:
            raise JobError(str(error)) from None
        rows = [{"role": one.role, "condition": one.label, "method": one.method} for one in sent]
        return {
            "code": code,
            "hours": HOURS,
            "workbench": to_study.address(),
            "rows": rows,
            "notes": [to_study.CONSENT],
        }


def _left(pictures: list[Any]) -> str:
    from app.study import inbox  # brings the database's library along: half a second at a start

    return inbox.leave(pictures)


def made(person: Person, file: bytes, method: str) -> Made:
    """A file that was made of a person's photo; what it says of itself counts only as far as it makes sense."""
    told = photos.load(file).settings or {}
    found = told.get("provenance")
    stamp = found if isinstance(found, dict) else {}
    named = next((id for id in METHODS if id == stamp.get("method")), "")
    if not named:
        return Made(person, file, method, "")
    params = stamp.get("params")
    known = {**stamp, "params": params if isinstance(params, dict) else {}}
    return Made(person, file, named, "", {**told, "provenance": known})
