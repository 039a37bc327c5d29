"""The worked example: a study of made-up conditions whose raters are simulated, and say so."""

from __future__ import annotations

import streamlit as st

from app.study.simulate import simulate
from app.study.simulated_rater import Raters
from app.study.simulated_trials import Condition
from app.workbench.sources import Source

TITLE = "A worked example (simulated raters)"
STRENGTHS = ((2, 1.1, 0.62), (4, 0.5, 0.45), (8, -0.4, 0.27), (12, -1.2, 0.14))
"""ε in steps of 8 bits, the naturalness put in (log-strength), and a judge's cosine: invented, not measured."""


@st.cache_resource(show_spinner=False)
def source() -> Source:
    """24 simulated raters, two of whom answer at random, compare four strengths and the unaltered photo in pairs."""
    conditions = [
        Condition(f"mask, ε = {epsilon}/255", score, "mask", {"epsilon": epsilon}, {"judge cosine": cosine})
        for epsilon, score, cosine in STRENGTHS
    ]
    raters = Raters(count=24, spread=0.3, lapse=0.03, inattentive=2, tie=0.2)
    found = simulate("pairs", conditions, photos=4, raters=raters, catches=4, repeats=4, seed=7)
    return Source(TITLE, found.votes, found.stimuli)
