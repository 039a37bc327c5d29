"""Every heavy job whose networks do not fit into a GPU's memory is done on the processor, and says so."""

from __future__ import annotations

import pytest
import torch

from app import erase, forge, reveal, stolen
from app import score as scores
from app.demo.stolen import verdict
from app.fits import somewhere
from app.identities import Identities
from app.runtime import Runtime
from engines.methods import METHODS
from engines.pressed import ON_CPU


@pytest.fixture
def gpu(monkeypatch) -> Runtime:
    """A runtime on another device than the processor's usual name: as much of a GPU as there is here."""
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    return Runtime("cpu:0")


def crowded(monkeypatch, owner, name: str) -> None:
    """What runs on "cpu:0" does not fit, once; the same on the processor does."""
    whole, tried = getattr(owner, name), []

    def full(*given, **named):
        tried.append(given)
        if len(tried) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory (simulated)")
        return whole(*given, **named)

    monkeypatch.setattr(owner, name, full)


def test_scores_that_do_not_fit_are_the_processors(gpu, astronaut, monkeypatch):
    crowded(monkeypatch, scores, "_scored")
    found = scores.score(gpu, astronaut, astronaut, ["compact-vgg"], 0.01)
    assert found.notes[-1] == ON_CPU and found.scores[0].to_self == pytest.approx(1, abs=1e-4)


def test_forgeries_that_do_not_fit_are_the_processors(gpu, astronaut, forgers, monkeypatch):
    crowded(monkeypatch, forge, "_tile")
    *_, wall = forge.build(gpu, astronaut, astronaut.photo, "black hair", forgers[:1])
    assert wall.verdict.endswith(ON_CPU) and ON_CPU in wall.as_dict()["notes"][0] and len(wall.tiles) == 1


def test_a_mask_that_does_not_fit_is_taken_off_by_the_processor(gpu, astronaut, mask, monkeypatch):
    crowded(monkeypatch, erase, "_file")
    found = erase.erase(gpu, erase.Erasure(astronaut.photo, "erasable-mask"))
    assert found.notes[-1] == ON_CPU and not gpu.work.locked()


def test_a_mark_that_does_not_fit_is_read_by_the_processor(gpu, astronaut, tmp_path, monkeypatch):
    method = METHODS["dip-watermark"]
    crowded(monkeypatch, type(method), "read")
    read = reveal.read(gpu, method, astronaut, Identities(tmp_path / "registry.sqlite"), "key")
    assert read.note == ON_CPU and read.verdict.endswith(ON_CPU)


def test_imitators_that_do_not_fit_are_the_processors(gpu, astronaut, hopper, monkeypatch):
    crowded(monkeypatch, stolen, "_demonstrated")
    rows = stolen.demonstrate(gpu, astronaut, hopper)
    assert {row.note for row in rows} == {ON_CPU} and verdict(rows).endswith(ON_CPU)


def test_what_fits_nowhere_is_an_error_and_one_job_at_a_time_holds_on_both(gpu):
    def full(where):
        raise torch.OutOfMemoryError("full")

    for runtime in (gpu, Runtime("cpu")):
        with pytest.raises(torch.OutOfMemoryError):
            somewhere(runtime, full)
    assert somewhere(gpu, lambda where: where.device) == ("cpu:0", "") and gpu.fallback.work is gpu.work
