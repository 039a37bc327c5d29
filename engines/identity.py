"""The 50 bits of a watermark: an identity number, what detects and corrects misread bits, and a key.

24 bits of identity, 24 parity bits of the BCH code over GF(64) with t = 4 (63, 39, shortened to 48, 24;
any two code words differ in 9 places), 2 bits that are always 0; all 50 then exclusive-or'd with a mask
made from the key. Of the code's distance only a part is spent on correction: up to CORRECTED misread
bits are mended, the rest detects. So a face that was never marked, whose bits are as good as random, is
taken for a marked one with probability (1 + 50 + 1225) / 2^26, once in 52,600 faces.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from dataclasses import dataclass

import bchlib

NUMBER_BITS, PARITY_BITS, BITS, CORRECTED = 24, 24, 50, 2
LARGEST = 2**NUMBER_BITS - 1
KEY_LENGTH = 200  # characters
_SPARE = BITS - NUMBER_BITS - PARITY_BITS


class IdentityError(ValueError):
    """An identity or a key that cannot be used, as one sentence that says what to do."""


@dataclass(frozen=True)
class Decoded:
    """An identity number found in 50 bits, and how many of them had been misread."""

    number: int
    corrected: int

    @property
    def chance(self) -> float:
        """The probability that 50 random bits are an identity with as few corrections."""
        return sum(math.comb(BITS, errors) for errors in range(self.corrected + 1)) / 2.0 ** (BITS - NUMBER_BITS)


def encode(number: int, key: str) -> tuple[int, ...]:
    """The 50 bits, each 0 or 1, that mark a face as identity `number`, 0 to 2^24 - 1, under `key`.

    Raises IdentityError for another number or an empty or overlong key.
    """
    if not 0 <= number <= LARGEST:
        raise IdentityError(f"An identity's number is from 0 to {LARGEST}: this one does not fit into 24 bits.")
    data = number.to_bytes(NUMBER_BITS // 8, "big")
    word = int.from_bytes(data + _code().encode(data), "big") << _SPARE
    return _bits(word ^ _mask(key))


def decode(bits: tuple[int, ...], key: str) -> Decoded | None:
    """The identity in 50 bits read under `key`; None where more than CORRECTED bits are wrong, or it is no code word.

    Raises IdentityError for a wrong number of bits or an unusable key.
    """
    if len(bits) != BITS:
        raise IdentityError(f"A watermark has {BITS} bits, not {len(bits)}.")
    word = int("".join(str(int(bit)) for bit in bits), 2) ^ _mask(key)
    spare, word = word & (2**_SPARE - 1), word >> _SPARE
    whole = word.to_bytes((NUMBER_BITS + PARITY_BITS) // 8, "big")
    data, parity = bytearray(whole[: NUMBER_BITS // 8]), bytearray(whole[NUMBER_BITS // 8 :])
    code = _code()
    errors = code.decode(bytes(data), bytes(parity))
    if errors < 0 or errors + spare.bit_count() > CORRECTED:
        return None
    code.correct(data, parity)
    return Decoded(int.from_bytes(data, "big"), errors + spare.bit_count())


def chance_of_agreement(agreeing: int, candidates: int = 1) -> float:
    """How likely random bits agree with one of `candidates` codes in at least `agreeing` of their 50 places.

    The binomial tail, times the candidates (an upper bound), at most 1.
    """
    tail = sum(math.comb(BITS, k) for k in range(agreeing, BITS + 1)) / 2.0**BITS
    return min(1.0, tail * candidates)


def _code() -> bchlib.BCH:
    # A new one each time: decode() leaves its findings in the object, which threads must not share.
    return bchlib.BCH(PARITY_BITS // 6, m=6)


def _mask(key: str) -> int:
    if not key or len(key) > KEY_LENGTH:
        raise IdentityError(f"The key must have 1 to {KEY_LENGTH} characters.")
    digest = hmac.new(key.encode(), b"larvatus watermark mask", hashlib.sha256).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - BITS)


def _bits(word: int) -> tuple[int, ...]:
    return tuple(word >> place & 1 for place in reversed(range(BITS)))
