"""The panel's drawer, on every tab: who is attacked, who is held out, who is off. Its events: panel_events.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from app.demo import pull, scoreboard
from app.panel import ATTACKED, HELD_OUT, Panel, default, trained, usable
from app.runtime import Runtime
from engines.checkpoints import Checkpoint, here
from engines.method import attacked_in_training
from engines.methods import METHODS

INTRO = (
    "<p>Which face recognisers take part in a run. The method works against the <b>attacked</b> ones. It never "
    "sees the <b>held-out</b> ones: they only judge the result, as a stranger's software would. Those in neither "
    "list are off.</p>"
)
NO_LIMIT = "no threshold yet"
# The drawer's own button is its Close; Escape closes it too, and the focus goes where the eye is.
OPEN = """() => {
  const drawer = document.querySelector('#lv-panel'), close = drawer.querySelector('.toggle-button');
  close.click();
  setTimeout(() => close.focus(), 60);  // once the drawer can be seen
  document.onkeydown = (event) => {
    if (event.key !== 'Escape' || event.target.matches('[role=listbox]')) return;
    if (!drawer.classList.contains('open')) return;
    close.click();
    document.querySelector('#lv-panel-button').focus();
  };
}"""


@dataclass
class PanelView:
    """The components of the drawer, and the button that opens it."""

    button: Any
    sidebar: Any
    attacked: Any
    held_out: Any
    line: Any
    usual: Any
    facts: Any
    box: pull.Box
    local: Any

    @property
    def everything(self) -> list[Any]:
        """All that an event may change, but for the box."""
        return [self.button, self.attacked, self.held_out, self.line, self.facts, self.local]


def button(runtime: Runtime) -> Any:
    """The button of the title row."""
    return gr.Button(count(usual(runtime)), size="md", elem_id="lv-panel-button", scale=0, min_width=250)


def draw(runtime: Runtime, opener: Any) -> PanelView:
    """Lay the drawer out, closed."""
    known, panel = runtime.cards, usual(runtime)
    attackable, judging = (titled(cards) for cards in usable(known))
    with gr.Sidebar(open=False, position="right", width=460, elem_id="lv-panel", label="Panel") as sidebar:
        gr.HTML(INTRO, elem_classes="lv-intro", padding=False)
        attacked = gr.CheckboxGroup(attackable, value=list(panel.attacked), label=ATTACKED, elem_id="lv-attacked")
        held_out = gr.CheckboxGroup(judging, value=list(panel.held_out), label=HELD_OUT, elem_id="lv-held-out")
        line = gr.HTML(off(panel, known), elem_id="lv-panel-line", elem_classes="lv-status", padding=False)
        back = gr.Button("Back to the usual panel", size="sm", elem_classes="lv-link", elem_id="lv-usual")
        with gr.Accordion("About these recognisers", open=False):
            facts = gr.HTML(notes(runtime), padding=False, elem_id="lv-panel-facts")
        with gr.Accordion("Add a recogniser from the Hub", open=False, elem_id="lv-add"):
            box = pull.draw(runtime, "drawer")
            local = gr.HTML(by_hand(known), elem_id="lv-local", padding=False)
    return PanelView(opener, sidebar, attacked, held_out, line, back, facts, box, local)


def usual(runtime: Runtime) -> Panel:
    """The default panel, as far as it is here."""
    attackable, judging = usable(runtime.cards)
    return within(default(runtime.cards), {card.id for card in attackable}, {card.id for card in judging})


def within(panel: Panel, attackable: set[str], judging: set[str]) -> Panel:
    """The panel without those who are not here."""
    return Panel(
        tuple(id for id in panel.attacked if id in attackable), tuple(id for id in panel.held_out if id in judging)
    )


def titled(cards: list[Checkpoint]) -> list[tuple[str, str]]:
    """Choices of a list: title and id."""
    return [(card.title, card.id) for card in cards]


def count(panel: Panel) -> str:
    """The button's text."""
    return f"Panel: {len(panel.attacked)} attacked, {len(panel.held_out)} held out"


def off(panel: Panel, known: Mapping[str, Checkpoint]) -> str:
    """The line that names those who are here but off, and warns where nobody is held out."""
    names = [card.title for card in usable(known)[1] if card.id not in panel.ids]
    alone = " Nobody is held out, so nothing tells how far a result carries." if not panel.held_out else ""
    return scoreboard.said(f"Off: {', '.join(names) or 'none'}.{alone}")


def trained_before(method: str, known: Mapping[str, Checkpoint]) -> str:
    """The line for a method that attacks nobody in a run; "" for any other."""
    if not trained(method):
        return ""
    names = " and ".join(known[id].title for id in attacked_in_training(METHODS[method]) if id in known)
    first = f"{METHODS[method].title} was trained against {names}."
    return scoreboard.said(f"{first} In either list, these count as attacked, and all others as held out.")


def notes(runtime: Runtime) -> str:
    """The short facts of all that are here, as HTML."""
    return "".join(_note(card, runtime) for card in usable(runtime.cards)[1])


def _note(card: Checkpoint, runtime: Runtime) -> str:
    accuracy, limit, taken = (
        card.figures.get("lfw_accuracy"),
        card.thresholds.get(0.01),
        runtime.loaded().get(card.id),
    )
    facts = [
        f"LFW accuracy {accuracy * 100:.1f} %" if isinstance(accuracy, float) else "LFW accuracy not measured",
        f"threshold {limit:.2f} at 1 % false matches ({card.threshold_data})" if limit is not None else NO_LIMIT,
        f"loaded, {taken / 1e6:.0f} MB of memory" if taken else "not loaded",
    ]
    told = "; ".join(facts)
    return f'<p class="lv-fact"><b>{escape(card.title)}</b><small>{escape(card.paper)}</small>{escape(told)}.</p>'


def by_hand(known: Mapping[str, Checkpoint]) -> str:
    """The quiet line about networks that a person can only bring along."""
    names = [card.title for card in known.values() if card.source == "local" and not here(card)]
    if not names:
        return ""
    how = "Not on the Hub, to be added by hand with <code>python -m app weights convert</code>"
    return f'<p class="lv-quiet">{how}: {escape(", ".join(names))}.</p>'
