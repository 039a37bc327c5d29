"""Who sees what: balance, determinism, placement; and the active choice of pairs."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, pairwise

import numpy as np
import pytest

from app.study import active, order
from app.study.design import design_from
from app.study.errors import StudyError
from app.study.protocols import PROTOCOLS
from app.study.schedule import generator, latin_order, placed, rounds, shown_before, williams, window_start
from app.study.units import Item, units


def stimuli(photos=4, conditions=4):
    made = []
    for photo in (f"p{number}" for number in range(photos)):
        rows = [(f"c{number}", "test") for number in range(conditions)]
        for condition, role in [*rows, ("reference", "reference"), ("anchor: blur", "anchor")]:
            made.append(Item(f"{photo}/{condition}", photo, photo, condition, role))
    return made


def design(protocol, **more):
    return design_from({"title": "T", "protocol": protocol, **more})


def main(planned):
    return [one.unit for one in planned if one.kind == "main"]


@pytest.mark.parametrize("size", range(2, 10))
def test_a_williams_square_balances_places_and_carry_over(size):
    square, times = williams(size), 1 if size % 2 == 0 else 2
    assert len(square) == size * times and all(sorted(row) == list(range(size)) for row in square)
    for place in range(size):
        assert set(Counter(row[place] for row in square).values()) == {times}
    followers = Counter(pair for row in square for pair in pairwise(row))
    assert len(followers) == size * (size - 1) and set(followers.values()) == {times}


@pytest.mark.parametrize("size", [2, 5, 6, 9])
def test_windows_keep_exposure_within_one_and_are_counted_right(size):
    for length in range(1, size + 1):
        latin, circle = Counter(range(size)), Counter(range(size))
        for rater in range(4 * size + 3):
            assert all(shown_before(size, length, rater, at) == circle[at] - 1 for at in range(size))
            latin.update(latin_order(size, length, rater))
            circle.update((window_start(size, length, rater) + step) % size for step in range(length))
            for counts in (latin, circle):
                assert max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize("size", range(2, 9))
def test_rounds_have_every_pair_once_and_nobody_twice_in_a_round(size):
    found = rounds(size)
    assert sorted(tuple(sorted(pair)) for row in found for pair in row) == list(combinations(range(size), 2))
    assert all(len({who for pair in row for who in pair}) == 2 * len(row) for row in found)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("trials", [7, 12])
def test_exposure_is_equal_at_any_number_of_raters(protocol, trials):
    chosen = design(protocol, trials=trials, seed=5, repeats=1)
    counts = Counter({tuple(sorted((u.first, u.second))): 0 for u in units(chosen, stimuli()).main})
    for rater in range(13):
        shown = main(order.session(chosen, stimuli(), rater))
        assert len({(u.first, u.second) for u in shown}) == trials
        counts.update(tuple(sorted((unit.first, unit.second))) for unit in shown)
        if protocol != "verification":  # there two units may happen to be the same two pictures
            assert max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize("protocol", ["pairs", "detection", "verification"])
def test_sides_are_swapped_evenly(protocol):
    chosen = design(protocol, trials=8, seed=1)
    sides, truths = Counter(), []
    for rater in range(2 * len(units(chosen, stimuli()).main)):  # a whole number of turns
        shown = main(order.session(chosen, stimuli(), rater))
        sides.update((unit.first, unit.second) for unit in shown)
        truths.append(Counter(unit.truth for unit in shown))
    assert all(abs(times - sides[second, first]) <= 1 for (first, second), times in sides.items())
    if protocol != "pairs":  # half of a rater's right answers are on either side
        assert all(len(truth) == 2 and max(truth.values()) - min(truth.values()) <= 2 for truth in truths)


@pytest.mark.parametrize("protocol", ["pairs", "detection"])
def test_truth_moves_with_the_sides(protocol):
    items = {item.id: item for item in stimuli()}
    for rater in range(6):
        for one in order.session(design(protocol, trials=10), list(items.values()), rater):
            if one.unit.truth:
                other = "second" if one.unit.truth == "first" else "first"
                right, wrong = getattr(one.unit, one.unit.truth), getattr(one.unit, other)
                altered = right if protocol == "detection" else wrong
                assert items[altered].role in ("test", "anchor") and items[altered].photo == one.unit.photo
                assert {items[right].role, items[wrong].role} & {"reference"}


def test_verification_truth_follows_the_people():
    items = {item.id: item for item in stimuli()}
    for one in order.session(design("verification", trials=16), list(items.values()), 3):
        same = items[one.unit.first].person == items[one.unit.second].person
        assert one.unit.truth == ("same" if same else "different")


def test_dsis_always_shows_the_reference_first():
    items = {item.id: item for item in stimuli()}
    for one in order.session(design("dsis"), list(items.values()), 1):
        assert items[one.unit.first].role == "reference" and items[one.unit.second].photo == one.unit.photo


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_same_seed_gives_the_same_session_and_another_another(protocol):
    chosen = design(protocol, seed=7, trials=9)
    once, shuffled = order.session(chosen, stimuli(), 2), list(reversed(stimuli()))
    assert once == order.session(chosen, shuffled, 2)
    assert once != order.session(design(protocol, seed=8, trials=9), stimuli(), 2)
    assert main(once) != main(order.session(chosen, stimuli(), 3))


def test_a_session_has_training_first_then_catches_and_repeats_among_main_trials():
    chosen = design("pairs", trials=20, training=3, catch=4, repeats=4, repeat_gap=6)
    for rater in range(8):
        plan = order.session(chosen, stimuli(), rater)
        assert [one.kind for one in plan[:3]] == ["training"] * 3
        assert Counter(one.kind for one in plan[3:]) == {"main": 20, "catch": 4, "repeat": 4}
        quarters = [sum(one.kind == "catch" for one in plan[3:][at : at + 14]) for at in (0, 14)]
        assert min(quarters) >= 1  # not all at one end
        for place, one in enumerate(plan):
            if one.kind == "repeat":
                source = plan[one.repeat_of]
                assert source.kind == "main" and one.unit == source.unit.swapped()
                assert sum(each.kind == "main" for each in plan[one.repeat_of + 1 : place]) >= 6
    assert order.session(chosen, stimuli(), 0)[:3] == order.session(chosen, stimuli(), 5)[:3]  # training is the same


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_placement_works_for_short_sessions(count):
    found = placed(count, 2, 3, 5, generator(0, "x"))
    assert [number for kind, number in found if kind == "main"] == list(range(count))
    for kind, number in found:
        if kind == "repeat":
            assert found.index(("repeat", number)) > found.index(("main", number))


@pytest.mark.parametrize("protocol, keep, said", [
    ("acr", lambda item: item.role != "test", "no pictures to test"),
    ("detection", lambda item: item.id != "p1/reference", "p1 has no reference"),
    ("verification", lambda item: item.photo == "p0", "two people"),
    ("acr", lambda item: item.role != "anchor", "Catch trials"),
    ("pairs", lambda item: item.condition in ("c0", "c1", "anchor: blur"), "Catch trials"),
])  # fmt: skip
def test_what_is_missing_is_said(protocol, keep, said):
    with pytest.raises(StudyError, match=said):
        order.session(design(protocol), [item for item in stimuli() if keep(item)], 0)


def test_pairs_need_two_versions():
    lonely = [Item("a", "p", "p", "c", "test")]
    with pytest.raises(StudyError, match="two versions"):
        order.session(design("pairs", catch=0), lonely, 0)


def test_active_sampling_asks_where_it_learns_most():
    wins = np.zeros((4, 4))
    wins[0, 1] = wins[1, 0] = 30  # 0 and 1 are known to be equal; 2 is clearly better than both, 3 is unknown
    wins[2, 0] = wins[2, 1] = 30
    gain = active.gains(wins)
    assert np.allclose(gain, gain.T) and gain[0, 3] > gain[0, 1] > 0 and gain[0, 1] > gain[0, 2]
    assert (gain.diagonal() == 0).all()
    pairs = list(combinations(range(4), 2))
    random = np.random.default_rng(0)
    assert 3 in pairs[active.choose(wins, pairs, [0] * 6, random)]
    even = active.choose(np.zeros((4, 4)), pairs, [1, 1, 0, 1, 1, 1], random)
    assert even == 2  # among equals the one least shown


def test_the_posterior_is_the_maximum():
    wins = np.array([[0, 7, 4], [3, 0, 5], [2, 5, 0]], dtype=float)
    scores, covariance = active.posterior(wins)

    def loss(s):
        return -(wins * -np.log1p(np.exp(s[None] - s[:, None]))).sum() + active.PRIOR * (s**2).sum() / 2

    for step in np.eye(3) * 1e-3:
        assert loss(scores) < min(loss(scores + step), loss(scores - step))
        second = (loss(scores + step) - 2 * loss(scores) + loss(scores - step)) / 1e-6
        at = int(step.argmax())
        assert second == pytest.approx(np.linalg.inv(covariance)[at, at], rel=1e-3)
