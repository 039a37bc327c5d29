"""What each forger is trained to do; each term comes with its weight.

An objective holds a generator and a critic and gives the terms of either loss. The generator's terms are asked
for first; the critic's then judge the very pictures that the generator has just made, beside more real ones than
were forged: the critic is the cheaper network, and the generator learns from it what an attribute looks like.
"""

from __future__ import annotations

from typing import Any

from engines.train.hisd_losses import Hisd
from engines.train.rel_losses import Rel
from engines.train.star_losses import Star

OBJECTIVES: dict[str, Any] = {"stargan": Star, "attentiongan": Star, "fpgan": Star, "relgan": Rel, "hisd": Hisd}
