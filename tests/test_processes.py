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

from engines.train import half, processes
from tests import trained_apart

ROOT = Path(__file__).resolve().parents[1]
LAUNCH = ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
PLAIN = ["--mixed_precision", "no", "--dynamo_backend", "no"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """What two processes left and printed. `--multi_gpu` asks for several; without a GPU they talk by gloo."""
    pytest.importorskip("accelerate")
    folder = tmp_path_factory.mktemp("trainings")
    command = [sys.executable, "-m", *LAUNCH, *PLAIN, "-m", "tests.trained_apart", str(folder / "two")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / "one", folder / "two", done.stdout


def history(folder):
    return json.loads((folder / "log.json").read_text())["history"]


def test_two_processes_train_what_one_does(folders):
    one, two, printed = folders
    assert printed.count("noises {'epoch': 3") == 1, "the first prints"
    assert "A batch of 7 cannot be divided among 2 processes" in printed
    trained_apart.supervised(one)
    one, two = one / "supervised", two / "supervised"
    alone, together = history(one), history(two)
    assert [row["loss"] for row in together] == pytest.approx([row["loss"] for row in alone], abs=1e-4)
    assert alone[-1]["loss"] < alone[0]["loss"] - 0.01, "it learns"
    for name, value in load_file(one / "weights.safetensors").items():
        assert torch.allclose(load_file(two / "weights.safetensors")[name].float(), value.float(), atol=2e-3), name


def test_two_processes_train_a_forger_as_one_does(folders, monkeypatch):
    """Noise, the gradient penalty's places and the other face's attributes are those of the whole batch.

    The first step's losses agree as far as the log rounds them. Later ones drift apart: Adam makes a whole step even
    of a gradient that is nothing but rounding.
    """
    monkeypatch.setattr(half, "quick", half.quick)  # the training changes it
    one, two, _ = folders
    trained_apart.forger(one)
    together, alone = (history(folder / "forger") for folder in (two, one))
    assert len(alone) == 2 and together[0] == pytest.approx(alone[0], abs=1.01e-4)
    assert together[1] == pytest.approx(alone[1], rel=1e-3, abs=1e-3)


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
