"""The two tables that every analysis starts from: their columns, and a check that says what is wrong with them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from app.study.errors import StudyError

PROTOCOLS = ("pairs", "acr", "dsis", "detection", "verification", "artefacts")
KINDS = ("training", "main", "catch", "repeat")
ROLES = ("test", "reference", "anchor", "catch")
CHOICES = {
    "pairs": ("first", "second", "tie"),
    "detection": ("first", "second"),
    "verification": ("same", "different"),
}
VOTES = {
    "rater": "str",
    "trial": "str",
    "kind": "str",
    "index": "int64",
    "protocol": "str",
    "first": "str",
    "second": "str",
    "photo": "str",
    "answer": "object",
    "truth": "str",
    "repeat_of": "str",
    "seconds": "float64",
    "answered_at": "str",
    "screen_width": "int64",
    "screen_height": "int64",
}
STIMULI = {
    "stimulus": "str",
    "photo": "str",
    "condition": "str",
    "method": "str",
    "parameters": "object",
    "role": "str",
    "sha256": "str",
    "measures": "object",
    "person": "str",
    "provenance": "object",
}
OPTIONAL = ("person", "provenance")  # of the stimuli: empty where a table does not have them

RATERS = {"rater": "str", "consent_version": "str", "demographics": "object"}  # without any id of a recruiter


def checked(votes: pd.DataFrame, stimuli: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both tables with fixed columns, types and order, so that no result depends on the order of rows.

    votes: one row an answer, sorted by rater, place and trial. stimuli: one row a picture, sorted by id.
    Raises StudyError, one sentence, for the first thing that is wrong.
    """
    votes, stimuli = _typed(votes, VOTES, "votes"), _typed(_filled(stimuli), STIMULI, "stimuli")
    _only(votes, "protocol", PROTOCOLS)
    _only(votes, "kind", KINDS)
    _only(stimuli, "role", ROLES)
    _unique(votes, ["rater", "trial"], "The answer of rater {} to trial {} is there twice: keep one of the two.")
    _unique(stimuli, ["stimulus"], "The stimulus {} is listed twice: keep one of the two.")
    if not (np.isfinite(votes["seconds"]) & (votes["seconds"] >= 0)).all():
        raise StudyError("A response time is missing or negative: the column seconds needs a number from 0 up.")
    known = set(stimuli["stimulus"])
    lost = sorted((set(votes["first"]) | set(votes["second"]) - {""}) - known)
    if lost:
        raise StudyError(f"The votes name a stimulus that the stimuli table lacks: {lost[0]}. Add its row.")
    answers = [_answer(*row) for row in zip(votes["protocol"], votes["answer"], votes["trial"], strict=True)]
    votes["answer"] = pd.Series(answers, index=votes.index, dtype="object")
    for name in ("parameters", "measures", "provenance"):
        stimuli[name] = pd.Series([_mapping(cell, name) for cell in stimuli[name]], stimuli.index, dtype="object")
    votes = votes.sort_values(["rater", "index", "trial"], kind="stable", ignore_index=True)
    return votes, stimuli.sort_values("stimulus", kind="stable", ignore_index=True)


def main_votes(votes: pd.DataFrame, protocol: str) -> pd.DataFrame:
    """The answers that count: of one protocol, without training, catch trials and repeats."""
    return votes[(votes["protocol"] == protocol) & (votes["kind"] == "main")]


def conditions_of(ids: pd.Series, stimuli: pd.DataFrame) -> pd.Series:
    """The condition of each stimulus id; "" for the empty id."""
    return ids.map({**dict(zip(stimuli["stimulus"], stimuli["condition"], strict=True)), "": ""})


def checked_raters(raters: pd.DataFrame) -> pd.DataFrame:
    """Who took part, of any table with these columns: one row a rater, sorted by id. Raises StudyError."""
    raters = _typed(raters, RATERS, "raters")
    _unique(raters, ["rater"], "The rater {} is listed twice: keep one of the two.")
    told = [_mapping(cell, "demographics", "raters") for cell in raters["demographics"]]
    raters["demographics"] = pd.Series(told, raters.index, dtype="object")
    return raters.sort_values("rater", kind="stable", ignore_index=True)


def _filled(stimuli: pd.DataFrame) -> pd.DataFrame:
    """The stimuli with what older tables did not have."""
    empty = {"person": [""] * len(stimuli), "provenance": [{} for _ in range(len(stimuli))]}
    return stimuli.assign(**{name: empty[name] for name in OPTIONAL if name not in stimuli})


def _typed(table: pd.DataFrame, columns: dict[str, str], name: str) -> pd.DataFrame:
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise StudyError(f"The {name} table lacks the column {missing[0]}: export it again with all columns.")
    typed = table[list(columns)].copy()
    for column, kind in columns.items():
        try:
            if kind == "str":
                typed[column] = typed[column].astype("object").where(typed[column].notna(), "").astype("str")
            elif kind != "object":
                typed[column] = typed[column].astype(kind)
        except (TypeError, ValueError):
            raise StudyError(f"The column {column} of the {name} table holds something that is no number.") from None
    return typed.reset_index(drop=True)


def _only(table: pd.DataFrame, column: str, allowed: tuple[str, ...]) -> None:
    strange = sorted(set(table[column]) - set(allowed))
    if strange:
        raise StudyError(f"{strange[0]!r} is no {column}: use one of {', '.join(allowed)}.")


def _unique(table: pd.DataFrame, key: list[str], sentence: str) -> None:
    twice = table[table.duplicated(key)]
    if len(twice):
        raise StudyError(sentence.format(*twice.iloc[0][key]))


def _answer(protocol: str, answer: Any, trial: str) -> Any:
    """An answer as plain Python: str, int or a list of boxes."""
    if protocol in CHOICES:
        if answer in CHOICES[protocol]:
            return str(answer)
        raise StudyError(f"Trial {trial}: {answer!r} is no answer; use one of {', '.join(CHOICES[protocol])}.")
    if protocol == "artefacts":
        return [_box(box, trial) for box in answer]
    if isinstance(answer, bool) or answer not in (1, 2, 3, 4, 5):
        raise StudyError(f"Trial {trial}: {answer!r} is no score; use a whole number from 1 to 5.")
    return int(answer)


def _box(box: Any, trial: str) -> dict[str, Any]:
    """A box with x0 <= x1, y0 <= y1 in fractions of the picture."""
    try:
        x0, y0, x1, y1 = (float(box[name]) for name in ("x0", "y0", "x1", "y1"))
    except (KeyError, TypeError, ValueError):
        raise StudyError(f"Trial {trial}: a box needs the numbers x0, y0, x1 and y1.") from None
    if not all(map(math.isfinite, (x0, y0, x1, y1))) or max(abs(v - 0.5) for v in (x0, y0, x1, y1)) > 0.5:
        raise StudyError(f"Trial {trial}: a box leaves the picture; give fractions from 0 to 1, not pixels.")
    ends = {"x0": min(x0, x1), "y0": min(y0, y1), "x1": max(x0, x1), "y1": max(y0, y1)}
    return {**ends, "label": str(box.get("label", ""))}


def _mapping(cell: Any, name: str, table: str = "stimuli") -> dict[str, Any]:
    """A dict with its keys sorted and numpy numbers made plain."""
    if not isinstance(cell, dict):
        raise StudyError(f"The column {name} of the {table} table needs a dict in every row.")
    return {str(key): _plain(cell[key]) for key in sorted(cell, key=str)}


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, dict):
        return {str(key): _plain(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no word for it, and no analysis a use
    return value
