"""The researcher's pages without a browser: each button of the design page, and the results of a study."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from streamlit.delta_generator import DeltaGenerator
from streamlit.testing.v1 import AppTest

from app import gallery
from app.render import Step
from app.study import export, inbox, power, rehearsal
from app.study.analysis import analyse
from app.study.choices import Choices
from app.study.errors import StudyError
from app.study.incoming import Incoming
from app.study.protocols import PROTOCOLS
from app.study.simulate import simulate
from app.study.simulated_rater import Raters
from app.study.simulated_trials import Condition
from app.study.store import Store
from app.workbench import design_pictures, example, state

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


@pytest.fixture
def downloads(monkeypatch):
    """What each download button of the page would give, by its label; filled as the page runs."""
    given: dict = {}
    shown = DeltaGenerator.download_button

    def keep(self, label, data, *rest, **more):
        given[label.split(" (")[0]] = data() if callable(data) else data
        return shown(self, label, data, *rest, **more)

    monkeypatch.setattr(DeltaGenerator, "download_button", keep)
    return given


def answered(store: Store, study: str, raters: int = 4, **about) -> None:
    """So many raters answer everything; `about` is told of each when enrolling."""
    rng = np.random.default_rng(0)
    design = store.design(study)
    for k in range(raters):
        rater = store.enrol(study, design.consent_version, **about).rater
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
    field(at.number_input, "Stop when every item").set_value(7)
    field(at.checkbox, "Rate the deliberately bad").set_value(True)
    press(at, "Save")
    press(at, "Save")
    assert store.design(study.id).stopping.answers_per_item == 7 and store.design(study.id).rate_anchors
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


def test_a_code_waits_on_where_its_pictures_are_not_taken(store, monkeypatch):
    study = rehearsal.study(store, opened=False)
    one = rehearsal.picture("ann", "", "reference")
    code = inbox.leave([Incoming(one.png, "bob", role="test", condition="c")])
    at = page("design")

    def full(*given):
        raise StudyError("The disk is full.")

    monkeypatch.setattr(Store, "add", full)
    field(at.text_input, "Code").set_value(code).run()
    assert "The disk is full." in said(press(at, "Fetch")) and inbox.fetch(code)
    monkeypatch.undo()
    monkeypatch.setenv("LARVATUS_STUDIES", str(store.database.path.parent))
    before = len(store.stimuli(study))
    press(at, "Fetch")
    assert len(store.stimuli(study)) == before + 1
    with pytest.raises(StudyError, match="Nothing waits"):
        inbox.fetch(code)
    at.run()
    assert "No unaltered photo (role reference) for bob" in " ".join(one.value for one in at.warning)


def made_of(seen: list):
    """As `render` makes them, without a network: a reference, and a picture for each setting."""

    def render(runtime, sources, settings):
        for name, _ in sources:
            rows = [(None, Incoming(rehearsal.picture(name, "", "reference").png, name, role="reference"))]
            for setting in settings:
                seen.append(setting)
                png = rehearsal.picture(name, str(setting.params), "test").png
                rows.append((setting, Incoming(png, name, method=setting.method, parameters=dict(setting.params))))
            for done, (_, picture) in enumerate(rows, 1):
                yield Step(done, len(rows), name, picture)
        yield Step(1, 1, "x", failed="x: No face found.")

    return render


def test_pictures_are_made_of_photos_methods_and_values_and_again_without_losing_any(store, monkeypatch):
    study, seen = rehearsal.study(store, opened=False).strip(), []
    press(at := page("design"), "Remove all pictures")
    monkeypatch.setattr(design_pictures, "render", made_of(seen))
    field(at.multiselect, "or built-in").set_value([gallery.COLLINS])
    field(at.selectbox, "Vary a setting").set_value("tip-im").run()
    field(at.selectbox, "Setting").set_value("gamma").run()
    field(at.text_input, "Values").set_value("0, x").run()
    assert "write them as 0, 1, 2" in said(at)
    field(at.text_input, "Values").set_value("0, 99").run()
    assert "99" not in [setting.params for setting in seen] and at.error
    field(at.text_input, "Values").set_value("0, 1.5, 0").run()
    press(at, "Make the pictures")
    assert [setting.params for setting in seen] == [{"gamma": 0.0}, {"gamma": 1.5}]
    assert "No face found" in " ".join(one.value for one in at.warning)
    made = store.stimuli(study)
    assert sum(one.role == "test" for one in made) == 2 and any(one.role == "anchor" for one in made)
    field(at.text_input, "Values").set_value("1.5, 3").run()
    press(at, "Make the pictures")
    assert sum(one.role == "test" for one in store.stimuli(study)) == 3, "the new one beside those that were there"


def test_a_zip_and_a_folder_are_imported_on_the_page(store):
    study = store.create({"title": "Imported", "protocol": "acr"}).id
    manifest = "file,photo,role,method\na.png,ann,reference,\nb.png,ann,test,tip-im\n"
    files = {"manifest.csv": manifest.encode()} | {
        f"{name}.png": rehearsal.picture("ann", name, "test").png for name in "ab"
    }
    box = io.BytesIO()
    with zipfile.ZipFile(box, "w") as packed:
        for name, data in files.items():
            packed.writestr(name, data)
    at = page("design")
    field(at.file_uploader, "ZIP").upload("study.zip", box.getvalue(), "application/zip").run()
    press(at, "Import")
    assert {row.role for row in store.stimuli(study)} == {"reference", "test", "anchor"}
    press(at, "Remove all pictures")
    at = page("design")
    for name, data in files.items():
        field(at.file_uploader, "or a folder").upload(name, data, "image/png")
    at.run()
    press(at, "Import")
    assert len(store.stimuli(study)) == 5


def test_a_full_study_says_so_and_who_withdrew(store):
    study = rehearsal.study(store, stopping={"raters": 2})
    answered(store, study, 1)
    enrolled = store.enrol(study, store.design(study).consent_version)
    store.withdraw(enrolled.code)
    at = page("design")
    assert "Withdrawn" in [metric.label for metric in at.metric] and "stopping rule" not in said(at)
    answered(store, study, 1)
    assert "The stopping rule is met (raters)" in said(page("design"))


def test_power_goes_both_ways(store):
    rehearsal.study(store, protocol="pairs")
    at = page("design")
    field(at.number_input, "Raters that you have").set_value(30)
    field(at.number_input, "Answers from each").set_value(8)
    field(at.number_input, "Share to find").set_value(70.0).run()
    expected = power.detectable_share(30, 8, 0.5), power.raters_for_share(0.7, 8, 0.5)
    assert f"240 answers would just find {expected[0]:.1%}" in said(at) and f"takes {expected[1]} raters" in said(at)
    field(at.number_input, "Share to find").set_value(50.0).run()
    assert f"just find {expected[0]:.1%}" in said(at), "one question that has no answer leaves the other"


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
        "Raters",
    ]


def test_what_was_marked_lies_over_the_pictures(store):
    study = rehearsal.study(store, protocol="artefacts")
    answered(store, study)
    at = page("results")
    assert at.tabs[0].label == "On the pictures"
    figure = json.loads(at.tabs[0].get("plotly_chart")[0].proto.spec)
    assert figure["layout"]["images"][0]["source"].startswith("data:image/jpeg;base64,")
    assert 0 < figure["data"][0]["zmax"] <= 1


def test_raters_can_be_left_out_of_a_result(store):
    study = rehearsal.study(store, protocol="acr")
    answered(store, study)
    at = page("results")
    rater = field(at.multiselect, "Left out").options[0]
    field(at.multiselect, "Left out").set_value([rater]).run()
    assert not at.exception and rater in " ".join(str(table.value) for table in at.table) + said(at)


def test_who_took_part_can_be_read_and_paid(store, downloads):
    questions = ({"name": "age", "caption": "Your age", "choices": ("18-30", "31+")},)
    study = rehearsal.study(store, demographics=questions)
    answered(store, study, 1, external={"PROLIFIC_PID": "=cmd"}, demographics={"age": "31+"})
    page("results")
    (row,) = csv.DictReader(io.StringIO(downloads["Raters"].decode("utf-8-sig"), newline=""))
    assert row["PROLIFIC_PID"] == "'=cmd" and row["finished_at"] and json.loads(row["demographics"]) == {"age": "31+"}
    packed = downloads["Download all data"]
    with zipfile.ZipFile(io.BytesIO(packed)) as files:
        assert not any(b"=cmd" in files.read(name) for name in files.namelist()), "no id of a recruiter goes out"
    kept = {one.id: (one.person, one.provenance) for one in store.stimuli(study)}
    rows = export.read(packed).stimuli.itertuples()
    assert {row.stimulus: (row.person, row.provenance) for row in rows} == kept and any(p for p, _ in kept.values())
    (rater,) = export.read(packed).raters.to_dict("records")
    assert rater == {"rater": row["rater"], "consent_version": "1", "demographics": {"age": "31+"}}


def test_the_example_has_nobody_to_pay(store, downloads):
    page("example")
    assert set(downloads) == {"Download all data", "Download the report"}


def example_with_guessers() -> tuple[str, ...]:
    """Who stands out in the worked example: two who answer at random, and one who does not."""
    source = example.source()
    return tuple(sorted(analyse(source.votes, source.stimuli, resamples=10).screening.raters))


def test_whom_the_rules_found_is_left_out_by_one_switch(store, downloads):
    found = example_with_guessers()
    at = page("example")
    assert field(at.multiselect, "Left out").value == [] and len(found) == 3
    field(at.toggle, "Leave out").set_value(True).run()
    assert not at.exception and field(at.multiselect, "Left out").value == list(found)
    assert export.read(downloads["Download all data"]).choices.exclusions == found
    assert "3 excluded" in str([table.value.to_dict() for table in at.table])


def test_an_export_read_back_starts_with_who_was_left_out(store, downloads):
    source = example.source()
    packed = source.packed(Choices(exclusions=("simulated-003",), seed=4, resamples=50))
    at = page("results")
    at.file_uploader[0].upload("study.zip", packed, "application/zip").run()
    assert not at.exception and field(at.multiselect, "Left out").value == ["simulated-003"]
    assert downloads["Download all data"] == packed, "the same choices"
    assert "Raters" not in downloads
    at.file_uploader[0].upload("other.zip", b"PK nothing", "application/zip").run()
    assert "no export of a study" in said(at)


def test_what_a_measure_has_to_reach_is_chosen_on_the_page_and_goes_out(store, downloads):
    run = simulate("acr", [Condition(f"g {g}", 2.5 + g, "m", {"gamma": g}, {"judge": 0.2 * g, "ssim": 0.5})
                           for g in (0.0, 1.0, 2.0)], 2, Raters(10))  # fmt: skip
    at = page("results")
    at.file_uploader[0].upload("study.zip", export.export(run.votes, run.stimuli), "application/zip").run()
    assert "Left out, since nothing says whether lower is better: judge." in said(at)
    assert field(at.selectbox, "ssim").options == ["lower is better", "higher is better"]
    field(at.selectbox, "judge").set_value(True)
    field(at.number_input, "judge to reach").set_value(0.25).run()
    assert not at.exception and "Left out" not in said(at)
    choices = export.read(downloads["Download all data"]).choices
    assert choices.limits == {"judge": 0.25} and choices.directions == {"judge": True}
    rows = next(table.value.to_dict("records") for table in at.table if "Recommended" in table.value)
    assert rows[0]["Recommended"] == "1" and "reach the limit" in rows[0]["Rule"]
    packed = downloads["Download all data"]
    at = page("results")
    at.file_uploader[0].upload("again.zip", packed, "application/zip").run()
    assert field(at.number_input, "judge to reach").value == 0.25 and downloads["Download all data"] == packed


def test_the_report_shows_marks_over_faces_and_withdrawals_and_fetches_nothing(store, downloads):
    study = rehearsal.study(store, protocol="artefacts")
    answered(store, study)
    gone = store.enrol(study, "1")
    screen = store.next_trial(gone.rater)
    store.record(gone.rater, screen.trial, [], "gone", 1.0)
    store.withdraw(gone.code)
    at = page("results")
    report = downloads["Download the report"].replace("\\u002f", "/").replace("\\u002b", "+")
    shown = len(set(re.findall(r"data:image/jpeg;base64,[A-Za-z0-9+/=]+", report)))
    assert shown == 4, "the three conditions and the reference, on one face"
    assert "one of them lies under it" in report and "raters 1, with answers 1: deleted" in report
    assert not re.findall(r"<script[^>]*src=", report) and len(report) > 1_000_000
    assert export.read(downloads["Download all data"]).withdrawn == (1, 1) and not at.exception


def test_a_preview_begins_with_the_consent_and_ends_with_the_way_back(store):
    about = ({"name": "age", "caption": "Your age", "choices": ("18-30", "31+")},)
    shown = {"consent": "Read this first.", "demographics": about, "completion_url": "https://example.org/done"}
    study = rehearsal.study(store, training=0, catch=0, repeats=0, trials=1, **shown)
    at = press(page("design"), "Preview")
    assert at.title[0].value == "Rehearsal" and "Read this first." in said(at)
    age = field(at.selectbox, "Your age")
    assert age.disabled and age.options[1:] == ["18-30", "31+"]
    assert field(at.checkbox, "I have read").disabled and not at.get("link_button")
    press(at, "Start")
    assert "Read this first." not in said(at) and "last one" not in said(at)
    session = at.session_state["preview"][1]
    screen = session.next_trial()
    session.record(screen.trial, 3, "token", 1.0)
    at.run()
    assert "That was the last one" in said(at)
    assert at.get("link_button")[0].proto.url == "https://example.org/done"
    press(at, "Leave the preview")
    assert store.progress(study).raters == 0
    assert at.title[0].value == "Studies" and "preview began" not in at.session_state
