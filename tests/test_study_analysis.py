"""The whole result: one tree, the same for the same seed, and clear words for bad tables."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from app.study.analysis import analyse
from app.study.simulate import is_simulated, simulate
from app.study.simulated_rater import Raters
from app.study.simulated_trials import Condition
from app.study.tables import STIMULI, VOTES, checked

CONDITIONS = [
    Condition(f"tip-im gamma={g:g}", 2.0 + g, "tip-im", {"gamma": g}, {"judge_cosine": 0.1 + 0.2 * g})
    for g in (0.0, 1.0, 2.0)
]
RUN = simulate("acr", CONDITIONS, 3, Raters(14, inattentive=2), catches=4, repeats=6, seed=6)


def test_the_result_is_the_same_whatever_the_order_of_rows():
    first = analyse(RUN.votes, RUN.stimuli, resamples=200)
    mixed = RUN.votes.sample(frac=1, random_state=1), RUN.stimuli.sample(frac=1, random_state=2)
    assert analyse(*mixed, resamples=200) == first
    assert json.dumps(analyse(*mixed, resamples=200).as_dict()) == json.dumps(first.as_dict())


def test_the_seed_moves_the_intervals_and_nothing_else():
    one, two = (analyse(RUN.votes, RUN.stimuli, resamples=200, seed=seed) for seed in (0, 1))
    assert one.scores == two.scores and one.screening == two.screening
    assert one.agreement != two.agreement
    assert [a.alpha.value for a in one.agreement] == [a.alpha.value for a in two.agreement]


def test_exclusions_are_listed_reversible_and_counted():
    plain = analyse(RUN.votes, RUN.stimuli, resamples=200)
    assert plain.exclusions == () and plain.screening.raters == {"simulated-012", "simulated-013"}
    cut = analyse(RUN.votes, RUN.stimuli, resamples=200, exclusions=plain.screening.raters)
    assert cut.exclusions == ("simulated-012", "simulated-013") and cut.screening == plain.screening
    assert (cut.counts.raters, cut.counts.raters_before) == (12, 14)
    assert cut.counts.votes == 12 * 4 * 3 and cut.scores[0].conditions[0].mos.n == 12
    assert cut.agreement[2].alpha.value > plain.agreement[2].alpha.value
    assert analyse(RUN.votes, RUN.stimuli, resamples=200, exclusions=[]) == plain


def test_everything_of_one_study_is_there_and_frozen():
    found = analyse(RUN.votes, RUN.stimuli, resamples=200, limits={"judge_cosine": 0.3})
    assert found.simulated and found.pairs is None and found.artefacts is None and found.detection == ()
    assert [len(found.scores), len(found.agreement), len(found.checks.learning), len(found.joined)] == [1, 3, 1, 1]
    assert dict(found.counts.kinds) == {"training": 14, "main": 168, "catch": 56, "repeat": 84}
    assert (found.counts.photos, found.counts.conditions, found.counts.stimuli) == (3, 4, 12)
    assert found.settings.limits == (("judge_cosine", 0.3),)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.simulated = False


def test_people_are_not_called_simulated():
    people = RUN.votes.assign(rater=RUN.votes["rater"].str.replace("simulated-", "R"))
    assert is_simulated(RUN.votes) and not is_simulated(people)
    assert not analyse(people, RUN.stimuli, resamples=100).simulated


@pytest.mark.parametrize("kept", ["nothing", "training", "one rater", "one answer"])
def test_too_few_votes_give_notes_and_no_intervals(kept):
    votes = {
        "nothing": RUN.votes[:0],
        "training": RUN.votes[RUN.votes["kind"] == "training"],
        "one rater": RUN.votes[RUN.votes["rater"] == "simulated-000"],
        "one answer": RUN.votes[RUN.votes["kind"] == "main"][:1],
    }[kept]
    found = analyse(votes, RUN.stimuli, resamples=200)
    assert "NaN" not in json.dumps(found.as_dict())
    assert bool(found.scores) == (kept in ("one rater", "one answer"))
    for row in (row for s in found.scores for row in s.conditions):
        assert row.mos.value is not None and row.mos.low is None and "too few raters" in row.mos.note
    assert all(row.alpha.value is None and row.alpha.note for row in found.agreement)


@pytest.mark.parametrize("protocol", ["pairs", "detection", "verification", "artefacts", "dsis"])
def test_no_votes_of_any_protocol_break_nothing(protocol):
    run = simulate(protocol, [Condition("x", 0.5), Condition("y", 0.8)], 2, Raters(3))
    for votes in (run.votes, run.votes[run.votes["rater"] == "simulated-000"], run.votes[:2]):
        found = analyse(votes, run.stimuli, resamples=100)
        assert "NaN" not in json.dumps(found.as_dict())
        assert found.counts.votes == (votes["kind"] == "main").sum()


def with_answer(answer: object) -> pd.DataFrame:
    votes = RUN.votes.copy()
    votes["answer"] = pd.Series([answer, *votes["answer"][1:]], dtype="object")
    return votes


@pytest.mark.parametrize(
    ("votes", "stimuli", "says"),
    [
        (RUN.votes.drop(columns="photo"), RUN.stimuli, "votes table lacks the column photo"),
        (RUN.votes, RUN.stimuli.drop(columns="role"), "stimuli table lacks the column role"),
        (RUN.votes.assign(protocol="maxdiff"), RUN.stimuli, "'maxdiff' is no protocol"),
        (RUN.votes.assign(kind="extra"), RUN.stimuli, "'extra' is no kind"),
        (RUN.votes, RUN.stimuli.assign(role="boss"), "'boss' is no role"),
        (pd.concat([RUN.votes, RUN.votes[:1]]), RUN.stimuli, "is there twice"),
        (RUN.votes, pd.concat([RUN.stimuli, RUN.stimuli[:1]]), "listed twice"),
        (RUN.votes, RUN.stimuli[1:], "name a stimulus that the stimuli table lacks"),
        (with_answer(6), RUN.stimuli, "6 is no score"),
        (with_answer(True), RUN.stimuli, "True is no score"),
        (with_answer(2.5), RUN.stimuli, "2.5 is no score"),
        (RUN.votes.assign(protocol="pairs"), RUN.stimuli, "is no answer; use one of first, second, tie"),
        (RUN.votes.assign(seconds=-1.0), RUN.stimuli, "response time is missing or negative"),
        (
            RUN.votes.assign(index="x"),
            RUN.stimuli,
            "index of the votes table holds something that is no number",
        ),
        (RUN.votes, RUN.stimuli.assign(measures="{}"), "column measures of the stimuli table needs a dict"),
    ],
)
def test_bad_tables_are_said_in_one_sentence(votes, stimuli, says):
    with pytest.raises(ValueError, match="^[^\n]+$") as error:
        analyse(votes, stimuli)
    assert says in str(error.value)


def test_boxes_in_pixels_are_refused_and_turned_ones_put_right():
    run = simulate("artefacts", [Condition("x", 1.0)], 1, Raters(2))
    pixels = [[{"x0": 10, "y0": 10, "x1": 90, "y1": 80, "label": ""}]] * len(run.votes)
    with pytest.raises(ValueError, match="fractions from 0 to 1, not pixels"):
        checked(run.votes.assign(answer=pd.Series(pixels, dtype="object")), run.stimuli)
    turned = [[{"x0": 0.9, "y0": 0.8, "x1": 0.1, "y1": 0.2, "label": "eye"}]] * len(run.votes)
    votes, _ = checked(run.votes.assign(answer=pd.Series(turned, dtype="object")), run.stimuli)
    assert votes["answer"][0] == [{"x0": 0.1, "y0": 0.2, "x1": 0.9, "y1": 0.8, "label": "eye"}]


def test_tables_come_out_plain_and_in_one_order():
    odd = RUN.stimuli.copy()
    odd["measures"] = [{"ssim": np.float32(0.5), "judge_cosine": float("nan")} for _ in range(len(odd))]
    votes, stimuli = checked(RUN.votes.assign(truth=None), odd)
    assert list(votes) == list(VOTES) and list(stimuli) == list(STIMULI)
    assert stimuli["measures"][0] == {"judge_cosine": None, "ssim": 0.5} and set(votes["truth"]) == {""}
    assert votes["rater"].is_monotonic_increasing and stimuli["stimulus"].is_monotonic_increasing
