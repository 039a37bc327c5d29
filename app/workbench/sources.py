"""Where a result comes from: a study of the store, an export read back, or the example."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from app.study import export, formats, votes
from app.study.choices import Choices
from app.study.model import Study
from app.workbench.state import store


@dataclass(frozen=True)
class Source:
    """A study's tables. `study`: its id in the store, "" for what came from elsewhere and so has no pictures."""

    title: str
    votes: pd.DataFrame
    stimuli: pd.DataFrame
    frozen: str = ""
    protocol_hash: str = ""
    study: str = ""
    raters: pd.DataFrame | None = None
    choices: Choices = Choices()  # to begin with
    withdrawn: tuple[int, int] | None = None  # raters and their answers; None where it is not known

    @property
    def name(self) -> str:
        """The title as a part of a file's name."""
        return "".join(c if c.isalnum() else "-" for c in self.title.lower()).strip("-")[:40] or "study"

    @property
    def key(self) -> str:
        """A name for what is chosen about it on a page: it stays while answers come in."""
        return self.study or hashlib.sha256(self.packed(self.choices)).hexdigest()

    def packed(self, choices: Choices) -> bytes:
        """All of it as one ZIP (`export.export`), analysed under these choices."""
        given = self.votes, self.stimuli, self.frozen, self.protocol_hash, self.raters
        return export.export(*given, choices, self.withdrawn)

    def payments(self) -> bytes:
        """The raters of a study of the store as CSV, with the ids that their recruiter gave them."""
        return formats.to_csv(votes.raters(store(), self.study), votes.RATERS)


def from_store(study: Study) -> Source:
    """A study of the store. Raises StudyError."""
    answers, stimuli, raters = (read(store(), study.id) for read in (votes.votes, votes.stimuli, votes.raters))
    frozen = study.frozen or "", study.protocol_hash or ""
    gone = study.withdrawn_raters, study.withdrawn_answers
    return Source(study.title, answers, stimuli, *frozen, study.id, raters, withdrawn=gone)


def from_file() -> Source | None:
    """The export that is given here; None before. Raises StudyError."""
    file = st.file_uploader("The ZIP that this page exports", ["zip"])
    if file is None:
        return None
    found = export.read(file.getvalue())
    frozen = found.frozen, found.protocol_hash
    tables = found.votes, found.stimuli
    return Source(file.name, *tables, *frozen, "", found.raters, found.choices, found.withdrawn)
