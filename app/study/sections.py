"""A study's result as sections: what the report and the workbench both show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.study import sections_about as about
from app.study import sections_found as found
from app.study.analysis import Analysis
from app.study.blocks import Section

FOUND = (found.scores, found.pairs, found.detection)
ABOUT = (about.agreement, about.checks, about.exclusions, about.methods)


@dataclass(frozen=True)
class Beside:
    """What the answers do not tell. `pictures`: a data: URI to lie under each condition's heat map, by its name.

    `withdrawn`: how many raters had how many answers deleted; None where it is not known.
    """

    pictures: Mapping[str, str] = field(default_factory=dict)
    withdrawn: tuple[int, int] | None = None


def sections(analysis: Analysis, protocol_hash: str, beside: Beside = Beside()) -> tuple[Section, ...]:  # noqa: B008
    """All that the answers hold: what was found first, then how firm it is, and how it was computed."""
    marked = found.artefacts(analysis, beside.pictures)
    results = [one for part in FOUND for one in part(analysis)] + marked + found.joined(analysis)
    facts = about.facts(analysis, protocol_hash, beside.withdrawn)
    return (*results, facts, *(one for part in ABOUT for one in part(analysis)))
