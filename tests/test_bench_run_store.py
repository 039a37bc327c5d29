"""Keys, the order of the work, and rows that outlive a crash."""

from __future__ import annotations

import dataclasses
import io
import json

import pytest

from app.bench.run.plan import FILE, RECOGNISER, Look, Plan, Probe, Setting
from app.bench.run.progress import Progress, duration, told
from app.bench.run.store import EARLIER, JOURNAL, ROWS, Store, StoreError

PROBES = tuple(Probe(i, f"{i}.png", f"{i:064x}", "who", {"Male": i % 2 == 0, "age": 20.0 + i}) for i in range(4))
PLAN = Plan(
    PROBES,
    (Setting("none", "Unprotected", {}, 0, ()), Setting("fgsm", "FGSM", {"epsilon": 8.0}, 0, ("sface",))),
    ("none", "jpeg30"),
    (Look(FILE), Look(RECOGNISER, "sface", network="ab")),
    {"far": 0.01, "gallery": None},
)


def rows_of(item):
    return [
        {"key": want.key, "photo": item.probe.name, "distortion": item.distortion, "seed": 0, "to_self": 1 / 3}
        | {"matches_self": True, "reason": None}
        for want in item.wants
    ]


def items(plan, known=()):
    return [item for bundle in plan.bundles(known) for item in bundle]


def test_the_plan_is_the_same_every_time_and_every_row_has_its_own_key():
    keys = [want.key for item in items(PLAN) for want in item.wants]
    assert len(keys) == len(PLAN) == len(set(keys)) == 4 * 2 * 2 * 2
    assert keys == [key for key, _, _ in PLAN.in_order()] == [want.key for item in items(PLAN) for want in item.wants]
    assert all(len({(i.probe.index, i.setting.name) for i in bundle}) == 1 for bundle in PLAN.bundles(()))


def test_a_key_hangs_on_all_that_matters_and_on_nothing_else():
    probe, setting, look = PROBES[0], PLAN.settings[1], PLAN.looks[1]
    key = PLAN.key(probe, setting, "none", look)
    change = dataclasses.replace
    assert key == PLAN.key(change(probe, index=9, name="x", labels={}, person="other"), setting, "none", look)
    assert key == PLAN.key(probe, change(setting, name="other"), "none", look)
    others = [
        PLAN.key(change(probe, sha256="ff"), setting, "none", look),
        PLAN.key(change(probe, reference="ff"), setting, "none", look),
        PLAN.key(probe, change(setting, params={"epsilon": 9.0}), "none", look),
        PLAN.key(probe, change(setting, seed=1), "none", look),
        PLAN.key(probe, change(setting, attacked=("other",)), "none", look),
        PLAN.key(probe, change(setting, networks=("ff",)), "none", look),
        PLAN.key(probe, setting, "jpeg30", look),
        PLAN.key(probe, setting, "none", change(look, network="ff")),
        change(PLAN, shared={"far": 0.001, "gallery": None}).key(probe, setting, "none", look),
    ]
    assert len({key, *others}) == 1 + len(others)


def test_rows_come_back_in_order_with_labels_and_to_the_bit(tmp_path):
    with Store(tmp_path) as store:
        for item in reversed(items(PLAN)):
            store.add(rows_of(item))
        table = store.finish(PLAN)
    assert table["key"].to_pylist() == [key for key, _, _ in PLAN.in_order()]
    assert set(table["to_self"].to_pylist()) == {1 / 3}
    assert table["label_Male"].to_pylist()[:9] == [True] * 8 + [False]
    assert not (tmp_path / EARLIER).exists() and (tmp_path / JOURNAL).read_text() == ""


def test_what_a_crash_leaves_is_kept_and_the_line_under_way_is_left_out(tmp_path):
    first, second, third = items(PLAN)[:3]
    with Store(tmp_path) as store:
        store.add(rows_of(first))
        store.finish(PLAN)
    lines = [json.dumps(row) for item in (second, third) for row in rows_of(item)]
    (tmp_path / JOURNAL).write_text("\n".join(lines)[:-9])  # killed while it wrote the last one
    with Store(tmp_path) as store:
        assert len(store.known) == 2 + 3
        assert len(items(PLAN, store.known)) == len(items(PLAN)) - 2
        assert len(store.finish(PLAN)) == 5


def test_no_row_is_twice_and_other_plans_keep_theirs(tmp_path):
    smaller = dataclasses.replace(PLAN, distortions=("jpeg30",))
    with Store(tmp_path) as store:
        for item in items(PLAN) * 2:
            store.add(rows_of(item))
        assert len(store.finish(PLAN)) == len(PLAN)
        assert len(store.finish(smaller)) == len(smaller)
    assert (tmp_path / EARLIER).exists()
    with Store(tmp_path) as store:
        assert not items(PLAN, store.known)
        assert len(store.finish(PLAN)) == len(PLAN)


def test_a_plan_that_grew_says_all_names_as_a_fresh_run_would(tmp_path):
    people = tuple(dataclasses.replace(probe, person=f"person {probe.index}") for probe in PROBES)
    named = tuple(dataclasses.replace(one, name=f"{one.name} (seed 0)") for one in PLAN.settings)
    grown = dataclasses.replace(PLAN, probes=people, settings=named)
    tables = []
    for folder, plans in (("grown", (PLAN, grown)), ("fresh", (grown,))):
        for plan in plans:
            with Store(tmp_path / folder) as store:
                for item in items(plan, store.known):
                    store.add(rows_of(item))
                tables.append(store.finish(plan))
    _, after, fresh = (table.to_pylist() for table in tables)
    assert after == fresh and {row["person"] for row in after} == {f"person {i}" for i in range(4)}
    assert {row["setting"] for row in after} == {"Unprotected (seed 0)", "FGSM (seed 0)"}
    assert {row["role"] for row in after if row["setting"].startswith("FGSM")} == {None, "surrogate"}


def test_failed_rows_are_there_unless_they_are_asked_for_again(tmp_path):
    row = rows_of(items(PLAN)[0])[0] | {"reason": "No face found."}
    with Store(tmp_path) as store:
        store.add([row])
    with Store(tmp_path) as store:
        assert store.known == {row["key"]}
    with Store(tmp_path, again=True) as store:
        assert not store.known


def test_one_run_at_a_time_and_a_damaged_file_says_so(tmp_path):
    with Store(tmp_path), pytest.raises(StoreError, match="Another run writes to"):
        Store(tmp_path)
    (tmp_path / ROWS).write_bytes(b"PAR1 nothing")
    with pytest.raises(StoreError, match="rows.parquet is damaged: move it away"):
        Store(tmp_path)
    with pytest.raises(StoreError, match="is damaged"):
        Store(tmp_path)  # and not "another run": the lock was given back


def test_progress_says_the_time_left():
    now, out = [0.0], io.StringIO()
    progress = Progress(100, 40, out, clock=lambda: now[0])
    now[0] = 40.0
    progress.step(20, 1)
    assert progress.line() == "60 of 100 rows (60%), 1 failed, 0.5 rows/s, 1 min 20 s left"
    assert out.getvalue() == progress.line() + "\n"  # in a log: a line now and then
    progress.step(1, 0)
    assert out.getvalue().count("\n") == 1
    assert [duration(s) for s in (5, 65, 3700)] == ["5 s", "1 min 5 s", "1 h 1 min"]


def test_what_takes_long_before_the_first_row_is_told_too():
    now, out = [0.0], io.StringIO()
    for _ in told(range(8), "photos", "Reading ", stream=out, clock=lambda: now[0]):
        now[0] += 10
    assert out.getvalue().splitlines() == [
        "Reading 3 of 8 photos (38%), 0.1 photos/s, 50 s left",
        "Reading 6 of 8 photos (75%), 0.1 photos/s, 20 s left",
    ]
