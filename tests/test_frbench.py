"""FRBench as a provider: random weights in its own layout, its own folder, no network."""

import json

import pytest
import torch
import torch.nn.functional as F

frbench_package = pytest.importorskip("frbench")

from engines import frbench  # noqa: E402
from engines.checkpoints import CheckpointError  # noqa: E402

KEY = "mobilefacenet-plain_arcface_ms1m"


@pytest.fixture
def zoo(tmp_path, monkeypatch):
    """A folder as FRBench keeps it: a manifest, one model, one detector that is only listed."""
    monkeypatch.setenv("FRBENCH_CACHE", str(tmp_path))
    monkeypatch.setenv("FRBENCH_UPDATE_CHECK", "0")
    entry = {"asset_name": "m.tar.gz", "target_name": "m", "contents": {"config": "config.yaml", "weight": "w.pth"}}
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
    member = frbench.FrbenchRecogniser(frbench.cards()["frbench-" + KEY])
    assert member.template.size == 112 and member.template.points[0] == (38.0, 50.0)
    pixels = torch.rand(2, 3, 112, 112, requires_grad=True)
    rows = member.embed(pixels)
    assert torch.allclose(rows.norm(dim=1), torch.ones(2), atol=1e-5)
    (rows[0] @ rows[1]).backward()
    assert pixels.grad is not None and float(pixels.grad.abs().max()) > 0
    assert not any(p.requires_grad for p in member._fr.parameters())


def test_embeddings_are_what_frbench_itself_gives(zoo):
    member = frbench.FrbenchRecogniser(frbench.cards()["frbench-" + KEY])
    pixels = torch.rand(2, 3, 112, 112)
    fr = frbench_package.FR("mobilefacenet-plain", "arcface", "ms1m", eager_load=True).eval()
    theirs = fr(pixels * 255, need_crop=False, tta=(), l2_normalize=True).embeddings
    assert F.cosine_similarity(member.embed(pixels), theirs).min() > 1 - 1e-5


def test_grad_cam_reads_maps(zoo):
    member = frbench.FrbenchRecogniser(frbench.cards()["frbench-" + KEY])
    seen = []
    hook = member.features_layer.register_forward_hook(lambda layer, given, out: seen.append(out.shape))
    member.raw(torch.rand(1, 3, 112, 112))
    hook.remove()
    assert min(seen[0][-2:]) >= 5


def test_without_its_list_there_are_no_cards(tmp_path, monkeypatch):
    monkeypatch.setenv("FRBENCH_CACHE", str(tmp_path))
    assert frbench.cards() == {}


def test_offline_is_one_sentence(zoo, monkeypatch):
    monkeypatch.setenv("LARVATUS_OFFLINE", "1")
    (zoo / "m" / "w.pth").unlink()
    with pytest.raises(CheckpointError, match="bundled recogniser"):
        frbench.FrbenchRecogniser(frbench.cards()["frbench-" + KEY])


def test_a_stalled_download_is_ended(zoo, monkeypatch):
    monkeypatch.delenv("LARVATUS_OFFLINE", raising=False)
    monkeypatch.setattr(frbench, "PATIENCE", 0.5)
    with pytest.raises(CheckpointError, match="check the connection"):
        frbench._apart("import time; time.sleep(60)", "a model")


def test_files_that_cannot_be_read_are_one_sentence(zoo):
    (zoo / "m" / "w.pth").write_bytes(b"not a network")
    with pytest.raises(CheckpointError, match="pull it again"):
        frbench.FrbenchRecogniser(frbench.cards()["frbench-" + KEY])
