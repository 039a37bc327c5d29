"""FRBench as a provider: random weights in its own layout, its own folder, no network."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

frbench_package = pytest.importorskip("frbench")

from app import weights_measure  # noqa: E402
from app.__main__ import main  # noqa: E402
from engines import checkpoints, frbench  # noqa: E402
from engines.checkpoints import CheckpointError, checkpoint, here, locate, registry, sha256_of_file  # noqa: E402
from engines.hub_errors import Unreachable  # noqa: E402
from engines.recognise import load  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
KEY = "mobilefacenet-plain_arcface_ms1m"
ID = "frbench-" + KEY


@pytest.fixture
def zoo(tmp_path, monkeypatch):
    """A folder as FRBench keeps it: a manifest, one model, one detector that is only listed."""
    monkeypatch.setenv("FRBENCH_CACHE", str(tmp_path))
    monkeypatch.setenv("FRBENCH_UPDATE_CHECK", "0")
    entry = {"asset_name": "m.tar.gz", "target_name": "m", "contents": {"config": "config.yaml", "weight": "w.pth"}}
    entry |= {"size": 4_700_000}
    detector = {"asset_name": "d.tar.gz", "target_name": "d", "contents": {"weight": "d.pth"}}
    (tmp_path / "manifest.json").write_text(json.dumps({KEY: entry, "retinaface_mobilenetv1": detector}))
    from frbench.backbones import build_backbone

    torch.manual_seed(0)
    net = build_backbone("mobilefacenet-plain", {}, torch.device("cpu"))
    (tmp_path / "m").mkdir()
    torch.save(net.state_dict(), tmp_path / "m" / "w.pth")
    points = [[38.0, 50.0], [74.0, 50.0], [56.0, 70.0], [41.0, 91.0], [71.0, 91.0]]
    config = (
        f"backbone: {{name: mobilefacenet-plain, kwargs: {{}}}}\ninput: {{size: [112, 112], template: {points}}}\n"
    )
    (tmp_path / "m" / "config.yaml").write_text(config)
    return tmp_path


def test_every_listed_model_has_a_card(zoo):
    found = frbench.cards()
    assert list(found) == ["frbench-" + KEY]  # the detector is no recogniser
    card = found["frbench-" + KEY]
    assert card.kind == "recogniser" and card.source == "frbench" and card.trained_on == "ms1m"


def test_its_alignment_is_the_models_own_and_gradients_reach_our_pixels(zoo):
    member = load(ID)
    assert member.template.size == 112 and member.template.points[0] == (38.0, 50.0)
    pixels = torch.rand(2, 3, 112, 112, requires_grad=True)
    rows = member.embed(pixels)
    assert torch.allclose(rows.norm(dim=1), torch.ones(2), atol=1e-5)
    (rows[0] @ rows[1]).backward()
    assert pixels.grad is not None and float(pixels.grad.abs().max()) > 0
    assert not any(p.requires_grad for p in member._fr.parameters())


def test_embeddings_are_what_frbench_itself_gives(zoo):
    member = load(ID)
    pixels = torch.rand(2, 3, 112, 112)
    fr = frbench_package.FR("mobilefacenet-plain", "arcface", "ms1m", eager_load=True).eval()
    theirs = fr(pixels * 255, need_crop=False, tta=(), l2_normalize=True).embeddings
    assert F.cosine_similarity(member.embed(pixels), theirs).min() > 1 - 1e-5


def test_grad_cam_reads_maps(zoo):
    member = load(ID)
    seen = []
    hook = member.features_layer.register_forward_hook(lambda layer, given, out: seen.append(out.shape))
    member.raw(torch.rand(1, 3, 112, 112))
    hook.remove()
    assert min(seen[0][-2:]) >= 5


def test_without_its_list_there_are_no_cards(tmp_path, monkeypatch):
    monkeypatch.setenv("FRBENCH_CACHE", str(tmp_path))
    assert frbench.cards() == {} and frbench.stamp() is None


@pytest.mark.parametrize("text", ["", "[]", '{"a_b_c": 1, "d_e_f": {"contents": {}}}'])
def test_a_damaged_list_is_none(zoo, text):
    (zoo / "manifest.json").write_text(text)
    assert frbench.cards() == {}


# among the other networks


def test_its_models_stand_in_the_registry_once_the_list_is_here(zoo, capsys):
    assert registry()[ID] == checkpoint(ID) == frbench.cards()[ID]
    assert list(registry())[-1] == ID and here(checkpoint(ID)) and checkpoint(ID).about == "5 MB"
    assert main(["weights", "list", "--json"]) == 0
    assert ID in [row["id"] for row in json.loads(capsys.readouterr().out)["rows"]]
    (zoo / "manifest.json").unlink()
    assert ID not in registry()
    with pytest.raises(CheckpointError, match="no checkpoint"):
        checkpoint(ID)


def test_listing_imports_nothing_of_the_package(zoo):
    code = (
        "import sys; from engines.checkpoints import checkpoint, here, locate, registry; "
        f"assert here(registry()[{ID!r}]) and locate(checkpoint({ID!r})); print('frbench' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr


def test_without_the_package_nothing_is_listed_and_the_advice_is_to_install_it(zoo, monkeypatch):
    card = checkpoint(ID)
    monkeypatch.setattr(frbench, "installed", lambda: False)
    assert ID not in registry() and not here(card)
    for call in (lambda: locate(card), frbench.refresh):
        with pytest.raises(CheckpointError, match="pip install frbench"):
            call()


@pytest.mark.parametrize("name", ["cache", "release"])
def test_settings_are_read_as_frbench_reads_them(tmp_path, monkeypatch, name):
    from frbench._config import get_setting

    monkeypatch.setenv("FRBENCH_CONFIG", str(tmp_path / "config.json"))
    monkeypatch.delenv(f"FRBENCH_{name.upper()}", raising=False)
    seen = [frbench._setting(name)]
    assert Path(seen[0]).expanduser() == Path(get_setting(name)).expanduser()
    (tmp_path / "config.json").write_text(json.dumps({name: "kept"}))
    seen.append(frbench._setting(name))
    assert seen[1] == get_setting(name)
    monkeypatch.setenv(f"FRBENCH_{name.upper()}", "named")
    seen.append(frbench._setting(name))
    assert seen[2] == get_setting(name) and len(set(seen)) == 3


def test_its_stamp_is_the_sha256_of_its_weights(zoo):
    assert load(ID).card.sha256 == sha256_of_file(zoo / "m" / "w.pth")


def test_what_is_measured_makes_an_entry_that_outweighs_the_list(zoo, monkeypatch):
    monkeypatch.setenv("LARVATUS_REGISTRY", str(zoo / "registry.toml"))
    shutil.copy(checkpoints.REGISTRY, zoo / "registry.toml")
    listed = checkpoint(ID)
    weights_measure.write(ID, {"lfw_accuracy": 0.99}, {0.01: 0.2, 0.001: 0.3}, "some pairs")
    found = checkpoint(ID)
    measured = {"sha256": sha256_of_file(zoo / "m" / "w.pth"), "threshold_data": "some pairs"}
    measured |= {"thresholds": {0.01: 0.2, 0.001: 0.3}, "figures": {"lfw_accuracy": 0.99}}
    assert found == dataclasses.replace(listed, **measured) and load(ID).thresholds[0.01] == 0.2
    (zoo / "manifest.json").unlink()
    assert checkpoint(ID) == found and not here(found)  # its entry stays without the list
    assert (zoo / "registry.toml").read_text().startswith(checkpoints.REGISTRY.read_text())


def test_other_weights_than_the_measured_ones_are_refused(zoo, monkeypatch):
    monkeypatch.setenv("LARVATUS_REGISTRY", str(zoo / "registry.toml"))
    shutil.copy(checkpoints.REGISTRY, zoo / "registry.toml")
    weights_measure.write(ID, {"lfw_accuracy": 0.99})
    with (zoo / "m" / "w.pth").open("ab") as file:
        file.write(b"more")
    with pytest.raises(CheckpointError, match="SHA-256 differs"):
        load(ID)


# fetched


@pytest.fixture
def releases(zoo, tmp_path, monkeypatch):
    """What a download of FRBench would bring: a package of that name, in front of the real one."""
    folder = tmp_path / "fake" / "frbench"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(
        "import os, pathlib, shutil, time\n"
        "cache = pathlib.Path(os.environ['FRBENCH_CACHE'])\n"
        "def configure(**_): pass\n"
        "def refresh_manifest():\n"
        "    (cache / 'manifest.json').write_text('{\"a_b_c\": 1')\n"
        "    if not os.environ.get('TEST_BROKEN'): shutil.copy(os.environ['TEST_LIST'], cache / 'manifest.json')\n"
        "    else: raise SystemExit(1)\n"
        "def download_assets(names):\n"
        "    assert names == ['" + KEY + "']\n"
        "    for size in (1_000_000, 4_000_000):\n"
        "        (cache / 'm.tar.gz').write_bytes(bytes(size)); time.sleep(0.6)\n"
        "    (cache / 'm.tar.gz').unlink(); os.rename(cache / 'gone', cache / 'm')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(folder.parent))
    monkeypatch.setenv("TEST_LIST", str(shutil.copy(zoo / "manifest.json", tmp_path / "list")))
    monkeypatch.delenv("LARVATUS_OFFLINE", raising=False)
    (zoo / "m").rename(zoo / "gone")
    return zoo


def test_pull_fetches_and_tells_how_far_it_is(releases, capsys):
    assert not here(checkpoint(ID))
    assert main(["weights", "pull", ID, "--json"]) == 0
    out, err = capsys.readouterr()
    (row,) = json.loads(out)["rows"]
    assert row["sha256"] == sha256_of_file(releases / "m" / "w.pth") and row["from"] == "FRBench weights-v1.0.0"
    assert f"\r{ID}: 1.0 of 4.7 MB" in err and f"\r{ID}: 4.0 of 4.7 MB" in err and here(checkpoint(ID))


def test_pull_frbench_brings_the_list(releases, capsys):
    (releases / "manifest.json").unlink()
    assert ID not in registry()
    assert main(["weights", "pull", "frbench", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == [{"id": "frbench", "models": 1}] and ID in registry()


def test_a_list_that_does_not_come_leaves_the_old_one(releases, capsys, monkeypatch):
    monkeypatch.setenv("TEST_BROKEN", "1")
    assert main(["weights", "pull", "frbench"]) == 2
    said = "larvatus: FRBench's list of models could not be fetched: check the connection.\n"
    assert capsys.readouterr().err == said and ID in registry()


def test_who_stops_waiting_ends_the_download(releases):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        locate(checkpoint(ID), stop)
    assert not here(checkpoint(ID)) and os.stat(releases / "m.tar.gz").st_size == 1_000_000


def test_offline_is_one_sentence_that_names_a_stand_in(zoo, monkeypatch):
    monkeypatch.setenv("LARVATUS_OFFLINE", "1")
    (zoo / "m" / "w.pth").unlink()
    with pytest.raises(
        Unreachable, match=f"^{ID} could not be fetched from FRBench: offline mode is on; .* stand in.$"
    ):
        load(ID)
    assert main(["weights", "pull", "frbench"]) == 2


def test_a_stalled_download_is_ended(zoo, monkeypatch):
    monkeypatch.delenv("LARVATUS_OFFLINE", raising=False)
    monkeypatch.setattr(frbench, "PATIENCE", 0.5)
    with pytest.raises(Unreachable, match="it failed"):
        frbench._apart("import time; time.sleep(60)", zoo, "it failed")


def test_files_that_cannot_be_read_are_one_sentence(zoo):
    (zoo / "m" / "w.pth").write_bytes(b"not a network")
    with pytest.raises(CheckpointError, match="pull it again"):
        load(ID)
