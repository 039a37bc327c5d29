"""Who sees what, so that everything is seen equally often: balanced Latin squares, windows, rounds of pairs.

All functions are pure; what is random comes from `generator`, which is seeded by text and so the same everywhere.
"""

from __future__ import annotations

import hashlib
from math import gcd

import numpy as np


def generator(seed: int, *parts: object) -> np.random.Generator:
    """A generator for one purpose: `parts` (rater number, "catch", ...) keep the purposes independent."""
    digest = hashlib.sha256("/".join(map(str, (seed, *parts))).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))


def williams(size: int) -> list[list[int]]:
    """A balanced Latin square (Williams, 1949): `size` rows of 0..size-1, twice as many where size is odd.

    Every item stands in every place once (odd: twice), and every item follows every other once (odd: twice), so
    first-order carry-over cancels out.
    """
    return [williams_row(size, row) for row in range(size if size % 2 == 0 else 2 * size)]


def williams_row(size: int, row: int) -> list[int]:
    """One row of `williams`; rows go round for ever. The base is 0, 1, n-1, 2, n-2, ...: a zigzag."""
    base = [0] * size
    for place in range(size):
        base[place] = (place + 1) // 2 if place % 2 else (size - place // 2) % size
    if size % 2 and (row // size) % 2:
        base.reverse()
    return [(item + row) % size for item in base]


def window_start(size: int, length: int, rater: int) -> int:
    """Where the rater's window of `length` items begins on a circle of `size`: each begins where the last one ended.

    After a whole number of turns the windows would repeat, so the next turns begin one item further: the counts
    never differ by more than one, and every rotation is used.
    """
    turn = size // gcd(size, length)
    return (rater * length + rater // turn) % size


def shown_before(size: int, length: int, rater: int, place: int) -> int:
    """How often the item at `place` of the circle was in the windows of raters 0..rater-1."""
    turn = size // gcd(size, length)
    turns, raters = divmod(rater, turn)
    distance = (place - turns) % size  # from where this turn's first window begins
    return turns * turn * length // size + max(0, -((distance - raters * length) // size))


def latin_order(size: int, length: int, rater: int) -> list[int]:
    """`length` items of 0..size-1 for a rater, in the order of the balanced Latin square.

    The first places of a Williams row are a window of the circle around the row's number (a reversed row's, around
    the opposite side), so rows that begin where the last rater's window ended give equal exposure, too.
    """
    start = window_start(size, length, rater)
    odd_turn = size % 2 == 1 and (rater // size) % 2 == 1
    return williams_row(size, start + (size if odd_turn else 0))[:length]


def rounds(size: int) -> list[list[tuple[int, int]]]:
    """All pairs of 0..size-1 in rounds in which nobody meets twice: the circle method for tournaments."""
    players: list[int | None] = [*range(size), *([None] if size % 2 else [])]
    half, found = len(players) // 2, []
    for _ in range(max(len(players) - 1, 0)):
        facing = zip(players[:half], reversed(players[half:]), strict=True)
        found.append([(a, b) for a, b in facing if a is not None and b is not None])
        players = [players[0], players[-1], *players[1:-1]]
    return found


def placed(
    main: int, catches: int, repeats: int, gap: int, random: np.random.Generator
) -> list[tuple[str, int]]:
    """The order of a session after its training: ("main" | "catch", number) or ("repeat", number of the main trial).

    Catch trials are spread evenly with some play, so that they cannot be foreseen; repeats come from the earlier
    part and at least `gap` main trials later (half of the session at most, where it is short).
    """
    gap = min(gap, main // 2)
    keyed = [(float(at), "main", at) for at in range(main)]
    for number in range(catches):
        keyed.append(((number + random.uniform(0.25, 0.75)) * main / catches, "catch", number))
    early = main - gap
    for source in sorted(map(int, random.permutation(early)[:repeats])):
        latest = max(main - 0.5, source + gap + 0.5)
        keyed.append((random.uniform(source + gap + 0.01, latest), "repeat", source))
    return [(kind, number) for _, kind, number in sorted(keyed)]
