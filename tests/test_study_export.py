"""Export and back: the same analysis bit for bit, no formula in a cell, and no trust in a stranger's ZIP."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import zipfile

import pandas as pd
import pytest

from app.study import codebook, export, formats
from app.study.analysis import analyse
from app.study.choices import Choices
from app.study.codebook import RATERS as RATERS_WORDS
from app.study.codebook import RATINGS
from app.study.codebook import STIMULI as STIMULI_WORDS
from app.study.simulate import simulate
from app.study.simulated_rater import Raters
from app.study.simulated_trials import Condition
from app.study.tables import RATERS, STIMULI, VOTES, checked

NASTY = [
    '=HYPERLINK("http://x","y")',
    "+1",
    "-1+2",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "  =1",
    "＝1",
    "'quoted",
    "''",
    "'=1",
]
PLAIN = ["", "plain", "a=b", "1-2", 'ü, "quoted"; 1\n2\r\n3', "R0123", " x", "0"]
FROZEN = '{"protocol":"acr","title":"Wirkt es natürlich?"}'
HASH = hashlib.sha256(FROZEN.encode()).hexdigest()
SCORES = {"acr": 1.1, "dsis": 1.1, "pairs": 0.7, "detection": 0.9, "verification": 1.0, "artefacts": 0.2}


def study(protocol: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A study with parameters of all kinds, floats that need all their digits, and hostile labels."""
    conditions = [
        Condition(
            f"{NASTY[k]} γ={k / 3}",
            SCORES[protocol] * (k + 1),
            NASTY[k],
            {"gamma": k / 3, "norm": "=linf", "on": True, "none": None, "list": [1, 0.1]},
            {"judge_cosine": math.pi / (k + 3), "ssim": 0.1 + 0.2},
        )
        for k in range(3)
    ]
    run = simulate(protocol, conditions, 2, Raters(7, tie=0.3), catches=2, repeats=2, seed=3)
    return run.votes, run.stimuli


@pytest.mark.parametrize("protocol", list(SCORES))
def test_every_format_reads_back_to_the_same_analysis_bit_for_bit(protocol):
    votes, stimuli = study(protocol)
    packed = export.export(votes, stimuli, FROZEN, HASH)
    before = checked(votes, stimuli)
    result = json.dumps(analyse(votes, stimuli, resamples=100).as_dict())
    for source in export.FORMATS:
        found = export.read(packed, source)
        pd.testing.assert_frame_equal(found.votes, before[0], check_exact=True)
        pd.testing.assert_frame_equal(found.stimuli, before[1], check_exact=True)
        assert (found.frozen, found.protocol_hash, found.simulated) == (FROZEN, HASH, True)
    # The tables are equal to the last bit; one analysis of the last format shows that the analysis is too.
    assert json.dumps(analyse(found.votes, found.stimuli, resamples=100).as_dict()) == result


def test_the_same_study_gives_the_same_bytes():
    votes, stimuli = study("acr")
    first = export.export(votes, stimuli, FROZEN, HASH)
    assert export.export(votes.sample(frac=1, random_state=0), stimuli, FROZEN, HASH) == first
    again = export.read(first, "csv")
    assert export.export(again.votes, again.stimuli, again.frozen, again.protocol_hash) == first


def test_no_cell_of_a_csv_can_start_a_formula():
    votes, stimuli = study("acr")
    packed = zipfile.ZipFile(io.BytesIO(export.export(votes, stimuli)))
    names = [name for name in packed.namelist() if name.endswith(".csv")]
    assert names == ["measures.csv", "parameters.csv", "ratings.csv", "stimuli.csv"]
    seen = 0
    for name in names:
        rows = list(csv.reader(io.StringIO(packed.read(name).decode("utf-8-sig"), newline="")))
        for cell in (cell for row in rows for cell in row):
            assert not cell.strip(" \t\r\n").startswith(("=", "+", "@", "＝")), (name, cell)
            assert not cell.startswith("-") or cell[1:].replace(".", "", 1).isdigit(), (name, cell)
            seen += cell.startswith("'")
    assert seen > 50


@pytest.mark.parametrize("text", NASTY + PLAIN)
def test_neutral_text_has_a_way_back(text):
    assert formats.plain(formats.neutral(text)) == text
    assert (formats.neutral(text) != text) == (text in NASTY)


def test_the_codebook_names_every_column_and_the_manifest_every_file():
    assert set(RATINGS) == set(VOTES) and set(STIMULI_WORDS) == set(STIMULI)
    assert set(RATERS_WORDS) == set(RATERS) and set(codebook.LONG) == set(formats.LONG)
    packed = zipfile.ZipFile(io.BytesIO(export.export(*study("acr"), FROZEN, HASH)))
    manifest = json.loads(packed.read("manifest.json"))
    assert set(manifest["sha256"]) == set(packed.namelist()) - {"manifest.json"}
    for name, digest in manifest["sha256"].items():
        assert hashlib.sha256(packed.read(name)).hexdigest() == digest
    book = packed.read("codebook.md").decode()
    assert HASH in book and "simulated" in book and manifest["simulated"] and manifest["raters"] == 7
    assert hashlib.sha256(packed.read("protocol.json")).hexdigest() == HASH
    json.loads(packed.read("ratings.json"), parse_constant=pytest.fail)  # NaN is no JSON


def test_raters_go_out_without_the_ids_of_a_recruiter_and_come_back():
    told = [{"age": "31+"}, {}]
    raters = pd.DataFrame({"rater": ["R2", "R1"], "consent_version": "=2", "demographics": told, "PROLIFIC_PID": "x"})
    packed = export.export(*study("acr"), raters=raters)
    for source in export.FORMATS:
        found = export.read(packed, source).raters
        assert found["rater"].tolist() == ["R1", "R2"] and found["consent_version"].tolist() == ["=2", "=2"]
        assert found["demographics"].tolist() == told[::-1] and len(found.columns) == 3
    files = zipfile.ZipFile(io.BytesIO(packed))
    assert b"'=2" in files.read("raters.csv") and not any(b"PROLIFIC" in files.read(n) for n in files.namelist())
    assert export.read(export.export(*study("acr"))).raters is None
    with pytest.raises(ValueError, match="listed twice"):
        export.export(*study("acr"), raters=pd.concat([raters, raters]))


def test_how_a_study_was_analysed_comes_back_with_it():
    votes, stimuli = study("acr")
    rater = checked(votes, stimuli)[0]["rater"][0]
    asked = {"limits": {"judge_cosine": 0.3}, "directions": {"x": True}}
    choices = Choices(exclusions=(rater,), seed=5, resamples=100, **asked)
    packed = export.export(votes, stimuli, choices=choices)
    found = export.read(packed)
    assert found.choices == choices
    again = found.choices.analysed(found.votes, found.stimuli).as_dict()
    assert again == choices.analysed(votes, stimuli).as_dict() and again["exclusions"] == (rater,)
    assert again["settings"]["limits"] == (("judge_cosine", 0.3),) and again["settings"]["seed"] == 5


def sealed(packed: bytes, drop: tuple[str, ...] = (), number: int = export.FORMAT, **changes: bytes) -> bytes:
    """The same ZIP with files changed or left out, and a manifest that fits them."""
    manifest = json.loads(zipfile.ZipFile(io.BytesIO(packed)).read("manifest.json"))
    manifest["format"] = number
    for name, data in changes.items():
        manifest["sha256"][name.replace("__", ".")] = hashlib.sha256(data).hexdigest()
    for name in drop:
        del manifest["sha256"][name]
    gone = {name.replace(".", "__"): None for name in drop}
    return repacked(packed, **changes, **gone, manifest__json=json.dumps(manifest).encode())


def test_an_export_of_the_first_format_is_still_read():
    packed = export.export(*study("acr"), FROZEN, HASH)
    older = {name: kind for name, kind in STIMULI.items() if name not in ("person", "provenance")}
    table = checked(*study("acr"))[1]
    files = {f"stimuli__{kind}": getattr(formats, f"to_{kind}")(table, older) for kind in export.FORMATS}
    first = sealed(packed, drop=("analysis.json",), number=1, **files)
    for source in export.FORMATS:
        found = export.read(first, source)
        assert found.choices == Choices() and found.protocol_hash == HASH
        pd.testing.assert_frame_equal(found.stimuli, table)
    with pytest.raises(ValueError, match="lacks analysis.json"):
        export.read(sealed(packed, drop=("analysis.json",)))


@pytest.mark.parametrize("choices", ['{"resamples": 1000000000}', '{"level": NaN}', '{"x": 1}', "[]", "{" * 9999])
def test_choices_that_make_no_sense_are_said_even_with_a_fitting_checksum(choices):
    with pytest.raises(ValueError, match="choices of this analysis cannot be read"):
        export.read(sealed(export.export(*study("acr")), analysis__json=choices.encode()))


def test_a_rater_left_out_who_is_not_there_is_said():
    with pytest.raises(ValueError, match="no rater 'R9'"):
        export.read(export.export(*study("acr"), choices=Choices(exclusions=("R9",))))


def test_parameters_come_one_a_row():
    packed = zipfile.ZipFile(io.BytesIO(export.export(*study("acr"))))
    rows = list(csv.DictReader(io.StringIO(packed.read("parameters.csv").decode("utf-8-sig"), newline="")))
    read = {"csv": formats.from_csv, "parquet": formats.from_parquet, "json": formats.from_json}
    for name in ("parameters", "measures"):
        one, two, three = (read[kind](packed.read(f"{name}.{kind}"), formats.LONG) for kind in export.FORMATS)
        assert len(one) > 6 and one.to_dict("list") == two.to_dict("list") == three.to_dict("list")
    assert b"## parameters" in packed.read("codebook.md") and b"## measures" in packed.read("codebook.md")
    gammas = {formats.plain(r["stimulus"]): json.loads(r["value"]) for r in rows if r["name"] == "gamma"}
    assert set(gammas.values()) == {0.0, 1 / 3, 2 / 3} and len(gammas) == 6


def test_people_in_an_export_are_not_marked_simulated():
    votes, stimuli = study("acr")
    people = votes.assign(rater=votes["rater"].str.replace("simulated-", "R"))
    packed = export.export(people, stimuli)
    assert not export.read(packed).simulated
    assert b"were simulated" not in zipfile.ZipFile(io.BytesIO(packed)).read("codebook.md")


def test_where_a_picture_comes_from_goes_out_and_comes_back():
    votes, stimuli = study("acr")
    made = {"source": "=cmd", "steps": [{"method": "tip-im", "at": 0.1}]}
    stimuli["person"], stimuli["provenance"] = "=ann", [made] * len(stimuli)
    packed = export.export(votes, stimuli)
    for source in export.FORMATS:
        found = export.read(packed, source).stimuli
        assert set(found["person"]) == {"=ann"} and found["provenance"].tolist() == [made] * len(stimuli)


def test_an_empty_study_goes_out_and_comes_back():
    votes, stimuli = study("acr")
    packed = export.export(votes[:0], stimuli)
    assert all(len(export.read(packed, source).votes) == 0 for source in export.FORMATS)


def repacked(packed: bytes, **changes: bytes | None) -> bytes:
    """The same ZIP with files changed, added or, with None, taken out."""
    source, out = zipfile.ZipFile(io.BytesIO(packed)), io.BytesIO()
    files = {name: source.read(name) for name in source.namelist()}
    files |= {name.replace("__", "."): data for name, data in changes.items()}
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            if data is not None:
                archive.writestr(name, data)
    return out.getvalue()


def test_what_is_no_export_or_was_changed_is_refused_in_one_sentence(monkeypatch):
    good = export.export(*study("acr"), FROZEN, HASH)
    manifest = json.loads(zipfile.ZipFile(io.BytesIO(good)).read("manifest.json"))
    other = json.dumps({**manifest, "protocol_hash": "0" * 64}).encode()
    later = json.dumps({**manifest, "format": 3}).encode()
    cases = {
        b"PK nothing": "is no export of a study",
        good[:-200]: "is no export of a study",
        repacked(good, manifest__json=None): "no readable manifest",
        repacked(good, manifest__json=b"[]"): "no readable manifest",
        repacked(good, manifest__json=later): "has format 3",
        repacked(good, manifest__json=other): "does not have the hash",
        repacked(good, ratings__csv=b"rater\r\n"): "ratings.csv in this export is damaged",
        repacked(good, stimuli__parquet=None): "stimuli.parquet in this export is damaged",
    }
    for data, says in cases.items():
        with pytest.raises(ValueError, match=says):
            export.read(data)
    with pytest.raises(ValueError, match="no format 'xlsx'"):
        export.read(good, "xlsx")
    monkeypatch.setattr(export, "LARGEST", 1000)
    with pytest.raises(ValueError, match="too large"):
        export.read(good)


@pytest.mark.parametrize("source", export.FORMATS)
@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"[{}]", b'"rater"\r\n"a"\r\n', b"{" * 50_000])
def test_a_table_that_cannot_be_read_is_said_even_with_a_fitting_checksum(source, content):
    good = export.export(*study("acr"))
    manifest = json.loads(zipfile.ZipFile(io.BytesIO(good)).read("manifest.json"))
    manifest["sha256"][f"ratings.{source}"] = hashlib.sha256(content).hexdigest()
    bad = repacked(good, **{f"ratings__{source}": content, "manifest__json": json.dumps(manifest).encode()})
    with pytest.raises(ValueError, match="^[^\n]+$"):
        export.read(bad, source)


def test_a_wrong_hash_is_not_exported():
    with pytest.raises(ValueError, match="hash does not belong"):
        export.export(*study("acr"), FROZEN, "0" * 64)
