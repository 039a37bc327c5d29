"""Studies, raters and answers, on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import text as sql

from app.study import admin, rehearsal
from app.study.canonical import sha256
from app.study.database import parsed
from app.study.errors import StudyError
from app.study.protocols import PROTOCOLS
from app.study.store import Store
from app.study.votes import RATERS, STIMULI, VOTES, raters, stimuli, votes

pytest_plugins = ("study_databases",)
PROLIFIC = {"PROLIFIC_PID": "5f0a", "STUDY_ID": "s1", "SESSION_ID": "x9", "utm": "ad"}
SHORT = {"trials": 4, "training": 1, "catch": 1, "repeats": 1}


def rate(store, rater, upto=None, seed=0):
    """Answer until the end, or until `upto` answers are there."""
    random = np.random.default_rng(seed)
    while (screen := store.next_trial(rater)) and screen.index != upto:
        value = rehearsal.answer(screen.protocol, random, screen.labels)
        store.record(rater, screen.trial, value, f"t{screen.index}", 1.5, (390, 844))
    return screen


@pytest.mark.parametrize("protocol, sampling", [*((name, "balanced") for name in PROTOCOLS), ("pairs", "active")])
def test_a_whole_session(store, protocol, sampling):
    study = rehearsal.study(store, protocol=protocol, sampling=sampling, **SHORT)
    rater = store.enrol(study, "1").rater
    assert rate(store, rater) is None
    table, pictures = votes(store, study), stimuli(store, study)
    assert tuple(table.columns) == VOTES and tuple(pictures.columns) == STIMULI
    assert list(table["index"]) == list(range(7))
    assert Counter(table["kind"]) == {"training": 1, "main": 4, "catch": 1, "repeat": 1}
    assert (table["kind"].iloc[0] == "training") and set(table["rater"]) == {"simulated-" + store.label_of(rater)}
    assert set(table["first"]) <= set(pictures["stimulus"]) and set(table["protocol"]) == {protocol}
    assert (table["second"] == "").all() == (PROTOCOLS[protocol].pictures == 1)
    repeat = table[table["kind"] == "repeat"].iloc[0]
    source = table[table["trial"] == repeat["repeat_of"]].iloc[0]
    swapped = PROTOCOLS[protocol].swaps
    assert (repeat["first"], repeat["second"]) == (source["second" if swapped else "first"],
                                                   source["first" if swapped else "second"])  # fmt: skip
    assert (table["seconds"] == 1.5).all() and (table["screen_width"] == 390).all()
    assert table["answered_at"].str.endswith("+00:00").all() and table["answered_at"].is_monotonic_increasing
    assert pictures["measures"].iloc[0] == {"ssim": 0.9} and store.progress(study).finished == 1
    shown = pictures.set_index("stimulus").loc[table["first"]]
    assert (shown["photo"].to_numpy() == table["photo"].to_numpy()).all() or protocol == "verification"


def test_the_same_answer_counts_once_and_another_is_refused(store):
    study = rehearsal.study(store, protocol="pairs", **SHORT)
    rater = store.enrol(study, "1").rater
    screen = store.next_trial(rater)
    assert store.next_trial(rater) == screen  # reloading shows the same trial
    receipt = store.record(rater, screen.trial, "first", "t0", 1.0)
    again = store.record(rater, screen.trial, "first", "t0", 1.0)
    assert (receipt.duplicate, again.duplicate, again.answered, again.total) == (False, True, 1, 7)
    for token in ("t0", "other"):
        with pytest.raises(StudyError, match="answered already"):
            store.record(rater, screen.trial, "second", token, 1.0)
    following = store.next_trial(rater)
    with pytest.raises(StudyError, match="another question"):  # a double click that hits the next screen
        store.record(rater, following.trial, "first", "t0", 1.0)
    assert list(votes(store, study)["answer"]) == ["first"]


def test_what_a_rater_may_not_send(store):
    study = rehearsal.study(store, protocol="pairs", minimum_view=0.5, **SHORT)
    rater, stranger = store.enrol(study, "1").rater, store.enrol(study, "1").rater
    trial = store.next_trial(rater).trial
    for seconds, said in ((0.2, "at least 0.5 seconds"), (math.nan, "time"), (-1, "time"), ("1", "time")):
        with pytest.raises(StudyError, match=said):
            store.record(rater, trial, "first", "t", seconds)
    for who, which, said in ((stranger, trial, "not part of your session"), ("nobody", trial, "session"),
                             (rater, "nothing", "not part")):  # fmt: skip
        with pytest.raises(StudyError, match=said):
            store.record(who, which, "first", "t", 1.0)
    for token in ("", "x" * 101, "a\nb", None):
        with pytest.raises(StudyError):
            store.record(rater, trial, "first", token, 1.0)
    with store.database.look() as base:
        later = base.execute(sql("SELECT id FROM trial WHERE rater_id = :r AND position = 3"), {"r": rater}).scalar()
    with pytest.raises(StudyError, match="not the next one"):
        store.record(rater, later, "first", "t", 1.0)
    with pytest.raises(StudyError, match="not known here"):
        store.next_trial("nobody")
    assert votes(store, study).empty
    assert store.record(rater, trial, "first", "t", 1.0, (-5, 10**9)).answered == 1  # odd screens lose no answer
    assert votes(store, study)[["screen_width", "screen_height"]].to_numpy().tolist() == [[0, 0]]


def test_pause_and_resume_on_another_device(store, url):
    study = rehearsal.study(store, **SHORT)
    enrolment = store.enrol(study, "1")
    waiting = rate(store, enrolment.rater, upto=3)
    store.pause(enrolment.rater)
    device = Store(url)
    assert device.resume(enrolment.code.lower()) == enrolment.rater
    assert device.next_trial(enrolment.rater) == waiting and device.study_of(enrolment.rater) == study
    assert raters(device, study)["pauses"].tolist() == [1]
    device.close_database()
    fresh = store.renew_code(enrolment.rater)
    with pytest.raises(StudyError, match="No session has this code"):
        store.resume(enrolment.code)
    assert store.resume(fresh) == enrolment.rater


def test_prolific_raters_come_back_by_link(store):
    study = rehearsal.study(store, demographics=({"name": "age", "caption": "Age", "choices": ("18-30", "31+")},))
    first = store.enrol(study, "1", PROLIFIC, {"age": "31+"})
    second = store.enrol(study, "1", PROLIFIC)
    assert second.rater == first.rater and second.returning and not second.code
    row = raters(store, study).iloc[0]
    assert tuple(raters(store, study).columns) == tuple(RATERS)
    assert (row["PROLIFIC_PID"], row["SESSION_ID"], row["demographics"]) == ("5f0a", "x9", {"age": "31+"})
    elsewhere = rehearsal.study(store)
    assert store.enrol(elsewhere, "1", PROLIFIC).rater != first.rater


def test_who_may_not_enrol(store):
    questions = ({"name": "age", "caption": "Age", "choices": ("18-30", "31+")},)
    study = rehearsal.study(store, consent_version="2", demographics=questions)
    for version, external, about, said in (
        ("1", {}, {}, "consent"),
        ("2", {}, {"age": "12"}, "in the list"),
        ("2", {}, {"shoe": "44"}, "in the list"),
        ("2", {"PROLIFIC_PID": "x" * 300}, {}, "cannot be read"),
        ("2", {"STUDY_ID": "a\0b"}, {}, "cannot be read"),
    ):
        with pytest.raises(StudyError, match=said):
            store.enrol(study, version, external, about)
    with pytest.raises(StudyError, match="no such study"):
        store.enrol("nothing", "1")
    assert store.progress(study).raters == 0


def test_withdrawal_deletes_everything_of_one_rater_and_leaves_a_count(store):
    study = rehearsal.study(store, **SHORT)
    goes, stays = store.enrol(study, "1", PROLIFIC), store.enrol(study, "1")
    for enrolment in (goes, stays):
        rate(store, enrolment.rater)
    kept = votes(store, study)
    assert store.withdraw(goes.code) == 7
    left = votes(store, study)
    assert left.equals(kept[kept["rater"] == "simulated-" + store.label_of(stays.rater)].reset_index(drop=True))
    progress = store.progress(study)
    assert (progress.raters, progress.withdrawn_raters, progress.withdrawn_answers) == (1, 1, 7)
    for lost in (lambda: store.withdraw(goes.code), lambda: store.next_trial(goes.rater)):
        with pytest.raises(StudyError):
            lost()
    if path := store.database.path:  # not even in free pages or the log
        everything = b"".join(file.read_bytes() for file in path.parent.iterdir())
        assert goes.rater.encode() not in everything and stays.rater.encode() in everything
    again = store.enrol(study, "1")  # takes over the free row of the balanced order
    assert sorted(raters(store, study)["number"]) == [0, 1] and not again.returning


def test_an_opened_study_cannot_be_changed_in_any_way(store):
    study = rehearsal.study(store, opened=False, **SHORT)
    store.edit(study, {"title": "Renamed", "protocol": "acr", **SHORT})
    digest = store.open(study)
    row = store.study(study)
    assert sha256(row.frozen) == digest == row.protocol_hash
    assert json.loads(row.frozen)["design"]["title"] == "Renamed"
    picture = store.stimuli(study)[0].id
    for change in (
        lambda: store.edit(study, {"title": "X", "protocol": "acr"}),
        lambda: store.add(study, [rehearsal.picture("new", "x")]),
        lambda: store.remove_stimulus(study, picture),
    ):
        with pytest.raises(StudyError, match="frozen"):
            change()
    rater = store.enrol(study, "1").rater
    store.record(rater, store.next_trial(rater).trial, 3, "t", 1.0)
    for statement in (  # past the program, straight at the tables
        "UPDATE answer SET value = '5'",
        "DELETE FROM answer",
        "UPDATE study SET design = '{}'",
        "UPDATE study SET protocol_hash = NULL",
        "UPDATE study SET state = 'draft'",
        "DELETE FROM study",
        "UPDATE stimulus SET condition = 'x'",
        "DELETE FROM stimulus",
    ):
        with pytest.raises(StudyError, match="refused"), store.database.write() as session:
            session.connection().execute(sql(statement))
    assert store.study(study) == row and len(votes(store, study)) == 1


def test_the_hash_is_of_what_raters_see_and_nothing_random(store):
    first, second = (rehearsal.study(store) for _ in range(2))
    assert store.study(first).protocol_hash == store.study(second).protocol_hash
    other = rehearsal.study(store, minimum_view=1.0)
    assert store.study(other).protocol_hash != store.study(first).protocol_hash
    for one in (first, second):
        rater = store.enrol(one, "1").rater
        rate(store, rater)
    conditions = []
    for one in (first, second):
        names = stimuli(store, one).set_index("stimulus")
        conditions.append([tuple(names.loc[i, ["photo", "condition"]]) for i in votes(store, one)["first"]])
    assert conditions[0] == conditions[1]  # and so is the order


def test_drafts_and_closed_studies_take_no_answers(store):
    study = rehearsal.study(store, opened=False, **SHORT)
    with pytest.raises(StudyError, match="not open yet"):
        store.enrol(study, "1")
    with pytest.raises(StudyError, match="never opened"):
        store.close(study)
    digest = store.open(study)
    rater = store.enrol(study, "1").rater
    screen = store.next_trial(rater)
    store.record(rater, screen.trial, 3, "t", 1.0)
    store.close(study)
    for closed in (lambda: store.enrol(study, "1"), lambda: store.next_trial(rater)):
        with pytest.raises(StudyError, match="closed"):
            closed()
    assert store.record(rater, screen.trial, 3, "t", 1.0).duplicate  # a late resend is still acknowledged
    assert store.open(study) == digest and store.next_trial(rater).index == 1


@pytest.mark.parametrize("rule, before", [("raters", 1), ("answers", 2), ("answers_per_item", 2)])
def test_the_stopping_rule(store, rule, before):
    limit = {"raters": 1, "answers": 10, "answers_per_item": 2}[rule]
    study = rehearsal.study(store, photos=1, conditions=2, training=1, catch=0, repeats=1, stopping={rule: limit})
    for number in range(before):
        assert store.progress(study).enough == ""
        rater = store.enrol(study, "1").rater
        rate(store, rater, seed=number)
    assert store.progress(study).enough == rule
    with pytest.raises(StudyError, match="all the raters"):
        store.enrol(study, "1")


def test_active_pairs_differ_and_side_changes(store):
    study = rehearsal.study(store, protocol="pairs", sampling="active", trials=12, repeats=0, catch=0, training=0)
    for number in range(3):
        rate(store, store.enrol(study, "1").rater, seed=number)
    table = votes(store, study)
    pairs = [frozenset(row) for row in table[["first", "second"]].to_numpy().tolist()]
    assert len(set(pairs[:12])) == 12  # nobody is asked the same pair twice
    left = Counter(map(tuple, table[["first", "second"]].to_numpy().tolist()))
    assert all(abs(times - left[second, first]) <= 1 for (first, second), times in left.items())


@pytest.mark.parametrize("sampling", ["balanced", "active"])
def test_a_preview_stores_nothing_and_shows_the_real_order(store, sampling):
    study = rehearsal.study(store, opened=False, protocol="pairs", sampling=sampling, **SHORT)
    preview, seen = store.preview(study), []
    while screen := preview.next_trial():
        with pytest.raises(StudyError):
            preview.record(screen.trial, "third", "t", 1.0)
        assert not preview.record(screen.trial, "first", "t", 1.0).duplicate
        assert preview.record(screen.trial, "first", "t", 1.0).duplicate
        seen.append((screen.first.stimulus, screen.second.stimulus))
    assert len(seen) == 7 and store.progress(study).answers == store.progress(study).raters == 0
    if sampling == "balanced":
        store.open(study)
        rate(store, store.enrol(study, "1").rater)
        assert votes(store, study)[["first", "second"]].to_numpy().tolist() == [list(pair) for pair in seen]


def test_pictures_are_kept_once_and_versions_have_one_size(store):
    one, two = rehearsal.study(store), rehearsal.study(store, opened=False)
    with store.database.look() as base:
        assert base.execute(sql("SELECT count(*) FROM picture")).scalar() == len(store.stimuli(one))
    first = store.stimuli(one)[0]
    assert sha256(store.picture(first.sha256)) == first.sha256
    with pytest.raises(StudyError, match="name them differently"):
        store.add(two, [rehearsal.picture("photo 00", "reference", "reference")])
    wide = replace(rehearsal.picture("photo 00", "wide"), width=99)
    with pytest.raises(StudyError, match="same size"):
        store.add(two, [rehearsal.picture("photo 00", "fine"), wide])
    assert "fine" not in stimuli(store, two)["condition"].tolist()  # all or none
    store.remove_stimulus(two, store.stimuli(two)[0].id)
    with pytest.raises(StudyError, match="import it again"):
        store.picture("0" * 64)


def test_ids_and_codes_tell_nothing(store):
    study = rehearsal.study(store)
    made = [store.enrol(study, "1") for _ in range(5)]
    assert len({one.rater for one in made}) == len({one.code for one in made}) == 5
    assert min(len(one.rater) for one in made) >= 22  # 128 bits
    rate(store, made[0].rater, upto=2)
    assert made[0].rater not in votes(store, study).to_csv() + raters(store, study).to_csv()
    with store.database.look() as base:
        kept = str(base.execute(sql("SELECT * FROM rater")).fetchall())
    assert not any(one.code in kept or one.code.replace("-", "") in kept for one in made)


def test_the_admin_token_is_made_once_and_kept_hashed(store, monkeypatch, capsys):
    monkeypatch.delenv(admin.VARIABLE, raising=False)
    assert not admin.is_admin(store, "")
    admin.announce(store)
    token = capsys.readouterr().out.split("only now: ")[1].splitlines()[0]
    admin.announce(store)
    assert capsys.readouterr().out == ""
    assert admin.is_admin(store, token) and not admin.is_admin(store, token[:-1])
    with store.database.look() as base:
        assert token not in str(base.execute(sql("SELECT * FROM setting")).fetchall())
    assert admin.is_admin(store, admin.replace_token(store)) and not admin.is_admin(store, token)
    monkeypatch.setenv(admin.VARIABLE, "correct horse battery")
    assert admin.is_admin(store, "correct horse battery") and not admin.is_admin(store, token)
    assert admin.ensure_token(store) is None
    monkeypatch.setenv(admin.VARIABLE, "short")
    with pytest.raises(StudyError, match="too short"):
        admin.is_admin(store, "short")


@pytest.mark.parametrize("address", ["mysql://x/y", "sqlite://", "nonsense", "sqlite:///:memory:"])
def test_other_databases_are_refused(address):
    with pytest.raises(StudyError, match="DATABASE_URL|address"):
        parsed(address)


def test_addresses_of_postgresql_mean_psycopg():
    for address in ("postgres://u@h/n", "postgresql://u@h/n", "postgresql+psycopg://u@h/n"):
        assert parsed(address).drivername == "postgresql+psycopg"
