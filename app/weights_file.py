"""Changes to `weights/registry.toml`: what is set is set in its place, and every comment stays where it was."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, fields
from typing import Any

import tomlkit
from tomlkit.items import Table

from engines.checkpoints import Checkpoint, registry_file, write_whole


def change(edit: Callable[[tomlkit.TOMLDocument], None]) -> None:
    """Let `edit` change the file's entries; written whole, or not at all where it raises."""
    path = registry_file()
    text = tomlkit.parse(path.read_text())
    edit(text)
    lines = re.sub("\n{3,}", "\n\n", tomlkit.dumps(text).rstrip())
    write_whole(path, f"{lines}\n".encode())


def add(text: tomlkit.TOMLDocument, id: str, values: Mapping[str, Any]) -> None:
    """An entry at the end of the file, or in the place of the one of that id."""
    entry = tomlkit.table()
    entry.update(values)
    if id in text:
        comments = _cut(text[id])
        text[id] = entry
        _last(text[id]).extend(comments)
    else:
        text.add(tomlkit.nl())
        text[id] = entry


def values_of(card: Checkpoint) -> dict[str, Any]:
    """A card as the values of an entry that reads back as the same card."""
    needed = {field.name for field in fields(card) if field.default is MISSING and field.default_factory is MISSING}
    found = {name: value for name, value in asdict(card).items() if value or name in needed}
    thresholds = found.pop("thresholds", {})
    found.pop("id")
    return found | ({"thresholds": {f"{far:g}": limit for far, limit in thresholds.items()}} if thresholds else {})


def put(entry: Table, table: str, values: Mapping[str, Any], whole: bool = False) -> None:
    """Set values of a table of an entry; `whole`: what is not among them goes. Comments stay, also those below."""
    below = _cut(entry)
    if table not in entry:
        if entry.value.body and not below:
            _last(entry).append((None, tomlkit.nl()))
        entry[table] = tomlkit.table()
    for name in [name for name in entry[table] if whole and name not in values]:
        del entry[table][name]
    for name, value in values.items():
        entry[table][name] = _inline(value) if isinstance(value, Mapping) else value
    _last(entry).extend(below or [(None, tomlkit.nl())])


def _inline(values: Mapping[str, Any]) -> Any:
    found = tomlkit.inline_table()
    found.update(values)
    return found


def _last(table: Table) -> list:
    """The lines with which an entry ends: its own, or those of its last sub-table."""
    body = table.value.body
    return _last(body[-1][1]) if body and isinstance(body[-1][1], Table) else body


def _cut(table: Table) -> list:
    """Take the comments and blank lines off the entry's end; they belong to what follows it."""
    lines, found = _last(table), []
    while lines and lines[-1][0] is None:
        found.insert(0, lines.pop())
    return found
