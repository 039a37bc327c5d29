"""The whole job on real faces: what is scored is the exported file; outside the face nothing changes."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from app import gallery
from app import photo as photos
from app.__main__ import main
from app.jobs import protect
from app.making import Request
from app.panel import Panel, members
from app.report import Progress, Result, Score, verdict
from app.scoring import JobError, Scorer, cosine, embed, find_person

SMALL = Panel(("sface",), ("dlib-resnet",))  # where it does not matter who scores


def finish(runtime, request):
    events = list(protect(runtime, request))
    return [e for e in events if isinstance(e, Progress)], events[-1]


@pytest.fixture(scope="module")
def done(runtime, astronaut, hopper):
    return finish(runtime, Request(astronaut, params={"steps": 30}, targets=(hopper,)))


def test_the_verdict_changes_for_the_attacked_recogniser(done):
    _, result = done
    before, after = ({s.recogniser: s for s in rows} for rows in (result.scores_before, result.scores))
    assert before["sface"].matches_self and not after["sface"].matches_self
    assert after["sface"].matches_target and after["sface"].target == gallery.HOPPER
    assert after["dlib-resnet"].role == "judge" and after["dlib-resnet"].distance_threshold == 0.6
    assert after["dlib-resnet"].to_self < before["dlib-resnet"].to_self
    assert "no longer matches you" in result.verdict and "1 %" in result.verdict


def test_scores_are_those_of_the_file(runtime, astronaut, hopper, done):
    """Decode the bytes and do everything again by hand."""
    _, result = done
    again = find_person(runtime, "file", result.file)
    for row in result.scores:
        member = runtime.recogniser(row.recogniser)
        assert row.to_self == pytest.approx(cosine(embed(member, again), embed(member, astronaut)), abs=1e-5)
        assert row.to_target == pytest.approx(cosine(embed(member, again), embed(member, hopper)), abs=1e-5)


def test_outside_the_face_the_file_is_the_photo(done, astronaut):
    _, result = done
    decoded = photos.load(result.file).pixels
    changed = (decoded != astronaut.photo.pixels).any(1)[0]
    x0, y0, x1, y1 = result.window
    assert changed.any()
    changed[y0:y1, x0:x1] = False
    assert not changed.any()
    assert (decoded.int() - astronaut.photo.pixels.int()).abs().max() <= 12
    assert np.array_equal(result.after, decoded[0].permute(1, 2, 0).numpy())


def test_progress_previews_and_curves(done):
    progress, result = done
    assert progress[0].step == 1 and progress[0].preview is not None
    assert any(p.left is not None and p.left > 0 for p in progress)
    steps = [c.step for c in result.curves]
    assert steps == sorted(set(steps)) and steps[0] == 1 and steps[-1] == 30
    first, final = (c.cosines["sface"][0] for c in (result.curves[0], result.curves[-1]))
    assert final < first


def test_survival_and_grad_cam_are_measured(done):
    _, result = done
    assert [s.id for s in result.survival] == ["jpeg30", "resize-half", "blur3", "noise0.003"]
    assert all(len(s.scores) == len(result.scores) and s.tile.dtype == np.uint8 for s in result.survival)
    assert {c.recogniser for c in result.cams} == {s.recogniser for s in result.scores} >= {"sface", "dlib-resnet"}
    assert all(c.reference == gallery.HOPPER and c.top > 0 and len(c.maps) == len(c.crops) == 2 for c in result.cams)


def test_settings_travel_in_the_file(done):
    _, result = done
    found = photos.load(result.file).settings
    assert found == json.loads(json.dumps(result.settings))
    stamp = found["provenance"]
    assert stamp["method"] == "tip-im" and stamp["params"]["steps"] == 30
    assert stamp["checkpoints"][0]["id"] == "sface" and len(stamp["checkpoints"][0]["sha256"]) == 64


def test_jpeg_is_scored_as_jpeg(runtime, astronaut, hopper):
    request = Request(astronaut, params={"steps": 10}, targets=(hopper,), panel=SMALL, format="JPEG", quality=60)
    _, result = finish(runtime, request)
    assert result.file.startswith(b"\xff\xd8") and result.name.endswith(".jpg")
    again = find_person(runtime, "file", result.file)
    member = runtime.recogniser("sface")
    assert result.scores[0].to_self == pytest.approx(cosine(embed(member, again), embed(member, astronaut)), abs=1e-5)


def test_same_seed_same_file(runtime, astronaut, hopper):
    request = Request(astronaut, params={"steps": 3}, targets=(hopper,), panel=SMALL, seed=4)
    files = [finish(runtime, request)[1] for _ in range(2)]
    assert torch.equal(*(photos.load(r.file).pixels for r in files))


def test_a_second_photo_of_the_person_is_the_reference(runtime, astronaut, hopper):
    flipped = photos.load(photos.encode(astronaut.photo.pixels.flip(3)))
    other = find_person(runtime, "other.png", flipped)
    request = Request(astronaut, params={"steps": 3}, targets=(hopper,), panel=SMALL, reference=other)
    _, result = finish(runtime, request)
    assert result.compared_with == "another photo of the person"
    assert all(s.to_self < 0.999 for s in result.scores_before)
    assert result.cams[0].reference == "other.png"


def test_cancel_gives_no_result_and_frees_the_lock(runtime, astronaut, hopper):
    seen = []

    def cancelled():
        return len(seen) >= 2

    for event in protect(runtime, Request(astronaut, targets=(hopper,), panel=SMALL), cancelled):
        seen.append(event)
    assert not any(isinstance(e, Result) for e in seen) and seen[-1].step < 50
    assert runtime.work.acquire(timeout=1)
    runtime.work.release()


def test_a_face_that_is_not_there_any_more_is_said(runtime, astronaut):
    blank = photos.Photo(torch.full_like(astronaut.photo.pixels, 90), "PNG")
    rows = Scorer(runtime, members(runtime)[0], astronaut).file(blank, astronaut.face)
    assert all(row.to_self is None and row.word == "no face found" for row in rows)
    assert "No face" in verdict(rows)


@pytest.mark.parametrize(
    ("judge", "words"),
    [(0.95, "the held-out judge still does"), (0.5, "the held-out judge does not match you")],
)
def test_verdict_sentences(judge, words):
    common = {"far": 0.01, "threshold_data": "LFW", "to_target": None, "target": None}
    rows = (
        Score("a", "A", "surrogate", threshold=0.3, to_self=0.1, **common),
        Score("b", "B", "surrogate", threshold=0.3, to_self=0.6, **common),
        Score("c", "C", "judge", threshold=0.9, to_self=judge, **common),
    )
    assert (
        verdict(rows) == f"1 of 2 recognisers that the method attacked no longer matches you; {words} "
        "(at a false-acceptance rate of 1 %)."
    )
    assert "switch one on" in verdict(())


def test_refusals(runtime, astronaut, hopper):
    with pytest.raises(JobError, match="No face found"):
        find_person(runtime, "wall.png", photos.Photo(torch.full((1, 3, 99, 99), 9, dtype=torch.uint8), "PNG"))
    with pytest.raises(JobError, match="face number 3"):
        find_person(runtime, "me", astronaut.photo, index=2)
    with pytest.raises(JobError, match="every target|Every target"):
        list(protect(runtime, Request(astronaut, targets=(astronaut,))))
    with pytest.raises(JobError, match="0.01"):
        Scorer(runtime, (), astronaut, far=0.5)
    with pytest.raises(JobError, match="built-in"):
        gallery.person(runtime, "Nobody")
    with pytest.raises(ValueError, match="held-out judge"):
        list(protect(runtime, Request(astronaut, targets=(hopper,), panel=Panel(("dlib-resnet",)))))


def test_command_line_protects(astronaut_file, hopper_file, tmp_path, capsys):
    out = tmp_path / "out.png"
    code = main(
        [
            "protect",
            str(astronaut_file),
            "--method",
            "tip-im",
            "--gamma",
            "1",
            "--steps",
            "12",
            "--target",
            str(hopper_file),
            "--out",
            str(out),
            "--json",
        ]
    )
    found = json.loads(capsys.readouterr().out)
    assert code == 0 and out.exists()
    assert found["rows"][0]["recogniser"] == "sface" and found["rows"][0]["target"] == "hopper.jpg"
    assert found["provenance"]["provenance"]["params"]["gamma"] == 1.0
    assert photos.open_photo(out).settings["provenance"]["method"] == "tip-im"
    assert main(["score", str(out), "--against", str(astronaut_file)]) == 0
    assert "sface" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"photo": "missing.jpg"}, "no file"),
        ({"--method": "magic"}, "choose from"),
        ({"--gamma": "77"}, "from 0 to 3"),
        ({"--out": "out.gif"}, ".png"),
        ({"--out": "no/such/folder/out.png"}, "folder"),
        ({"--target": "nobody.jpg"}, "no file"),
        ({"--face": "5"}, "face number 5"),
        ({"--surrogate": "dlib-resnet"}, "judge"),
    ],
)
def test_command_line_mistakes_are_one_sentence(astronaut_file, tmp_path, capsys, monkeypatch, change, word):
    monkeypatch.chdir(tmp_path)
    options = {"--out": "out.png", "--target": gallery.HOPPER, "--steps": "2"} | change
    photo = options.pop("photo", str(astronaut_file))
    code = main(["protect", photo] + [part for pair in options.items() for part in pair])
    error = capsys.readouterr().err
    assert code == 2 and word in error and error.count("\n") == 1 and "Traceback" not in error
    assert not list(tmp_path.iterdir())


def test_weights_list_is_the_registry(capsys):
    assert main(["weights", "list", "--json"]) == 0
    rows = {row["id"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert (
        rows["sface"]["figures"]["lfw_accuracy"] >= 0.992 and rows["dlib-resnet"]["figures"]["lfw_accuracy"] >= 0.985
    )
    assert rows["dlib-resnet"]["role"] == "judge" and all(row["trained"] is True for row in rows.values())


def test_ones_own_face_is_no_target_also_where_nobody_is_attacked(runtime, astronaut, hider):
    with pytest.raises(JobError, match="Every target looks like the person in the photo"):
        finish(runtime, Request(astronaut, "ipmn", targets=(astronaut,)))


def test_the_very_photo_is_no_reference(runtime, astronaut, hopper):
    plain = Request(astronaut, "fgsm", targets=(hopper,), panel=SMALL, survival=False)
    one, other = (finish(runtime, replace(plain, reference=given))[1] for given in (None, astronaut))
    assert one.notes == other.notes and any("very photo" in note for note in other.notes)
    assert other.compared_with == "the photo itself"
