"""Where the demo leaves a result for a study: under a code, for a day, in the workbench's data folder."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict
from pathlib import Path

from app.clock import age
from app.study.canonical import canonical, code_hash, new_code
from app.study.database import data_folder
from app.study.errors import StudyError
from app.study.incoming import Incoming

DAY = 24 * 3600.0  # seconds that a result waits
MOST = 500  # results that wait at once


def folder() -> Path:
    """The inbox, inside the data folder."""
    return data_folder() / "inbox"


def leave(pictures: list[Incoming]) -> str:
    """Keep pictures for whoever has the code that is returned. Raises StudyError where that cannot be done."""
    try:
        return _left(pictures)
    except OSError as error:
        raise StudyError(
            f"The folder {data_folder()} cannot be written: set LARVATUS_STUDIES to one that you may write to."
        ) from error


def _left(pictures: list[Incoming]) -> str:
    if _purge() >= MOST:
        raise StudyError("The study workbench has too many results waiting: try again tomorrow.")
    code = new_code()
    about = [{name: value for name, value in asdict(one).items() if name != "data"} for one in pictures]
    target = _place(code)
    part = target.with_suffix(".part")
    with zipfile.ZipFile(part, "w") as file:
        file.writestr("about.json", canonical(about))
        for number, one in enumerate(pictures):
            file.writestr(f"{number}.picture", one.data)
    part.chmod(0o600)
    part.replace(target)
    return code


def fetch(code: str) -> list[Incoming]:
    """The pictures behind a code, which waits on until `drop`. Raises StudyError where nothing whole waits there."""
    _purge()
    try:
        data = _place(code).read_bytes()
    except OSError:
        raise StudyError("Nothing waits under this code: send the result again, it is kept for a day.") from None
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            about = json.loads(file.read("about.json"))
            return [Incoming(file.read(f"{number}.picture"), **one) for number, one in enumerate(about)]
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError):  # StudyError is one of ValueError
        raise StudyError("What waits under this code was damaged: send the result again.") from None


def drop(code: str) -> None:
    """The pictures behind a code are in a study now: nothing waits there any more."""
    _place(code).unlink(missing_ok=True)


def _place(code: str) -> Path:
    return folder() / f"{code_hash(code)}.zip"


def _purge() -> int:
    """Delete what waited a day; how many still wait."""
    folder().mkdir(parents=True, exist_ok=True)
    for path in folder().iterdir():
        try:
            if age(path.stat().st_mtime) > DAY:
                path.unlink()
        except OSError:
            continue  # another process was faster
    return sum(path.suffix == ".zip" for path in folder().iterdir())
