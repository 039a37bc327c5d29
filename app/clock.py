"""How old a file is, on a computer whose clock may be set: what is kept for a while is lost by no jump of it."""

from __future__ import annotations

import time

START = time.time() - time.monotonic()


def age(moment: float) -> float:
    """Seconds since a moment of the wall's clock, such as a file's: by that clock, or by one that cannot jump.

    The less of the two: after a jump, either way, a file stays longer than it should, and never shorter.
    """
    return min(time.time(), START + time.monotonic()) - moment
