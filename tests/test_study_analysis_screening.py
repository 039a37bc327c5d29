"""Rater screening: BT.500 on hand-made data, catch trials, repeats; listed, and nothing removed by itself."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from app.study.screening import Rules, bt500, screen, without
from app.study.simulate import simulate
from app.study.simulated_rater import Raters
from app.study.simulated_trials import Condition
from app.study.tables import checked

FOUR = [Condition(f"c{k}", 1.6 + 0.9 * k) for k in range(4)]


def panel(odd: list[float] | None, raters: int = 20, pictures: int = 40, seed: int = 4) -> pd.DataFrame:
    """Raters who differ by 0.8 points around common means, and one more called "odd"."""
    rng = np.random.default_rng(seed)
    mean = np.tile([1.5, 2.0, 4.0, 4.5], pictures // 4)
    scores = np.clip(np.round(mean + rng.normal(0, 0.8, (raters, pictures))), 1, 5)
    rows = [(f"r{i:02d}", f"s{j:02d}", scores[i, j]) for i in range(raters) for j in range(pictures)]
    rows += [("odd", f"s{j:02d}", score) for j, score in enumerate(odd or [])]
    return pd.DataFrame(rows, columns=["rater", "stimulus", "score"])


def rejected(table: pd.DataFrame) -> list[str]:
    return [finding.rater for finding in bt500(table, "acr")[0]]


def by_the_book(table: pd.DataFrame) -> list[str]:
    """The rule of BT.500-14 Annex 1, 2.3.1, word for word and one score at a time."""
    p, q, given = {}, {}, {}
    for _, picture in table.groupby("stimulus"):
        u = picture["score"].tolist()
        mean, n = sum(u) / len(u), len(u)
        m2, m4 = sum((x - mean) ** 2 for x in u) / n, sum((x - mean) ** 4 for x in u) / n
        s = (sum((x - mean) ** 2 for x in u) / (n - 1)) ** 0.5
        bound = 2 * s if 2 <= m4 / m2**2 <= 4 else 20**0.5 * s
        for rater, score in zip(picture["rater"], u, strict=True):
            given[rater] = given.get(rater, 0) + 1
            p[rater] = p.get(rater, 0) + (score >= mean + bound)
            q[rater] = q.get(rater, 0) + (score <= mean - bound)
    far = {r: p[r] + q[r] for r in given}
    return sorted(r for r in given if far[r] / given[r] > 0.05 and abs((p[r] - q[r]) / far[r]) < 0.3)


@pytest.mark.parametrize("seed", range(5))
def test_the_rule_is_that_of_the_recommendation_score_by_score(seed):
    guess = [float(v) for v in np.random.default_rng(seed).integers(1, 6, 40)]
    table = panel(guess, seed=seed)
    assert rejected(table) == by_the_book(table)
    holes = table.sample(frac=0.7, random_state=seed)  # not everybody sees everything
    assert rejected(holes) == by_the_book(holes)


def test_a_rater_who_inverts_the_scale_is_rejected():
    for seed in range(5):
        assert "odd" in rejected(panel([5, 4, 2, 1] * 10, seed=seed))


def test_a_rater_who_guesses_is_rejected():
    """Not every one: BT.500 finds about half of those who guess, and leaves the rest to catch trials and repeats."""
    tables = [panel([float(v) for v in np.random.default_rng(s).integers(1, 6, 40)], seed=s) for s in range(12)]
    assert sum("odd" in rejected(table) for table in tables) >= 6


def test_a_rater_who_is_strict_throughout_is_not():
    """|P - Q| / (P + Q) is 1: BT.500 keeps who is off to one side only."""
    assert "odd" not in rejected(panel([1, 1, 2, 2] * 10))


def test_a_rater_like_the_others_is_kept():
    assert rejected(panel(None)) == []
    assert "odd" not in rejected(panel([1, 2, 4, 5] * 10))


def test_a_lone_far_score_makes_the_picture_heavy_tailed_and_its_bound_wide():
    """18 threes and a 5: kurtosis 17, so the bound is sqrt(20) S = 2.05, and the 5 (1.89 off) stays; with 36 threes
    it lies beyond. At 2 S it would be out in both."""
    scores = np.array([3.0] * 18 + [5.0])
    assert 20**0.5 * scores.std(ddof=1) > 5 - scores.mean() > 2 * scores.std(ddof=1)
    cells = [(f"r{i:02d}", f"s{j}", 3.0) for i in range(36) for j in range(10)]
    cells += [("odd", f"s{j}", 5.0 if j % 2 else 1.0) for j in range(10)]
    table = pd.DataFrame(cells, columns=["rater", "stimulus", "score"])
    assert rejected(table[(table["rater"] < "r18") | (table["rater"] == "odd")]) == []
    assert rejected(table) == ["odd"]
    finding = bt500(table, "acr")[0][0]
    assert finding.value == 1.0 and "5 scores far above the others and 5 far below, of 10" in finding.reason


def test_pictures_that_all_rated_alike_reject_nobody():
    table = pd.DataFrame([(f"r{i}", f"s{j}", 3.0) for i in range(9) for j in range(9)])
    table.columns = ["rater", "stimulus", "score"]
    assert bt500(table, "acr") == ([], [])


def test_five_raters_are_said_to_be_too_few():
    assert "too few raters a picture (5)" in bt500(panel(None, raters=5), "acr")[1][0]


@pytest.mark.parametrize("protocol", ["acr", "dsis", "pairs", "detection", "verification", "artefacts"])
def test_catch_trials_find_the_inattentive_and_only_them(protocol):
    score = {"acr": 1.0, "dsis": 1.0, "artefacts": 0.15}.get(protocol, 1.0)
    conditions = [Condition(f"c{k}", score * (k + 1)) for k in range(3)]
    run = simulate(protocol, conditions, 3, Raters(16, inattentive=3), catches=16, seed=0)
    found = screen(*checked(run.votes, run.stimuli))
    bad = {"simulated-013", "simulated-014", "simulated-015"}
    assert {f.rater for f in found.findings if f.rule == "catch trials"} == bad
    assert all(check.catches == 16 for check in found.checks) and len(found.checks) == 16


def test_too_few_catch_trials_judge_nobody():
    run = simulate("acr", FOUR, 2, Raters(10, inattentive=3), catches=1, seed=2)
    found = screen(*checked(run.votes, run.stimuli))
    assert [f for f in found.findings if f.rule == "catch trials"] == []
    stricter = screen(*checked(run.votes, run.stimuli), Rules(fewest_catches=1))
    assert [f for f in stricter.findings if f.rule == "catch trials"]


def test_repeats_find_who_answers_at_random():
    run = simulate("acr", FOUR, 4, Raters(14, inattentive=2), repeats=12, seed=1)
    found = screen(*checked(run.votes, run.stimuli))
    assert {f.rater for f in found.findings if f.rule == "repeats"} == {"simulated-012", "simulated-013"}


def test_a_repeat_with_sides_exchanged_agrees_when_the_same_picture_is_chosen():
    run = simulate("pairs", [Condition("a", 9.0), Condition("b", 0.0)], 2, Raters(8, spread=0.0), repeats=4)
    found = screen(*checked(run.votes, run.stimuli))
    assert all(check.repeats == 4 for check in found.checks)
    firsts = run.votes[run.votes["kind"] == "repeat"]
    sure = firsts[firsts["first"].str.contains("b@") | firsts["second"].str.contains("b@")]
    assert len(sure) and set(sure["answer"]) == {"first", "second"}
    turned = run.votes.assign(
        answer=[
            {"first": "second"}.get(a, "first") if k == "repeat" else a
            for a, k in zip(run.votes["answer"], run.votes["kind"], strict=True)
        ]
    )
    before = np.mean([c.repeat_share for c in found.checks])
    after = np.mean([c.repeat_share for c in screen(*checked(turned, run.stimuli)).checks])
    assert before > 0.75 and after == pytest.approx(1 - before)


def test_a_task_too_hard_for_anybody_makes_nobody_inconsistent():
    """d' is 0: all guess. Excluding the unlucky would leave a panel that seems to see something."""
    run = simulate("detection", [Condition("x", 0.0)], 10, Raters(20, spread=0.0), repeats=10, seed=3)
    found = screen(*checked(run.votes, run.stimuli))
    assert np.mean([c.repeat_share for c in found.checks]) < 0.6
    assert len([f for f in found.findings if f.rule == "repeats"]) <= 2


def test_exclusions_are_taken_and_taken_back_by_the_caller():
    run = simulate("acr", FOUR, 2, Raters(6))
    votes, _ = checked(run.votes, run.stimuli)
    kept = without(votes, {"simulated-001"})
    assert set(votes["rater"]) - set(kept["rater"]) == {"simulated-001"}
    assert without(votes, set()).equals(votes)
    with pytest.raises(ValueError, match="no rater 'nobody' to exclude"):
        without(votes, {"nobody"})
