"""The whole result of a study, from its two tables: one tree of plain values, the same for the same seed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from app.study.agreement import Agreement, agreement
from app.study.artefacts import Artefacts, artefacts
from app.study.checks import Checks, checks
from app.study.detection import Detection, detection
from app.study.intervals import LEVEL
from app.study.joined import Joined, direction, joined, measures_of
from app.study.pairs import Pairs, pairs
from app.study.scores import Scores, scores
from app.study.screening import Rules, Screening, screen, without
from app.study.simulate import is_simulated
from app.study.tables import KINDS, PROTOCOLS, checked, main_votes


@dataclass(frozen=True)
class Counts:
    """What went in. `kinds`: answers of each kind, excluded raters' left out, as `raters` and `votes`."""

    raters: int
    raters_before: int
    votes: int  # those that count: kind "main"
    kinds: tuple[tuple[str, int], ...]
    protocols: tuple[tuple[str, int], ...]
    stimuli: int
    photos: int
    conditions: int
    first_answer: str
    last_answer: str
    median_seconds: float | None


@dataclass(frozen=True)
class Settings:
    """With what it was computed: the same settings and tables give the same result, bit for bit."""

    seed: int
    resamples: int
    level: float
    rules: Rules
    limits: tuple[tuple[str, float], ...]
    directions: tuple[tuple[str, bool], ...]


@dataclass(frozen=True)
class Analysis:
    """The result of a study. Parts whose protocol was not asked are None or empty.

    `screening` looks at all raters, also those excluded: so every exclusion stays listed and can be taken back.
    """

    simulated: bool
    settings: Settings
    counts: Counts
    exclusions: tuple[str, ...]
    screening: Screening
    scores: tuple[Scores, ...]
    pairs: Pairs | None
    detection: tuple[Detection, ...]
    artefacts: Artefacts | None
    agreement: tuple[Agreement, ...]
    checks: Checks
    joined: tuple[Joined, ...]
    left_out: tuple[str, ...]  # measures of which nothing says whether lower is better

    def as_dict(self) -> dict[str, Any]:
        """JSON-able; equal analyses give equal dicts."""
        return asdict(self)


def analyse(
    votes: pd.DataFrame,
    stimuli: pd.DataFrame,
    *,
    exclusions: Collection[str] = frozenset(),
    seed: int = 0,
    resamples: int = 1000,
    level: float = LEVEL,
    rules: Rules = Rules(),  # noqa: B008
    limits: Mapping[str, float] | None = None,
    directions: Mapping[str, bool] | None = None,
) -> Analysis:
    """Everything there is to read from a study's answers.

    exclusions: rater ids to leave out, such as `analysis.screening.raters`; nothing is excluded by itself.
    limits: measure -> value to reach, such as a judge's threshold (`joined.joined`); directions: measure ->
    whether lower is better. Raises StudyError for tables that are wrong (`tables.checked`).
    """
    votes, stimuli = checked(votes, stimuli)
    screening = screen(votes, stimuli, rules)
    kept = without(votes, exclusions)
    given = (seed, resamples, level)
    return Analysis(
        simulated=is_simulated(votes),
        settings=Settings(*given, rules, _items(limits), _items(directions)),
        counts=_counts(votes, kept, stimuli),
        exclusions=tuple(sorted(set(exclusions))),
        screening=screening,
        scores=tuple(s for name in ("acr", "dsis") if (s := scores(kept, stimuli, name, level)) is not None),
        pairs=pairs(kept, stimuli, *given),
        detection=tuple(
            d for name in ("detection", "verification") if (d := detection(kept, stimuli, name, *given)) is not None
        ),
        artefacts=artefacts(kept, stimuli, level=level),
        agreement=tuple(row for name in PROTOCOLS for row in agreement(kept, name, *given)),
        checks=checks(kept, stimuli, level),
        joined=joined(kept, stimuli, *given, limits, directions),
        left_out=tuple(name for name in measures_of(stimuli) if direction(name, directions) is None),
    )


def _items(mapping: Mapping[str, Any] | None) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted((mapping or {}).items()))


def _counts(votes: pd.DataFrame, kept: pd.DataFrame, stimuli: pd.DataFrame) -> Counts:
    main = kept[kept["kind"] == "main"]
    shown = stimuli[stimuli["stimulus"].isin(set(main["first"]) | set(main["second"]))]
    return Counts(
        raters=int(kept["rater"].nunique()),
        raters_before=int(votes["rater"].nunique()),
        votes=len(main),
        kinds=tuple((kind, int((kept["kind"] == kind).sum())) for kind in KINDS),
        protocols=tuple((name, n) for name in PROTOCOLS if (n := len(main_votes(kept, name)))),
        stimuli=len(shown),
        photos=int(shown["photo"].nunique()),
        conditions=int(shown["condition"].nunique()),
        first_answer=str(kept["answered_at"].min()) if len(kept) else "",
        last_answer=str(kept["answered_at"].max()) if len(kept) else "",
        median_seconds=float(main["seconds"].median()) if len(main) else None,
    )
