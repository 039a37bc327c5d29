"""A training on two processes (gloo, on the CPU) is the training of one at the same batch."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from engines.train import processes
from tests import trained_apart

ROOT = Path(__file__).resolve().parents[1]
LAUNCH = ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
PLAIN = ["--mixed_precision", "no", "--dynamo_backend", "no"]


def test_two_processes_train_what_one_does(tmp_path):
    """`--multi_gpu` is what asks for several; without a GPU they talk by gloo."""
    pytest.importorskip("accelerate")
    command = [sys.executable, "-m", *LAUNCH, *PLAIN, "-m", "tests.trained_apart", str(tmp_path / "two")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("noises {'epoch': 3") == 1, "the first prints"
    assert "A batch of 7 cannot be divided among 2 processes" in done.stdout
    trained_apart.supervised(tmp_path / "one")
    one, two = (tmp_path / name / "supervised" for name in ("one", "two"))
    alone, together = (json.loads((folder / "log.json").read_text())["history"] for folder in (one, two))
    assert [row["loss"] for row in together] == pytest.approx([row["loss"] for row in alone], abs=1e-4)
    assert alone[-1]["loss"] < alone[0]["loss"] - 0.01, "it learns"
    for name, value in load_file(one / "weights.safetensors").items():
        assert torch.allclose(load_file(two / "weights.safetensors")[name].float(), value.float(), atol=2e-3), name


@dataclasses.dataclass(frozen=True)
class Batch:
    pixels: torch.Tensor
    tag: int = 3


def test_alone_nothing_is_divided():
    rows, batch = np.arange(7), Batch(torch.arange(5))
    assert processes.part(rows) is rows and processes.part(batch) is batch
    assert processes.count() == 1 and processes.first() and processes.mean({"a": 1.0}) == {"a": 1.0}


def test_parts_are_the_whole_once(monkeypatch):
    found = []
    for place in range(3):
        state = SimpleNamespace(num_processes=3, process_index=place)
        monkeypatch.setattr(processes, "_state", lambda state=state: state)
        part = processes.part(Batch(torch.arange(6)))
        assert part.tag == 3 and processes.part(np.arange(9)).tolist() == [place, place + 3, place + 6]
        found += part.pixels.tolist()
    assert sorted(found) == list(range(6))
