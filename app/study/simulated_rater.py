"""One simulated person, who answers from known scores with an own offset, lapses and side bias."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.study.simulated_trials import Condition, Trial, condition_of

SHARPNESS = 0.6  # standard deviation of one score around what the rater means, in points
CRITERION = 1.5  # how far apart two impressions must lie for "different", in standard deviations of one
SPOT = (0.4, 0.3)  # the corner of the artefact; its middle is covered by every box around it


@dataclass(frozen=True)
class Raters:
    """Who answers. `spread`: standard deviation between raters, in units of the score. `lapse`: share of trials
    answered at random. `side_bias`: log-odds (pairs) or z (detection) for the first picture. `inattentive`: how many
    of `count`, the last ones, answer everything at random. `tie`: half-width, in log-odds, of "no difference"."""

    count: int = 24
    spread: float = 0.3
    lapse: float = 0.0
    side_bias: float = 0.0
    inattentive: int = 0
    tie: float = 0.0


class Rater:
    """One person: own offset, own view of each condition, own lapses."""

    def __init__(self, rng: np.random.Generator, raters: Raters, conditions: dict[str, Condition], random: bool):
        self.rng, self.raters, self.random = rng, raters, random
        self.offset = raters.spread * rng.normal()
        self.view = {name: c.score + raters.spread * rng.normal() for name, c in conditions.items()}
        self.score = {name: c.score for name, c in conditions.items()}
        self.pace = float(np.exp(0.2 * rng.normal()))

    def answer(self, protocol: str, trial: Trial) -> Any:
        guess = self.random or self.rng.random() < self.raters.lapse
        return ANSWERS[protocol](self, trial, guess)

    def grade(self, trial: Trial, guess: bool) -> int:
        if guess:
            return int(self.rng.integers(1, 6))
        shown = condition_of(trial.second or trial.first)
        latent = self.score[shown] + self.offset + SHARPNESS * self.rng.normal()
        return int(np.clip(np.round(latent), 1, 5))

    def prefer(self, trial: Trial, guess: bool) -> str:
        if guess:
            return str(self.rng.choice(["first", "second"]))
        lead = self.view[condition_of(trial.first)] - self.view[condition_of(trial.second)] + self.raters.side_bias
        lead += float(self.rng.logistic())
        return "tie" if abs(lead) < self.raters.tie else "first" if lead > 0 else "second"

    def detect(self, trial: Trial, guess: bool) -> str:
        """2AFC: each picture makes an impression with standard deviation 1; the altered one's mean is d' higher."""
        if guess:
            return str(self.rng.choice(["first", "second"]))
        d = self.score[condition_of(getattr(trial, trial.truth))] + self.offset
        lead = (d if trial.truth == "first" else -d) + 2**0.5 * self.rng.normal() + self.raters.side_bias
        return "first" if lead > 0 else "second"

    def compare(self, trial: Trial, guess: bool) -> str:
        """Same/different by differencing: "different" when two impressions lie more than 1.5 apart."""
        if guess:
            return str(self.rng.choice(["same", "different"]))
        d = self.score[condition_of(trial.second)] + self.offset if trial.truth == "different" else 0.0
        return "different" if abs(d + 2**0.5 * self.rng.normal()) > CRITERION else "same"

    def mark(self, trial: Trial, guess: bool) -> list[dict[str, Any]]:
        """A box around the spot with the condition's chance; a guess lands anywhere."""
        if not guess and self.rng.random() >= self.score[condition_of(trial.first)]:
            return []
        x, y = self.rng.uniform(0.1, 0.7, 2) if guess else np.array(SPOT) + self.rng.uniform(-0.02, 0.02, 2)
        return [{"x0": float(x), "y0": float(y), "x1": float(x) + 0.2, "y1": float(y) + 0.2, "label": "texture"}]


ANSWERS: dict[str, Callable[[Rater, Trial, bool], Any]] = {
    "acr": Rater.grade,
    "dsis": Rater.grade,
    "pairs": Rater.prefer,
    "detection": Rater.detect,
    "verification": Rater.compare,
    "artefacts": Rater.mark,
}


def at_catch(protocol: str, trial: Trial, rater: Rater) -> Any:
    """An attentive rater answers a catch trial right; one who is not answers as always."""
    if rater.random:
        return rater.answer(protocol, trial) if protocol != "artefacts" else []
    if protocol == "artefacts":
        return [{"x0": 0.1, "y0": 0.1, "x1": 0.9, "y1": 0.9, "label": "texture"}]
    return 1 if trial.truth == "1-2" else trial.truth
