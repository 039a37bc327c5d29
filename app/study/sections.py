"""A study's result as sections: what the report and the workbench both show."""

from __future__ import annotations

from app.study import sections_about as about
from app.study import sections_found as found
from app.study.analysis import Analysis
from app.study.blocks import Section

FOUND = (found.scores, found.pairs, found.detection, found.artefacts, found.joined)
ABOUT = (about.agreement, about.checks, about.exclusions, about.methods)


def sections(analysis: Analysis, protocol_hash: str) -> tuple[Section, ...]:
    """All that the answers hold: what was found first, then how firm it is, and how it was computed."""
    results = [one for part in FOUND for one in part(analysis)]
    return (*results, about.facts(analysis, protocol_hash), *(one for part in ABOUT for one in part(analysis)))
