"""The sections of a result that tell how firm it is: sizes, agreement, checks, exclusions, methods."""

from __future__ import annotations

from app.study.analysis import Analysis
from app.study.blocks import Part, Section, Table, Words, within

METHODS = (
    "MOS and DMOS: mean over raters of each rater's mean, Student's t interval (ITU-T P.910, ITU-R BT.500).",
    "Bradley-Terry: maximum likelihood by choix; a tie is half a win for both; percentile bootstrap over raters, "
    "widened for few raters (Hesterberg 2015).",
    "Shares: Clopper-Pearson, exact for votes independent of one another; intervals over raters where so named.",
    "Krippendorff's alpha: crowd-kit; bootstrap over pictures.",
    "All intervals speak of other raters seeing these same photos, not of other photos.",
)


def facts(analysis: Analysis, protocol_hash: str, withdrawn: tuple[int, int] | None = None) -> Section:
    """Sizes, times, protocol hash, settings; `withdrawn`: raters and their answers, where that is known."""
    c, s = analysis.counts, analysis.settings
    seconds = "" if c.median_seconds is None else f"{c.median_seconds:.1f} s"
    rows: tuple[tuple[str, str], ...] = (
        ("Raters", f"{c.raters} analysed, {c.raters_before - c.raters} excluded, {c.raters_before} in all"),
        ("Answers analysed", f"{c.votes} ({', '.join(f'{name} {n}' for name, n in c.protocols) or 'none'})"),
        ("Answers by kind", ", ".join(f"{name} {n}" for name, n in c.kinds)),
        ("Shown", f"{c.stimuli} pictures of {c.photos} photos under {c.conditions} conditions"),
        ("Answered", f"{c.first_answer} to {c.last_answer}; median response time {seconds}"),
        ("Protocol hash (SHA-256)", protocol_hash or "none: the study was never opened"),
        ("Intervals", f"{s.level:.0%}; {s.resamples} resamples; seed {s.seed}"),
    )
    if withdrawn is not None:
        rows += (("Withdrawn", f"raters {withdrawn[0]}, with answers {withdrawn[1]}: deleted as they asked"),)
    if analysis.left_out:
        said = f"{', '.join(analysis.left_out)}: nothing says whether lower is better"
        rows += (("Measures left out", said),)
    return Section("Study", (Table(("What", "Value"), rows),))


def exclusions(analysis: Analysis) -> list[Section]:
    """Who was left out, and every finding against anybody, followed or not."""
    out = set(analysis.exclusions)
    named = {finding.rater for finding in analysis.screening.findings}
    rows = [
        (f.rater, "excluded" if f.rater in out else "kept", f.rule, f.protocol, f.reason)
        for f in analysis.screening.findings
    ]
    rows += [(rater, "excluded", "by hand", "", "") for rater in sorted(out - named)]
    parts: list[Part] = [Words("No rater was excluded, and no rule found a reason to.")]
    if rows:
        said = f"{len(out)} of {analysis.counts.raters_before} raters are excluded."
        parts = [Words(said), Table(("Rater", "Now", "Rule", "Protocol", "Reason"), tuple(rows))]
    return [Section("Exclusions", (*parts, *map(Words, analysis.screening.notes)))]


def agreement(analysis: Analysis) -> list[Section]:
    """Krippendorff's alpha per protocol and level of measurement."""
    if not analysis.agreement:
        return []
    rows = tuple((a.protocol, a.level, within(a.alpha), a.units, a.raters) for a in analysis.agreement)
    return [Section("Agreement", (Table(("Protocol", "Level", "Krippendorff's alpha", "Units", "Raters"), rows),))]


def checks(analysis: Analysis) -> list[Section]:
    """Side bias and learning."""
    sides = tuple(
        (s.protocol, within(s.first), within(s.votes), "" if s.p is None else f"{s.p:.3f}", _names(s.raters))
        for s in analysis.checks.sides
    )
    trends = tuple(
        (c.protocol, c.measure, within(c.answers), within(c.log_seconds)) for c in analysis.checks.learning
    )
    parts: list[Part] = []
    if sides:
        exact = "Check: exact, votes", "p against a half (exact)"
        head = ("Protocol", "Chose the first (t, raters)", *exact, "Raters with a habit (p < 0.01)")
        parts.append(Table(head, sides))
    if trends:
        parts.append(Words("Second half of the session less the first, mean over raters."))
        parts.append(Table(("Protocol", "Measure", "Change", "Change of ln(seconds)"), trends))
    return [Section("Checks", tuple(parts))] if parts else []


def _names(raters: tuple[tuple[str, float], ...]) -> str:
    return ", ".join(name for name, _ in raters)


def methods(analysis: Analysis) -> list[Section]:
    """How the figures were computed, in words."""
    return [Section("How it was computed", tuple(map(Words, METHODS)))]
