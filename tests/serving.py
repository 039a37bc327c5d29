"""The real app in a process of its own, for tests that come to it from outside."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tomlkit

from engines.checkpoints import REGISTRY

ROOT = Path(__file__).resolve().parents[1]


class Address(str):
    """Where the app answers, and the number of its process."""

    pid: int


@contextmanager
def serving(example: bool, log: Path | None = None, **settings: str) -> Iterator[Address]:
    """Its address, once it answers; its environment changed by `settings`; what it prints goes into `log`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {
        **os.environ,
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_SERVER_NAME": "127.0.0.1",
        "LARVATUS_EXAMPLE": str(int(example)),
        **settings,
    }
    printed = log.open("wb") if log else subprocess.DEVNULL
    errors = subprocess.STDOUT if log else None
    server = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=env, stdout=printed, stderr=errors)
    url = Address(f"http://127.0.0.1:{port}")
    url.pid = server.pid
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(url, timeout=2).close()
                break
            except OSError:
                time.sleep(0.25)
        yield url
    finally:
        server.terminate()
        server.wait(20)
        if log:
            printed.close()


def registry_of(folder: Path, *ids: str) -> dict[str, str]:
    """The setting of a registry in `folder` with only these entries."""
    whole = tomlkit.parse(REGISTRY.read_text())
    file = folder / "registry.toml"
    file.write_text(tomlkit.dumps({id: whole[id] for id in ids}))
    return {"LARVATUS_REGISTRY": str(file)}
