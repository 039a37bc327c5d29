"""Which recognisers a run attacks, and which are held out: never shown to the method, only asked afterwards.

What is in neither list is off. A judge of the registry can only be held out; any other recogniser can
be either, in this run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.report import PanelRow
from app.runtime import Runtime
from engines.checkpoints import Checkpoint, CheckpointError, here, stand_in
from engines.hub_errors import Unreachable
from engines.method import attacked_in_training
from engines.methods import METHODS
from engines.recognise import Recogniser

ATTACKED, HELD_OUT = "Attacked by the method", "Held out: they only judge"  # as interfaces head the two lists
FIRST = "sface"  # what a run attacks where nobody says otherwise


class PanelError(ValueError):
    """A panel that cannot be used, as one sentence that says what to do."""


@dataclass(frozen=True)
class Panel:
    """Ids of recognisers: `attacked` by the method, and `held_out` from it."""

    attacked: tuple[str, ...] = (FIRST,)
    held_out: tuple[str, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """All that are on, the attacked ones first."""
        return self.attacked + self.held_out


@dataclass(frozen=True)
class Member:
    """A recogniser that is on, and what it is in this run."""

    recogniser: Recogniser
    attacked: bool

    @property
    def id(self) -> str:
        """Its id in the registry."""
        return self.recogniser.card.id

    def row(self, far: float) -> PanelRow:
        """What interfaces show of it; its threshold at false-acceptance rate `far`, or None where unmeasured."""
        card, role = self.recogniser.card, "surrogate" if self.attacked else "judge"
        return PanelRow(card.id, card.title, role, self.recogniser.thresholds.get(far))


def default(known: Mapping[str, Checkpoint]) -> Panel:
    """SFace attacked; held out, every trained judge that needs no download."""
    judges = (card for card in known.values() if card.role == "judge" and card.kind == "recogniser")
    return Panel((FIRST,), tuple(c.id for c in judges if c.source in ("pip", "bundled") and c.state == "trained"))


def panel_of(known: Mapping[str, Checkpoint], surrogates: Sequence[str] = (), judges: Sequence[str] = ()) -> Panel:
    """The panel that a person asks for; a list left empty has the default's."""
    usual = default(known)
    attacked = tuple(surrogates) or usual.attacked
    return Panel(attacked, tuple(judges) or tuple(id for id in usual.held_out if id not in attacked))


def as_seen_by(method: str, panel: Panel | None, known: Mapping[str, Checkpoint]) -> Panel:
    """The panel of a run of `method`, or with None its usual one, each recogniser in its true role.

    A trained method attacked whom it was trained against, in whichever list a person has put them, and nobody else.
    """
    usual = default(known)
    if not trained(method):
        return panel or usual
    seen = attacked_in_training(METHODS[method])
    ids = panel.ids if panel else (*seen, *usual.held_out)
    return Panel(tuple(id for id in ids if id in seen), tuple(id for id in ids if id not in seen))


def trained(method: str) -> bool:
    """Whether a network, not the run, did the method's work: then nobody is attacked during a run."""
    return "surrogates" not in METHODS[method].needs


def usable(known: Mapping[str, Checkpoint]) -> tuple[list[Checkpoint], list[Checkpoint]]:
    """Who can be attacked, and who can be held out: trained, and here. Among the latter judges come first."""
    there = [card for card in known.values() if card.kind == "recogniser" and card.state == "trained" and here(card)]
    return [card for card in there if card.role != "judge"], sorted(there, key=lambda card: card.role != "judge")


def obstacle(runtime: Runtime, panel: Panel, method: str) -> str:
    """The sentence that says why `method` cannot run with this panel; "" where it can. Loads nothing."""
    known = runtime.cards
    try:
        check(panel, known)
    except (PanelError, CheckpointError) as error:
        return str(error)
    title, needs = METHODS[method].title, METHODS[method].needs
    if "surrogates" in needs and not panel.attacked:
        return f"{title} needs at least one recogniser to work against: check one under {ATTACKED}."
    needed = sum(runtime.memory(known[id]) for id in panel.ids)
    return too_big(runtime.budget) if needed > runtime.budget else ""


def too_big(budget: int) -> str:
    """What to do about a panel above the budget of memory."""
    return (
        f"These recognisers need more than the {budget / 1e6:.0f} MB of memory that they may use: "
        "switch one off, or set LARVATUS_MEMORY_MB to more."
    )


def check(panel: Panel, known: Mapping[str, Checkpoint]) -> None:
    """PanelError or CheckpointError for an unknown id, one named twice, an attacked judge, or one file in both."""
    for id in panel.ids:
        if id not in known or known[id].kind != "recogniser":
            raise CheckpointError(f"There is no recogniser called {id!r}: see `python -m app weights list`.")
        if panel.ids.count(id) > 1:
            raise PanelError(f"{known[id].title} is named twice: it is either attacked or held out, once.")
    for id in panel.attacked:
        if known[id].role == "judge":
            raise PanelError(f"{known[id].title} is a held-out judge: choose a surrogate to attack.")
    if not panel.ids:
        raise PanelError("No recogniser is switched on: switch one on to get a verdict.")
    seen = {known[id].sha256: known[id].title for id in panel.attacked if known[id].sha256}
    for id in panel.held_out:
        if known[id].sha256 in seen:
            other = seen[known[id].sha256]
            raise PanelError(f"{known[id].title} is the very network of {other}, which is attacked: switch one off.")


def members(runtime: Runtime, panel: Panel | None = None) -> tuple[tuple[Member, ...], tuple[str, ...]]:
    """The panel's networks, loaded, attacked ones first; and a sentence for each that another one stands in for.

    Raises PanelError or CheckpointError, each one sentence.
    """
    known = runtime.cards
    panel = panel or default(known)
    check(panel, known)
    found: list[Member] = []
    notes: list[str] = []
    for id in panel.ids:
        used = {*panel.ids, *(member.id for member in found)}
        recogniser = _there(runtime, known[id], "surrogate" if id in panel.attacked else "judge", used, notes)
        if recogniser is not None:
            found.append(Member(recogniser, id in panel.attacked))
        needed = sum(member.recogniser.nbytes for member in found)
        if needed > runtime.budget:
            raise PanelError(too_big(runtime.budget))
    return tuple(found), tuple(notes)


def _there(runtime: Runtime, card: Checkpoint, role: str, used: set[str], notes: list[str]) -> Recogniser | None:
    """The recogniser; where it cannot be fetched, one of `role` stands in for it, unless that is in use anyway."""
    try:
        return runtime.recogniser(card.id)
    except Unreachable:
        other = stand_in(card, runtime.cards, role)
        if other is None:
            raise
    title = runtime.cards[other].title
    if other in used:
        notes.append(f"{card.title} could not be fetched, so it was left out; {title} is on anyway.")
        return None
    notes.append(f"{card.title} could not be fetched, so {title} was used instead.")
    return runtime.recogniser(other)
