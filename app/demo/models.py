"""The Models tab: every network of the registry as it is now, its origin, and what was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html import escape
from statistics import mean
from typing import Any

import gradio as gr

from app.demo import pull
from app.demo.shown import Updates
from app.runtime import Runtime
from engines import frbench
from engines.checkpoints import Checkpoint, here, registry_file
from engines.methods.erasable_mask import TARGETS

INTRO = (
    "Every network that this app knows. A method may work against surrogates; judges are never shown to it, so "
    "their verdict says how far a result carries. LFW accuracy is ten-fold, on the 6,000 pairs of Labeled Faces in "
    "the Wild, with its standard error. TAR is the share of pairs of the same person that match at a threshold; "
    "FAR, the share of pairs of different people that do. A threshold holds for the data beside it."
)
ROLES = {
    "judge": "judge: only ever held out",
    "surrogate": "surrogate: attacked or held out",
    "method": "method: it makes what you download",
    "baseline": "baseline: only compared with",
    "forger": "forger: a deepfake model, to be defended against",
    "tool": "tool: tells attributes or parts of a face",
}
SOURCES = {
    "pip": "Python package",
    "hub": "Hugging Face Hub",
    "bundled": "bundled with this app",
    "local": "local file",
    "frbench": "FRBench",
}
FARS = (0.01, 0.001)
HIDDEN = "(x_p, x'_p)"  # what is hidden, and what comes back: a row of a table of IPMN
UNLISTED = (
    '<p class="lv-caption">FRBench is installed, and its recognisers are listed here once '
    "<code>python -m app weights pull frbench</code> has fetched its list.</p>"
)
FOLDS = {  # source of what is not here -> heading, and whether its table is open
    "hub": ("Not here: on the Hub", True),
    "local": ("Not here: to be added by hand with python -m app weights convert", False),
    "frbench": ("Not here: in FRBench's zoo", False),
}


@dataclass
class ModelsView:
    """The components of the tab."""

    memory: Any
    table: Any
    box: pull.Box
    cards: dict[str, Any]  # id of a bundled network -> the text of its card

    @property
    def everything(self) -> list[Any]:
        """All that is read anew, but for the box."""
        return [self.memory, self.table, *self.cards.values()]


def draw(runtime: Runtime) -> ModelsView:
    """Lay the tab out."""
    gr.HTML(f'<p class="lv-caption lv-prose">{escape(INTRO)}</p>', padding=False)
    memory = gr.HTML(memory_line(runtime), elem_id="lv-memory", padding=False)
    with gr.Accordion("Add a recogniser from the Hub", open=False, elem_id="lv-models-add"):
        box = pull.draw(runtime, "models")
    table = gr.HTML(tables(runtime), elem_id="lv-models", padding=False)
    cards = {}
    for card in runtime.cards.values():
        if card.source == "bundled" and model_card(card):
            with gr.Accordion(f"Model card: {card.title}", open=False):
                cards[card.id] = gr.Markdown(model_card(card), elem_classes="lv-prose")
    return ModelsView(memory, table, box, cards)


def read(runtime: Runtime, view: ModelsView) -> Updates:
    """The tab as the registry and the memory are now."""
    known = runtime.cards
    cards = {part: model_card(known[id]) for id, part in view.cards.items() if id in known}
    return {view.memory: memory_line(runtime), view.table: tables(runtime), **cards}


def model_card(card: Checkpoint) -> str:
    """The card of a bundled network as Markdown; "" where there is none."""
    path = registry_file().parent / "cards" / f"{card.id}.md"
    return path.read_text() if path.is_file() else ""


def memory_line(runtime: Runtime) -> str:
    """The budget of memory, and what is used of it now."""
    used = runtime.loaded()
    many = f"{len(used)} recogniser{'s' * (len(used) != 1)} loaded now"
    return (
        f'<p class="lv-caption">Memory for recognisers: {sum(used.values()) / 1e6:.0f} of '
        f"{runtime.budget / 1e6:,.0f} MB, {many}. Above that, the one not used for longest is dropped.</p>"
    )


def tables(runtime: Runtime) -> str:
    """The registry as HTML: what is here, then what is not, by the way to get it; the long parts are folded."""
    used = runtime.loaded()
    parts: dict[str, list[Checkpoint]] = {}
    for card in recognisers(runtime):
        place = "here" if card.id in used or here(card) else card.source
        parts.setdefault(place if place in FOLDS else "here", []).append(card)
    found = table(parts.pop("here", []), used)
    for place, (heading, open) in FOLDS.items():
        if cards := parts.get(place):
            names = "" if open else f": {', '.join(card.title for card in cards[:6])}{' …' * (len(cards) > 6)}"
            summary = escape(f"{heading} ({len(cards)}){names}")
            found += f"<details{' open' * open}><summary>{summary}</summary>{table(cards, used)}</details>"
    found += f"<h2>Networks that methods are made of</h2>{methods_table(runtime)}"
    unlisted = frbench.installed() and not any(card.source == "frbench" for card in recognisers(runtime))
    return found + (UNLISTED if unlisted else "")


def recognisers(runtime: Runtime) -> list[Checkpoint]:
    """The registry's recognisers."""
    return [card for card in runtime.cards.values() if card.kind == "recogniser"]


def methods_table(runtime: Runtime) -> str:
    """What makes or reads a result, as an HTML table."""
    columns: dict[str, Callable[[Checkpoint], str]] = {
        "Network": lambda card: _two(f"<b>{escape(card.title)}</b>", card.paper),
        "Role": lambda card: _two(*ROLES.get(card.role, card.role).split(": ")),
        "From": _origin,
        "Training": lambda card: _two(escape(card.state), card.trained_on),
        "Trained against": lambda card: escape(", ".join(card.trained_against) or "nobody"),
        "Measured": measured,
        "Licence": lambda card: escape(card.licence),
    }
    return _drawn(columns, [card for card in runtime.cards.values() if card.kind != "recogniser"], "lv-made-of")


def measured(card: Checkpoint) -> str:
    """What was measured of a network that is no recogniser, in a few words."""
    found, words = card.figures, ""
    if "bits after" in found:
        words = f"bit accuracy {found['bits after']['none']:.3f}, SSIM {found['ssim']:.2f}, ASR {found['ASR']:.2f}"
    elif "agrees" in found:
        words = "edits that show: " + ", ".join(f"{edit} {value:.0%}" for edit, value in found["agrees"].items())
    elif "balanced" in found:
        words = f"accuracy {found['accuracy']:.1%}, over both classes alike {found['balanced']:.1%}"
    elif shares := {name[5:]: row["mean"] for name, row in found.items() if name.startswith(f"DSR: {card.title}")}:
        words = "defended, mean of the forgers: " + ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
    elif masks := {name: row for name, row in found.items() if name in TARGETS}:
        words = "; ".join(f"towards {name}: {_led(row)}" for name, row in masks.items())
    elif "Tables 2 and 7" in found:
        words = f"gives a hidden face back at {found['Tables 2 and 7'][HIDDEN]['PSNR']:.1f} dB"
        if shares := _extracted(found.get("Table 3", {})):
            words += "; watermark read: " + ", ".join(f"{mark} in {share:.0%}" for mark, share in shares.items())
            words += " of files"
    elif "face" in found:
        words = f"mean IoU over the face {found['face']:.2f}"
    return _two(words, f"on {found['data']}") if words else "not measured"


def _extracted(rows: dict[str, dict[str, float]]) -> dict[str, float]:
    """SR_E of each watermark of IPMN's Table 3, the lower of those of its sources, such as {"words": 0.97}."""
    found: dict[str, float] = {}
    for name, row in rows.items():
        mark = name.split(", ")[0]
        found[mark] = min(row["SR_E"], found.get(mark, 1.0))
    return found


def _led(row: dict[str, float]) -> str:
    """A mask's shares, means of the judges."""
    names = {"ASR": "taken for the target", "ESR": "no longer once erased", "known": "known again"}
    shares = {kind: mean(share for name, share in row.items() if name.startswith(f"{kind} ")) for kind in names}
    return ", ".join(f"{names[kind]} {share:.0%}" for kind, share in shares.items())


def table(cards: Iterable[Checkpoint], used: dict[str, int]) -> str:
    """Networks as an HTML table; `used`: bytes of memory by id, of those that are loaded."""
    columns: dict[str, Callable[[Checkpoint], str]] = {
        "Network": lambda card: _two(f"<b>{escape(card.title)}</b>", card.paper),
        "Role": lambda card: _two(*ROLES.get(card.role, card.role).split(": ")),
        "From": _origin,
        "Here": lambda card: _whether(card, used),
        "Training": lambda card: _two(escape(card.state), card.trained_on),
        "LFW accuracy": _accuracy,
        "TAR at FAR 1 % / 0.1 %": _tar,
        "Threshold (cosine) at FAR 1 % / 0.1 %": _limits,
        "Licence": lambda card: escape(card.licence),
    }
    return _drawn(columns, cards, "lv-recognisers")


def _drawn(columns: dict[str, Callable[[Checkpoint], str]], cards: Iterable[Checkpoint], kind: str) -> str:
    """Networks as an HTML table of these columns, whose widths the style sheet has for its kind."""
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    rows = "".join(
        "<tr>" + "".join(_cell(name, cell(card), name == "Network") for name, cell in columns.items()) + "</tr>"
        for card in cards
    )
    whole = f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody>"
    return f'<div class="lv-scroll"><table class="lv-table lv-board lv-models {kind}">{whole}</table></div>'


def _two(first: str, second: str = "") -> str:
    """HTML, and below it a quiet line of text."""
    return first + (f"<small>{escape(second)}</small>" if second else "")


def _cell(head: str, text: str, first: bool) -> str:
    """A cell; on a phone, where the table is a list, its column's name stands before it."""
    name = "" if first else f' data-head="{escape(head)}"'
    return f"<td{name}>{text}</td>"


def _origin(card: Checkpoint) -> str:
    revision = card.revision[:12] if card.source == "hub" else card.revision
    return _two(escape(SOURCES.get(card.source, card.source)), f"{card.repo} {revision}".strip())


def _whether(card: Checkpoint, used: dict[str, int]) -> str:
    if card.id in used:
        return _two("loaded now", f"{used[card.id] / 1e6:.0f} MB of memory")
    size = pull.size(card) if card.bytes or card.about else ""
    return _two("on this computer" if here(card) else "not here", size)


def _accuracy(card: Checkpoint) -> str:
    share, error = card.figures.get("lfw_accuracy"), card.figures.get("lfw_accuracy_se")
    if not isinstance(share, float):
        return "not measured"
    return _number(f"{share * 100:.2f}" + (f" ± {error * 100:.2f}" if isinstance(error, float) else "") + " %")


def _tar(card: Checkpoint) -> str:
    shares = [card.figures.get(f"tar_at_far_{far:g}") for far in FARS]
    return _pair([None if share is None else share * 100 for share in shares], 1, " %", "not measured")


def _limits(card: Checkpoint) -> str:
    return _two(_pair([card.thresholds.get(far) for far in FARS], 2, "", "none yet"), card.threshold_data)


def _pair(values: list[float | None], digits: int, unit: str, none: str) -> str:
    if values == [None, None]:
        return none
    return _number(" / ".join("–" if value is None else f"{value:.{digits}f}" for value in values) + unit)


def _number(text: str) -> str:
    return f'<span class="lv-num">{text}</span>'
