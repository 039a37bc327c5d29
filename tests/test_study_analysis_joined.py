"""Naturalness against measures, the recommended parameter, heat maps, and the figures of both."""

from __future__ import annotations

import numpy as np
import pytest

from app.study import figures, sections_about, sections_found
from app.study.analysis import analyse
from app.study.artefacts import artefacts, mask
from app.study.detection import detection
from app.study.joined import joined, lower_is_better
from app.study.pairs import pairs
from app.study.pareto import choose, front
from app.study.scores import scores
from app.study.simulate import simulate
from app.study.simulated_rater import SPOT, Raters
from app.study.simulated_trials import Condition
from app.study.tables import checked


def sweep(scale: float = 1.0, offset: float = 2.5) -> list[Condition]:
    """More gamma looks more natural, and leaves the judge more to recognise."""
    return [
        Condition(
            f"tip-im gamma={g:g}",
            offset + scale * g,
            "tip-im",
            {"gamma": g, "steps": 50, "norm": "linf"},
            {"judge_cosine": 0.1 + 0.2 * g, "ssim": 0.80 + 0.05 * g, "seconds": 3.0},
        )
        for g in (0.0, 0.5, 1.0, 1.5, 2.0)
    ]


def test_the_front_by_hand():
    natural = np.array([5.0, 4.0, 3.0, 4.0, np.nan])
    good = np.array([1.0, 2.0, 2.0, 3.0, 9.0])
    assert front(natural, good).tolist() == [True, False, False, True, False]
    both = front(np.stack([natural, -natural]), good)
    assert both[1].tolist() == [False, False, True, True, False]


def test_two_equal_points_are_both_on_the_front():
    assert front(np.array([1.0, 1.0]), np.array([2.0, 2.0])).tolist() == [True, True]


def test_choosing_with_and_without_a_limit():
    natural, good = np.array([5.0, 4.6, 3.0, 1.0]), np.array([0.0, 0.8, 0.9, 1.0])
    assert choose(natural, good, None) == 1  # nearest to the ideal corner
    assert choose(natural, good, 0.85) == 2  # the most natural that reaches the limit
    assert choose(natural, good, 2.0) == 3  # none does: the closest
    assert choose(np.where(natural == 4.6, np.nan, natural), good, None) != 1
    assert choose(np.full(4, 3.0), good, None) == 3  # equally natural: the better measure


def test_directions_are_told_by_name_or_not_at_all():
    assert lower_is_better("judge_cosine") is True and lower_is_better("SSIM") is False
    assert lower_is_better("seconds") is None


def test_the_gamma_recommended_under_a_judges_threshold():
    """Cosines are 0.1, 0.2, 0.3, 0.4, 0.5; at a threshold of 0.3 (not above) gamma 1 is the most natural."""
    run = simulate("acr", sweep(), 2, Raters(20), seed=1)
    found = joined(*checked(run.votes, run.stimuli), resamples=300, limits={"judge_cosine": 0.3 + 1e-9})
    by_measure = {row.measure: row for row in found}
    assert set(by_measure) == {"judge_cosine", "ssim"}  # "seconds" says no direction; "norm" and "steps" do not vary
    row = by_measure["judge_cosine"]
    advice = row.recommendations[0]
    assert (advice.parameter, advice.value, advice.method) == ("gamma", 1.0, "tip-im")
    assert advice.low <= 1.0 <= advice.high and 0.8 < advice.support <= 1.0 and len(row.recommendations) == 1
    assert all(point.on_front for point in row.points)
    # Structural similarity and naturalness go together here: one point beats all.
    assert [p.condition for p in by_measure["ssim"].points if p.on_front] == ["tip-im gamma=2"]
    assert by_measure["ssim"].recommendations[0].value == 2.0


def test_a_parameter_s_figure_shades_what_is_recommended():
    run = simulate("acr", sweep(), 2, Raters(20), seed=1)
    row = next(r for r in joined(*checked(run.votes, run.stimuli), resamples=300) if r.measure == "judge_cosine")
    (advice,) = row.recommendations
    figure = figures.parameter_figure(row, "tip-im", "gamma")
    (trace,) = figure.data
    assert list(trace.x) == [0.0, 0.5, 1.0, 1.5, 2.0] and len(trace.error_y.array) == 5
    assert list(trace.y) == [next(p.naturalness.value for p in row.points if dict(p.parameters)["gamma"] == g)
                             for g in trace.x]  # fmt: skip
    line, shade = figure.layout.shapes
    assert line.x0 == line.x1 == advice.value and (shade.x0, shade.x1) == (advice.low, advice.high)
    parts = [p for s in sections_found.joined(analyse(run.votes, run.stimuli, resamples=100)) for p in s.parts]
    assert sum("against gamma of tip-im; recommended:" in getattr(p, "says", "") for p in parts) == 2


def test_a_measure_whose_direction_nobody_knows_is_left_out_and_said():
    run = simulate("acr", sweep(), 2, Raters(8), seed=1)
    found = analyse(run.votes, run.stimuli, resamples=100)
    assert found.left_out == ("seconds",) and "seconds: nothing says" in str(sections_about.facts(found, ""))
    told = analyse(run.votes, run.stimuli, resamples=100, directions={"seconds": True})
    assert told.left_out == () and "seconds" in {row.measure for row in told.joined}


def test_a_limit_that_nothing_reaches_is_said():
    run = simulate("acr", sweep(), 2, Raters(8))
    found = joined(*checked(run.votes, run.stimuli), resamples=200, limits={"judge_cosine": -0.5})
    advice = next(row for row in found if row.measure == "judge_cosine").recommendations[0]
    assert advice.value == 0.0 and "no condition reaches the limit" in advice.note


def test_few_raters_get_advice_without_an_interval():
    run = simulate("acr", sweep(), 2, Raters(4))
    advice = joined(*checked(run.votes, run.stimuli), resamples=200)[0].recommendations[0]
    assert advice.low is None and advice.support is None and "too few raters" in advice.note


@pytest.mark.parametrize(("protocol", "scale"), [("pairs", 1.0), ("detection", -1.0), ("dsis", 1.0)])
def test_every_scale_of_naturalness_joins(protocol, scale):
    run = simulate(protocol, sweep(scale), 2, Raters(12), seed=2)
    row = next(r for r in joined(*checked(run.votes, run.stimuli), resamples=200) if r.measure == "judge_cosine")
    assert row.scale == protocol and len(row.points) == 5
    values = {dict(p.parameters)["gamma"]: p.naturalness.value for p in row.points}
    assert values[2.0] > values[0.0]
    figure = figures.pareto_figure(row)
    assert len(figure.data) == 3 and list(figure.data[2].x) == [
        p.measure for p in row.points if p.condition == row.recommendations[0].condition
    ]


def test_a_mask_covers_the_cells_whose_centre_is_inside():
    covered = mask([{"x0": 0.0, "y0": 0.5, "x1": 0.5, "y1": 1.0}], 4)
    assert covered.tolist() == [[False] * 4, [False] * 4, [True, True, False, False], [True, True, False, False]]
    assert not mask([]).any()


def test_the_heat_map_is_the_share_of_raters():
    run = simulate("artefacts", [Condition("x", 0.7), Condition("y", 0.0)], 1, Raters(30), seed=3)
    votes, stimuli = checked(run.votes, run.stimuli)
    found = artefacts(votes, stimuli, grid=20)
    x = next(m for m in found.conditions if m.name == "x")
    main = votes[(votes["kind"] == "main") & (votes["first"] == "x@p0")]
    drew = sum(len(boxes) > 0 for boxes in main["answer"])
    share = np.array(x.share)
    middle = (round((SPOT[1] + 0.1) * 20), round((SPOT[0] + 0.1) * 20))
    assert share[middle] == share.max() == pytest.approx(drew / 30) == x.marked.value
    assert share[0].max() == 0 and x.raters == 30 and x.labels == (("texture", drew),)
    y = next(m for m in found.conditions if m.name == "y")
    assert np.array(y.share).max() == 0 and y.marked.value == 0 and y.marked.high > 0
    assert {m.name for m in found.stimuli} == {"x@p0", "y@p0", "reference@p0"}


def test_figures_show_intervals_lines_and_no_markup_of_the_study():
    bad = "<b onmouseover=alert(1)>x</b>"
    run = simulate("acr", [Condition(bad, 3.0), Condition("y", 4.0)], 2, Raters(9))
    found = scores(*checked(run.votes, run.stimuli), "acr")
    for differential in (False, True):
        figure = figures.score_figure(found, differential)
        assert "<b onmouseover" not in figure.to_json().encode().decode("unicode_escape")
        assert len(figure.data[0].error_x.array) == (2 if differential else 3)
    run = simulate("pairs", [Condition("x", 1.0), Condition("y", 0.0)], 2, Raters(9))
    found_pairs = pairs(*checked(run.votes, run.stimuli), resamples=200)
    assert len(figures.pairs_figure(found_pairs).data[0].x) == 3
    (heat,) = figures.wins_figure(found_pairs).data
    assert list(heat.y) == [row.condition for row in found_pairs.conditions]
    z = heat.z
    assert z[0][0] is None and z[0][1] + z[1][0] == pytest.approx(1.0)
    run = simulate("detection", [Condition("x", 1.0)], 4, Raters(9))
    seen = figures.detection_figure(detection(*checked(run.votes, run.stimuli), "detection", resamples=200))
    assert seen.layout.shapes[0].x0 == 0.5


def test_a_row_without_an_interval_is_an_open_marker():
    run = simulate("acr", [Condition("x", 3.0)], 1, Raters(2))
    figure = figures.score_figure(scores(*checked(run.votes, run.stimuli), "acr"))
    assert [trace.marker.symbol for trace in figure.data] == ["circle-open"]


def test_a_heat_map_lies_over_its_picture_right_way_up():
    run = simulate("artefacts", [Condition("x", 0.9)], 1, Raters(8))
    found = artefacts(*checked(run.votes, run.stimuli))
    figure = figures.heat_figure(found.conditions[0], "data:image/png;base64,AAAA", top=0.5)
    assert figure.data[0].zmax == 0.5 and figure.layout.images[0].source.startswith("data:image/png")
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1]  # row 0 on top
