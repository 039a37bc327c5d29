"""Intervals hold the truth as often as they say, on simulated raters; the command measures it with 200."""

from __future__ import annotations

import json

import numpy as np
import pytest

from app.study import coverage, truth
from app.study.checks import learning, side_bias
from app.study.intervals import Estimate
from app.study.simulate import simulate
from app.study.simulated_rater import Raters
from app.study.simulated_trials import Condition
from app.study.tables import checked

MANY = Raters(400, spread=0.5, lapse=0.1, side_bias=0.4, tie=0.3)


@pytest.mark.parametrize("name", ["MOS (ACR)", "Bradley-Terry", "d', 2AFC", "d', same/different"])
def test_a_smaller_run_of_the_command_holds(name):
    """20 simulations of three to five intervals each: with 95 % true, fewer than 86 % would be a rare event."""
    figure, method, experiment, asked = next(row for row in coverage.EXPERIMENTS if row[0] == name)
    row = coverage.measure(figure, method, experiment, asked, 20, seed=1000)
    assert 0.86 <= row.share <= 1.0 and row.intervals >= 60 and row.none == 0


def test_intervals_that_are_too_narrow_would_be_seen():
    """Half as wide holds the truth about two times in three."""

    def narrow(seed: int):
        for e, true in coverage.mos(seed):
            half = (e.high - e.low) / 4
            yield Estimate(e.value, e.value - half, e.value + half, e.n), true

    row = coverage.measure("MOS", "too narrow", narrow, True, 15)
    assert row.share < 0.86 and not row.held


def test_the_expected_grade_is_what_many_raters_give():
    run = simulate("acr", [Condition("x", 3.3), Condition("y", 4.8)], 2, MANY, seed=1)
    main = run.votes[run.votes["kind"] == "main"]
    for name, score in (("x", 3.3), ("y", 4.8), ("reference", 5.0)):
        given = np.array(main[main["first"].str.startswith(f"{name}@")]["answer"].tolist(), dtype=float)
        assert truth.expected_grade(score, MANY) == pytest.approx(given.mean(), abs=0.11)


def test_strengths_without_noise_are_the_scores_and_lapses_shrink_them():
    scores = [1.0, 0.0, -0.5]
    centred = np.array(scores) - np.mean(scores)
    assert truth.strengths(scores, Raters(spread=0.0)) == pytest.approx(centred, abs=1e-6)
    assert np.ptp(truth.strengths(scores, Raters(spread=0.0, lapse=0.2))) < np.ptp(centred)


def test_side_bias_and_learning_hold_the_truth():
    """40 simulations: fewer than 34 of 40 would be a rare event with 95 % true."""
    for name, intervals in (("Side bias", 40), ("Learning", 80)):
        row = coverage.measure(*next(row for row in coverage.EXPERIMENTS if row[0] == name), 40, seed=1000)
        assert 0.85 <= row.share <= 1.0 and (row.intervals, row.none) == (intervals, 0)


def test_the_expected_side_and_pace_are_what_many_raters_show():
    raters = Raters(400, spread=0.5, lapse=0.1, side_bias=0.4)
    run = simulate("pairs", [Condition("x", 1.0), Condition("y", 0.0)], 4, raters, seed=4)
    votes, stimuli = checked(run.votes, run.stimuli)
    assert truth.first_share(list(run.score.values()), raters) == pytest.approx(
        side_bias(votes, "pairs").first.value, abs=0.02
    )
    assert truth.first_share([1.0, 0.0], Raters(spread=0.5, lapse=0.1)) == pytest.approx(0.5)
    assert truth.log_pace(12) == pytest.approx(learning(votes, stimuli, "pairs").log_seconds.value, abs=0.02)


@pytest.mark.parametrize("protocol", ["detection", "verification"])
def test_the_expected_rates_are_what_many_raters_reach(protocol):
    run = simulate(protocol, [Condition("x", 1.8)], 3, MANY, seed=2)
    main = run.votes[run.votes["kind"] == "main"]
    word = "first" if protocol == "detection" else "different"
    signal = main[main["truth"] == word]
    noise = main[main["truth"] != word]
    rates = truth.detection_rates if protocol == "detection" else truth.verification_rates
    seen = ((signal["answer"] == word).mean(), (noise["answer"] == word).mean())
    assert rates(1.8, MANY) == pytest.approx(seen, abs=0.05)


def test_the_command_prints_rows_and_answers_for_them(capsys, monkeypatch):
    monkeypatch.setattr(coverage, "EXPERIMENTS", coverage.EXPERIMENTS[:1])
    assert coverage.main(["--simulations", "4", "--json", "--seed", "3"]) in (0, 1)
    found = json.loads(capsys.readouterr().out)
    assert [row["figure"] for row in found["rows"]] == ["MOS (ACR)", coverage.MISUSE[0]]
    assert found["provenance"] == {"simulations": 4, "seed": 3}
    monkeypatch.setattr(coverage, "ASKED", (2.0, 3.0))  # nothing can hold that: the command must say so
    assert coverage.main(["--simulations", "2"]) == 1
    assert "MOS (ACR)" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        coverage.main(["--simulations", "1"])
