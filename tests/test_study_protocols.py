"""What may be asked and answered."""

from __future__ import annotations

import math
import string

import pytest

from app.study import strings
from app.study.canonical import ALPHABET, canonical, code_hash, new_code
from app.study.design import Design, design_from
from app.study.errors import StudyError
from app.study.protocols import MOST_BOXES, PROTOCOLS, protocol

BOX = {"x0": 0.1, "y0": 0.2, "x1": 0.5, "y1": 0.6, "label": "Eyes"}


@pytest.mark.parametrize("name, answers", [
    ("pairs", ("first", "second")),
    ("acr", (1, 2, 3, 4, 5)),
    ("dsis", (1, 2, 3, 4, 5)),
    ("detection", ("first", "second")),
    ("verification", ("same", "different")),
])  # fmt: skip
def test_each_protocol_takes_its_answers_and_no_others(name, answers):
    rules = PROTOCOLS[name]
    assert rules.allowed() == answers
    for answer in answers:
        assert rules.check(answer) == answer and rules.caption(answer)
    for wrong in (None, True, 0, 6, 3.0, "1", "tie", "", [], {"a": 1}, math.nan):
        with pytest.raises(StudyError, match="not one of the possible answers"):
            rules.check(wrong)


def test_a_tie_is_for_pairs_where_the_study_allows_it():
    assert PROTOCOLS["pairs"].check("tie", tie=True) == "tie"
    with pytest.raises(StudyError):
        PROTOCOLS["detection"].check("tie", tie=True)


def test_boxes_lie_in_the_picture_and_have_a_known_label():
    check = PROTOCOLS["artefacts"].check
    assert check([BOX], labels=("Eyes",)) == [BOX] and check([], labels=("Eyes",)) == []
    wrong = [{"x0": 0.5}, {"x1": 1.2}, {"y0": -0.1}, {"y1": math.nan}, {"x0": True}, {"x0": "0"}, {"label": "Tail"}]
    for change in wrong:
        with pytest.raises(StudyError):
            check([{**BOX, **change}], labels=("Eyes",))
    for whole in ("boxes", None, [1], [{**BOX, "more": 1}], [BOX] * (MOST_BOXES + 1)):
        with pytest.raises(StudyError):
            check(whole, labels=("Eyes",))


def test_what_is_right():
    assert PROTOCOLS["detection"].is_right("second", "second") and not PROTOCOLS["pairs"].is_right("first", "tie")
    assert PROTOCOLS["acr"].is_right("1-2", 2) and not PROTOCOLS["dsis"].is_right("1-2", 3)
    assert PROTOCOLS["artefacts"].is_right("some", [BOX]) and not PROTOCOLS["artefacts"].is_right("some", [])
    assert PROTOCOLS["acr"].is_right("", 5) is None


def test_chance_and_number_of_pictures():
    two = {name for name, rules in PROTOCOLS.items() if rules.pictures == 2}
    assert two == {"pairs", "dsis", "detection", "verification"}
    assert {name for name, rules in PROTOCOLS.items() if rules.chance == 0.5} == two - {"dsis"}
    with pytest.raises(StudyError, match="choose one of pairs"):
        protocol("ranking")


def test_every_translation_has_every_text_with_the_same_gaps():
    gaps = {key: {name for _, name, _, _ in string.Formatter().parse(said) if name}
            for key, said in strings.ENGLISH.items()}  # fmt: skip
    for language, texts in strings.TEXTS.items():
        assert texts.keys() == gaps.keys(), language
        for key, said in texts.items():
            assert {name for _, name, _, _ in string.Formatter().parse(said) if name} == gaps[key], (language, key)
            assert "!" not in said
    for name, rules in PROTOCOLS.items():
        assert Design(title="x", protocol=name).asked == rules.question()
    with pytest.raises(StudyError, match="no translation"):
        strings.text("next", "tlh")


@pytest.mark.parametrize("change, said", [
    ({"title": " "}, "title"),
    ({"protocol": "ranking"}, "protocol"),
    ({"colour": "red"}, "colour"),
    ({"protocol": "acr", "tie": True}, "pairwise"),
    ({"protocol": "acr", "sampling": "active"}, "pairwise"),
    ({"trials": 0}, "trials"),
    ({"trials": 4, "repeats": 3}, "half"),
    ({"minimum_view": math.inf}, "minimum_view"),
    ({"language": "tlh"}, "translation"),
    ({"completion_url": "javascript:alert(1)"}, "completion_url"),
    ({"demographics": [{"name": "Age!", "caption": "Age", "choices": ["a", "b"]}]}, "demographics"),
])  # fmt: skip
def test_a_bad_design_is_refused_in_one_sentence(change, said):
    with pytest.raises(StudyError) as caught:
        design_from({"title": "T", "protocol": "pairs", **change})
    assert said in str(caught.value) and "\n" not in str(caught.value) and str(caught.value).endswith("again.")


def test_canonical_json_is_one_spelling():
    assert canonical({"b": [1, 2.5], "a": "é"}) == canonical({"a": "é", "b": [1, 2.5]}) == '{"a":"é","b":[1,2.5]}'
    for wrong in (math.nan, {"a": object()}, "a\0b", "\ud800"):
        with pytest.raises(StudyError):
            canonical(wrong)


def test_codes_survive_being_copied_by_hand():
    code = new_code()
    assert set(code.replace("-", "")) <= set(ALPHABET) and len(code) == 14
    assert code_hash(code) == code_hash(f" {code.lower().replace('-', ' ')} ") != code_hash(new_code())
    for wrong in ("", "AAAA", code[:-1] + "0", None):
        with pytest.raises(StudyError, match="no code of ours"):
            code_hash(wrong)
