"""DIP-Watermark as a method: what it refuses, what it writes, and that it is read back from exported files."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from app import gallery, identities, reveal
from app import photo as photos
from app.__main__ import main
from app.channel import CHANGES, Witness, changed
from app.identities import Identities
from app.jobs import protect
from app.making import Request
from app.panel import Panel, as_seen_by, default, members
from app.photo import Photo
from app.report import Result
from app.scoring import JobError, Person
from engines import distort, once
from engines.checkpoints import CheckpointError, registry
from engines.identity import IdentityError, encode
from engines.method import MethodError, Scene, run
from engines.methods import dip_watermark
from engines.methods.dip_watermark import DipParams, DipWatermark, pair

KEY = "a key"
TRAINED = ("compact-vgg", "compact-vovnet", "compact-ir-se")


@pytest.fixture(scope="module")
def registry_of_people(tmp_path_factory):
    people = Identities(tmp_path_factory.mktemp("registry") / "registry.sqlite")
    numbers = iter((1_234_567, 7_654_321))
    with pytest.MonkeyPatch.context() as patch:  # the same bits in every run of these tests
        patch.setattr(identities.secrets, "randbelow", lambda limit: next(numbers))
        people.register("Alice")
        people.register("Bob")
    return people


@pytest.fixture(scope="module")
def result(runtime, registry_of_people) -> Result:
    """Eileen Collins, marked as Alice, on the usual panel."""
    person = gallery.person(runtime, gallery.COLLINS)
    job = Request(person, "dip-watermark", identity="Alice", key=KEY, identities=registry_of_people)
    *_, last = protect(runtime, job)
    assert isinstance(last, Result)
    return last


def marked(faces, message, **params):
    *_, last = run(DipWatermark(), faces, DipParams(**params), Scene(message=torch.tensor(message).float()))
    return last.pixels


@pytest.fixture(scope="module")
def faces(runtime):
    people = [gallery.person(runtime, name) for name in (gallery.COLLINS, gallery.HOPPER)]
    return torch.cat([person.crop(DipWatermark).pixels for person in people])


def test_one_pass_writes_bits_that_are_read_back(faces):
    for number in (0, 123_456, 2**24 - 1):
        word = encode(number, KEY)
        pixels = marked(faces, word, target="Virtual face")
        assert pixels.shape == faces.shape and pixels.min() >= 0 and pixels.max() <= 1
        eight_bit = (pixels * 255).round() / 255
        reading = DipWatermark().read(eight_bit)
        agreeing = (reading.bits == torch.tensor(word)).sum(1)
        assert agreeing.min() >= 48, (number, agreeing)
        assert reading.confidence.min() >= 0.5 and reading.confidence.max() <= 1
    unmarked = DipWatermark().read(faces).bits == torch.tensor(encode(123_456, KEY))
    assert unmarked.sum(1).min() > 10 and unmarked.sum(1).max() < 40


def test_strength_scales_the_change_and_the_run_repeats(faces):
    word = encode(5, KEY)
    one = marked(faces, word, strength=1.0) - faces
    half = marked(faces, word, strength=0.5) - faces
    inside = (marked(faces, word, strength=1.0) > 0.01) & (marked(faces, word, strength=1.0) < 0.99)
    assert torch.allclose(half[inside], one[inside] / 2, atol=1e-5) and one.abs().max() > 0.02
    assert torch.equal(marked(faces, word), marked(faces, word))
    assert not torch.equal(marked(faces, word), marked(faces, encode(6, KEY)))
    assert not torch.equal(marked(faces, word, target="Virtual face"), marked(faces, word, target="Grace Hopper"))


def test_the_edge_of_the_crop_is_left_alone(faces):
    change = (marked(faces, encode(5, KEY)) - faces).abs()
    assert change[..., 0, :].max() < 0.01 and change[..., :, -1].max() < 0.01 < change.max()


def test_it_leads_its_surrogates_to_the_target(runtime, faces):
    """White-box: towards Hopper, Collins's likeness to Hopper rises for every recogniser of the training."""
    pixels = marked(faces[:1], encode(5, KEY), target="Grace Hopper")
    for id in TRAINED:
        network = runtime.recogniser(id)
        with torch.inference_mode():
            before, after, target = network.embed(torch.cat([faces[:1], pixels, faces[1:]]))
        assert float(after @ target) > float(before @ target) + 0.15, id


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda f: run(DipWatermark(), f, DipParams(), Scene()), MethodError, "needs an identity to write"),
        (lambda f: run(DipWatermark(), f, {"strength": 9}, Scene()), ValueError, r"from 0.25 to 2"),
        (lambda f: run(DipWatermark(), f, {"target": "my neighbour"}, Scene()), ValueError, "one of Virtual face"),
        (lambda f: DipWatermark().read(f[..., 8:]), MethodError, "read from crops"),
    ],
)
def test_bad_input_is_a_sentence(faces, call, error, words):
    with pytest.raises(error, match=words):
        call(faces)


def test_an_untrained_or_foreign_checkpoint_is_refused(monkeypatch):
    card = registry()["dip-watermark"]
    monkeypatch.setattr(once, "checkpoint", lambda id: dataclasses.replace(card, state="untrained"))
    with pytest.raises(CheckpointError, match="is not trained, so it makes no result"):
        once.Once(dip_watermark._pair)("dip-watermark", "cpu")
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="sface is not a watermark"):
        pair("sface", "cpu")


def test_the_file_carries_the_identity_and_who_made_it(result, registry_of_people):
    alice = registry_of_people.look_up("Alice")
    assert result.mark.number == alice.number and result.mark.identity == alice
    assert f"identity number {alice.number}" in result.verdict and "take the face for Grace Hopper" in result.verdict
    made = result.settings["provenance"]
    assert [stamp["id"] for stamp in made["checkpoints"]] == list(TRAINED), "whom the training attacked"
    assert made["networks"][0]["id"] == "dip-watermark" and len(made["networks"][0]["sha256"]) == 64
    assert "Alice" not in json.dumps(result.settings), "a shared file must not name anybody"
    assert result.ssim > 0.85 and result.as_dict()["mark"]["number"] == alice.number
    roles = {score.recogniser: score.role for score in result.scores}
    assert all(roles[id] == "surrogate" for id in TRAINED) and roles["dlib-resnet"] == "judge"


def test_the_mark_survives_what_the_strip_does(result):
    bits = {
        part.id: sum(a == b for a, b in zip(part.mark.bits, result.mark.bits, strict=True))
        for part in result.survival
    }
    assert set(bits) == {"jpeg30", "resize-half", "blur3", "noise0.003"} and min(bits.values()) >= 44, bits


def test_roles_are_those_of_the_training_whatever_the_lists_say():
    known = registry()
    panel = as_seen_by("dip-watermark", Panel(("sface", "compact-vgg"), ("dlib-resnet", "compact-ir-se")), known)
    assert panel == Panel(("compact-vgg", "compact-ir-se"), ("sface", "dlib-resnet"))
    assert as_seen_by("dip-watermark", None, known) == Panel(TRAINED, default(known).held_out)
    assert as_seen_by("tip-im", None, known) == default(known)


def test_targets_of_others_are_refused(runtime, hopper, astronaut, registry_of_people):
    common = {"identity": "Alice", "identities": registry_of_people}
    with pytest.raises(JobError, match="knows only its own targets"):
        list(protect(runtime, Request(astronaut, "dip-watermark", targets=(hopper,), **common)))
    with pytest.raises(JobError, match="choose another target"):
        list(protect(runtime, Request(hopper, "dip-watermark", {"target": "Grace Hopper"}, **common)))
    with pytest.raises(IdentityError, match="“Nobody” is not registered"):
        list(protect(runtime, Request(astronaut, "dip-watermark", identity="Nobody", identities=registry_of_people)))


def test_reading_says_found_not_found_and_wrong_key(runtime, result, registry_of_people):
    photo = photos.load(result.file)
    found = reveal.reveal(runtime, photo, registry_of_people, KEY, "dip-watermark")
    assert len(found) == 1 and "registered here as “Alice”" in found[0].verdict and found[0].chance < 1e-4
    other = reveal.reveal(runtime, photo, registry_of_people, "another key", "dip-watermark")[0]
    assert other.number is None and "no identity can be read with this key" in other.verdict
    clean = photos.load(gallery.portrait(gallery.COLLINS))
    none = reveal.reveal(runtime, clean, registry_of_people, KEY, "dip-watermark")[0]
    assert none.number is None and "No watermark found" in none.verdict and none.as_dict()["found"] is False
    blank = Photo(torch.full((1, 3, 200, 200), 127, dtype=torch.uint8), "PNG", (), None)
    with pytest.raises(JobError, match="No face found in this photo"):
        reveal.reveal(runtime, blank, registry_of_people, KEY, "dip-watermark")
    with pytest.raises(JobError, match="TIP-IM leaves no mark"):
        reveal.reveal(runtime, photo, registry_of_people, KEY, "tip-im")


def test_claims_are_accepted_and_rejected(runtime, result, registry_of_people):
    found = reveal.reveal(runtime, photos.load(result.file), registry_of_people, KEY, "dip-watermark")
    check = lambda claim: reveal.check_claim(found, claim, registry_of_people, KEY)  # noqa: E731
    assert check("alice").accepted and check(f"{found[0].number:024b}").accepted
    rejected = check("Bob")
    assert not rejected.accepted and "names “Alice”, not “Bob”" in rejected.sentence
    with pytest.raises(IdentityError, match="not registered"):
        check("Mallory")
    clean = reveal.reveal(
        runtime, photos.load(gallery.portrait(gallery.COLLINS)), registry_of_people, KEY, "dip-watermark"
    )
    assert "nothing proves it" in reveal.check_claim(clean, "Alice", registry_of_people, KEY).sentence


def test_damaged_bits_are_known_by_the_registry(runtime, result, registry_of_people):
    """Seven misread bits are beyond the code; the registry still knows whose they are, and says how sure it is."""
    found = result.mark
    word = list(encode(registry_of_people.look_up("Alice").number, KEY))
    for place in range(0, 49, 8):
        word[place] ^= 1
    damaged = dataclasses.replace(
        found, bits=tuple(word), decoded=None, nearest=registry_of_people.nearest(tuple(word), KEY)
    )
    assert damaged.number == found.number and damaged.agreeing == 43 and 1e-8 < damaged.chance < 1e-6
    assert "43 of 50 bits" in damaged.verdict


def test_the_channel_changes_only_what_its_sliders_say(result):
    photo = photos.load(result.file)
    none = {change.id: change.none for change in CHANGES}
    assert torch.equal(changed(photo, none).pixels, photo.pixels) and torch.equal(
        changed(photo, {}).pixels, photo.pixels
    )
    assert torch.equal(changed(photo, {"jpeg": 30}).pixels, distort.real_jpeg(photo.pixels, 30))
    assert torch.equal(changed(photo, {"scale": 50}).pixels, distort.resize(photo.pixels, 0.5))
    noisy = changed(photo, {"noise": 0.003}).pixels
    assert torch.equal(noisy, changed(photo, {"noise": 0.003}).pixels) and not torch.equal(noisy, photo.pixels)
    for change in CHANGES:
        assert change.low <= change.none <= change.high and change.points == tuple(sorted(change.points))


def test_a_witness_sees_bits_and_likeness_fall(runtime, result, registry_of_people):
    photo = photos.load(result.file)
    person = Person("photo", photo, runtime.detector.faces(photo.pixels)[0])
    panel, _ = members(runtime, Panel((), ("compact-edgenext",)))
    witness = Witness(runtime, DipWatermark(), person, panel, registry_of_people, KEY)
    same, _ = witness.look({})
    assert same.agreeing >= 48 and same.cosines["compact-edgenext"] == pytest.approx(1, abs=1e-3)
    points = list(witness.sweep(CHANGES[0]))
    assert [left.value for left in points] == list(CHANGES[0].points) and CHANGES[0].id == "jpeg"
    assert points[0].agreeing is None or points[0].agreeing < same.agreeing - 5
    black, _ = witness.look({"scale": 10, "noise": 0.02, "jpeg": 5, "blur": 21})
    assert black.agreeing is None or black.agreeing < 42


def test_the_command_line_protects_reveals_and_keeps_a_registry(tmp_path, astronaut_file, capsys):
    registry_file, out = str(tmp_path / "people.sqlite"), tmp_path / "out.png"
    common = ["--registry", registry_file, "--key", KEY]
    job = ["protect", str(astronaut_file), "--method", "dip-watermark", "--out", str(out), *common]
    assert main([*job, "--identity", "Alice"]) == 2 and "register the name first" in capsys.readouterr().err
    assert main(["identities", "add", "Alice", "--json", *common]) == 0
    row = json.loads(capsys.readouterr().out)["rows"][0]
    assert len(row["code"]) == 50 and row["name"] == "Alice"
    assert main([*job, "--identity", "Alice", "--target", "Grace Hopper", "--judge", "compact-edgenext"]) == 0
    assert "mark: Watermark found" in capsys.readouterr().out
    assert main(["reveal", str(out), "--json", "--claim", "alice", *common]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["rows"][0]["number"] == row["number"] and told["claim"]["accepted"] is True
    assert told["provenance"]["checkpoints"][0]["id"] == "dip-watermark" and len(told["rows"][0]["confidence"]) == 50
    assert main(["reveal", str(out), "--registry", registry_file]) == 0
    assert "no identity can be read with this key" in capsys.readouterr().out
    for bad, words in (
        ([*job, "--identity", "1" * 25], "too long"),
        ([*job, "--identity", ""], "identity is empty"),
        ([*job, "--identity", "Alice", "--surrogate", "sface"], "leave --surrogate out"),
        ([*job, "--identity", "Alice", "--target", "a", "--target", "b"], "give --target once"),
        ([*job, "--identity", "Alice", "--target", "a.jpg"], "must be one of Virtual face"),
        (["reveal", str(tmp_path / "none.png")], "no file none.png"),
        (["identities", "delete", "Bob", *common], "not registered"),
    ):
        assert main(bad) == 2 and words in capsys.readouterr().err, bad
    assert main(["identities", "delete", "Alice", *common]) == 0 and main(["identities", "list", *common]) == 0
