"""What breaks under a running app: memory, disk, files, clocks. Each is survived, or said in one sentence."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from serving import registry_of

from app import reveal_command
from app.__main__ import main
from app.compare import job as board
from app.compare.entries import Entry
from app.demo.session import Desk
from app.errors import DISK, MEMORY, OURS, sentence
from app.jobs import protect
from app.making import Request
from app.panel import Panel
from app.report import Result
from app.runtime import Runtime
from app.study import inbox, strings
from app.study.errors import StudyError
from app.study.incoming import Incoming
from app.study.store import Store
from engines import recognise
from engines.checkpoints import CheckpointError, checkpoint, locate
from engines.files import write_whole
from engines.pressed import ON_CPU, SMALLER, halved

ALICE = SimpleNamespace(session_hash="alice")
FULL = "CUDA out of memory (simulated)"


def fits(most: int, work):
    """`work` on a GPU with room for so many rows."""

    def done(batch: torch.Tensor) -> torch.Tensor:
        if len(batch) > most:
            raise torch.OutOfMemoryError(FULL)
        return work(batch)

    return done


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_a_batch_that_does_not_fit_is_halved_and_gives_the_same(count):
    told, batch = [], torch.arange(count * 2.0).view(count, 2).requires_grad_()
    found = halved(fits(2, lambda rows: rows**2), batch, lambda: told.append(1))
    assert torch.equal(found, batch**2) and bool(told) == (count > 2)
    found.sum().backward()
    assert torch.equal(batch.grad, 2 * batch.detach())
    with pytest.raises(torch.OutOfMemoryError):
        halved(fits(0, lambda rows: rows), batch, lambda: None)


@pytest.fixture
def gpu(monkeypatch) -> Runtime:
    """A runtime on another device than the processor's usual name: as much of a GPU as there is here."""
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    return Runtime("cpu:0")


def job(astronaut, hopper, **more) -> Request:
    panel = Panel(("sface",), ("dlib-resnet",))
    return Request(astronaut, "tip-im", {"steps": 2}, (hopper, hopper), panel=panel, survival=False, **more)


def last(runtime: Runtime, request: Request) -> Result:
    *_, result = protect(runtime, request)
    return result


def limited(monkeypatch, most: int, device: str = "cpu:0") -> None:
    """SFace on a device with room for so many faces at once."""
    whole = recognise.FaceNetwork._raw

    def raw(self, pixels):
        if self.device == device and len(pixels) > most:
            raise torch.OutOfMemoryError(FULL)
        return whole(self, pixels)

    monkeypatch.setattr(recognise.FaceNetwork, "_raw", raw)


def test_a_gpu_with_little_room_works_in_smaller_batches_and_says_so(gpu, astronaut, hopper, monkeypatch):
    plain = last(gpu, job(astronaut, hopper))
    limited(monkeypatch, 1)
    pressed = last(gpu, job(astronaut, hopper))
    assert SMALLER in pressed.notes and SMALLER not in plain.notes and ON_CPU not in pressed.notes
    assert pressed.psnr == pytest.approx(plain.psnr, abs=0.1)


def test_a_gpu_without_room_hands_over_to_the_processor_and_says_so(gpu, astronaut, hopper, monkeypatch):
    limited(monkeypatch, 0)
    result = last(gpu, job(astronaut, hopper))
    assert ON_CPU in result.notes and result.scores and not gpu.work.locked()
    assert gpu.fallback.device == "cpu" and gpu.fallback is gpu.fallback


def test_no_room_anywhere_is_a_sentence_and_frees_the_place(runtime, astronaut, hopper, monkeypatch):
    limited(monkeypatch, 0, "cpu")
    with pytest.raises(torch.OutOfMemoryError) as caught:
        last(runtime, job(astronaut, hopper))
    assert sentence(caught.value) == sentence(MemoryError()) == MEMORY and not runtime.work.locked()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_a_sentence(code, tmp_path, monkeypatch):
    session = Desk(tmp_path).of(ALICE)
    monkeypatch.setattr("pathlib.Path.write_bytes", lambda *a: (_ for _ in ()).throw(OSError(code, "full")))
    with pytest.raises(OSError) as caught:
        session.write("larvatus.png", b"x")
    assert sentence(caught.value) == DISK
    assert sentence(OSError(errno.EIO, "broken")) == OURS


def test_a_checkpoint_that_rots_on_disk_makes_no_result(tmp_path, monkeypatch):
    card = checkpoint("compact-vgg")
    data = bytearray(locate(card).read_bytes())
    data[len(data) // 2] ^= 1
    monkeypatch.setenv(*registry_of(tmp_path, card.id).popitem())
    (tmp_path / "bundled").mkdir()
    (tmp_path / "bundled" / card.file).write_bytes(data)
    with pytest.raises(CheckpointError) as caught:
        Runtime("cpu").recogniser(card.id)
    assert "SHA-256 differs" in sentence(caught.value) and "\n" not in sentence(caught.value)


@pytest.mark.parametrize("jump", [1e8, -1e8])
def test_no_jump_of_the_clock_removes_what_waits(jump, tmp_path, monkeypatch):
    """An upload that nobody asked for yet, and a result that waits for a study; before the jump and after it."""
    monkeypatch.setenv("LARVATUS_STUDIES", str(tmp_path / "studies"))
    folder = tmp_path / "desk"
    folder.mkdir()
    desk, real, later = Desk(folder), time.time, time.monotonic() + 1e9
    before, after = folder / "upload-before", folder / "upload-after"
    before.write_bytes(b"1")
    code = inbox.leave([Incoming(b"1", "photo", role="reference")])
    monkeypatch.setattr(time, "time", lambda: real() + jump)
    after.write_bytes(b"1")
    os.utime(after, (time.time(), time.time()))
    desk._drop_unread()
    assert before.exists() and after.exists() and inbox.fetch(code)
    monkeypatch.setattr(time, "time", lambda: real() + 1e9)
    monkeypatch.setattr(time, "monotonic", lambda: later)
    desk._drop_unread()
    assert not before.exists() and not after.exists(), "a real while later both go"


def test_a_wall_clock_that_jumps_neither_ends_a_visit_nor_keeps_one_forever(tmp_path, monkeypatch):
    desk = Desk(tmp_path)
    session = desk.of(ALICE)
    real = time.time
    for jump in (-1e8, 1e8):
        monkeypatch.setattr(time, "time", lambda jump=jump: real() + jump)
        desk.sweep()
        assert desk.of(ALICE) is session
    later = time.monotonic() + 1e8
    monkeypatch.setattr(time, "monotonic", lambda: later)
    desk.sweep()
    assert desk.of(ALICE) is not session and not session.folder.exists()


def test_a_locked_database_is_a_sentence_and_reading_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr("app.study.database.PATIENCE", 0.2)
    kept = Store(f"sqlite:///{tmp_path / 'study.sqlite'}")
    other = sqlite3.connect(tmp_path / "study.sqlite", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StudyError) as caught:
        kept.withdraw("no-such-code")
    assert str(caught.value) == strings.text("error.busy") and kept.studies() == []
    other.execute("COMMIT")
    with pytest.raises(StudyError) as caught:
        kept.withdraw("no-such-code")
    assert str(caught.value) != strings.text("error.busy")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), MEMORY),
        (RuntimeError("secret /etc/passwd"), OURS),
        (OSError(errno.ENOSPC, "No space left on device", "photo.png"), "The disk is full, so nothing was written"),
    ],
)
def test_the_command_line_says_it_in_one_sentence(error, says, monkeypatch, capsys, astronaut_file):
    def fails(*given, **named):
        raise error

    monkeypatch.setattr(reveal_command, "open_photo", fails)
    assert main(["reveal", str(astronaut_file)]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"larvatus: {says}") and told.count("\n") == 1 and "Traceback" not in told


def test_a_full_disk_leaves_no_half_of_a_file(tmp_path, monkeypatch):
    def full(path, data):
        path.open("wb").write(data[:3])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError):
        write_whole(tmp_path / "out.png", b"a picture")
    assert list(tmp_path.iterdir()) == []


def test_the_board_shows_no_words_of_a_library(runtime, astronaut, monkeypatch):
    def fails(*given):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        yield

    monkeypatch.setattr(board, "protect", fails)
    asked = board.Comparison((astronaut,), (Entry("pgd", "Balanced", {}),))
    (cell,) = [item for item in board.compare(runtime, asked) if isinstance(item, board.Cell)]
    assert cell.result is None and cell.error == MEMORY
