"""MOS, DMOS and the two textbook intervals, against statsmodels and by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

from app.study.intervals import bootstrap, clopper_pearson, rater_weights, t_mean
from app.study.scores import differential, rater_means, scores, swap
from app.study.simulate import simulate
from app.study.simulated_rater import Raters
from app.study.simulated_trials import Condition
from app.study.tables import checked

GAMMAS = [Condition(f"gamma {g:g}", 4.4 - g, "tip-im", {"gamma": g}) for g in (0.0, 1.0, 2.0)]


def rows(*cells: tuple[str, str, str, str, float]) -> pd.DataFrame:
    return pd.DataFrame(cells, columns=["rater", "photo", "condition", "role", "score"])


@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_the_t_interval_is_that_of_statsmodels(level):
    values = np.random.default_rng(1).normal(3, 0.7, 17)
    found = t_mean(values, level)
    low, high = DescrStatsW(values).tconfint_mean(alpha=1 - level)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-6)
    assert found.value == pytest.approx(values.mean()) and found.n == 17


@pytest.mark.parametrize(("count", "total"), [(0, 10), (3, 10), (10, 10), (1, 1), (77, 192), (499, 500)])
def test_clopper_pearson_is_that_of_statsmodels(count, total):
    found = clopper_pearson(count, total)
    assert (found.low, found.high) == pytest.approx(proportion_confint(count, total, method="beta"), abs=1e-6)


def test_too_little_gets_no_interval_but_a_reason():
    assert t_mean(np.array([])).value is None
    two = t_mean(np.array([3.0, 4.0]))
    assert two.value == 3.5 and two.low is None and "too few raters" in two.note
    alike = t_mean(np.full(9, 4.0))
    assert alike.low is None and "same" in alike.note
    few = bootstrap(0.3, np.random.default_rng(0).normal(size=500), raters=5)
    assert few.low is None and "too few raters" in few.note
    assert clopper_pearson(0, 0).low is None and "no votes" in clopper_pearson(0, 0).note
    assert few.contains(0.3) is None


def test_a_share_above_one_is_refused():
    with pytest.raises(ValueError, match="between 0 and the second"):
        clopper_pearson(4, 3)


def test_the_bootstrap_draws_whole_raters_and_matches_t_where_both_hold():
    weights = rater_weights(12, 4000, 0, 9)
    assert (weights.sum(axis=1) == 12).all() and weights.min() == 0 and weights.max() > 1
    assert (weights == rater_weights(12, 4000, 0, 9)).all()
    assert (weights != rater_weights(12, 4000, 0, 8)).any()
    values = np.random.default_rng(5).normal(size=12)
    drawn, exact = bootstrap(float(values.mean()), weights @ values / 12, 12), t_mean(values)
    assert drawn.high - drawn.low == pytest.approx(exact.high - exact.low, rel=0.1)


def test_mos_by_hand():
    """A rater with many answers counts no more than one with few."""
    table = rows(*[("a", "p", "x", "test", 5.0)] * 9, ("b", "p", "x", "test", 2.0), ("c", "p", "x", "test", 2.0))
    assert rater_means(table)["x"].mean() == 3.0


def test_differential_scores_are_those_of_p910():
    table = rows(
        ("a", "p", "reference", "reference", 4.0),
        ("a", "p", "x", "test", 2.0),
        ("a", "q", "x", "test", 3.0),  # no reference of q: no differential score
        ("b", "p", "reference", "reference", 3.0),
        ("b", "p", "x", "test", 5.0),
    )
    assert differential(table)["dv"].tolist() == pytest.approx([5, 3, np.nan, 5, 7], nan_ok=True)
    assert differential(table, crushed=True)["dv"].iloc[4] == pytest.approx(7 * 7 / (2 + 7))


def test_scores_of_a_study_leave_training_catches_and_repeats_out():
    run = simulate("acr", GAMMAS, 3, Raters(20), catches=2, repeats=4, seed=3)
    votes, stimuli = checked(run.votes, run.stimuli)
    found = scores(votes, stimuli, "acr")
    main = votes[votes["kind"] == "main"]
    assert sum(row.votes for row in found.conditions) == len(main) == 20 * 4 * 3
    best = found.conditions[0]
    assert best.condition == "reference" and best.dmos is None and best.mos.n == 20
    own = main[main["first"].str.startswith("gamma 1@")]
    means = own.groupby("rater")["answer"].agg(lambda a: float(np.mean(list(a))))
    row = next(r for r in found.conditions if r.condition == "gamma 1")
    low, high = DescrStatsW(means.to_numpy()).tconfint_mean()
    assert (row.mos.value, row.mos.low, row.mos.high) == pytest.approx((means.mean(), low, high), abs=1e-9)
    assert sum(row.counts) == len(own) and row.dmos.value < 5


def test_answers_without_their_reference_are_counted_and_said():
    run = simulate("acr", GAMMAS, 2, Raters(8))
    lost = run.votes[~((run.votes["first"] == "reference@p0") & (run.votes["rater"] == "simulated-000"))]
    found = scores(*checked(lost, run.stimuli), "acr")
    assert found.without_reference == 3 and "3 answers have no hidden reference" in found.notes[0]


def test_dsis_rates_the_second_picture_and_an_absent_protocol_has_no_scores():
    run = simulate("dsis", GAMMAS, 2, Raters(10))
    tables = checked(run.votes, run.stimuli)
    assert [row.condition for row in scores(*tables, "dsis").conditions][-1] == "gamma 2"
    assert scores(*tables, "acr") is None


def test_the_fewest_answers_that_level_the_top_two():
    """MOS 4 against 3 over two raters: an answer's share is 1/2, and a 4 turned 1 takes 1.5 off."""
    table = rows(
        ("a", "p", "x", "test", 4.0),
        ("b", "p", "x", "test", 4.0),
        ("a", "p", "y", "test", 3.0),
        ("b", "p", "y", "test", 3.0),
    )
    assert swap(table).votes == 1 and (swap(table).top, swap(table).second) == ("x", "y")
    wide = table.assign(score=[5.0, 5.0, 1.0, 1.0])
    assert swap(wide).votes == 2  # each changes the gap by 2 of 4
    assert swap(table.assign(score=3.0)).votes == 0
    assert swap(table[table["condition"] == "x"]) is None
