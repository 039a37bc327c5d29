"""Bradley-Terry against choix, statsmodels and a published table; what is said where votes are too few."""

from __future__ import annotations

import choix
import numpy as np
import pytest
import statsmodels.api as sm

from app.study.bradley_terry import choix_scores, connected, fit, fits, thurstone, votes_to_swap
from app.study.checks import checks, side_bias
from app.study.pairs import count_wins, pairs
from app.study.simulate import simulate
from app.study.simulated_rater import Raters
from app.study.simulated_trials import Condition
from app.study.tables import checked

# Agresti, Categorical Data Analysis (2002), Table 10.10: wins of row over column, American League 1987.
BASEBALL = np.array(
    [
        [0, 7, 9, 7, 7, 9, 11],  # Milwaukee
        [6, 0, 7, 5, 11, 9, 9],  # Detroit
        [4, 6, 0, 7, 7, 8, 12],  # Toronto
        [6, 8, 6, 0, 6, 7, 10],  # New York
        [6, 2, 6, 7, 0, 7, 12],  # Boston
        [4, 4, 5, 6, 6, 0, 6],  # Cleveland
        [2, 4, 1, 3, 1, 7, 0],  # Baltimore
    ]
)
FOUR = [Condition("a", 1.0), Condition("b", 0.4), Condition("c", 0.0), Condition("reference", 1.6)]


def random_wins(seed: int, size: int = 5, halves: bool = False) -> np.ndarray:
    wins = np.random.default_rng(seed).integers(1, 12, (size, size)).astype(float)
    np.fill_diagonal(wins, 0)
    return wins + np.triu(np.full((size, size), 0.5), 1) + np.tril(np.full((size, size), 0.5), -1) if halves else wins


def logistic(wins: np.ndarray) -> np.ndarray:
    """Bradley-Terry as a logistic regression without intercept (statsmodels), mean 0."""
    design, won = [], []
    for i in range(len(wins)):
        for j in range(i + 1, len(wins)):
            design.append((np.eye(len(wins))[i] - np.eye(len(wins))[j])[1:])
            won.append((wins[i, j], wins[j, i]))
    model = sm.GLM(np.array(won), np.array(design), family=sm.families.Binomial())
    found = np.concatenate([[0.0], model.fit(tol=1e-12).params])
    return found - found.mean()


def test_the_published_scores_of_agrestis_baseball_table():
    found = choix_scores(BASEBALL)
    assert np.round(found - found[-1], 2).tolist() == [1.58, 1.44, 1.29, 1.25, 1.11, 0.68, 0.0]


@pytest.mark.parametrize("halves", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_scores_are_those_of_a_logistic_regression_and_of_choix(seed, halves):
    wins = random_wins(seed, halves=halves)
    found = choix_scores(wins)
    assert found == pytest.approx(logistic(wins), abs=1e-6)
    assert found == pytest.approx(fit(wins[None], 1e-9)[0], abs=1e-6)
    if not halves:
        single = [(i, j) for i in range(5) for j in range(5) for _ in range(int(wins[i, j]))]
        other = choix.opt_pairwise(5, single, alpha=0.0, tol=1e-12)
        assert found == pytest.approx(other - other.mean(), abs=1e-6)


def test_many_fits_at_once_are_the_single_fits():
    many = np.stack([random_wins(seed) for seed in range(20)])
    assert fit(many, 1e-9) == pytest.approx(np.stack([choix_scores(w) for w in many]), abs=1e-6)


def test_a_condition_that_won_everything_has_no_finite_fit_and_a_weak_prior_holds_it():
    wins = np.array([[0, 5, 5], [0, 0, 3], [0, 2, 0.0]])
    assert not connected(wins) and connected(random_wins(0))
    with pytest.raises(ValueError, match="not finite"):
        choix_scores(wins)
    found, weak = fits(np.stack([wins, random_wins(1, 3)]))
    assert weak.tolist() == [True, False]
    assert np.isfinite(found).all() and found[0].argmax() == 0 and abs(found[0]).max() < 10


def test_thurstone_of_two_conditions_is_the_probit_of_their_share():
    from scipy.stats import norm

    found = thurstone(np.array([[0.0, 70.0], [30.0, 0.0]]))
    assert found[0] - found[1] == pytest.approx(norm.ppf(70.5 / 101))
    order = np.argsort(thurstone(BASEBALL.astype(float)))
    assert (order == np.argsort(choix_scores(BASEBALL))).all()


def test_the_votes_that_swap_the_top_two():
    """60 : 40 needs ten votes; eleven of a hundred ties would do the same work of half a vote each."""
    none = np.zeros((2, 2))
    assert votes_to_swap(np.array([[0.0, 60.0], [40.0, 0.0]]), none, 0, 1) == 10
    assert votes_to_swap(np.array([[0.0, 50.0], [50.0, 0.0]]), none, 0, 1) == 0
    tied = np.array([[0.0, 10.0], [10.0, 0.0]])
    assert votes_to_swap(np.array([[0.0, 1.0], [0.0, 0.0]]), tied, 0, 1) == 1
    assert votes_to_swap(np.array([[0.0, 60.0], [40.0, 0.0]]), none, 0, 1, most=9) is None


def test_so_many_votes_do_swap_and_one_fewer_does_not_by_turning_votes_between_the_two():
    wins = BASEBALL.astype(float)
    need = votes_to_swap(wins, np.zeros((7, 7)), 0, 1)
    turned = wins.copy()
    turned[0, 1], turned[1, 0] = wins[0, 1] - need, wins[1, 0] + need
    scores = choix_scores(turned)
    assert scores[1] >= scores[0] - 1e-9
    turned[0, 1], turned[1, 0] = wins[0, 1] - need + 1, wins[1, 0] + need - 1
    scores = choix_scores(turned)
    assert scores[1] < scores[0]


def test_pairs_of_a_study_count_ties_as_halves_whatever_the_side():
    run = simulate("pairs", FOUR, 2, Raters(12, tie=0.5), catches=2, repeats=3, seed=2)
    votes, stimuli = checked(run.votes, run.stimuli)
    found = pairs(votes, stimuli, resamples=300)
    main = votes[votes["kind"] == "main"]
    assert found.votes == len(main) == 12 * 6 * 2
    assert found.ties == (main["answer"] == "tie").sum() > 0
    wins = np.array(found.wins)
    assert wins.sum() == found.votes and (wins + wins.T).sum() / 2 == found.votes
    beaten = main[(main["first"].str.startswith("a@") & main["second"].str.startswith("b@"))]
    turned = main[(main["first"].str.startswith("b@") & main["second"].str.startswith("a@"))]
    by_hand = (beaten["answer"] == "first").sum() + (turned["answer"] == "second").sum()
    by_hand += ((beaten["answer"] == "tie").sum() + (turned["answer"] == "tie").sum()) / 2
    assert wins[found.order.index("a"), found.order.index("b")] == by_hand
    values = {row.condition: row.score.value for row in found.conditions}
    assert [values[name] for name in found.order] == pytest.approx(choix_scores(wins), abs=1e-9)
    assert found.conditions[0].condition == "reference" and found.thurstone_r > 0.98
    assert all(row.score.low < row.score.value < row.score.high for row in found.conditions)


def test_intervals_are_wider_where_votes_come_from_fewer_raters():
    """The same number of votes, by 8 raters who differ or by 32: the bootstrap goes by raters."""
    widths = []
    for count, photos in ((8, 8), (32, 2)):
        run = simulate("pairs", FOUR, photos, Raters(count, spread=1.0), seed=5)
        rows = pairs(*checked(run.votes, run.stimuli), resamples=400).conditions
        widths.append(np.mean([row.score.high - row.score.low for row in rows]))
    assert widths[0] > 1.3 * widths[1]


def test_conditions_that_never_met_get_no_scores():
    run = simulate("pairs", FOUR, 2, Raters(8))
    apart = {"a": 0, "b": 0, "c": 1, "reference": 1}
    group = [[apart[s.split("@")[0]] for s in run.votes[side]] for side in ("first", "second")]
    found = pairs(*checked(run.votes[np.equal(*group)], run.stimuli))
    assert "never met" in found.notes[0] and found.swap_votes is None
    assert all(row.score.value is None and row.score.low is None for row in found.conditions)


def test_few_raters_get_scores_without_intervals():
    run = simulate("pairs", FOUR, 3, Raters(4))
    found = pairs(*checked(run.votes, run.stimuli))
    assert all(row.score.low is None and "too few raters" in row.score.note for row in found.conditions)


def test_a_side_habit_is_seen_and_its_absence_too():
    for bias, seen in ((2.0, True), (0.0, False)):
        run = simulate("pairs", FOUR, 3, Raters(16, side_bias=bias), seed=7)
        found = side_bias(checked(run.votes, run.stimuli)[0], "pairs")
        assert (found.p < 0.001) is seen and (found.first.low > 0.5) is seen
        assert bool(found.raters) is seen


def test_a_habit_of_a_few_is_no_habit_of_all():
    """3 of 8 raters always choose the left one: by votes that is sure, by raters it is not."""
    run = simulate("pairs", FOUR, 4, Raters(8, spread=0.0), seed=5)
    votes = checked(run.votes, run.stimuli)[0]
    few = votes["rater"].isin(sorted(set(votes["rater"]))[:3])
    votes["answer"] = votes["answer"].where(~few, "first")
    found = side_bias(votes, "pairs")
    own = votes[votes["kind"] == "main"]
    shares = (own["answer"] == "first").groupby(own["rater"]).mean()
    assert found.first.value == pytest.approx(shares.mean()) and found.first.n == 8
    assert found.p < 0.001 and found.votes.low > 0.5 > found.first.low


def test_learning_is_the_second_half_less_the_first():
    """Raters who guess through the first half and see in the second."""
    run = simulate("detection", [Condition("x", 8.0)], 8, Raters(12, spread=0.0), seed=1)
    votes, stimuli = checked(run.votes, run.stimuli)
    steady = checks(votes, stimuli).learning[0]
    assert steady.answers.low is None  # everyone right throughout: no spread, no interval
    assert steady.log_seconds.high < 0  # simulated raters get faster
    early = (votes["kind"] == "main") & (votes["index"] <= 8) & (votes["index"] % 2 == 0)
    swapped = votes["truth"].map({"first": "second", "second": "first"})
    votes["answer"] = votes["answer"].where(~early, swapped)
    assert checks(votes, stimuli).learning[0].answers.value == pytest.approx(0.5)


def test_wins_of_one_condition_with_itself_are_left_out():
    run = simulate("pairs", FOUR[:2], 2, Raters(2))
    votes, stimuli = checked(run.votes, run.stimuli)
    before = count_wins(votes, stimuli).halves.sum()
    votes.loc[votes["kind"] == "main", "second"] = votes["first"]
    assert before == 2 * 2 * 3 and count_wins(votes, stimuli).halves.sum() == 0
