"""The Models tab: every network of the registry, its origin, and what was measured."""

from __future__ import annotations

from html import escape

import gradio as gr

from app.runtime import Runtime
from engines.checkpoints import Checkpoint

HEAD = ("Network", "Role", "From", "State", "LFW accuracy", "Cosine threshold at 1 % / 0.1 %", "Licence")
INTRO = (
    "Every network that this app can load. The method works against surrogates; judges are never shown "
    "to a method, "
    "so their verdict says how far a result carries. LFW accuracy is ten-fold, on the 6,000 pairs of Labeled "
    "Faces "
    "in the Wild; thresholds are measured on the same pairs, at the stated share of false matches."
)
ROLES = {"judge": "held-out judge", "surrogate": "attacked (surrogate)"}
SOURCES = {
    "pip": "Python package",
    "hub": "Hugging Face Hub",
    "bundled": "bundled with this app",
    "local": "local file",
}


def draw(runtime: Runtime) -> None:
    """Lay the tab out."""
    gr.HTML(f'<p class="lv-caption lv-prose">{escape(INTRO)}</p>' + table(runtime.cards))


def table(cards: dict[str, Checkpoint]) -> str:
    """The registry as an HTML table."""
    head = "".join(f"<th>{escape(text)}</th>" for text in HEAD)
    rows = "".join(map(_row, cards.values()))
    whole = f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody>"
    return f'<div class="lv-scroll"><table class="lv-table lv-board">{whole}</table></div>'


def _row(card: Checkpoint) -> str:
    accuracy = card.figures.get("lfw_accuracy")
    limits = " / ".join(f"{card.thresholds[far]:.2f}" for far in (0.01, 0.001) if far in card.thresholds)
    same = f"the same file as {card.stands_in_for}" if card.stands_in_for else card.trained_on
    cells = (
        f"<b>{escape(card.title)}</b><small>{escape(card.paper)}</small>",
        escape(ROLES.get(card.role, card.role)),
        f"{escape(SOURCES.get(card.source, card.source))}"
        f"<small>{escape(card.repo)} {escape(card.revision[:12])}</small>",
        f"{escape(card.state)}<small>{escape(same)}</small>",
        f"{_percent(accuracy)}",
        f'<span class="lv-num">{limits or "not measured"}</span>',
        escape(card.licence),
    )
    return "<tr>" + "".join(_cell(*pair) for pair in zip(HEAD, cells, strict=True)) + "</tr>"


def _cell(head: str, text: str) -> str:
    """A cell; on a phone, where the table is a list, its column's name stands before it."""
    name = "" if head == HEAD[0] else f' data-head="{escape(head)}"'
    return f"<td{name}>{text}</td>"


def _percent(share: object) -> str:
    return (
        f'<span class="lv-num">{share:.2%}</span>'.replace("%", " %") if isinstance(share, float) else "not measured"
    )
