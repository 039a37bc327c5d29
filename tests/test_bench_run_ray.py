"""The same rows from Ray's actors, and whole though one of them is killed in the middle."""

from __future__ import annotations

import os
import signal

import pytest
import torch
from bench_runs import run, write

from app.bench.run.cluster import ADVICE, Cluster, RayError, ray_module
from app.bench.run.loop import Done
from app.bench.run.store import ROWS
from app.bench.run.work import Work


def test_without_ray_the_advice_is_a_sentence(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(RayError) as error:
        ray_module()
    assert str(error.value) == ADVICE


def test_a_worker_of_ray_is_killed_and_the_rows_are_those_of_one_process(tmp_path):
    spec, threads = write(tmp_path), torch.get_num_threads()
    made: list[Cluster] = []
    killed: list[int] = []

    def two(setup):
        made.append(Cluster(2, Work, setup))
        return made[0]

    def kill(event):
        if isinstance(event, Done) and not killed:
            killed.append(list(made[0].pids.values())[-1])
            os.kill(killed[0], signal.SIGKILL)

    try:
        table = run(spec, tmp_path / "ray", two, kill)
        assert killed and table.equals(run(spec, tmp_path / "here"))
    finally:
        torch.set_num_threads(threads)
    assert (tmp_path / "ray" / ROWS).read_bytes() == (tmp_path / "here" / ROWS).read_bytes()
