"""Forgers, attribute classifier and parser on their way into the registry, and onto a card and the Models tab."""

from __future__ import annotations

import json

import pytest
import torch

from app import weights_face
from app.__main__ import main
from app.demo.models import methods_table
from app.runtime import Runtime
from engines.checkpoints import CheckpointError, checkpoint, load_state, sha256_of_file
from engines.nets.attributes import NAMES, AttributeNet
from engines.nets.parser import CLASSES, Parser
from engines.nets.stargan import StarGan
from engines.train.supervised import Supervised, Task


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty registry."""
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "registry.toml").write_text("# nothing yet\n")
    monkeypatch.setenv("LARVATUS_REGISTRY", str(folder / "registry.toml"))
    return folder


NETS = {"attributes": AttributeNet, "parser": Parser, "stargan": lambda: StarGan(5, 8, 1)}


def run(folder, id: str):
    """A training's folder as its recipe leaves it, untrained: only its layout matters here."""
    torch.manual_seed(0)
    work = Supervised(Task(id, 0, None, None, None), NETS[id](), folder / id, epochs=3)
    work.done, work.history = 2, [{"epoch": k, "loss": 1 / k, "accuracy": 0.5} for k in (1, 2)]
    work.save()
    return folder / id


FIGURES = {
    "attributes": {"accuracy": 0.9, "balanced": 0.8, "Male": 0.97},
    "parser": {"face": 0.72, "nose": 0.9},
    "stargan": {
        "agrees": {"age": 0.8, "gender": 0.75},
        "identity": {"age": 0.61, "gender": 0.5},
        "outside": {"age": 0.02, "gender": 0.03},
    },
}


@pytest.mark.parametrize("id", NETS)
def test_a_training_becomes_an_entry_a_card_and_a_row(id, home, tmp_path, capsys):
    folder = run(tmp_path, id)
    assert main(["weights", "bundle", id, "--run", str(folder)]) == 0
    card = checkpoint(id)
    assert card.kind == {"stargan": "forger"}.get(id, id) and card.state == "trained" and not card.figures
    assert card.sha256 == sha256_of_file(home / "bundled" / f"{id}.safetensors")
    assert all(value.dtype == torch.float32 for value in load_state(card).values())
    assert (
        main(["weights", "card", id]) == 2
        and "has no figures yet: run `python -m app bench" in capsys.readouterr().err
    )
    assert "not measured" in methods_table(Runtime())
    weights_face.keep(id, {"data": "nobody", "command": "python -m app bench x", **FIGURES[id]})
    assert main(["weights", "card", id]) == 0
    text = (home / "cards" / f"{id}.md").read_text()
    assert f"{card.bytes:,} bytes" in text and card.sha256 in text and "for 2 of 3 epochs" in text
    assert {"attributes": "| Male | 0.9700 |", "parser": "| face | 0.7200 |", "stargan": "| age | 80.0% | 0.610 |"}[
        id
    ] in text
    assert {"attributes": "80.0%", "parser": "0.72", "stargan": "age 80%"}[id] in methods_table(Runtime())


def test_what_cannot_be_bundled_is_refused_and_nothing_is_lost(home, tmp_path):
    folder = run(tmp_path, "parser")
    before = (home / "registry.toml").read_text()
    with pytest.raises(CheckpointError, match="is of parser, not of attributes"):
        weights_face.bundle("attributes", folder)
    log = json.loads((folder / "log.json").read_text())
    (folder / "log.json").write_text(json.dumps({**log, "id": "hisd"}))
    with pytest.raises(CheckpointError, match="of another network"):
        weights_face.bundle("hisd", folder)
    with pytest.raises(CheckpointError, match="There is no whole training in nowhere"):
        weights_face.bundle("parser", tmp_path / "nowhere")
    assert (home / "registry.toml").read_text() == before and not (home / "bundled").exists()


MISSING = {"forgers": "No forger is trained yet", "attributes": "celeba160-test", "parser": "no celebamask160"}


@pytest.mark.parametrize("name", MISSING)
def test_the_benches_say_what_is_missing(name, home, capsys, tmp_path):
    assert main(["bench", name, "--data", str(tmp_path)]) == 2
    assert MISSING[name] in capsys.readouterr().err
    assert len(NAMES) == 40 and len(CLASSES) == 19
