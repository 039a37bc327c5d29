"""ID-Guard's generators on their way into the registry and onto a card. Untrained: only the layout matters here."""

from __future__ import annotations

import pytest
import torch

from app import weights_guard
from app.__main__ import main
from engines.checkpoints import CheckpointError, checkpoint
from engines.methods.id_guard import generators
from engines.nets.id_guard import PerturbationGenerator, Universal
from engines.train import kept
from tests.test_weights_face import home  # noqa: F401  (a fixture)


def run(folder, names=("S-I", "S-II")):
    """Folders as the recipes leave them."""
    torch.manual_seed(0)
    for name in names:
        net = Universal(64) if name == "CMUA" else PerturbationGenerator(64, 8, 1)
        history = [{"step": 100 * k, "DSR G stargan": 0.1 * k, "stargan λ": 0.2} for k in range(1, 4)]
        history = [{"stargan": 0.4}] if name == "CMUA" else history
        recipe = {"batches": 2} if name == "CMUA" else {"steps": 300, "strategy": name}
        log = {"recipe": recipe, "device": "cpu", "done": 300, "seconds": 77, "history": history}
        kept.write(folder / name, {}, net.state_dict(), log)
    return folder


def rows(method: str) -> list[dict]:
    one = {"method": method, "L2": 0.3, "ID sim": 0.1, "DSR": 0.98, "seconds": 0.1}
    places = [(data, forger) for data in ("CelebA", "LFW") for forger in ("stargan", "mean")]
    plain = [{**one, "data": data, "forger": forger, "change": "none"} for data, forger in places]
    return [*plain, {**one, "data": "LFW", "forger": "mean", "change": "JPEG 85", "DSR": 0.77}]


@pytest.mark.parametrize("id", weights_guard.PAPERS)
def test_trainings_become_one_file_an_entry_and_a_card(id, home, tmp_path):  # noqa: F811
    names = weights_guard.PAPERS[id][2]
    assert main(["weights", "bundle", id, "--run", str(run(tmp_path / "run", names))]) == 0
    card = checkpoint(id)
    assert card.kind == "disruptor" and not card.figures and set(generators(id)) == set(names)
    assert bool(card.trained_against) == (id == "id-guard")
    with pytest.raises(CheckpointError, match="no figures yet"):
        weights_guard.card_text(card)
    found = {"rows": [row for method in weights_guard.SHOWN[id] for row in rows(method)]}
    weights_guard.keep({**found, "provenance": {"data": "faces", "faces": 500, "command": "the command"}})
    assert main(["weights", "card", id]) == 0
    text = (home / "cards" / f"{id}.md").read_text()
    first = weights_guard.SHOWN[id][0]
    assert f"| {first}, CelebA | 0.300 / 0.100 / 0.980 | 0.300 / 0.100 / 0.980 |" in text
    assert f"- {first}, LFW: JPEG 85 0.770" in text and "Took 77 s on one CPU core" in text
    assert all(f"## {name}: held-out" in text for name in names)


def test_a_missing_training_is_a_sentence(home, tmp_path, capsys):  # noqa: F811
    assert main(["weights", "bundle", "id-guard", "--run", str(run(tmp_path / "run", ("S-I",)))]) == 2
    assert "no whole training in S-II" in capsys.readouterr().err
