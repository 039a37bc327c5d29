"""Krippendorff's alpha against his published example, the krippendorff package, and crowd-kit's own formula."""

from __future__ import annotations

import krippendorff
import numpy as np
import pandas as pd
import pytest

from app.study.agreement import agreement, alpha, alpha_of, coincidences
from app.study.simulate import simulate
from app.study.simulated_rater import Raters
from app.study.simulated_trials import Condition
from app.study.tables import checked

# Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability", section C: four observers, twelve units.
PUBLISHED = """
1 2 3 3 2 1 4 1 2 . . .
1 2 3 3 2 2 4 1 2 5 . 3
. 3 3 3 2 3 4 2 2 5 1 .
1 2 3 3 2 4 4 1 2 5 1 .
"""
LEVELS = ("nominal", "ordinal", "interval")


def table(text: str) -> pd.DataFrame:
    lines = [line.split() for line in text.strip().splitlines()]
    cells = [(f"u{u}", f"r{r}", int(v)) for r, line in enumerate(lines) for u, v in enumerate(line) if v != "."]
    return pd.DataFrame(cells, columns=["task", "worker", "label"])


@pytest.mark.parametrize(("level", "value"), zip(LEVELS, (0.743, 0.815, 0.849), strict=True))
def test_the_published_example(level, value):
    assert round(alpha(table(PUBLISHED), level), 3) == value


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("seed", range(4))
def test_alpha_is_that_of_the_krippendorff_package(level, seed):
    rng = np.random.default_rng(seed)
    data = np.clip(np.round(rng.normal(3, 1, 15) + rng.normal(0, 0.8, (7, 15))), 1, 5)
    data[rng.random(data.shape) < 0.3] = np.nan
    cells = [(f"u{u}", f"r{r}", int(data[r, u])) for r in range(7) for u in range(15) if not np.isnan(data[r, u])]
    answers = pd.DataFrame(cells, columns=["task", "worker", "label"])
    expected = krippendorff.alpha(reliability_data=data, level_of_measurement=level)
    assert alpha(answers, level) == pytest.approx(expected, abs=1e-9)
    matrices, labels = coincidences(answers)  # what the bootstrap uses
    assert alpha_of(matrices.sum(axis=0), labels, level) == pytest.approx(expected, abs=1e-9)


def test_words_are_compared_as_such():
    answers = pd.DataFrame(
        [("t", "a", "x"), ("t", "b", "x"), ("u", "a", "y"), ("u", "b", "y"), ("v", "a", "x"), ("v", "b", "y")],
        columns=["task", "worker", "label"],
    )
    codes = [[0, 1, 0], [0, 1, 1]]
    expected = krippendorff.alpha(reliability_data=codes, level_of_measurement="nominal")
    assert alpha(answers, "nominal") == pytest.approx(expected)


def test_what_cannot_be_told_is_said():
    alone = pd.DataFrame([("t", "a", 1), ("u", "b", 2)], columns=["task", "worker", "label"])
    with pytest.raises(ValueError, match="no picture was answered by two raters"):
        alpha(alone, "nominal")
    same = pd.DataFrame([("t", "a", 3), ("t", "b", 3)], columns=["task", "worker", "label"])
    with pytest.raises(ValueError, match="All answers are the same"):
        alpha(same, "interval")
    with pytest.raises(ValueError, match="no level of measurement"):
        alpha(table(PUBLISHED), "ratio")


def test_agreement_of_a_study():
    conditions = [Condition(f"c{k}", 1.5 + k) for k in range(4)]
    run = simulate("acr", conditions, 3, Raters(10), repeats=3, seed=1)
    votes, _ = checked(run.votes, run.stimuli)
    rows = {row.level: row for row in agreement(votes, "acr", resamples=300)}
    assert set(rows) == set(LEVELS)
    assert rows["nominal"].alpha.value < rows["interval"].alpha.value
    assert all(row.raters == 10 and row.units == 15 for row in rows.values())
    assert all(row.alpha.low < row.alpha.value < row.alpha.high for row in rows.values())
    assert agreement(votes, "pairs") == ()
    few = agreement(votes[votes["first"].isin(["c0@p0", "c1@p0"])], "acr")[0]
    assert few.alpha.low is None and "too few pictures" in few.alpha.note


def test_sides_do_not_matter_to_agreement_on_pairs():
    run = simulate("pairs", [Condition("a", 9.0), Condition("b", 0.0)], 4, Raters(6, spread=0.0))
    votes, _ = checked(run.votes, run.stimuli)
    sure = votes[(votes["first"] + votes["second"]).str.contains("b@")]
    assert len(set(sure["answer"])) == 2  # the same picture on either side
    assert agreement(sure, "pairs")[0].alpha.value > 0.95
