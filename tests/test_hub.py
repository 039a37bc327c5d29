"""The real huggingface-hub client against a small local Hub: whole or refused, never half, never a hang."""

import dataclasses
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from hub_server import COMMIT, TOKEN, HubServer, sha
from huggingface_hub import constants
from safetensors.torch import load, load_file, save

from app.__main__ import main
from engines import checkpoints, hub
from engines.checkpoints import CheckpointError, here, load_state, locate, locked_sha256

ROOT = Path(__file__).resolve().parents[1]
DATA = save({"weight": torch.arange(100_000.0)})
REPO = "some/net"
ENTRY = """
[{id}]
title = "{id}"
kind = "recogniser"
role = "surrogate"
source = "{source}"
network = "plain"
repo = "{repo}"
revision = "{revision}"
file = "{file}"
sha256 = "{sha256}"
bytes = {bytes}
licence = "MIT"
paper = "none"
trained_on = "nothing"
state = "trained"
"""
FAR = {"id": "far", "source": "hub", "repo": REPO, "revision": COMMIT, "file": "net.safetensors"}
FAR |= {"sha256": sha(DATA), "bytes": len(DATA)}
NEAR = {"id": "near", "source": "bundled", "repo": "", "revision": "", "file": "near.safetensors"}
NEAR |= {"sha256": sha(DATA), "bytes": len(DATA)}


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write the registry of the test; returns the card of the first entry."""
    path = tmp_path / "weights" / "registry.toml"
    path.parent.mkdir()
    monkeypatch.setenv("LARVATUS_REGISTRY", str(path))

    def writer(*entries):
        path.write_text("".join(ENTRY.format(**entry) for entry in entries))
        return checkpoints.registry()[entries[0]["id"]]

    return writer


@pytest.fixture
def card(write):
    return write(FAR, NEAR)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Nothing of this computer: no token, no file, no settings of its clients."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT", "LARVATUS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "clients"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "PAUSE", 0.01)
    monkeypatch.setenv("LARVATUS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def server(cache, monkeypatch):
    with HubServer() as server:
        server.files[f"{REPO}/net.safetensors"] = DATA
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        yield server


def refusal(card, report=None):
    """The sentence of a fetch that must fail; it shows no path and no host, and nothing can be loaded after it."""
    with pytest.raises(CheckpointError) as caught:
        hub.fetch(card, report)
    text = str(caught.value)
    assert not re.search(r"127\.0\.0\.1|localhost|http|/tmp|\n|Traceback", text) and text.endswith(".")
    assert not here(card) and not (hub.folder(card) / card.file).exists()
    return text


def partial(card):
    return hub.folder(card) / (card.file + ".partial")


# fetched


def test_fetched_once_then_never_asked_again(server, card, monkeypatch):
    assert not here(card)
    path = hub.fetch(card)
    assert path.read_bytes() == DATA and here(card) and not partial(card).exists()
    asked = len(server.asked)
    monkeypatch.setenv("LARVATUS_OFFLINE", "1")
    assert hub.fetch(card) == locate(card) == path and len(server.asked) == asked
    assert torch.equal(load_state(card)["weight"], torch.arange(100_000.0))
    assert not list(checkpoints.cache_folder().glob("*.json"))  # safetensors are not copied


def test_progress_comes_in_the_callers_thread_and_ends_with_all_of_it(server, card):
    server.ways[REPO], server.pause, heard = "slow", 0.06, []
    hub.fetch(card, lambda *bytes: heard.append((*bytes, threading.current_thread())))
    done = [part[0] for part in heard]
    assert done == sorted(set(done)) and len(done) > 3 and done[-1] == len(DATA)
    assert {part[1:] for part in heard} == {(len(DATA), threading.main_thread())}


def test_slow_but_moving_is_waited_for(server, card, monkeypatch):
    monkeypatch.setattr(hub, "PATIENCE", 0.5)
    server.ways[REPO], server.pause = "slow", 0.15
    started = time.monotonic()
    assert hub.fetch(card).read_bytes() == DATA and time.monotonic() - started > 0.5


def test_a_dropped_connection_goes_on_where_it_broke(server, card):
    server.ways[REPO] = "drop"
    assert hub.fetch(card).read_bytes() == DATA
    assert [span for span, _ in server.gets()] == ["", f"bytes={len(DATA) // 2}-"]


def test_the_next_try_goes_on_where_the_last_one_stopped(server, card):
    server.ways[REPO] = "drops"
    assert "goes on after the 0.0 MB that came; near, which is bundled, can stand in." in refusal(card)
    assert len(server.gets()) == hub.TRIES and partial(card).read_bytes() == DATA[: 1000 * hub.TRIES]
    server.ways[REPO], heard = "whole", []
    assert hub.fetch(card, lambda *bytes: heard.append(bytes)).read_bytes() == DATA
    assert server.gets()[-1][0] == f"bytes={1000 * hub.TRIES}-"


def test_the_token_goes_to_the_hub_and_not_to_its_store(server, card, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.fetch(card)
    assert ("HEAD", f"/{REPO}/resolve/{COMMIT}/net.safetensors", "", f"Bearer {TOKEN}") in server.asked
    assert server.gets() == [("", "")]


def test_the_file_of_the_clients_own_cache_is_used(cache, card):
    path = Path(constants.HF_HUB_CACHE) / "models--some--net" / "snapshots" / COMMIT / "net.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(DATA)
    assert here(card) and hub.fetch(card) == path


def test_two_at_once_download_it_once(server, card):
    server.ways[REPO], server.pause, found = "slow", 0.05, []
    threads = [threading.Thread(target=lambda: found.append(hub.fetch(card))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3 and len(server.gets()) == 1


def test_who_stops_waiting_leaves_nothing_that_could_be_loaded(server, card):
    server.ways[REPO], server.pause = "slow", 0.05

    def cancel(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hub.fetch(card, cancel)
    time.sleep(0.3)
    assert not here(card) and partial(card).stat().st_size < len(DATA)
    server.ways[REPO] = "whole"
    assert hub.fetch(card).read_bytes() == DATA


# refused


@pytest.mark.parametrize(
    "way, says",
    [
        ("gone", "The Hub has no net.safetensors of some/net at the pinned revision: correct its entry"),
        ("norepo", "The Hub has no some/net, or it is private: correct the entry, or set HF_TOKEN"),
        (
            "gated",
            "some/net wants its terms accepted: open its page on the Hub in a browser, accept them, and set",
        ),
        ("broken", "The Hub could not give some/net (it answered 503): try again later"),
        ("login", "far could not be fetched from the Hub (some/net): check the connection"),
        (
            "other",
            "The file of far that came from the Hub is not the pinned file (its SHA-256 differs), so it was",
        ),
        ("short", "The file of far came truncated from the Hub, so it was removed: try again, it starts afresh"),
    ],
)
def test_each_failure_is_a_sentence_that_names_a_stand_in(server, card, way, says):
    server.ways[REPO] = way
    text = refusal(card)
    assert text.startswith(says) and text.endswith("; near, which is bundled, can stand in.")
    assert not partial(card).exists()
    server.ways[REPO] = "whole"
    assert hub.fetch(card).read_bytes() == DATA and server.gets()[-1][0] == ""  # afresh


@pytest.mark.parametrize("way", ["mute", "stall"])
def test_silence_is_given_up_within_the_patience(server, card, monkeypatch, way):
    monkeypatch.setattr(hub, "PATIENCE", 0.5)
    server.ways[REPO], started = way, time.monotonic()
    assert "check the connection" in refusal(card) and time.monotonic() - started < 2
    assert partial(card).exists() == (way == "stall")


def test_a_dead_network_is_noticed_at_once(cache, card, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # a port where nobody listens
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{taken.getsockname()[1]}")
        started = time.monotonic()
        assert "check the connection; near, which is bundled, can stand in." in refusal(card)
    assert time.monotonic() - started < 3


def test_a_name_server_that_never_answers_is_not_waited_for(cache, card, monkeypatch):
    monkeypatch.setattr(hub, "PATIENCE", 0.3)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(2))
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    started = time.monotonic()
    assert "check the connection" in refusal(card) and time.monotonic() - started < 1.5


def test_the_patience_is_less_than_ten_seconds():
    assert hub.PATIENCE < 10


@pytest.mark.parametrize("switch", ["LARVATUS_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_asks_nobody_and_says_what_stands_in(server, card, monkeypatch, switch):
    monkeypatch.setenv(switch, "1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", switch == "HF_HUB_OFFLINE")
    assert refusal(card) == (
        "far must be fetched from the Hub, but offline mode is on; near, which is bundled, can stand in."
    )
    assert not server.asked


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_disk_that_fills_up_is_said_and_leaves_nothing(server, card):
    partial(card).parent.mkdir(parents=True)
    partial(card).symlink_to("/dev/full")
    assert refusal(card).startswith("The disk is full: make room for far (0 MB) and try again; near")
    assert not partial(card).is_symlink()


def test_a_disk_too_small_is_not_filled(server, card, monkeypatch):
    monkeypatch.setattr(hub.shutil, "disk_usage", lambda path: Free(len(DATA) - 1))
    assert "The disk is full" in refusal(card) and not server.gets()


@dataclasses.dataclass
class Free:
    free: int


def test_a_cache_that_cannot_be_written_is_said(server, card, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LARVATUS_CACHE", str(tmp_path / "file" / "below"))
    assert "set LARVATUS_CACHE to another one" in refusal(card)


@pytest.mark.parametrize("damage", [b"", DATA[:-1], DATA[:-1] + b"!"])
def test_a_damaged_file_is_never_loaded_but_fetched_again(server, card, monkeypatch, damage):
    path = hub.fetch(card)
    path.write_bytes(damage)
    monkeypatch.setenv("LARVATUS_OFFLINE", "1")
    with pytest.raises(CheckpointError, match="offline mode is on"):
        load_state(card)
    monkeypatch.delenv("LARVATUS_OFFLINE")
    assert load_state(card)["weight"].shape == (100_000,) and path.read_bytes() == DATA


# where the registry knows no SHA-256


@pytest.fixture
def open_card(write):
    return write({**FAR, "sha256": ""}, NEAR)


def test_the_hubs_sha256_is_locked_and_checked_by_every_later_load(server, open_card, cache):
    assert locked_sha256(open_card) is None and not here(open_card)
    path = hub.fetch(open_card)
    assert json.loads((cache / "lock.json").read_text()) == {f"{REPO}@{COMMIT}/net.safetensors": sha(DATA)}
    assert locked_sha256(open_card) == sha(DATA) and here(open_card)
    path.write_bytes(DATA[:-1] + b"!")
    asked = len(server.gets())
    assert hub.fetch(open_card).read_bytes() == DATA and len(server.gets()) == asked + 1


def test_the_lock_outweighs_what_the_hub_says_later(server, open_card):
    hub.fetch(open_card).unlink()
    server.files[f"{REPO}/net.safetensors"] = DATA[:-1] + b"!"
    assert "is not the pinned file" in refusal(open_card)


def test_other_bytes_than_the_hub_promises_are_not_locked(server, open_card):
    server.ways[REPO] = "other"
    assert "its SHA-256 differs" in refusal(open_card) and locked_sha256(open_card) is None


def test_a_file_without_sha256_anywhere_is_refused(server, open_card):
    server.ways[REPO] = "plain"
    assert "gives no SHA-256" in refusal(open_card)


def test_the_lock_of_another_revision_does_not_count(server, open_card):
    hub.fetch(open_card)
    other = dataclasses.replace(open_card, revision="d" * 40)
    assert locked_sha256(other) is None and not here(other)


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_a_damaged_lock_is_made_again(server, open_card, cache, text):
    hub.fetch(open_card)
    (cache / "lock.json").write_text(text)
    assert not here(open_card)
    assert hub.fetch(open_card).read_bytes() == DATA and locked_sha256(open_card) == sha(DATA)


# the command line


def told(capsys, *arguments):
    code = main([*arguments, "--json"])
    out, err = capsys.readouterr()
    return code, json.loads(out) if out else None, err


def test_pull_shows_progress_and_says_where_it_came_from(server, card, capsys):
    code, found, err = told(capsys, "weights", "pull", "far")
    row = {"id": "far", "bytes": len(DATA), "sha256": sha(DATA), "from": f"{REPO} at cccccccc"}
    assert code == 0 and found["rows"] == [row] and err.endswith("\rfar: 0.4 of 0.4 MB\n")


def test_pull_all_goes_on_after_one_that_fails_but_not_without_a_network(server, write, capsys, monkeypatch):
    other = {**FAR, "id": "closed", "repo": "some/closed"}
    write(other, FAR, NEAR)
    server.ways["some/closed"] = "gated"
    code, found, err = told(capsys, "weights", "pull", "--all")
    assert code == 2 and found is None and here(checkpoints.checkpoint("far"))
    assert "1 of 2 networks could not be fetched. some/closed wants its terms accepted" in err
    monkeypatch.setenv("LARVATUS_OFFLINE", "1")
    code, _, err = told(capsys, "weights", "pull", "--all")
    assert code == 2 and err == (
        "larvatus: closed must be fetched from the Hub, but offline mode is on; "
        "near, which is bundled, can stand in.\n"
    )


def test_pull_in_a_process_of_its_own_on_a_dead_network_is_one_sentence(cache, card, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    command = [sys.executable, "-m", "app", "weights", "pull", "far"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == (
        "larvatus: far could not be fetched from the Hub (some/net): check the connection; "
        "near, which is bundled, can stand in.\n"
    )


def pickled(tmp_path, state):
    path = tmp_path / "release.pth"
    torch.save(state, path)
    return path, checkpoints.sha256_of_file(path)


def test_convert_renames_by_rules_in_order(tmp_path, capsys):
    state = {
        "module.body.0.weight": torch.ones(2).half(),
        "module.head.bias": torch.ones(3),
        "module.n": torch.ones(1),
    }
    path, sha256 = pickled(tmp_path, {"epoch": 3, "state_dict": state})
    (tmp_path / "map.toml").write_text('"^body\\\\.(\\\\d+)" = "blocks.\\\\1"\n"^blocks" = "b"\n"^head.*" = ""\n')
    out = tmp_path / "new" / "out.safetensors"
    arguments = ("weights", "convert", str(path), str(out), "--sha256", sha256, "--map", str(tmp_path / "map.toml"))
    code, found, err = told(capsys, *arguments)
    assert code == 0, err
    row = {"file": "out.safetensors", "tensors": 2, "renamed": 1, "left out": 1, "bytes": out.stat().st_size}
    assert found["rows"] == [{**row, "sha256": checkpoints.sha256_of_file(out)}]
    assert load_file(out)["b.0.weight"].dtype == torch.float32 and set(load_file(out)) == {"b.0.weight", "n"}


@pytest.mark.parametrize(
    "rules, says",
    [
        ('"(" = "x"', "is not of the form regex = text"),
        ('"a" = "\\\\9"', "is not of the form regex = text"),
        ('"a" = 1', "is not of the form regex = text"),
        ('"^.*" = "x"', "two tensors the name 'x'"),
        ('".+" = ""', "leaves no tensor"),
    ],
)
def test_convert_refuses_a_map_that_cannot_be_meant(tmp_path, capsys, rules, says):
    path, sha256 = pickled(tmp_path, {"a": torch.ones(1), "b": torch.ones(1)})
    (tmp_path / "map.toml").write_text(rules)
    out = tmp_path / "out.safetensors"
    arguments = ("weights", "convert", str(path), str(out), "--sha256", sha256, "--map", str(tmp_path / "map.toml"))
    code, _, err = told(capsys, *arguments)
    assert code == 2 and says in err and not out.exists()


class Evil:
    def __reduce__(self):
        return (os.system, ("touch evil",))


def test_convert_opens_nothing_unpinned_and_runs_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path, sha256 = pickled(tmp_path, {"weight": torch.ones(1), "evil": Evil()})
    code, _, err = told(capsys, "weights", "convert", str(path), "out.safetensors", "--sha256", "0" * 64)
    assert code == 2 and "does not have the SHA-256 that you gave" in err
    code, _, err = told(capsys, "weights", "convert", str(path), "out.safetensors", "--sha256", sha256)
    assert code == 2 and "holds more than tensors" in err
    assert sorted(os.listdir()) == ["release.pth"]


def test_convert_wants_another_file_and_a_file_that_is_there(tmp_path, capsys):
    path, sha256 = pickled(tmp_path, {"a": torch.ones(1)})
    code, _, err = told(capsys, "weights", "convert", str(path), str(path), "--sha256", sha256)
    assert code == 2 and "must end in .safetensors" in err
    code, _, err = told(capsys, "weights", "convert", str(tmp_path / "no"), "x.safetensors", "--sha256", sha256)
    assert code == 2 and "There is no file no" in err


@pytest.fixture
def bundle(card, tmp_path):
    folder = tmp_path / "weights"
    (folder / "bundled").mkdir()
    (folder / "cards").mkdir()
    (folder / "bundled" / "near.safetensors").write_bytes(DATA)
    (folder / "bundled" / "notes.txt").write_text("not for the Hub")
    (folder / "cards" / "near.md").write_text("# Near")
    return {"bundled/near.safetensors", "cards/near.md", "registry.toml"}


def test_publish_is_one_commit_that_can_be_pulled(server, write, bundle, capsys, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    code, found, err = told(capsys, "weights", "publish", "someone/larvatus")
    assert code == 0, err
    ((repo, message, files),) = server.commits
    assert repo == "someone/larvatus" and message and set(files) == bundle == {row["file"] for row in found["rows"]}
    assert load(files["bundled/near.safetensors"]).keys() == {"weight"} and files["cards/near.md"] == b"# Near"
    published = {**FAR, "repo": repo, "revision": found["commit"], "file": "bundled/near.safetensors"}
    assert hub.fetch(write(published)).read_bytes() == DATA
    assert told(capsys, "weights", "publish", "someone/larvatus")[0] == 0  # the repository may be there already


def test_publish_dry_run_asks_nobody(server, bundle, capsys):
    code, found, _ = told(capsys, "weights", "publish", "someone/larvatus", "--dry-run")
    assert code == 0 and {row["file"] for row in found["rows"]} == bundle and not server.asked
    assert found["provenance"]["commit"] is None


@pytest.mark.parametrize(
    "token, repo, says",
    [
        ("", "someone/larvatus", "set HF_TOKEN"),
        ("hf_wrong", "someone/larvatus", "make a token with the right to write"),
        (TOKEN, "other/readonly", "make a token with the right to write"),
        (TOKEN, "a/b/c", "give it as name/repository"),
    ],
)
def test_publish_is_refused_in_one_sentence(server, bundle, capsys, monkeypatch, token, repo, says):
    monkeypatch.setenv("HF_TOKEN", token)
    server.ways["other/readonly"] = "readonly"
    code, _, err = told(capsys, "weights", "publish", repo)
    assert code == 2 and says in err and err.count("\n") == 1 and not server.commits


def test_publish_without_a_network_or_a_bundle(server, bundle, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "check the connection" in told(capsys, "weights", "publish", "someone/larvatus")[2]
    monkeypatch.setenv("LARVATUS_OFFLINE", "1")
    assert "Offline mode is on" in told(capsys, "weights", "publish", "someone/larvatus")[2]
    (tmp_path / "weights" / "bundled" / "near.safetensors").unlink()
    assert "no bundled network" in told(capsys, "weights", "publish", "someone/larvatus")[2]


def test_a_reader_that_has_seen_enough_is_no_error(card, monkeypatch):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert main(["weights", "list"]) == 0
        pipe.flush()
