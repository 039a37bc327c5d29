"""The panel's drawer: moving recognisers between its lists, and what the page says of the choice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from app.demo import panel as drawer
from app.demo import pull, scoreboard
from app.demo.panel import PanelView
from app.demo.shown import Updates
from app.panel import Panel, as_seen_by, obstacle, usable
from app.runtime import Runtime
from engines.checkpoints import CheckpointError


class PanelEvents:
    """The handlers of the drawer. `boxes`: every place that lists recognisers to add."""

    def __init__(self, runtime: Runtime, view: PanelView, boxes: Sequence[pull.Box]):
        self.runtime, self.view, self.boxes = runtime, view, boxes

    def attack(self, attacked: list[str], held_out: list[str], method: str) -> Updates:
        """One was checked or unchecked among the attacked: it leaves the other list."""
        rest = [id for id in held_out if id not in attacked]
        return {**self.state(Panel(tuple(attacked), tuple(rest)), method), self.view.held_out: rest}

    def hold_out(self, attacked: list[str], held_out: list[str], method: str) -> Updates:
        """One was checked or unchecked among the held-out: it leaves the other list."""
        rest = [id for id in attacked if id not in held_out]
        return {**self.state(Panel(tuple(rest), tuple(held_out)), method), self.view.attacked: rest}

    def usual(self, method: str) -> Updates:
        """Back to the default panel."""
        return self.choose(drawer.usual(self.runtime), method)

    def choose(self, panel: Panel, method: str) -> Updates:
        """Another panel, as far as it is here, and lists of all who are."""
        lists = usable(self.runtime.cards)
        panel = drawer.within(panel, *({card.id for card in cards} for cards in lists))
        attackable, judging = map(drawer.titled, lists)
        return {
            **self.state(panel, method),
            self.view.attacked: gr.update(choices=attackable, value=list(panel.attacked)),
            self.view.held_out: gr.update(choices=judging, value=list(panel.held_out)),
        }

    def state(self, panel: Panel, method: str) -> Updates:
        """What the button and the line say of a panel."""
        known = self.runtime.cards
        problem = obstacle(self.runtime, panel, method)
        line = scoreboard.alert(problem) if problem else ""
        try:
            seen, line = as_seen_by(method, panel, known), line + drawer.trained_before(method, known)
        except CheckpointError as error:  # a method whose network this registry does not have
            seen, line = panel, line + scoreboard.alert(str(error))
        return {self.view.button: drawer.count(seen), self.view.line: line + drawer.off(panel, known)}

    def method(self, attacked: list[str], held_out: list[str], method: str) -> Updates:
        """Another method may need what the last one did not."""
        return self.state(Panel(tuple(attacked), tuple(held_out)), method)

    def refresh(self, attacked: list[str], held_out: list[str], method: str, *chosen: str | None) -> Updates:
        """What is here now: after a download, and whenever a page or the drawer is opened."""
        return {
            **self.choose(Panel(tuple(attacked), tuple(held_out)), method),
            self.view.facts: drawer.notes(self.runtime),
            self.view.local: drawer.by_hand(self.runtime.cards),
            **self._boxes(chosen),
        }

    def _boxes(self, chosen: Sequence[str | None]) -> dict[Any, Any]:
        choices = pull.elsewhere(self.runtime.cards)
        there = {id for _, id in choices}
        return {
            box.choice: gr.update(choices=choices, value=id if id in there else None, info=pull.said(choices))
            for box, id in zip(self.boxes, chosen, strict=True)
        }
