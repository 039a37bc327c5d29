"""The engine: SQLite without any set-up, or PostgreSQL by DATABASE_URL; opened, it is upgraded to the newest tables.

SQLite runs in WAL mode with synchronous=FULL: a commit that returned has been synced, so an acknowledged answer
survives a kill. Writers take the lock at BEGIN: a transaction that reads before it writes could otherwise not be
promoted once another has written in between, busy timeout or not. Within a process they queue on a lock of our
own, since SQLite's waiting is polling, and fifty polling raters starve one another.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlmodel import Session

from app.study import strings
from app.study.errors import StudyError
from app.study.migrations import HEAD
from app.study.together import Together

T = TypeVar("T")
FILE = "larvatus.sqlite"
PATIENCE = 30.0  # seconds that a writer waits for its turn
MIGRATIONS = Path(__file__).parent / "migrations"
ADVISORY = 0x4C617276  # "Larv": PostgreSQL's lock around an upgrade
PRAGMAS = ("synchronous=FULL", "foreign_keys=ON", "secure_delete=ON")


def data_folder() -> Path:
    """LARVATUS_STUDIES, or ./studies."""
    return Path(os.environ.get("LARVATUS_STUDIES") or "studies")


def default_url() -> str:
    """DATABASE_URL, or a SQLite file in the data folder."""
    return os.environ.get("DATABASE_URL") or f"sqlite:///{data_folder().resolve() / FILE}"


def parsed(url: str) -> URL:
    """The address for SQLAlchemy, with psycopg 3 for PostgreSQL under any of its names. Raises StudyError."""
    try:
        found = make_url(url)
    except ArgumentError as error:
        raise StudyError("The database's address cannot be read: write it as postgresql://user@host/name.") from error
    if found.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        return found.set(drivername="postgresql+psycopg")
    if found.drivername in ("sqlite", "sqlite+pysqlite") and found.database and found.database != ":memory:":
        return found
    raise StudyError("Studies are kept in a SQLite file or in PostgreSQL: set DATABASE_URL to one of these.")


class Database:
    """Sessions on one database, for any thread. What goes wrong with it is a StudyError."""

    def __init__(self, url: str | None = None):
        self.url = parsed(url or default_url())
        self.is_sqlite = self.url.drivername.startswith("sqlite")
        self._turn = threading.Lock()
        self._together = Together(self._transaction)
        if self.is_sqlite:
            self._make_folder()
        self.engine = self._engine()
        self._writing = self.engine.execution_options(larvatus_write=True)
        with _clear_errors():
            self._upgrade()

    @property
    def path(self) -> Path | None:
        """The SQLite file; None for PostgreSQL."""
        return Path(str(self.url.database)) if self.is_sqlite else None

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one state of the database."""
        with _clear_errors(), Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def look(self) -> Iterator[Connection]:
        """`read` without the object mapper, for what happens at every click."""
        with _clear_errors(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session in a transaction, committed at the end; one at a time in SQLite. Not to be nested."""
        with self._transaction() as connection, Session(connection, expire_on_commit=False) as session:
            yield session
            session.flush()

    def write_together(self, work: Callable[[Connection], T]) -> T:
        """What `work(connection)` returns, once it is committed: in SQLite with others that come at the same moment.

        It may refuse with a StudyError before its first write; it may be run twice, after a roll-back.
        """
        if not self.is_sqlite:
            with self._transaction() as connection:
                return work(connection)
        try:
            found: T = self._together.run(work, 2 * PATIENCE)
        except TimeoutError as error:
            raise StudyError(strings.text("error.busy")) from error
        return found

    def checkpoint(self) -> None:
        """Move SQLite's log into the file and empty it, so that deleted answers do not linger there."""
        if self.is_sqlite:
            with _clear_errors(), self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Finish what waits, and close the pooled connections."""
        self._together.stop()
        self.engine.dispose()

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._my_turn(), _clear_errors(), self._writing.begin() as connection:
            yield connection

    @contextmanager
    def _my_turn(self) -> Iterator[None]:
        if not self.is_sqlite:
            yield
            return
        if not self._turn.acquire(timeout=PATIENCE):
            raise StudyError(strings.text("error.busy"))
        try:
            yield
        finally:
            self._turn.release()

    def _make_folder(self) -> None:
        folder = Path(str(self.url.database)).parent
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # answers of people: for nobody else's eyes
        except OSError as error:
            raise StudyError(
                f"The folder {folder} cannot be made: set LARVATUS_STUDIES to one that you may write to."
            ) from error

    def _engine(self) -> Engine:
        if not self.is_sqlite:
            return create_engine(self.url, pool_size=10, max_overflow=20, pool_timeout=PATIENCE, pool_pre_ping=True)
        engine = create_engine(
            self.url, pool_size=10, max_overflow=60, pool_timeout=PATIENCE, connect_args={"timeout": PATIENCE}
        )
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)
        return engine

    def _upgrade(self) -> None:
        with self.engine.connect() as connection:
            if _revision(connection) == HEAD:
                return
        with self._turn, self._writing.connect() as connection, connection.begin():
            if not self.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY})
            if _revision(connection) != HEAD:  # another process may have been faster
                migrate(connection)


def migrate(connection: Connection, revision: str = "head") -> None:
    """Upgrade by Alembic in the connection's transaction. Raises StudyError for tables newer than this program."""
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    try:
        command.upgrade(config, revision)
    except CommandError as error:
        raise StudyError("This database was made by a newer Larvatus: update the program first.") from error


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _prepare(connection: Any, _: Any) -> None:
    """A fresh SQLite connection. Without an isolation level the driver leaves transactions to `_begin`."""
    connection.isolation_level = None
    _enter_wal(connection)
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _enter_wal(connection: Any) -> None:
    """Turn a new file to WAL. SQLite does not wait its timeout where two do that at once: it says "locked"."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("larvatus_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _clear_errors() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        said = str(error.orig).splitlines()[0] if str(error.orig) else type(error.orig).__name__
        if "locked" in said or "busy" in said:
            raise StudyError(strings.text("error.busy")) from error
        raise StudyError(strings.text("error.database", said=said)) from error
    except SQLAlchemyError as error:
        raise StudyError(strings.text("error.busy")) from error
