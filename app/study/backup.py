"""A copy of all studies, taken while raters go on: `python -m app.study.backup [FILE]`.

SQLite's online backup reads one state of the database; of PostgreSQL its own pg_dump is run, whose file pg_restore
reads.
"""

from __future__ import annotations

import argparse
import glob
import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.engine import URL

from app.study.database import Database, data_folder
from app.study.errors import StudyError

PAGES = 1000  # copied at a time: between the pieces raters may write


def backup(database: Database, target: Path) -> Path:
    """Copy a database to `target`, which appears only when it is whole. Raises StudyError."""
    partial = target.with_name(target.name + ".partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        os.close(os.open(partial, os.O_CREAT | os.O_WRONLY, 0o600))  # answers of people: for their keeper's eyes only
        if database.path is None:
            _dumped(database, partial)
        else:
            _copied(database.path, partial)
        os.replace(partial, target)
    except (OSError, sqlite3.Error) as error:
        raise StudyError(f"The backup {target.name} cannot be written: choose another place.") from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    return target


def _copied(path: Path, partial: Path) -> None:
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(partial)) as copy:
        source.backup(copy, pages=PAGES)
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
        (said,) = copy.execute("PRAGMA integrity_check").fetchone()
    if said != "ok":
        raise StudyError("The copy is damaged: look at the disk, and try another one.")


def _dumped(database: Database, partial: Path) -> None:
    """By pg_dump, which gets the password in its environment, where no list of processes shows it."""
    program = shutil.which("pg_dump") or max(glob.glob("/usr/lib/postgresql/*/bin/pg_dump"), default="")
    command = pg_dump_command(database, partial)
    if not program:
        raise StudyError(f"This database is in PostgreSQL, and pg_dump is not here. Run where it is: {command}")
    password = {"PGPASSWORD": database.url.password} if database.url.password else {}
    done = subprocess.run(
        [program, *shlex.split(command)[1:]], capture_output=True, text=True, env={**os.environ, **password}
    )
    if done.returncode:
        reason = " ".join(done.stderr.split())[:200]
        raise StudyError(f"pg_dump made no copy ({reason}): mend that, or run {command}")


def pg_dump_command(database: Database, target: Path) -> str:
    """What to run for a PostgreSQL database; the password is left out, for ~/.pgpass or PGPASSWORD."""
    url = database.url
    address = URL.create("postgresql", url.username, None, url.host, url.port, url.database, url.query)
    return shlex.join(["pg_dump", "--format=custom", f"--file={target}", f"--dbname={address.render_as_string()}"])


def default_target(database: Database) -> Path:
    """`backups/larvatus-<UTC time>.sqlite` in the data folder; `.dump` of PostgreSQL."""
    kind = "dump" if database.path is None else "sqlite"
    return data_folder() / "backups" / f"larvatus-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.{kind}"


def main(arguments: list[str] | None = None) -> int:
    """The command: 0 after a whole copy, 1 with a sentence otherwise."""
    parser = argparse.ArgumentParser(prog="python -m app.study.backup", description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, help="where to write the copy")
    chosen = parser.parse_args(arguments)
    try:
        database = Database()
        print(f"Copied to {backup(database, chosen.file or default_target(database))}")
    except StudyError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
