"""Faces a second, and what there is beside the networks."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from app.bench import throughput
from app.bench.throughput import NO_GPU, forwards, measure, timed


@pytest.fixture
def clock(monkeypatch):
    """A clock that only work moves."""
    now = [0.0]
    monkeypatch.setattr(throughput, "_now", lambda device: now[0])
    return now


class Slow(nn.Module):
    """A network of two layers of 2 s each."""

    def __init__(self, clock: list[float], deep: bool = True):
        super().__init__()
        self.clock, self.inner = clock, Slow(clock, deep=False) if deep else None

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        self.clock[0] += 2
        return self.inner(pixels) if self.inner else pixels


def test_only_the_outermost_pass_counts_and_the_rest_is_beside(clock):
    net, pixels = Slow(clock), torch.zeros(4, 3)

    def work():
        net(pixels)
        clock[0] += 1

    assert timed(work, 10, 3, "cpu") == {"faces/s": 2.0, "seconds": 5.0, "forward_s": 4.0, "ratio": 1.25}
    with forwards("cpu") as spent:
        net(pixels)
        net(pixels)
    net(pixels)
    assert spent == [4.0, 4.0], "a pass each, and none when nobody listens any more"


def test_without_a_gpu_it_says_what_to_do(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="give --device cpu"):
        measure("cuda", 2, 1)
    assert NO_GPU.endswith(".")


def test_a_row_a_recogniser_and_one_a_method(monkeypatch):
    monkeypatch.setattr(throughput, "recognisers", lambda runtime: ["compact-vgg"])
    some = {id: throughput.METHODS[id] for id in ("fgsm", "dip-watermark", "ipmn")}
    monkeypatch.setattr(throughput, "METHODS", some)
    found = measure("cpu", 2, 1)
    assert [row["what"] for row in found["rows"]] == ["compact-vgg", "fgsm", "dip-watermark", "ipmn"]
    assert all(row["faces/s"] > 0 and row["ratio"] >= 1 for row in found["rows"]), found["rows"]
    assert found["provenance"]["batch"] == 2 and found["provenance"]["device"] == "processor"
