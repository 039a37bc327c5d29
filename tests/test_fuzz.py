"""Some seconds of atheris on every run of the tests; `make fuzz` gives it longer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("atheris", reason="atheris is not installed: it is made for Linux on x86-64.")

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 8


def test_made_up_bytes_are_refused_in_one_sentence(tmp_path):
    command = [sys.executable, "-m", "tests.fuzz", str(SECONDS)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=SECONDS + 110)
    assert done.returncode == 0, done.stderr[-2000:]
    assert not list(tmp_path.glob("crash-*")) and not list(tmp_path.glob("timeout-*"))
