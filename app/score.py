"""What recognisers say about a file: the largest face of a photo against a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.fits import somewhere
from app.panel import Panel, default, members
from app.report import Score, verdict
from app.runtime import Runtime
from app.scoring import Person, Scorer


@dataclass(frozen=True)
class Scored:
    """A row a recogniser; `notes` say who could not be asked."""

    scores: tuple[Score, ...]
    notes: tuple[str, ...]
    checkpoints: tuple[dict[str, str], ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values: rows, verdict, notes, provenance."""
        return {
            "rows": [one.as_dict() for one in self.scores],
            "verdict": verdict(self.scores),
            "notes": list(self.notes),
            "provenance": {"checkpoints": list(self.checkpoints)},
        }


def score(runtime: Runtime, probe: Person, against: Person, judges: Sequence[str] | None, far: float) -> Scored:
    """Score a photo of a face; without `judges` by the usual panel. Raises PanelError, CheckpointError.

    Recognisers that the file says it was made against count as attacked. `far`: 0.01 or 0.001.
    """
    found, note = somewhere(runtime, lambda where: _scored(where, probe, against, judges, far))
    return replace(found, notes=(*found.notes, note)) if note else found


def _scored(runtime: Runtime, probe: Person, against: Person, judges: Sequence[str] | None, far: float) -> Scored:
    ids = tuple(judges or default(runtime.cards).ids)
    named = attacked_in(probe.photo.settings)
    attacked = tuple(id for id in ids if {id, getattr(runtime.cards.get(id), "sha256", "") or id} & named)
    panel, notes = members(runtime, Panel(attacked, tuple(id for id in ids if id not in attacked)))
    scores = Scorer(runtime, panel, against, (), far).file(probe.photo, probe.face)
    stamps = tuple({"id": member.id, "sha256": member.recogniser.card.sha256} for member in panel)
    return Scored(tuple(scores), tuple(notes), stamps)


def attacked_in(settings: Any) -> set[str]:
    """Ids and SHA-256 of the recognisers that a file of ours says it was made against; none for any other file."""
    try:
        stamps = settings["provenance"]["checkpoints"]
        return {str(stamp[key]) for stamp in stamps for key in ("id", "sha256") if key in stamp}
    except (KeyError, TypeError):
        return set()
