"""The researcher's pages without a browser: each button of the design page, and the results of a study."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app.study import inbox, rehearsal
from app.study.incoming import Incoming
from app.study.protocols import PROTOCOLS
from app.study.store import Store
from app.workbench import state

PAGES = Path(__file__).resolve().parents[1] / "pages"
TOKEN = "a-token-of-this-test"


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("LARVATUS_STUDIES", str(tmp_path))
    monkeypatch.setenv("LARVATUS_ADMIN_TOKEN", TOKEN)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    state.store.clear()
    found = Store()
    yield found
    found.close_database()
    state.store.clear()


def page(name: str) -> AppTest:
    """A page that opens with the token given."""
    at = AppTest.from_file(str(PAGES / f"{name}.py"), default_timeout=60)
    at.session_state["researcher"] = True
    return at.run()


def press(at: AppTest, label: str) -> AppTest:
    next(button for button in at.button if button.label.startswith(label)).click()
    at.run()
    assert not at.exception
    return at


def field(kind, label: str):
    return next(one for one in kind if one.label.startswith(label))


def said(at: AppTest) -> str:
    """All that the page says outside its fields."""
    return " ".join(
        str(one.value) for kind in (at.error, at.info, at.success, at.markdown, at.caption) for one in kind
    )


def answered(store: Store, study: str, raters: int = 4) -> None:
    """So many raters answer everything."""
    rng = np.random.default_rng(0)
    design = store.design(study)
    for k in range(raters):
        rater = store.enrol(study, design.consent_version).rater
        while (screen := store.next_trial(rater)) is not None:
            value = rehearsal.answer(design.protocol, rng, design.labels)
            store.record(rater, screen.trial, value, f"{k} {screen.trial}", 1.0)


def test_the_token_opens_the_door_and_nothing_else_does(store):
    at = AppTest.from_file(str(PAGES / "design.py"), default_timeout=60).run()
    assert not at.tabs
    field(at.text_input, "Token").set_value("wrong")
    assert "This is not the token" in said(press(at, "Sign in"))
    field(at.text_input, "Token").set_value(TOKEN)
    press(at, "Sign in")
    assert at.title[0].value == "Studies"


def test_a_study_is_begun_changed_filled_opened_and_closed(store):
    at = page("design")
    assert "no title yet" in said(press(at, "Begin"))
    field(at.text_input, "Title").set_value("Which looks natural?")
    press(at, "Begin")
    (study,) = store.studies()
    assert "No pictures yet" in said(at)
    field(at.number_input, "Practice screens").set_value(1)
    press(at, "Save")
    assert store.design(study.id).training == 1 and store.design(study.id).title == "Which looks natural?"
    field(at.text_input, "Code").set_value("2222-2222-2222").run()
    assert "Nothing waits under this code" in said(press(at, "Fetch"))
    sent = [rehearsal.picture("ann", name, role) for name, role in (("", "reference"), ("a", "test"), ("b", "test"))]
    code = inbox.leave(
        [Incoming(one.png, "ann", role=one.source.role, condition=one.source.condition) for one in sent]
    )
    field(at.text_input, "Code").set_value(code).run()
    press(at, "Fetch")
    at.run()
    assert "6 pictures" in said(at) and "of 1 photo" in said(at), "three, and three anchors"
    press(at, "Open the study")
    assert store.study(study.id).state == "open" and "SHA-256" in said(at) and "frozen" in said(at)
    assert field(at.text_input, "Title").disabled and any("?study=" in block.value for block in at.code)
    press(at, "Close")
    assert store.study(study.id).state == "closed"
    press(at, "Open again")
    assert store.study(study.id).state == "open"


def test_pictures_can_be_removed_while_nothing_is_frozen(store):
    study = rehearsal.study(store, opened=False)
    at = page("design")
    press(at, "Remove all pictures")
    assert store.stimuli(study) == []


def test_a_preview_shows_the_screens_and_stores_nothing(store):
    study = rehearsal.study(store)
    at = press(page("design"), "Preview")
    assert "Leave the preview" in [button.label for button in at.button]
    assert store.progress(study).raters == 0
    press(at, "Leave the preview")
    assert at.title[0].value == "Studies"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol_says_how_many_answers_it_takes(protocol, store):
    rehearsal.study(store, protocol=protocol)
    at = page("design")
    assert not at.exception
    words = {"artefacts": "raters** give", "acr": "paired t-test", "dsis": "paired t-test"}
    assert words.get(protocol, "exact binomial test") in " ".join(one.value for one in at.success)
    assert "main trials" in said(at)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol_s_result_has_its_sections_and_both_exports(protocol, store):
    study = rehearsal.study(store, protocol=protocol)
    assert "No answers yet" in said(page("results"))
    answered(store, study)
    at = page("results")
    assert not at.exception and len(at.tabs) >= 4 and len(at.table) >= 1
    assert [one.label.split(" (")[0] for one in at.get("download_button")] == [
        "Download all data",
        "Download the report",
    ]


def test_what_was_marked_lies_over_the_pictures(store):
    study = rehearsal.study(store, protocol="artefacts")
    answered(store, study)
    at = page("results")
    assert at.tabs[0].label == "On the pictures"
    figure = json.loads(at.tabs[0].get("plotly_chart")[0].proto.spec)
    assert figure["layout"]["images"][0]["source"].startswith("data:image/png;base64,")
    assert 0 < figure["data"][0]["zmax"] <= 1


def test_raters_can_be_left_out_of_a_result(store):
    study = rehearsal.study(store, protocol="acr")
    answered(store, study)
    at = page("results")
    rater = field(at.multiselect, "Left out").options[0]
    field(at.multiselect, "Left out").set_value([rater]).run()
    assert not at.exception and rater in " ".join(str(table.value) for table in at.table) + said(at)
