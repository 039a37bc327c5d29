"""A gallery as each recogniser sees it, and at which rank a probe finds a person in it (TIP-IM, Sec. 5.1)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from app.photo import PhotoError
from app.runtime import Runtime
from app.scoring import JobError, embed, find_person


@dataclass(frozen=True, eq=False)
class Gallery:
    """`people`: who is on each of M photos. `rows`: by recogniser, unit rows (M, D) float32."""

    people: tuple[str, ...]
    rows: dict[str, np.ndarray]

    def ranks(self, id: str, row: Tensor, own: str, targets: Collection[str]) -> tuple[int | None, int | None]:
        """The ranks, from 1, of the first photo of `own` and of the first of a target; None where there is none.

        `row` (D,) is the probe's embedding. Equal likenesses keep the gallery's order, as in `measure.rank_n`.
        """
        similarity = torch.from_numpy(self.rows[id]) @ F.normalize(row, dim=0)
        order = similarity.argsort(descending=True, stable=True).tolist()
        ranked = [self.people[index] for index in order]
        return _first(ranked, {own}), _first(ranked, set(targets))


def _first(ranked: Sequence[str], wanted: set[str]) -> int | None:
    return next((rank for rank, name in enumerate(ranked, start=1) if name in wanted), None)


def gallery(
    runtime: Runtime, ids: Sequence[str], photos: Iterable[tuple[str, str, bytes]]
) -> tuple[Gallery, tuple[str, ...]]:
    """The gallery of (file name, person, file), and the names of photos left out since they show no face."""
    people: list[str] = []
    missing: list[str] = []
    found: dict[str, list[Tensor]] = {id: [] for id in ids}
    for name, person, data in photos:
        try:
            shown = find_person(runtime, name, data)
        except (PhotoError, JobError):
            missing.append(name)
            continue
        people.append(person)
        for id in ids:
            found[id].append(F.normalize(embed(runtime.recogniser(id), shown), dim=0))
    rows = {id: torch.stack(own).numpy() if own else np.zeros((0, 1), np.float32) for id, own in found.items()}
    return Gallery(tuple(people), rows), tuple(missing)
