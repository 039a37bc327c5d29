"""The bench of IPMN, its card, and its imitators, on two faces with networks of random weights."""

from __future__ import annotations

import gradio as gr
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from app import gallery, stolen, weights_ipmn
from app.__main__ import main
from app.bench import hiding_scene
from app.bench import ipmn as bench_ipmn
from app.bench.hiding_scene import MARKS, Bench, Faces, Pictures
from app.demo import stolen as stolen_tab
from engines import imitate
from engines.checkpoints import CheckpointError, checkpoint, load_state
from engines.face import CELEBA128, align
from engines.imitate import Imitator
from engines.methods import ipmn
from engines.nets.ipmn import Sizes
from engines.nets.stealing import THIEVES, thief
from engines.swap import swap
from engines.train.ipmn import Training
from engines.train.ipmn_masks import Whole
from engines.train.ipmn_recipe import Recipe
from tests.test_weights_face import home  # noqa: F401  (a fixture)

SIZES = Sizes(blocks=1, growth=4, layers=2, embedder=(4, 6), extractor=4, residuals=1, critic=4, side=64)


@pytest.fixture
def bench(runtime, astronaut, hopper, hider) -> Bench:
    ours, other = (align(one.photo.pixels, one.landmarks, CELEBA128).pixels for one in (astronaut, hopper))
    mask = torch.cat([swap(ours, other), swap(other, ours)])
    return Bench(Faces(torch.cat([ours, other]), mask, torch.cat([other, ours])), [runtime.recogniser("compact-vgg")])


@pytest.fixture
def thieves(monkeypatch) -> dict[str, Imitator]:
    """Two imitators of random weights, each of a service with words of its own."""
    torch.manual_seed(0)
    nets = {kind: thief(kind, 4).eval().requires_grad_(False) for kind in ("res9", "unet")}
    found = {kind: Imitator(kind, net, MARKS["words"]) for kind, net in nets.items()}
    for place in (stolen, bench_ipmn):
        monkeypatch.setattr(place, "imitators", lambda id, device: found)
    return found


def test_every_table_has_its_rows_and_the_controls_are_worse(bench, thieves):
    rows = list(bench_ipmn.rows_of(bench))
    tables = {row["table"] for row in rows}
    assert tables >= {"Tables 2 and 7", "Table 3", "Table 6", "Table 10", "Table 11", "Blank", "Controls"}
    pairs = {row["row"]: row for row in rows if row["table"] == "Tables 2 and 7" and row["method"] == "IPMN"}
    assert list(pairs) == ["(x_p, x'_p)", "(x_wm, x_wmf)", "(x_wm, x'_wm)"] and pairs["(x_p, x'_p)"]["seconds"] > 0
    mosaic = next(row for row in rows if row["method"] == "Reversible mosaic" and "PSNR" in row)
    assert mosaic["PSNR"] > 25, "it needs no training"
    assert [row["row"] for row in rows if row["table"] == "Table 10"] == ["Res9", "UNet"]
    clean = next(row for row in rows if row["table"] == "Table 11" and row["method"] == "IPMN")
    assert clean["SR_P compact-vgg"] == 1.0, "another face"
    assert {row["row"] for row in rows if row["table"] == "After a change"} == set(hiding_scene.CURVE)


def test_a_watermark_is_read_where_it_is_and_nothing_where_it_is_not(bench, monkeypatch):
    mark = MARKS["words"]
    monkeypatch.setattr(ipmn.Ipmn, "watermark", lambda self, pixels: pixels)
    seen = torch.cat([mark, torch.zeros_like(mark)])
    found = bench.read(seen, mark)
    assert found["SR_E"] == 0.5 and found["NC"] == pytest.approx(0.5)
    assert bench.blank(seen) == 0.5


def test_equal_pictures_are_equal_and_what_is_marked_late_is_marked_in_the_masked_face(bench):
    pixels = bench.faces.protected
    assert hiding_scene.alike(pixels, pixels)["PSNR"] == hiding_scene.CEILING
    late, plain = bench.marked_late(MARKS["flower"]), bench.unmarked()
    assert isinstance(late, Pictures) and torch.equal(late.carrier, plain.carrier)
    assert not torch.equal(late.masked, plain.masked)


def trained(folder, celeba, plan=(1, 1, 1, 1), take=(), **given) -> None:  # noqa: F811
    recipe = Recipe(*plan, batch=2, sizes=SIZES, thief=4, **given)
    training = Training(recipe, Whole.of(celeba), lambda pixels: pixels, folder)
    for name in take:
        training.take(folder.parent / name)
    training.run(Whole.of(celeba), every=1, faces=2)


def test_trainings_become_files_entries_and_cards(home, tmp_path, celeba, capsys):  # noqa: F811
    run = tmp_path / "run"
    trained(run / "marks", celeba, (1, 0, 0, 0))
    trained(run / "imn", celeba, (0, 1, 0, 0), mark=False)
    trained(run / "own", celeba, (0, 1, 1, 1), ("marks", "imn"))
    trained(run / "thief-res9", celeba, (0, 0, 1, 0), ("own",), thieves=("res9",))
    for id in weights_ipmn.PAPERS:
        assert main(["weights", "bundle", id, "--run", str(run)]) == 0
    own, imn = (load_state(checkpoint(id)) for id in weights_ipmn.PAPERS)
    assert set(name.split(".")[0] for name in imn) == {"invertible"} and any(n.startswith("thief.res9") for n in own)
    found = imitate._imitators("ipmn", "cpu")
    assert set(found) == {"unet", "res9"} and found["res9"].watermark.shape == (1, 3, 64, 64)
    drawn = found["unet"].imitate(torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64))
    assert drawn.shape == (1, 3, 64, 64) and torch.equal((drawn * 255).round() / 255, drawn)
    kept = load_file(run / "own" / "weights.safetensors")
    assert torch.equal(own["embedder.last.bias"], kept["embedder.last.bias"].float())
    with pytest.raises(CheckpointError, match="no figures yet"):
        weights_ipmn.card_text(checkpoint("ipmn"))
    rows = [{"table": "Tables 2 and 7", "method": m, "row": "(x_p, x'_p)", "PSNR": 31.5} for m in ("IPMN", "IMN")]
    made = {"data": "faces", "faces": 500, "command": "the command"}
    weights_ipmn.keep({"rows": rows, "provenance": made})
    assert main(["weights", "card", *weights_ipmn.PAPERS]) == 0
    text = (home / "cards" / "ipmn.md").read_text()
    assert "| (x_p, x'_p) | 31.5 |" in text
    for command in (
        "--out run/marks --initial 1 --reversible 0 --steal 0 --enhance 0 --batch 2`",
        "--out run/imn --imn --initial 0 --reversible 1 --steal 0 --enhance 0 --batch 2`",
        "--initial 0 --reversible 1 --steal 1 --enhance 1 --batch 2 --take run/marks run/imn --thieves unet`",
        "--initial 0 --reversible 0 --steal 1 --enhance 0 --batch 2 --take run/own --thieves res9`",
    ):
        assert command in text
    assert main(["weights", "bundle", "ipmn", "--run", str(tmp_path / "nowhere")]) == 2
    assert "no whole training in own" in capsys.readouterr().err


@pytest.mark.parametrize("kind", THIEVES)
def test_an_imitator_is_filled_whatever_its_kind(kind):
    state = {**thief(kind, 4).state_dict(), "watermark": torch.rand(1, 3, 64, 64)}
    assert imitate._filled(kind, state, "cpu").title in imitate.TITLES.values()


def test_the_demonstration_shows_imitators_beside_pictures_of_nobody(runtime, astronaut, hopper, hider, thieves):
    assert stolen.offered()
    rows = stolen.demonstrate(runtime, astronaut, hopper)
    assert [row.drawn_by for row in rows][:2] == ["Imitator Res9", "Imitator UNet"] and len(rows) == 4
    assert rows[0].expected is not None and rows[-1].expected is None and rows[-1].carried.nc is None
    text = stolen_tab.shown(rows)
    assert text.count("<tr>") == 5 and "of 2 imitators away" in text
    assert not np.array_equal(rows[-1].picture, rows[-2].picture)


def test_the_tab_works_with_a_photo_and_without(runtime, hider, thieves, tmp_path):
    with gr.Blocks():
        view = stolen_tab.draw()
    events = stolen_tab.StolenEvents(runtime, view)
    assert "imitators away" in events.example(gallery.HOPPER)[view.rows]
    assert "imitators away" in events.example(gallery.COLLINS)[view.rows]
    file = tmp_path / "photo.png"
    file.write_bytes(gallery.portrait(gallery.COLLINS))
    assert "imitators away" in events.take(str(file), gallery.HOPPER)[view.rows]
    file.write_bytes(b"no photo")
    assert "not a picture" in events.take(str(file), gallery.HOPPER)[view.status]
    assert events.take(None, gallery.HOPPER) == {view.status: gr.skip()}
