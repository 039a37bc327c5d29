"""The commands that measure, bundle and describe a network, on a copy of the registry and pictures of two people."""

import csv
import io
import json
import shutil
from itertools import combinations, product

import matplotlib.cbook
import numpy as np
import pytest
import skimage.data
import tomlkit
import torch
from bundled import EACH, faults
from PIL import Image
from safetensors.torch import load_file, save_file

from app import weights_card, weights_file, weights_measure
from app.__main__ import main
from engines import checkpoints
from engines.checkpoints import checkpoint, registry, sha256_of_file
from engines.detect import Detector
from engines.recognise import load
from engines.train import recogniser
from engines.train.face_bank import FaceBank

ID = "compact-vgg"
PEOPLE = ("Eileen_Collins", "Grace_Hopper")
COUNT = 33  # pictures of each: 1,089 pairs of strangers, FAR 0.1 % needs 1,000
SHIFTS, LIGHTS = (-6, -3, 0, 3, 6), (0.7, 0.9, 1.1, 1.3)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Many small passes: with two threads they would wait for each other on a busy computer."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def faces():
    """file name -> (160x160 picture, its five landmarks): shifted, lit and mirrored views of two real faces."""
    hopper = np.array(
        Image.open(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)).convert("RGB")
    )
    found = {}
    for name, photo in zip(PEOPLE, (skimage.data.astronaut(), hopper), strict=True):
        face = Detector().faces(torch.from_numpy(photo).permute(2, 0, 1)[None])[0]
        x0, y0, x1, y1 = face.box
        side = 2 * (y1 - y0)
        for i, (dx, light, mirrored) in enumerate(list(product(SHIFTS, LIGHTS, (False, True)))[:COUNT], 1):
            left, top = (x0 + x1 - side) / 2 + dx, (y0 + y1 - side) / 2 - dx / 2
            window = (left, top, left + side, top + side)
            view = Image.fromarray(photo).transform(
                (160, 160), Image.Transform.EXTENT, window, Image.Resampling.BICUBIC
            )
            points = (np.array(face.landmarks) - (left, top)) * 160 / side
            pixels = np.clip(np.array(view) * light, 0, 255).astype(np.uint8)
            if mirrored:
                pixels, points = pixels[:, ::-1], (points * (-1, 1) + (160, 0))[[1, 0, 2, 4, 3]]
            found[f"{name}_{i:04d}.jpg"] = (Image.fromarray(pixels), points)
    return found


@pytest.fixture(scope="module")
def pictures(faces, tmp_path_factory):
    """The faces as picture files, and `pairs.csv` beside them."""
    folder = tmp_path_factory.mktemp("pictures")
    for name, (picture, _) in faces.items():
        picture.save(folder / name, "PNG")
    people = [[name for name in faces if name.startswith(person)] for person in PEOPLE]
    rows = [(a, b, 0) for a, b in product(*people)]
    rows += [(a, b, 1) for person in people for a, b in list(combinations(person, 2))[:100]]
    write_pairs(folder / "pairs.csv", rows)
    return folder


def write_pairs(path, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("first", "second", "same"), *rows])


@pytest.fixture(scope="module")
def lfw(faces, tmp_path_factory):
    """The faces as LFW's parquet, one without landmarks; `pairs.txt`: 10 folds of 200; `few.txt`: one of 50."""
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    folder, rows = tmp_path_factory.mktemp("lfw"), []
    for name, (picture, points) in faces.items():
        data = io.BytesIO()
        picture.save(data, "PNG")
        known = None if name == f"{PEOPLE[0]}_0003.jpg" else points.ravel().tolist()
        person = name.rsplit("_", 1)[0]
        rows.append({"file": name, "identity": person, "image": {"bytes": data.getvalue()}, "landmarks": known})
    parquet.write_table(arrow.Table.from_pylist(rows), folder / "lfw160-00000-of-00001.parquet")
    numbers = range(1, COUNT + 1)
    same = [f"{person} {a} {b}" for person in PEOPLE for a, b in combinations(numbers, 2)]
    other = [f"{PEOPLE[0]} {a} {PEOPLE[1]} {b}" for a, b in product(numbers, numbers)]
    lines = [line for k in range(0, 1000, 100) for line in (*same[k : k + 100], *other[k : k + 100])]
    (folder / "pairs.txt").write_text("\n".join(["10 100", *lines]))
    few = [f"{PEOPLE[0]} {a} {PEOPLE[1]} {b}" for a, b in product(range(1, 6), range(1, 6))]
    (folder / "few.txt").write_text("\n".join(["1 25", *same[:25], *few]))
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A training of one epoch on coarse noise, and two more schedules of one after it."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (40, 3, 8, 8), dtype=np.uint8).repeat(16, 2).repeat(16, 3)
    targets = rng.standard_normal((40, 2, 3, 128)).astype(np.float16)
    bank = FaceBank(pixels, targets, np.r_[np.repeat(np.arange(8), 4), np.full(8, -1)])
    folder = tmp_path_factory.mktemp("run")
    for epochs in (1, 2, 3):
        recogniser.Training(ID, bank, epochs, folder).run(bank)
    return folder


def unbundled():
    """The text of the registry before anything was bundled."""
    whole = tomlkit.parse(checkpoints.REGISTRY.read_text())
    for id in [id for id, entry in whole.items() if entry["source"] == "bundled"]:
        del whole[id]
    for entry in whole.values():
        entry.get("figures", {}).pop("impostor_correlation", None)
    return tomlkit.dumps(whole)


@pytest.fixture(scope="module")
def measured(run, lfw, tmp_path_factory):
    """A registry in whose folder a network was bundled, verified, correlated and described."""
    folder = tmp_path_factory.mktemp("weights")
    (folder / "registry.toml").write_text(unbundled())
    commands = [("bundle", ID, "--run", run)]
    commands += [("verify", ID, "--pairs", lfw / "pairs.txt", "--data", lfw)]
    commands += [("correlate", "--pairs", lfw / "few.txt", "--data", lfw), ("card",)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LARVATUS_REGISTRY", str(folder / "registry.toml"))
        for command in commands:
            assert main(["weights", *map(str, command)]) == 0, command
    return folder


@pytest.fixture
def home(measured, tmp_path, monkeypatch):
    """A copy of it, to be changed."""
    folder = tmp_path / "weights"
    shutil.copytree(measured, folder)
    monkeypatch.setenv("LARVATUS_REGISTRY", str(folder / "registry.toml"))
    return folder


def told(capsys, *arguments):
    """Exit code, what a command printed as JSON, and what it said on stderr."""
    capsys.readouterr()
    code = main(["weights", *map(str, arguments), "--json"])
    out, err = capsys.readouterr()
    return code, json.loads(out) if out else None, err


def snapshot(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# bundled


def test_the_bundled_file_is_half_precision_and_loads_like_any_other(home, run):
    kept = load_file(home / "bundled" / f"{ID}.safetensors")
    trained = torch.load(run / "last.pt", weights_only=True)["net"]
    assert set(kept) == {name for name in trained if "num_batches_tracked" not in name}
    assert {tensor.dtype for tensor in kept.values()} == {torch.float16}
    member = load(ID)
    assert member.card.sha256 == sha256_of_file(home / "bundled" / f"{ID}.safetensors")
    ours = {name: value for name, value in member._net.state_dict().items() if name in kept}
    assert all(torch.equal(value, kept[name].float()) for name, value in ours.items()) and len(ours) == len(kept)


def test_a_fresh_bundle_has_no_figures_and_leaves_the_rest_as_it_was(home, run, capsys):
    code, found, _ = told(capsys, "bundle", ID, "--run", run)
    card = checkpoint(ID)
    assert code == 0 and (card.figures, card.thresholds, card.role) == ({}, {}, "surrogate")
    (row,) = found["rows"]
    assert row == {"id": ID, "bytes": card.bytes, "sha256": card.sha256, "epochs": 3}
    assert set(registry()) == set(tomlkit.parse(unbundled())) | {ID}
    assert comments((home / "registry.toml").read_text()) == comments(unbundled())


def log(run, **changes):
    data = json.loads((run / "log.json").read_text())
    (run / "log.json").write_text(json.dumps(data | changes))


def beyond_half(run):
    kept = torch.load(run / "last.pt", weights_only=True)
    kept["net"]["head.linear.weight"][0] = 1e6
    torch.save(kept, run / "last.pt")


def another_network(run):
    kept = torch.load(run / "last.pt", weights_only=True)
    kept["net"] = {name: value for name, value in kept["net"].items() if name != "head.out.bias"}
    torch.save(kept, run / "last.pt")


@pytest.mark.parametrize(
    "damage, says",
    [
        (lambda run: shutil.rmtree(run), "There is no whole training in run"),
        (lambda run: (run / "log.json").unlink(), "There is no whole training in run"),
        (lambda run: (run / "log.json").write_text("{"), "There is no whole training in run"),
        (lambda run: (run / "last.pt").write_bytes(b"cut"), "There is no whole training in run"),
        (lambda run: log(run, id="compact-ir-se"), f"The training in run is of compact-ir-se, not of {ID}"),
        (beyond_half, "holds numbers beyond fp16"),
        (another_network, "of another network (head.out.bias is missing)"),
    ],
)
def test_what_cannot_be_bundled_is_refused_and_nothing_is_lost(home, run, tmp_path, capsys, damage, says):
    shutil.copytree(run, tmp_path / "run")
    damage(tmp_path / "run")
    refused(capsys, home, says, "bundle", ID, "--run", tmp_path / "run")


def refused(capsys, home, says, *arguments):
    """One sentence without a path, exit code 2, and every file as it was."""
    before = snapshot(home)
    code, found, err = told(capsys, *arguments)
    assert (code, found) == (2, None) and says in err and err.endswith(".\n") and err.count("\n") == 1
    assert str(home.parent) not in err and snapshot(home) == before


# measured


def test_verify_writes_figures_thresholds_and_their_intervals(home):
    card, figures = checkpoint(ID), checkpoint(ID).figures
    assert card.threshold_data == figures["data"] == "LFW, 2,000 pairs" and figures["redetected"] == 1
    assert figures["command"] == f"python -m app weights verify {ID} --pairs FILE --data DIR"
    for far in (0.01, 0.001):
        low, high = figures[f"threshold_interval_{far:g}"]
        assert low <= card.thresholds[far] <= high
        low, high = figures[f"tar_interval_{far:g}"]
        assert 0 <= low <= figures[f"tar_at_far_{far:g}"] <= high <= 1
    assert 0.5 <= figures["lfw_accuracy"] <= 1 and load(ID).thresholds == card.thresholds


def test_correlations_are_symmetric_and_reach_every_pair(home):
    table = {id: checkpoint(id).figures["impostor_correlation"] for id in ("sface", "dlib-resnet", ID)}
    for id, row in table.items():
        assert set(row) == set(table) - {id}
        assert all(row[other] == table[other][id] and -1 < row[other] < 1 for other in row)
    assert checkpoint("sface-hub").figures == checkpoint("sface").figures  # the same file


def test_correlations_of_two_leave_the_others(home, lfw, capsys, monkeypatch):
    before, scores = checkpoint(ID).figures["impostor_correlation"], spied(monkeypatch)
    code, found, _ = told(capsys, "correlate", "sface", ID, "--pairs", lfw / "few.txt", "--data", lfw)
    assert code == 0 and checkpoint(ID).figures["impostor_correlation"] == before
    a, b = (row.impostors - row.impostors.mean() for row in scores)
    assert len(a) == 25
    assert found["rows"][0][ID] == pytest.approx(float(a @ b / np.sqrt((a @ a) * (b @ b))), abs=6e-4)


def spied(monkeypatch):
    """The scores that a command has measured, as it goes."""
    seen, real = [], weights_measure.pair_scores

    def pair_scores(*given):
        scores, redetected = real(*given)
        seen.append(scores)
        return scores, redetected

    monkeypatch.setattr(weights_measure, "pair_scores", pair_scores)
    return seen


def comments(text):
    return [line for line in text.splitlines() if line.startswith("#")]


def test_calibrate_writes_thresholds_of_its_own_pairs_into_every_entry_of_the_file(
    home, pictures, capsys, monkeypatch
):
    before, seen = (home / "registry.toml").read_text(), spied(monkeypatch)
    name = "two people, 1,289 pairs"
    pairs = ("--pairs", pictures / "pairs.csv", "--data", pictures, "--name", name)
    code, found, _ = told(capsys, "calibrate", "sface", *pairs)
    assert code == 0 and found["rows"][0]["data"] == name and comments(before)
    strangers = seen[0].impostors
    assert len(strangers) == COUNT**2 and len(seen[0].genuine) == 200
    for id in ("sface", "sface-hub"):
        card = checkpoint(id)
        assert card.threshold_data == name and card.figures["data"] == "LFW, 6,000 pairs"
        assert card.figures["threshold_command"].startswith("python -m app weights calibrate sface ")
        for far in (0.01, 0.001):
            low, high = card.figures[f"threshold_interval_{far:g}"]
            assert low <= card.thresholds[far] <= high
            assert np.sum(strangers >= card.thresholds[far]) == int(COUNT**2 * far)
    assert comments((home / "registry.toml").read_text()) == comments(before)
    assert {id for id, card in registry().items() if card.threshold_data == name} == {"sface", "sface-hub"}


def test_a_comment_stays_before_what_it_speaks_of(home):
    weights_measure.write("cvlface-arcface-ir101", {"lfw_accuracy": 0.99}, {0.01: 0.2, 0.001: 0.3}, "some pairs")
    weights_measure.write("dlib-resnet", {"new": 1})
    text = (home / "registry.toml").read_text()
    for comment, entry in (
        ("# From the Hub, pinned by revision", "facenet"),
        ("# The papers' own networks", "ir152"),
    ):
        below = text[text.index(comment) :].splitlines()
        assert next(line for line in below if line and not line.startswith("#")) == f"[{entry}]"
    card = checkpoint("cvlface-arcface-ir101")
    assert (card.thresholds, card.figures) == ({0.01: 0.2, 0.001: 0.3}, {"lfw_accuracy": 0.99})
    assert checkpoint("dlib-resnet").figures["new"] == 1 and "\n\n\n" not in text


def test_thresholds_of_other_data_go(home):
    weights_measure.write("facenet", {}, {0.01: 0.2, 0.001: 0.3}, "some pairs")
    weights_measure.write("facenet", {}, {0.001: 0.4}, "other pairs")
    assert (checkpoint("facenet").thresholds, checkpoint("facenet").threshold_data) == ({0.001: 0.4}, "other pairs")


def test_a_card_reads_back_as_it_was_written(home):
    known = registry()
    for card in known.values():
        weights_file.change(lambda text, card=card: weights_file.add(text, card.id, weights_file.values_of(card)))
    assert registry() == known


@pytest.mark.parametrize(
    "rows, says",
    [
        (None, "There is no text file pairs.csv: give the pairs file"),
        ([("a.jpg", "b.jpg", "maybe")], "Row 1 of pairs.csv is wrong"),
        ([("a.jpg", "b.jpg", 1), ("a.jpg",)], "Row 2 of pairs.csv is wrong"),
        ([("a.jpg", "", 1)], "Row 1 of pairs.csv is wrong"),
        (
            [("Eileen_Collins_0001.jpg", "gone.jpg", 0)],
            "1 photos of the pairs file are not in the data, for example gone",
        ),
        ([("Eileen_Collins_0001.jpg", "text.jpg", 0)], "text.jpg is not a whole picture"),
        ([("Eileen_Collins_0001.jpg", "grey.png", 0)], "No face was found in grey.png"),
        ([("Eileen_Collins_0001.jpg", "Grace_Hopper_0001.jpg", 0)] * 999, "0.001 needs at least 1000 impostor pairs"),
    ],
)
def test_pairs_that_cannot_be_used_are_refused(home, pictures, tmp_path, capsys, rows, says):
    data = tmp_path / "data"
    data.mkdir()
    for name in ("Eileen_Collins_0001.jpg", "Grace_Hopper_0001.jpg"):
        shutil.copy(pictures / name, data)
    (data / "text.jpg").write_text("no picture")
    Image.new("RGB", (160, 160), "grey").save(data / "grey.png")
    if rows is not None:
        write_pairs(tmp_path / "pairs.csv", rows)
    refused(capsys, home, says, "calibrate", "sface", "--pairs", tmp_path / "pairs.csv", "--data", data)


def test_a_table_without_the_columns_is_refused(home, tmp_path, capsys):
    (tmp_path / "pairs.csv").write_text("a,b\n1,2\n")
    says = "pairs.csv needs the columns first, second and same"
    refused(capsys, home, says, "calibrate", "sface", "--pairs", tmp_path / "pairs.csv", "--data", tmp_path)


@pytest.mark.parametrize("action", ["verify", "calibrate", "correlate"])
def test_an_unknown_network_is_refused(home, lfw, capsys, action):
    ids = ("sface", "nosuch") if action == "correlate" else ("nosuch",)
    says = "There is no checkpoint called 'nosuch'"
    refused(capsys, home, says, action, *ids, "--pairs", lfw / "pairs.txt", "--data", lfw)


def test_a_correlation_needs_two(home, lfw, capsys):
    data = ("--pairs", lfw / "pairs.txt", "--data", lfw)
    refused(capsys, home, "name at least two", "correlate", "sface", *data)


def test_parquet_without_its_reader_is_one_sentence(home, lfw, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    monkeypatch.delitem(__import__("sys").modules, "pyarrow.parquet", raising=False)
    says = "Reading parquet needs pyarrow: pip install -r requirements-dev.txt"
    refused(capsys, home, says, "verify", "sface", "--pairs", lfw / "pairs.txt", "--data", lfw)


# listed and described


def test_list_and_show_give_the_figures(home, capsys):
    code, found, _ = told(capsys, "list")
    rows = {row["id"]: row for row in found["rows"]}
    assert code == 0 and set(rows) == set(registry())
    card = checkpoint(ID)
    assert rows[ID]["figures"] == {
        **card.figures,
        **{f"threshold at FAR {k:g}": v for k, v in card.thresholds.items()},
    }
    assert (rows[ID]["source"], rows[ID]["trained"], rows[ID]["sha256"]) == ("bundled", True, card.sha256)
    code, found, _ = told(capsys, "show", ID)
    assert code == 0 and found["rows"] == [rows[ID]]
    refused(capsys, home, "There is no checkpoint called 'nosuch'", "show", "nosuch")
    assert main(["weights", "list"]) == 0 and ID in capsys.readouterr().out  # and as a table


def test_the_card_names_all_that_it_must(home):
    text, card = (home / "cards" / f"{ID}.md").read_text(), checkpoint(ID)
    log = json.loads((home / "cards" / f"{ID}.json").read_text())
    recipe = recogniser.RECIPES[ID]
    train = f"`python -m engines.train.recogniser {ID} --bank bank --test test --out run --epochs "
    for part in (
        "CelebA, 4,000 identities",
        *recipe.teachers,
        f"margin loss {recipe.margin}; batch {recipe.batch}, rate {recipe.rate:g}, seed {recipe.seed}",
        "`python -m engines.train.face_bank --data DIR --teachers DIR --out bank`",
        f"{train}1` and, to anneal again, {train}2` and, to anneal again, {train}3`",
        f"Took {log['seconds']:,} s on one CPU core, for 3 of 3 epochs",
        f"by `python -m app weights verify {ID} --pairs FILE --data DIR`",
        f"{card.figures['lfw_accuracy']:.2%} ± ",
        f"{card.thresholds[0.01]:.4f}",
        f"| sface | {card.figures['impostor_correlation']['sface']:.3f} |",
        f"| 2 | {log['epochs'][1]['distil']:.4f} | ",
        "## Limits",
        "## Licence\n\nNon-commercial research only (terms of CelebA)",
        f"SHA-256 `{card.sha256}`",
    ):
        assert part in text, part


def test_the_card_says_where_calibrated_thresholds_come_from(home, pictures, lfw, capsys):
    pairs = ("--pairs", pictures / "pairs.csv", "--data", lfw)
    assert told(capsys, "calibrate", ID, *pairs)[0] == 0 and told(capsys, "card", ID)[0] == 0
    text = (home / "cards" / f"{ID}.md").read_text()
    assert "Measured on LFW, 2,000 pairs, by `python -m app weights verify" in text
    assert "The thresholds: on pairs, 1,289 pairs, by `python -m app weights calibrate compact-vgg --pairs" in text


def test_a_card_that_cannot_be_written_is_refused(home, run, capsys):
    refused(capsys, home, "sface is not bundled", "card", ID, "sface")
    (home / "cards" / f"{ID}.json").unlink()
    refused(capsys, home, "The training log of compact-vgg is missing", "card", ID)
    assert told(capsys, "bundle", ID, "--run", run)[0] == 0
    refused(capsys, home, f"{ID} has no figures yet", "card", ID)


# what the test of the bundled files (test_structure.py) sees


def edited(home, old, new):
    text = (home / "registry.toml").read_text()
    assert old in text
    (home / "registry.toml").write_text(text.replace(old, new))


def saved(home, change):
    """Another file in the place of the bundled one, with an entry that knows it."""
    path, card = home / "bundled" / f"{ID}.safetensors", checkpoint(ID)
    save_file(change(load_file(path)), path)
    edited(home, card.sha256, sha256_of_file(path))
    edited(home, f"bytes = {card.bytes}", f"bytes = {path.stat().st_size}")
    (home / "cards" / f"{ID}.md").write_text(weights_card.card_text(checkpoint(ID)))


def flip(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def twins(home, count):
    """As many copies of the bundled file, without entries."""
    for i in range(count):
        shutil.copy(home / "bundled" / f"{ID}.safetensors", home / "bundled" / f"other-{i}.safetensors")


TAMPERED = {
    "has another SHA-256": lambda home: flip(home / "bundled" / f"{ID}.safetensors"),
    "has another size": lambda home: edited(home, f"bytes = {checkpoint(ID).bytes}", "bytes = 1"),
    "is too large": lambda home: saved(home, lambda state: state | {"more": torch.zeros(EACH).half()}),
    "is not fp16": lambda home: saved(home, lambda state: state | {"head.out.bias": torch.zeros(256)}),
    "has no card": lambda home: (home / "cards" / f"{ID}.md").unlink(),
    "has another card": lambda home: edited(home, "lfw_accuracy_se = ", "lfw_accuracy_se = 1"),
    "has no entry": lambda home: twins(home, 1),
    "is missing": lambda home: (home / "bundled" / f"{ID}.safetensors").unlink(),
    "has figures without a command": lambda home: edited(
        home, 'command = "python -m app weights verify dlib', 'x = "'
    ),
    "lacks correlations": lambda home: edited(home, "impostor_correlation = {", "correlation_of = {"),
    "together are too large": lambda home: twins(home, 60),
}


def test_a_whole_bundle_has_no_fault(home):
    assert faults() == []


@pytest.mark.parametrize("says", list(TAMPERED))
def test_each_fault_of_a_bundle_is_seen(home, says):
    TAMPERED[says](home)
    assert any(says in fault for fault in faults()), faults()
