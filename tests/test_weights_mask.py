"""ErasableMask's trainings on their way into the registry and onto a card. Untrained: only layout matters here."""

from __future__ import annotations

import pytest
import torch

from app import weights_mask
from app.__main__ import main
from engines.checkpoints import CheckpointError, checkpoint
from engines.methods.erasable_mask import masks
from engines.nets.erasable_mask import ErasableMask
from engines.train import kept
from tests.test_weights_face import home  # noqa: F401  (a fixture)

WIDTHS = (4, 6, 8, 8)
ROW = {
    "step": 100,
    "to target": 0.4,
    "masked to self": 0.5,
    "erased to self": 0.9,
    "l1 edit": 0.1,
    "l1 mask": 0.02,
    "l1 erased": 0.03,
}


def run(folder, shared: bool = True):
    """Folders as the recipe leaves them: the second training has taken its generator from the first, or not."""
    torch.manual_seed(0)
    first = ErasableMask(WIDTHS)
    for target in ("hopper", "collins"):
        net = ErasableMask(WIDTHS)
        if shared:
            net.generator.load_state_dict(first.generator.state_dict())
        log = {
            "recipe": {"edit": 3, "weights": {"adversarial": 1.0}},
            "device": "cpu",
            "seconds": 77,
            "note": "Begun twice.",
            "history": [ROW],
        }
        kept.write(folder / target, {}, net.state_dict(), log)
    return folder


def rows(method: str = "ErasableMask") -> list[dict]:
    judged = {f"{kind} {judge}": 0.9 for kind in ("ASR", "ESR", "known") for judge in ("a", "b")}
    plain = {"method": method, "change": "none", "faces": 2, **judged, "SSIM": 0.95, "attributes": 0.8}
    return [plain, {"method": method, "change": "JPEG 50", "faces": 2, **judged, "ESR b": 0.7}]


def test_trainings_become_one_file_an_entry_and_a_card(home, tmp_path):  # noqa: F811
    assert main(["weights", "bundle", "erasable-mask", "--run", str(run(tmp_path / "run"))]) == 0
    card = checkpoint("erasable-mask")
    found = masks("erasable-mask", "cpu")
    assert card.kind == "mask" and card.trained_against and not card.figures and set(found) == {"hopper", "collins"}
    one, two = (net.generator.state_dict() for net in found.values())
    assert all(torch.equal(one[name], two[name]) for name in one)
    with pytest.raises(CheckpointError, match="no figures yet"):
        weights_mask.card_text(card)
    made = {"data": "faces", "command": "the command"}
    for target in ("Grace Hopper", "Eileen Collins"):
        weights_mask.keep({"rows": rows(), "provenance": {**made, "target": target}})
    assert main(["weights", "card", "erasable-mask"]) == 0
    text = (home / "cards" / "erasable-mask.md").read_text()
    assert "## Figures towards Grace Hopper" in text and "## Figures towards Eileen Collins" in text
    assert "| a | 90.0% | 90.0% | 90.0% |" in text and "| JPEG 50 | 90.0% | 80.0% | 90.0% |" in text
    assert "SSIM 0.9500" in text and "--edits run/hopper" in text
    assert "Took 77 s on one CPU core. Begun twice." in text
    assert "λ adversarial 1.0" in text


def test_rows_of_other_methods_leave_the_entry_as_it_is():
    assert weights_mask.figures_of({"rows": rows("PGD"), "provenance": {}}) == {}


@pytest.mark.parametrize("shared, words", [(True, "no whole training in collins"), (False, "another generator")])
def test_trainings_that_do_not_belong_together_are_a_sentence(home, tmp_path, capsys, shared, words):  # noqa: F811
    folder = run(tmp_path / "run", shared)
    if shared:
        (folder / "collins" / "weights.safetensors").unlink()
    assert main(["weights", "bundle", "erasable-mask", "--run", str(folder)]) == 2
    assert words in capsys.readouterr().err
