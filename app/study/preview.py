"""A session that stores nothing: for the researcher, before and after the study opens."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from app.study import order
from app.study.errors import StudyError
from app.study.freeze import items, read_design
from app.study.model import Stimulus, Study
from app.study.schedule import generator
from app.study.screens import Receipt, Screen, Shown, checked, screen
from app.study.strings import text
from app.study.units import units


class Preview:
    """The same screens and checks as a rater's, in memory only. `number` chooses whose order is shown."""

    def __init__(self, study: Study, stimuli: list[Stimulus], number: int, sizes: dict[str, tuple[int, int]]):
        self.design = read_design(study.design)
        self._plan = self._filled(order.session(self.design, items(stimuli), number), stimuli, number)
        self._shown = {one.id: Shown(one.id, one.sha256, *sizes[one.sha256]) for one in stimuli}
        self._answered: list[str] = []

    def next_trial(self) -> Screen | None:
        """The next screen; None after the last."""
        index, total = len(self._answered), len(self._plan)
        if index == total:
            return None
        planned = self._plan[index]
        assert planned.unit is not None
        first, second = self._shown[planned.unit.first], self._shown.get(planned.unit.second)
        training = planned.kind == "training"
        return screen(self.design, f"preview-{index}", index, total, training, first, second)

    def upcoming(self) -> tuple[Shown, ...]:
        """The pictures of the screen after the next."""
        after = self._plan[len(self._answered) + 1 : len(self._answered) + 2]
        return tuple(
            self._shown[one]
            for planned in after
            if planned.unit
            for one in (planned.unit.first, planned.unit.second)
            if one
        )

    def record(
        self, trial_id: str, answer: Any, token: str, seconds: float, screen_size: tuple[int, int] = (0, 0)
    ) -> Receipt:
        """Check an answer as the store would, then forget it. Raises StudyError."""
        sent = checked(self.design, answer, token, seconds, screen_size)
        answered = len(self._answered)
        if trial_id != f"preview-{answered}":
            again = answered and trial_id == f"preview-{answered - 1}" and self._answered[-1] == sent.value
            if not again:
                raise StudyError(text("error.turn", self.design.language))
            return Receipt(trial_id, True, answered, len(self._plan))
        self._answered.append(sent.value)
        return Receipt(trial_id, False, answered + 1, len(self._plan))

    def _filled(self, plan: list[order.Planned], stimuli: list[Stimulus], number: int) -> list[order.Planned]:
        """Pairs by lot where active sampling would choose them, since there are no answers to learn from."""
        if self.design.sampling != "active":
            return plan
        main = units(self.design, items(stimuli)).main
        lot = iter(generator(self.design.seed, "preview", number).permutation(len(main)))
        for at, planned in enumerate(plan):
            if planned.kind == "main":
                plan[at] = replace(planned, unit=main[int(next(lot))])
            elif planned.repeat_of is not None:
                source = plan[planned.repeat_of].unit
                plan[at] = replace(planned, unit=source.swapped() if source else None)
        return plan
