"""The 50 bits of a watermark: the code corrects two, detects more, and tells keys apart."""

import itertools
import random

import pytest

from engines.identity import (
    BITS,
    CORRECTED,
    LARGEST,
    IdentityError,
    chance_of_agreement,
    decode,
    encode,
)


def flipped(word, places):
    return tuple(bit ^ (i in places) for i, bit in enumerate(word))


@pytest.mark.parametrize("number", [0, 1, 0xABCDEF, LARGEST])
def test_a_number_comes_back(number):
    word = encode(number, "key")
    assert len(word) == BITS and set(word) <= {0, 1}
    found = decode(word, "key")
    assert (found.number, found.corrected) == (number, 0)


def test_every_one_or_two_misread_bits_are_corrected():
    word = encode(4711, "key")
    for count in (1, 2):
        for places in itertools.combinations(range(BITS), count):
            found = decode(flipped(word, places), "key")
            assert found is not None and (found.number, found.corrected) == (4711, count), places


def test_three_to_six_misread_bits_are_detected():
    """Two code words differ in nine places, of which two are spent on correction: up to six are always noticed."""
    word, rng = encode(4711, "key"), random.Random(0)
    for count in (3, 4, 5, 6):
        for _ in range(500):
            assert decode(flipped(word, rng.sample(range(48), count)), "key") is None


def test_code_words_differ_in_nine_places_at_least():
    """The published distance of BCH (63, 39), t = 4, is 9."""
    rng = random.Random(1)
    words = [encode(rng.randrange(LARGEST), "k") for _ in range(60)] + [encode(1 << i, "k") for i in range(24)]
    distances = [sum(a != b for a, b in zip(u, v, strict=True)) for u, v in itertools.combinations(set(words), 2)]
    assert min(distances) >= 9


def test_random_bits_are_an_identity_as_rarely_as_promised():
    rng = random.Random(2)
    tries = 20_000
    found = sum(decode(tuple(map(int, f"{rng.getrandbits(BITS):050b}")), "key") is not None for _ in range(tries))
    assert found <= 4, "0.4 are expected; more than 4 would be one chance in 20,000"
    assert decode(encode(5, "key"), "key").chance == pytest.approx(2**-26)


def test_another_key_reads_nothing():
    numbers = random.Random(3).sample(range(LARGEST), 200)
    assert all(decode(encode(n, "mine"), "yours") is None for n in numbers)
    assert sum(a == b for a, b in zip(encode(7, "mine"), encode(7, "yours"), strict=True)) < 40


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: encode(LARGEST + 1, "k"), "does not fit into 24 bits"),
        (lambda: encode(-1, "k"), "does not fit into 24 bits"),
        (lambda: encode(1, ""), "key must have 1 to 200"),
        (lambda: encode(1, "x" * 201), "key must have 1 to 200"),
        (lambda: decode((0, 1), "k"), "has 50 bits, not 2"),
    ],
)
def test_bad_input_is_a_sentence(call, words):
    with pytest.raises(IdentityError, match=words):
        call()


def test_chance_of_agreement_is_the_binomial_tail():
    assert chance_of_agreement(50) == 2.0**-50
    assert chance_of_agreement(49) == 51 / 2.0**50
    assert chance_of_agreement(0, 5) == 1.0
    assert chance_of_agreement(45, 10) == pytest.approx(10 * chance_of_agreement(45))
    assert CORRECTED == 2
