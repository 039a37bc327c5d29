"""ID-Guard's generators on their way into the registry and onto a card. Untrained: only the layout matters here."""

from __future__ import annotations

import pytest
import torch

from app import weights_guard
from app.__main__ import main
from engines.checkpoints import CheckpointError, checkpoint
from engines.methods.id_guard import STRATEGIES, generators
from engines.nets.id_guard import PerturbationGenerator
from engines.train import kept
from tests.test_weights_face import home  # noqa: F401  (a fixture)


def run(folder, names=STRATEGIES):
    """Folders as the recipe leaves them."""
    torch.manual_seed(0)
    for name in names:
        history = [{"step": 100 * k, "DSR G stargan": 0.1 * k, "stargan λ": 0.2} for k in range(1, 4)]
        recipe = {"steps": 300, "strategy": name}
        log = {"recipe": recipe, "device": "cpu", "done": 300, "seconds": 77, "history": history}
        kept.write(folder / name, {}, PerturbationGenerator(64, 8, 1).state_dict(), log)
    return folder


def rows(method: str) -> list[dict]:
    one = {"method": method, "L2": 0.3, "ID sim": 0.1, "DSR": 0.98, "seconds": 0.1}
    places = [(data, forger) for data in ("CelebA", "LFW") for forger in ("stargan", "mean")]
    plain = [{**one, "data": data, "forger": forger, "change": "none"} for data, forger in places]
    return [*plain, {**one, "data": "LFW", "forger": "mean", "change": "JPEG 85", "DSR": 0.77}]


def test_trainings_become_one_file_an_entry_and_a_card(home, tmp_path):  # noqa: F811
    assert main(["weights", "bundle", "id-guard", "--run", str(run(tmp_path / "run"))]) == 0
    card = checkpoint("id-guard")
    assert card.kind == "disruptor" and not card.figures and card.trained_against
    assert set(generators("id-guard")) == set(STRATEGIES)
    with pytest.raises(CheckpointError, match="no figures yet"):
        weights_guard.card_text(card)
    found = {"rows": [row for method in weights_guard.SHOWN for row in rows(method)]}
    weights_guard.keep({**found, "provenance": {"data": "faces", "faces": 500, "command": "the command"}})
    assert main(["weights", "card", "id-guard"]) == 0
    text = (home / "cards" / "id-guard.md").read_text()
    for method in ("ID-Guard (S-I)", "CMUA"):
        assert f"| {method}, CelebA | 0.300 / 0.100 / 0.980 | 0.300 / 0.100 / 0.980 |" in text
        assert f"- {method}, LFW: JPEG 85 0.770" in text
    assert "Took 77 s on one CPU core" in text and all(f"## {name}: held-out" in text for name in ("S-I", "S-II"))


def test_a_missing_training_is_a_sentence(home, tmp_path, capsys):  # noqa: F811
    assert main(["weights", "bundle", "id-guard", "--run", str(run(tmp_path / "run", ("S-I",)))]) == 2
    assert "no whole training in S-II" in capsys.readouterr().err
