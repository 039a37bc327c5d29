"""What is asked, of whom, under which consent: the design's fields as a form."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app.study.design import Design
from app.study.errors import StudyError
from app.study.model import Study
from app.study.protocols import PROTOCOLS
from app.workbench.state import store


def show(study: Study, design: Design) -> None:
    """The form; an opened study's is only to be read."""
    frozen = study.state != "draft"
    if frozen:
        st.info("The protocol is frozen. To change anything, begin a new study.")
    with st.form("design", border=False):
        values = {**_asking(design, frozen), **_session(design, frozen), **_people(design, frozen)}
        if st.form_submit_button("Save", type="primary", disabled=frozen):
            try:
                store().edit(study.id, {**design.model_dump(), **values})
            except StudyError as error:
                st.error(str(error))
            else:
                st.rerun()


def _asking(design: Design, frozen: bool) -> dict[str, Any]:
    own = PROTOCOLS[design.protocol].question(design.language)
    found: dict[str, Any] = {
        "title": st.text_input("Title", design.title, disabled=frozen),
        "protocol": st.selectbox(
            "What raters do",
            list(PROTOCOLS),
            list(PROTOCOLS).index(design.protocol),
            format_func=lambda id: PROTOCOLS[id].title,
            disabled=frozen,
        ),
        "question": st.text_input("Question", design.question, placeholder=own, disabled=frozen),
        "instructions": st.text_area("Instructions before the first picture", design.instructions, disabled=frozen),
    }
    if design.protocol == "pairs":
        found["tie"] = st.checkbox("Allow “No difference”", design.tie, disabled=frozen)
        found["sampling"] = (
            "active"
            if st.checkbox(
                "Choose each next pair by what is not yet known (active sampling)",
                design.sampling == "active",
                disabled=frozen,
                help="Fewer answers for the same precision where conditions are many.",
            )
            else "balanced"
        )
    if design.protocol == "artefacts":
        written = st.text_area("What a box can be called, one a line", "\n".join(design.labels), disabled=frozen)
        found["labels"] = tuple(line.strip() for line in written.splitlines() if line.strip())
    found["include_reference"] = st.checkbox(
        "Hide the unaltered photo among the others (hidden reference)", design.include_reference, disabled=frozen
    )
    found["rate_anchors"] = st.checkbox(
        "Rate the deliberately bad versions (anchors), too", design.rate_anchors, disabled=frozen
    )
    return found


def _session(design: Design, frozen: bool) -> dict[str, Any]:
    st.subheader("A rater's session")
    left, middle, right = st.columns(3)
    trials = left.number_input("Main screens (0: one of each)", 0, 2000, design.trials or 0, disabled=frozen)
    return {
        "trials": int(trials) or None,
        "training": middle.number_input("Practice screens", 0, 50, design.training, disabled=frozen),
        "minimum_view": right.number_input(
            "Shortest look (seconds)", 0.0, 60.0, design.minimum_view, 0.1, disabled=frozen
        ),
        "catch": left.number_input(
            "Catch trials", 0, 100, design.catch, disabled=frozen, help="With an answer that is plain to see."
        ),
        "repeats": middle.number_input(
            "Repeats", 0, 100, design.repeats, disabled=frozen, help="The same screen again, later, sides swapped."
        ),
        "seed": right.number_input("Seed of the order", 0, 2**31, design.seed, disabled=frozen),
    }


def _people(design: Design, frozen: bool) -> dict[str, Any]:
    st.subheader("Raters")
    consent = st.text_area("Consent text", design.consent, height=160, disabled=frozen)
    left, right = st.columns(2)
    return {
        "consent": consent,
        "consent_version": left.text_input("Version of the consent text", design.consent_version, disabled=frozen),
        "completion_url": right.text_input(
            "Completion link (Prolific)", design.completion_url, placeholder="https://", disabled=frozen
        ),
        "stopping": {
            "raters": int(left.number_input("Stop after raters (0: no limit)", 0, 100_000,
                                            design.stopping.raters or 0, disabled=frozen)) or None,
            "answers": int(right.number_input("Stop after answers (0: no limit)", 0, 10_000_000,
                                              design.stopping.answers or 0, disabled=frozen)) or None,
            "answers_per_item": int(left.number_input(
                "Stop when every item has so many answers (0: no limit)", 0, 100_000,
                design.stopping.answers_per_item or 0, disabled=frozen)) or None,
        },
        "demographics": _questions(design, frozen),
    }  # fmt: skip


def _questions(design: Design, frozen: bool) -> list[dict[str, Any]]:
    """Optional questions about the rater, one a line: "age: Your age: 18-29 | 30-49 | 50 and over"."""
    lines = "\n".join(f"{q.name}: {q.caption}: {' | '.join(q.choices)}" for q in design.demographics)
    written = st.text_area(
        "Optional questions about the rater, one a line",
        lines,
        placeholder="age: Your age: 18-29 | 30-49 | 50 and over",
        disabled=frozen,
    )
    found = []
    for line in filter(None, map(str.strip, written.splitlines())):
        name, _, rest = line.partition(":")
        caption, _, choices = rest.partition(":")
        given = [part.strip() for part in choices.split("|") if part.strip()]
        found.append({"name": name.strip(), "caption": caption.strip(), "choices": given})
    return found
