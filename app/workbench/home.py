"""The first page: what this is for, and three ways on."""

from __future__ import annotations

import streamlit as st

WAYS = (
    (
        "See a finished result",
        "24 simulated raters compared five versions of four photos. No sign-in.",
        "example.py",
        "Open the example",
    ),
    (
        "Ask people",
        "Design a study, preview it as a rater, open it and share its address.",
        "design.py",
        "Design a study",
    ),
    (
        "Read the answers",
        "Scores with intervals, screening, agreement, and every answer as CSV, Parquet and JSON.",
        "results.py",
        "Open results",
    ),
)


def page() -> None:
    """Three cards."""
    st.title("Which protected faces look natural?")
    st.write(
        "A picture can score well and look wrong. This workbench shows pictures to people without saying which is "
        "which, keeps every answer, and tells what the answers support and what they do not."
    )
    for column, (title, words, target, button) in zip(st.columns(3), WAYS, strict=True):
        with column.container(border=True):
            st.subheader(title)
            st.write(words)
            if st.button(button, type="primary" if target == "example.py" else "secondary", width="stretch"):
                st.switch_page(target)
    st.caption("Taking part in a study? Open the address that you were given.")
