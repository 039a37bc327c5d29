"""A study's result as one HTML page: what was asked of whom, who was left out and why, tables and figures."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from itertools import count

from app.study.analysis import Analysis
from app.study.blocks import Figure, Section, Table, Words
from app.study.sections import Beside, sections

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8793a555; vertical-align: top; }
td { overflow-wrap: anywhere; }
.marked { background: #d9770622; font-style: italic; }
figure { margin: 1.5rem 0; }
figcaption { font-weight: 600; }
summary { cursor: pointer; margin: 1rem 0; }
summary h2 { display: inline; font-size: 1.1rem; }
.banner { border: 2px solid #d97706; padding: .6rem 1rem; font-weight: 600; }
"""


class _Page:
    """Turns sections into HTML, every text escaped; the first figure brings Plotly with it."""

    def __init__(self, offline: bool):
        self.script: bool | str = True if offline else "cdn"
        self.number = 0

    def section(self, section: Section) -> str:
        title, body = f"<h2>{escape(section.title)}</h2>", "\n".join(map(self._part, section.parts))
        if not section.folded:
            return f"{title}\n{body}"
        # A figure in a closed fold has no width: it takes its own when the fold opens.
        opened = "window.dispatchEvent(new Event('resize'))"
        return f'<details ontoggle="{opened}"><summary>{title}</summary>\n{body}\n</details>'

    def _part(self, part: Words | Table | Figure) -> str:
        if isinstance(part, Words):
            return f"<p>{escape(part.text)}</p>"
        return self._figure(part) if isinstance(part, Figure) else _table(part)

    def _figure(self, part: Figure) -> str:
        self.number += 1
        id = f"figure-{self.number}"  # numbered, so that the same analysis gives the same page
        config = {"displaylogo": False, "responsive": True}
        html = part.figure.to_html(config, include_plotlyjs=self.script, div_id=id, full_html=False)
        self.script = False
        says = escape(part.says)
        return f'<figure role="group" aria-label="{says}"><figcaption>{says}</figcaption>{html}</figure>'


def _table(part: Table) -> str:
    titles = _cells(part.head, '<th scope="col"{}>{}</th>', part.marked)
    lines = ("<tr>" + _cells(row, "<td{}>{}</td>", part.marked) + "</tr>" for row in part.rows)
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _cells(values: Iterable[object], form: str, marked: tuple[int, ...]) -> str:
    marks = (' class="marked"' if place in marked else "" for place in count())
    return "".join(form.format(mark, escape(str(value))) for value, mark in zip(values, marks, strict=False))


def html_report(
    analysis: Analysis,
    title: str,
    protocol_hash: str,
    offline: bool = False,
    beside: Beside = Beside(),  # noqa: B008
) -> str:
    """The page as text. `offline` carries Plotly inside (about 5 MB); otherwise it comes from Plotly's CDN, with a
    checksum. All text that comes from the study (title, conditions, labels, rater ids) is escaped."""
    banner = "Simulated raters: an example, and no evidence about people." if analysis.simulated else ""
    return html_page(sections(analysis, protocol_hash, beside), title, banner, offline)


def html_page(parts: Iterable[Section], title: str, banner: str = "", offline: bool = False, style: str = "") -> str:
    """Sections of any result as a page, `banner` above them, `style` after ours; every text is escaped."""
    page = _Page(offline)
    above = f'<p class="banner">{escape(banner)}</p>\n' if banner else ""
    body = f"<h1>{escape(title)}</h1>\n{above}" + "\n".join(page.section(section) for section in parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}{style}</style></head>\n<body>\n{body}\n</body></html>\n"
    )
