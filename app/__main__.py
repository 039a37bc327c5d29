"""The command line: `python -m app COMMAND`. Prints a table for people and, with --json, one JSON object."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable
from typing import Any

from app import bench, forge_command, protect_command, reveal_command, targets_command, weights
from app.errors import sentence
from engines.hub_errors import FULL

COMMANDS = (protect_command, reveal_command, forge_command, targets_command, weights, bench)


def parser() -> argparse.ArgumentParser:
    """Every command; each module adds its own and sets `func(args) -> {"rows": ..., "provenance": ...}`."""
    top = argparse.ArgumentParser(
        prog="python -m app", description="Larvatus: facial-privacy methods on real photos."
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in COMMANDS:
        module.add_parser(commands)
    _add_json(top)
    return top


def _add_json(top: argparse.ArgumentParser) -> None:
    """--json on every command that does something."""
    nested = [a for a in top._actions if isinstance(a, argparse._SubParsersAction)]
    if not nested:
        top.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    for action in nested:
        for child in action.choices.values():
            _add_json(child)


def main(arguments: list[str] | None = None) -> int:
    """Run a command; a mistake of the person is one sentence on stderr and exit code 2."""
    args = parser().parse_args(arguments)
    try:
        found = args.func(args)
    except Exception as error:
        print(f"larvatus: {_said(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("larvatus: stopped; nothing was written.", file=sys.stderr)
        return 130
    try:
        print(json.dumps(found, ensure_ascii=False) if args.json else as_text(found), flush=True)
    except BrokenPipeError:  # who reads, such as `head`, has seen enough; nor may the exit's own flush complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _said(error: Exception) -> str:
    """A mistake of the person by its own words; a full disk, full memory and what nobody foresaw by ours."""
    if isinstance(error, OSError) and error.errno in FULL:
        return "The disk is full, so nothing was written: make room, and run it again."
    return str(error) if isinstance(error, ValueError | OSError) else sentence(error)


def as_text(found: dict[str, Any]) -> str:
    """The rows as a table, then the other plain values."""
    lines = table(found.get("rows", []))
    for name, value in found.items():
        if name in ("rows", "provenance"):
            continue
        if isinstance(value, dict):
            value = ", ".join(f"{k} {_cell(v)}" for k, v in value.items())
        if name == "notes":
            lines += value
        elif isinstance(value, (str, int, float)):
            lines.append(f"{name.replace('_', ' ')}: {_cell(value)}")
    return "\n".join(lines)


def table(rows: Iterable[dict[str, Any]]) -> list[str]:
    """Rows of plain values as aligned text lines."""
    rows = list(rows)
    if not rows:
        return []
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [names] + [[_cell(row.get(name)) for name in names] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(names))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{k} {_cell(v)}" for k, v in value.items())
    return str(value)


if __name__ == "__main__":
    sys.exit(main())
