"""The panel's benchmark measures what it names; embedding a batch is one pass of the network and no more."""

import torch

from app.bench import panel as bench
from engines.recognise import load


def test_a_row_for_scoring_and_one_a_recogniser(runtime, monkeypatch):
    monkeypatch.setattr(bench, "BATCH", 4)  # little work: the rows are asked, not how fast they are
    monkeypatch.setattr(bench, "STEPS", 2)
    found = bench.measure(repeats=1)
    what = [row["what"] for row in found["rows"]]
    ids = bench.bundled(runtime)
    assert "dlib-resnet" in ids and what[0].startswith(f"score a photo: {len(ids)}")
    assert all(any(line.endswith(f" crops: {id}") for line in what) for id in ids)
    assert all(row["seconds"] > 0 for row in found["rows"]) and set(found["provenance"]["checkpoints"]) == set(ids)


def test_the_bare_network_and_the_recogniser_agree():
    member = load("dlib-resnet")
    pixels = bench._batch(member)[:2]
    with torch.no_grad():
        bare = bench._bare(member.card)(bench._prepared(member.card, pixels))
        assert torch.allclose(member.raw(pixels), bare, atol=1e-5)


def test_a_batch_is_one_pass():
    member, sizes = load("sface"), []
    handle = member.features_layer.register_forward_hook(lambda net, given, out: sizes.append(len(out)))
    member.embed(bench._batch(member))
    handle.remove()
    assert sizes == [bench.BATCH]


def test_runs_alternate_and_the_first_is_not_counted():
    seen = []
    one, other = bench.alternate(lambda: seen.append("a"), lambda: seen.append("b"), 2)
    assert seen == ["a", "b"] * 3 and len(one) == len(other) == 2
