"""How many raters and answers a study needs, and how often each item will be seen."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import streamlit as st

from app.study import order, power
from app.study.design import Design
from app.study.errors import StudyError
from app.study.freeze import items
from app.study.model import Study
from app.workbench.state import store


def show(study: Study, design: Design) -> None:
    """A calculator for the protocol's kind of answer, and the plan's balance."""
    st.write("From the smallest effect that you would not want to miss to how many raters and answers it takes.")
    chance = design.rules.chance
    try:
        if not design.rules.choices:
            _margin()
        elif chance is None:
            _means()
        else:
            _shares(chance)
    except StudyError as error:
        st.info(str(error))
    if design.rules.choices:
        st.write("**The other way round**: from the raters and answers that you can have.")
        _means_back() if chance is None else _shares_back(chance)
    _balance(study, design)


def _shares(chance: float) -> None:
    left, middle, right = st.columns(3)
    share = left.number_input("Share of such answers you expect (%)", 0.0, 100.0, 65.0) / 100
    raters = int(middle.number_input("Raters", 1, 10_000, 24))
    rho = right.number_input(
        "Likeness of one rater's answers", 0.0, 1.0, power.RHO, 0.01, help="Intraclass correlation; 0: independent."
    )
    trials = power.trials_for_share(share, raters, chance, rho)
    reached = power.power_of_share(share, raters, trials, chance, rho)
    st.success(
        f"**{trials} answers from each of {raters} raters** on a comparison find {share:.0%} against {chance:.0%} "
        f"with a power of {reached:.0%} (exact binomial test, two-sided, 5 %)."
    )


def _shares_back(chance: float) -> None:
    left, middle, right = st.columns(3)
    raters = int(left.number_input("Raters that you have", 1, 10_000, 24))
    trials = int(middle.number_input("Answers from each, on a comparison", 1, 10_000, 10))
    share = right.number_input("Share to find (%)", 0.0, 100.0, 65.0, key="share back") / 100
    every = f"{raters * trials:,} answers"
    _said(lambda: f"{every} would just find {power.detectable_share(raters, trials, chance):.1%}.")
    _said(
        lambda: f"For {share:.0%} with {trials} answers each it takes "
        f"{power.raters_for_share(share, trials, chance)} raters."
    )


def _means() -> None:
    left, middle, right = st.columns(3)
    difference = left.number_input("Difference you expect (points of 5)", 0.05, 4.0, 0.5, 0.05)
    raters = int(middle.number_input("Raters", 2, 10_000, 24))
    sigma = right.number_input("Spread of one rater's scores (points)", 0.1, 3.0, power.SIGMA, 0.1)
    trials = power.trials_for_difference(difference, raters, sigma=sigma)
    reached = power.power_of_difference(difference, raters, trials, sigma=sigma)
    st.success(
        f"**{trials} scores for each condition from each of {raters} raters** find a difference of {difference:g} "
        f"with a power of {reached:.0%} (paired t-test over raters, two-sided, 5 %)."
    )


def _means_back() -> None:
    left, middle, right = st.columns(3)
    raters = int(left.number_input("Raters that you have", 2, 10_000, 24))
    trials = int(middle.number_input("Scores from each, for a condition", 1, 10_000, 4))
    difference = right.number_input("Difference to find (points)", 0.05, 4.0, 0.5, 0.05, key="difference back")
    _said(lambda: f"{raters} raters would just find {power.detectable_difference(raters, trials):.2f} points.")
    _said(
        lambda: f"For {difference:g} points with {trials} scores each it takes "
        f"{power.raters_for_difference(difference, trials)} raters."
    )


def _said(words: Callable[[], str]) -> None:
    """What a calculation says, or why it cannot."""
    try:
        st.write(words())
    except StudyError as error:
        st.info(str(error))


def _margin() -> None:
    left, right = st.columns(2)
    share = left.number_input("Share of raters you expect to mark a condition (%)", 1.0, 99.0, 50.0) / 100
    margin = right.number_input("How closely you want to know it (± points)", 1.0, 49.0, 15.0) / 100
    raters = power.raters_for_margin(share, margin)
    st.success(f"**{raters} raters** give {share:.0%} ± {margin * 100:g} points (95 %, normal approximation).")


def _balance(study: Study, design: Design) -> None:
    st.subheader("Who sees what")
    try:
        raters = int(st.number_input("Raters to plan for", 1, 1000, design.stopping.raters or 24))
        counts = order.exposures(design, items(store().stimuli(study.id)), raters)
    except StudyError as error:
        st.info(str(error))
        return
    found = pd.Series(list(counts.values()))
    times = f"{found.min()}" if found.min() == found.max() else f"{found.min()} to {found.max()}"
    st.write(f"{len(found)} items; with {raters} raters each is seen {times} times in main trials.")
