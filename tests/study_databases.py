"""A PostgreSQL cluster for the tests: temporary, on loopback, as a user that is not root; or the reason why not."""

from __future__ import annotations

import glob
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import psycopg
import pytest

from app.study.store import Store

USER = "postgres"


class Cluster:
    """`with Cluster() as cluster:` runs a server; `cluster.fresh()` is the address of its one database, emptied."""

    def __init__(self):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        if not found:
            raise LookupError("there is no PostgreSQL on this computer (apt install postgresql)")
        self.bin = Path(found[-1])
        self.prefix: list[str] = []
        if os.geteuid() == 0:  # the server refuses to run as root
            if not shutil.which("runuser") or subprocess.run(["id", USER], capture_output=True).returncode:
                raise LookupError("PostgreSQL does not run as root, and there is no user postgres to run it as")
            self.prefix = ["runuser", "-u", USER, "--"]

    def __enter__(self) -> Cluster:
        self.folder = Path(tempfile.mkdtemp(prefix="larvatus-pg-"))
        if self.prefix:
            shutil.chown(self.folder, USER)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        data = self.folder / "data"
        try:
            self._run("initdb", "-D", data, "-U", "larvatus", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C")
            options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
            self._run("pg_ctl", "-D", data, "-w", "-t", "60", "-o", options, "-l", self.folder / "log", "start")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_) -> None:
        subprocess.run([*self._command("pg_ctl", "-D", self.folder / "data", "-m", "immediate", "stop")],
                       capture_output=True, cwd="/")  # fmt: skip
        shutil.rmtree(self.folder, ignore_errors=True)

    def fresh(self) -> str:
        address = f"postgresql://larvatus@127.0.0.1:{self.port}/postgres"
        with psycopg.connect(address, autocommit=True) as connection:
            own = "datname = current_database() AND pid <> pg_backend_pid()"  # a test may have left connections
            connection.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {own}")
            connection.execute("DROP SCHEMA public CASCADE")  # quicker than a database for each test
            connection.execute("CREATE SCHEMA public")
        return address

    def _command(self, program: str, *arguments) -> list[str]:
        return [*self.prefix, str(self.bin / program), *map(str, arguments)]

    def _run(self, program: str, *arguments) -> None:
        done = subprocess.run(
            self._command(program, *arguments), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd="/"
        )
        if done.returncode:
            raise LookupError(f"PostgreSQL does not start here: {done.stderr.strip().splitlines()[-1:]}")


@pytest.fixture(scope="session")
def cluster():
    """The server, or the reason why there is none."""
    try:
        with Cluster() as running:
            yield running
    except LookupError as reason:
        pytest.skip(str(reason))


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/studies/larvatus.sqlite"
    return request.getfixturevalue("cluster").fresh()


@pytest.fixture
def store(url):
    opened = Store(url)
    yield opened
    opened.close_database()
