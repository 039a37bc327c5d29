"""Everything of a study in one ZIP, as CSV, Parquet and JSON with a codebook; and back, to the same analysis."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from typing import Any

import pandas as pd

from app.study import formats
from app.study.choices import Choices, read_choices
from app.study.codebook import codebook
from app.study.errors import StudyError
from app.study.screening import without
from app.study.simulate import is_simulated
from app.study.tables import OPTIONAL, RATERS, STIMULI, VOTES, checked, checked_raters

FORMAT = 2
READABLE = (1, 2)  # 1 had no analysis.json, and of the stimuli neither person nor provenance
LARGEST = 512 * 2**20  # bytes, unpacked: a ZIP that says more is refused
FILES = 40
WHEN = (2026, 1, 1, 0, 0, 0)  # in every ZIP entry, so that the same study gives the same bytes
FORMATS = ("json", "csv", "parquet")


@dataclass(frozen=True)
class Imported:
    """An export read back: its tables, the frozen protocol as the text that was hashed, and how it was analysed."""

    votes: pd.DataFrame
    stimuli: pd.DataFrame
    frozen: str
    protocol_hash: str
    simulated: bool
    raters: pd.DataFrame | None = None
    choices: Choices = Choices()
    withdrawn: tuple[int, int] | None = None


def export(
    votes: pd.DataFrame,
    stimuli: pd.DataFrame,
    frozen: str = "",
    protocol_hash: str = "",
    raters: pd.DataFrame | None = None,
    choices: Choices = Choices(),  # noqa: B008
    withdrawn: tuple[int, int] | None = None,
) -> bytes:
    """The ZIP: every table in three formats, parameters and measures as one row each, codebook, protocol.

    frozen: the protocol's text, whose SHA-256 in hex is `protocol_hash`; both "" for a study never opened.
    raters: who took part, if that is known; of its columns only those of `tables.RATERS` go out.
    choices: how the study was analysed; `read` gives them back.
    withdrawn: how many raters had how many answers deleted, if that is known.
    In CSV, text that a spreadsheet would run as a formula is neutralised (`formats.neutral`); `read` undoes it.
    Raises StudyError for tables that are wrong, or a hash that is not the text's.
    """
    votes, stimuli = checked(votes, stimuli)
    if frozen and hashlib.sha256(frozen.encode()).hexdigest() != protocol_hash:
        raise StudyError("The hash does not belong to this protocol text: export with the hash of the frozen text.")
    tables = {"ratings": (votes, VOTES), "stimuli": (stimuli, STIMULI)}
    tables |= {name: (formats.long(stimuli, name), formats.LONG) for name in ("parameters", "measures")}
    if raters is not None:
        tables["raters"] = (checked_raters(raters), RATERS)
    files: dict[str, bytes] = {}
    for name, (table, columns) in tables.items():
        files[f"{name}.csv"] = formats.to_csv(table, columns)
        files[f"{name}.parquet"] = formats.to_parquet(table, columns)
        files[f"{name}.json"] = formats.to_json(table, columns)
    files["protocol.json"] = frozen.encode()
    files["analysis.json"] = choices.model_dump_json(indent=1).encode()
    files["codebook.md"] = codebook(simulated := is_simulated(votes), protocol_hash).encode()
    manifest = {
        "format": FORMAT,
        "protocol_hash": protocol_hash,
        "simulated": simulated,
        "ratings": len(votes),
        "raters": int(votes["rater"].nunique()),
        "stimuli": len(stimuli),
        "withdrawn": withdrawn,
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())},
    }
    files["manifest.json"] = json.dumps(manifest, indent=1, sort_keys=True).encode()
    return _zip(files)


def read(data: bytes, source: str = "json") -> Imported:
    """An export read back from one of its formats: "json", "csv" or "parquet"; all give the same tables.

    Raises StudyError for what is no export, is damaged, too large, or of a later version. Nothing is unpacked
    to disk.
    """
    if source not in FORMATS:
        raise StudyError(f"There is no format {source!r} in an export: use one of {', '.join(FORMATS)}.")
    files = _unzip(data)
    manifest = _manifest(files)
    for name, digest in manifest["sha256"].items():
        if name not in files or hashlib.sha256(files[name]).hexdigest() != digest:
            raise StudyError(f"{name} in this export is damaged or was changed: use the ZIP as it was downloaded.")
    needed = [f"ratings.{source}", f"stimuli.{source}", "protocol.json"]
    needed += ["analysis.json"] if manifest["format"] > 1 else []
    missing = [name for name in needed if name not in manifest["sha256"]]
    if missing:
        raise StudyError(f"This export lacks {missing[0]}: export the study again.")
    frozen, protocol_hash = files["protocol.json"].decode(), str(manifest["protocol_hash"])
    if frozen and hashlib.sha256(frozen.encode()).hexdigest() != protocol_hash:
        raise StudyError("The protocol in this export does not have the hash that it states: it was changed.")
    reader = {"json": formats.from_json, "csv": formats.from_csv, "parquet": formats.from_parquet}[source]
    columns = {name: kind for name, kind in STIMULI.items() if manifest["format"] > 1 or name not in OPTIONAL}
    votes, stimuli = checked(reader(files[needed[0]], VOTES), reader(files[needed[1]], columns))
    simulated = bool(manifest["simulated"]) or is_simulated(votes)
    told = f"raters.{source}"
    raters = checked_raters(reader(files[told], RATERS)) if told in manifest["sha256"] else None
    choices = read_choices(files["analysis.json"]) if manifest["format"] > 1 else Choices()
    without(votes, choices.exclusions)  # raises for a rater who is not there
    gone = _two(manifest.get("withdrawn"))
    return Imported(votes, stimuli, frozen, protocol_hash, simulated, raters, choices, gone)


def _two(found: Any) -> tuple[int, int] | None:
    good = isinstance(found, list) and len(found) == 2 and all(type(one) is int and one >= 0 for one in found)
    return (found[0], found[1]) if good else None


def _zip(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in sorted(files.items()):
            entry = zipfile.ZipInfo(name, WHEN)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, data)
    return out.getvalue()


def _unzip(data: bytes) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if len(entries) > FILES or sum(entry.file_size for entry in entries) > LARGEST:
                raise StudyError("This ZIP is too large to be an export of a study: use the ZIP that was downloaded.")
            # A read stops at the size that the entry states, so the sum above holds for what is unpacked too.
            return {entry.filename: archive.read(entry) for entry in entries}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        if isinstance(error, StudyError):
            raise
        raise StudyError("This file is no export of a study: use the ZIP that was downloaded.") from None


def _manifest(files: dict[str, bytes]) -> dict[str, Any]:
    try:
        manifest = json.loads(files["manifest.json"])
        version = manifest["format"]
        complete = isinstance(manifest["sha256"], dict) and {"protocol_hash", "simulated"} <= set(manifest)
    except (KeyError, TypeError, ValueError, RecursionError):
        version = complete = None
    if not complete:
        raise StudyError("This ZIP has no readable manifest.json: use the ZIP that was downloaded.")
    if version not in READABLE:
        raise StudyError(f"This export has format {version}, and this program reads up to {FORMAT}: update it.")
    return dict(manifest)
