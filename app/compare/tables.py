"""The board as a table for a paper: LaTeX (booktabs) and Markdown; the best of each column in bold."""

from __future__ import annotations

from collections.abc import Sequence

from app.compare.columns import STILL, is_best, there
from app.compare.job import Line

ESCAPES = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "γ": r"$\gamma$",
    "β": r"$\beta$",
    "ε": r"$\varepsilon$",
    "–": "--",
}


def _rows(lines: Sequence[Line], bold: str) -> list[list[str]]:
    """Names and written values, the best between two `bold`s (for LaTeX the pair of \\textbf{ and })."""
    columns = there(lines)
    first, last = (r"\textbf{", "}") if bold == "latex" else ("**", "**")
    rows = []
    for line in lines:
        cells = []
        for column in columns:
            text = column.written(line.figures.get(column.name))
            text = latex_text(text) if bold == "latex" else text
            text = f"{first}{text}{last}" if is_best(line, lines, column) else text
            cells.append(f"{text} ({line.still})" if column is STILL and line.still else text)
        rows.append(cells)
    return rows


def latex_text(text: str) -> str:
    """Text in which nothing is a command of LaTeX."""
    return "".join(ESCAPES.get(sign, sign) for sign in text)


def latex(lines: Sequence[Line]) -> str:
    """A tabular with booktabs' rules; what the columns mean stands above it as comments."""
    columns = there(lines)
    about = "".join(f"% {column.title}: {column.help}\n" for column in columns)
    head = " & ".join(["Method", *(latex_text(column.title) for column in columns)])
    body = "".join(
        f"{latex_text(line.entry.title)} & {' & '.join(cells)} \\\\\n"
        for line, cells in zip(lines, _rows(lines, "latex"), strict=True)
    )
    return (
        f"{about}\\begin{{tabular}}{{l{'r' * len(columns)}}}\n\\toprule\n{head} \\\\\n\\midrule\n"
        f"{body}\\bottomrule\n\\end{{tabular}}\n"
    )


def markdown(lines: Sequence[Line]) -> str:
    """A table of Markdown."""
    columns = there(lines)
    head = f"| Method | {' | '.join(column.title for column in columns)} |\n|---|{'---:|' * len(columns)}\n"
    body = "".join(
        f"| {line.entry.title.replace('|', chr(92) + '|')} | {' | '.join(cells)} |\n"
        for line, cells in zip(lines, _rows(lines, "markdown"), strict=True)
    )
    return head + body
