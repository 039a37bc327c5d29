"""The sections of a result that tell what was found, one for each protocol that was asked."""

from __future__ import annotations

from collections.abc import Mapping

from app.study import figures
from app.study.analysis import Analysis
from app.study.blocks import Figure, Part, Section, Table, Words, number, within
from app.study.detection import Sensitivity
from app.study.joined import Joined, Recommendation

TITLES = {"detection": "Which one was altered?", "verification": "Same person?"}
SHOWN = " A map is of all pictures of its condition; one of them lies under it."


def scores(analysis: Analysis) -> list[Section]:
    """MOS, and DMOS where there was a hidden reference."""
    found = []
    for one in analysis.scores:
        parts: list[Part] = [
            Figure(figures.score_figure(one), "Mean opinion score per condition, with intervals over raters")
        ]
        if any(row.dmos is not None for row in one.conditions):
            parts.append(Figure(figures.score_figure(one, True), "Differential score against the hidden reference"))
        rows = tuple(
            (row.condition, within(row.mos), within(row.dmos) if row.dmos else "", row.mos.n, row.votes)
            for row in one.conditions
        )
        parts.append(Table(("Condition", "MOS", "DMOS", "Raters", "Answers"), rows))
        if one.swap is not None:
            parts.append(_swap(one.swap.second, one.swap.top, one.swap.votes, one.swap.of))
        found.append(Section(f"Scores ({one.protocol.upper()})", (*parts, *map(Words, one.notes))))
    return found


def _swap(second: str, top: str, votes: int | None, of: int) -> Words:
    if votes is None:
        return Words(f"No change of answers brings {second} level with {top}.")
    return Words(f"{votes} of {of} answers would have to change for {second} to draw level with {top}.")


def _enough(top: str, second: str, votes: int | None, of: int) -> Words:
    """Of pairs the number is one that suffices: a cleverer choice of votes may need fewer."""
    if votes is None:
        return Words(f"No change of answers that was tried brings {second} level with {top}.")
    return Words(f"{votes} of {of} answers, changed, are enough for {second} to draw level with {top}.")


def pairs(analysis: Analysis) -> list[Section]:
    """Bradley-Terry scores, the win matrix, and how firm the order is."""
    found = analysis.pairs
    if found is None:
        return []
    rows = tuple(
        (r.condition, within(r.score), number(r.thurstone), f"{r.wins:g}", r.votes) for r in found.conditions
    )
    parts: list[Part] = [
        Figure(figures.pairs_figure(found), "Bradley-Terry score per condition, intervals by bootstrap over raters"),
        Figure(figures.wins_figure(found), "How often the row was chosen over the column; a tie is half a win"),
        Table(("Condition", "Bradley-Terry", "Thurstone Case V", "Wins", "Votes"), rows),
        Words(f"{found.votes} votes by {found.raters} raters, {found.ties} of them ties."),
    ]
    if found.thurstone_same_order is not None:
        same = "the same order" if found.thurstone_same_order else "another order"
        close = "" if found.thurstone_r is None else f" (correlation {found.thurstone_r:.3f})"
        parts.append(Words(f"Thurstone Case V gives {same}{close}."))
    if found.swap is not None:
        parts.append(_enough(*found.swap, found.swap_votes, found.votes))
    return [Section("Pairwise comparison", (*parts, *map(Words, found.notes)))]


def detection(analysis: Analysis) -> list[Section]:
    """Whether raters can tell: shares of right answers and d'."""
    head = ("Condition", "Right (exact, votes)", "Right (t, raters)", "p against chance", "d'", "Votes", "Raters")
    found = []
    for one in analysis.detection:
        rows = tuple(map(_sensitivity, (*one.conditions, one.overall)))
        says = "Share of right answers per condition, intervals over raters"
        model = Words(f"Model: {one.model}; log-linear correction. Chance: {one.chance:g}.")
        found.append(
            Section(TITLES[one.protocol], (Figure(figures.detection_figure(one), says), Table(head, rows), model))
        )
    return found


def _sensitivity(row: Sensitivity) -> tuple[object, ...]:
    shares = (within(row.correct), within(row.by_rater), _p(row.p_chance))
    return (row.condition, *shares, within(row.d_prime), row.correct.n, row.raters)


def _p(value: float | None) -> str:
    return "" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def artefacts(analysis: Analysis, pictures: Mapping[str, str]) -> list[Section]:
    """Heat maps on one scale; `pictures`: condition -> a data: URI of the face to lie under its map."""
    found = analysis.artefacts
    if found is None:
        return []
    top = max((cell for m in found.conditions for row in m.share for cell in row), default=0.0) or 1.0
    maps = [
        Figure(figures.heat_figure(m, pictures.get(m.name), top), f"{m.name}: share of raters who marked each spot")
        for m in found.conditions
    ]
    rows = tuple(
        (m.name, within(m.marked), within(m.boxes), ", ".join(f"{name} {n}" for name, n in m.labels), m.raters)
        for m in found.conditions
    )
    table = Table(("Condition", "Raters who marked", "Boxes per answer", "Labels (raters)", "Raters"), rows)
    said = "All heat maps share one scale." + SHOWN * bool(pictures)
    return [Section("Artefacts", (Words(said), *maps, table))]


def joined(analysis: Analysis) -> list[Section]:
    """Naturalness against what was measured, and the parameter that this recommends."""
    head = ("Method", "Parameter", "Recommended", "Interval", "Support", "Rule", "Note")
    found = []
    for one in analysis.joined:
        says = f"Naturalness ({figures.SCALES[one.scale]}) against {one.measure}"
        rows = tuple(
            (r.method, r.parameter, f"{r.value:g}", _ends(r.low, r.high), number(r.support), r.rule, r.note)
            for r in one.recommendations
        )
        table = (Table(head, rows),) if rows else ()
        curves = tuple(_curve(one, advice) for advice in one.recommendations)
        found.append(Section(says, (Figure(figures.pareto_figure(one), says), *table, *curves)))
    return found


def _curve(one: Joined, advice: Recommendation) -> Figure:
    says = f"{figures.SCALES[one.scale]} against {advice.parameter} of {advice.method}; recommended: {advice.value:g}"
    return Figure(figures.parameter_figure(one, advice.method, advice.parameter), says)


def _ends(low: float | None, high: float | None) -> str:
    return "none" if low is None or high is None else f"{low:g} to {high:g}"
