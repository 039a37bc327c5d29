"""Nothing lost, nothing doubled: many raters at once, a killed process, backups, migrations."""

from __future__ import annotations

import sqlite3
import subprocess
import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text as sql

from app.study import backup, crash, load, rehearsal
from app.study.database import MIGRATIONS, Database, parsed
from app.study.errors import StudyError
from app.study.migrations import HEAD
from app.study.model import SQLModel
from app.study.store import Store
from app.study.together import Together
from app.study.votes import votes

pytest_plugins = ("study_databases",)


def test_many_raters_at_once_lose_and_double_nothing(url):
    """The full measure, 50 raters and 5,000 answers, is `python -m app.study.load`."""
    found = load.run(url, raters=20, answers=200)
    assert found["errors"] == [] and found["stored"] == found["acknowledged"] == found["expected"] == 200
    assert found["lost"] == found["doubled"] == found["unasked"] == 0


def test_one_rater_in_many_tabs_counts_once(store):
    study = rehearsal.study(store, trials=3, training=0, catch=0, repeats=0)
    rater = store.enrol(study, "1").rater
    trial, outcomes = store.next_trial(rater).trial, []

    def tab(value):
        try:
            outcomes.append((value, store.record(rater, trial, value, "t", 1.0).duplicate))
        except StudyError as error:
            outcomes.append((value, str(error)))

    tabs = [threading.Thread(target=tab, args=(1 + number % 2,)) for number in range(8)]
    for thread in tabs:
        thread.start()
    for thread in tabs:
        thread.join()
    (kept,) = votes(store, study)["answer"]
    assert sorted(map(str, (said for value, said in outcomes if value == kept))) == ["False"] + ["True"] * 3
    assert all("answered already" in str(said) for value, said in outcomes if value != kept)


def test_a_killed_process_loses_no_acknowledged_answer(url):
    """The full measure, 20 kills, is `python -m app.study.crash`."""
    found = crash.run(url, kills=2, seed=1)
    assert found["lost"] == 0 and found["sound"] and found["acknowledged"] >= 2


def test_sqlite_is_set_to_survive_a_power_cut(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/a.sqlite")
    with database.look() as base:
        asked = ("journal_mode", "synchronous", "foreign_keys", "secure_delete", "busy_timeout")
        settings = [base.exec_driver_sql(f"PRAGMA {name}").scalar() for name in asked]
    assert settings == ["wal", 2, 1, 1, 30_000]
    database.close()


def test_group_commit_acknowledges_each_part_by_itself(tmp_path):
    """One part's refusal or failure is its own; what the others wrote is kept, once."""
    database = Database(f"sqlite:///{tmp_path}/a.sqlite")
    insert = sql("INSERT INTO setting (key, value) VALUES (:key, 'x')")
    gate, begun = threading.Event(), threading.Event()

    def part(key):
        def work(base):
            if key == "first":  # holds the transaction until all others wait
                begun.set()
                gate.wait(30)
            if key == "refused":
                raise StudyError("no")
            base.execute(insert, {"key": "first" if key == "broken" else key})
            return key

        return work

    outcomes = {}

    def send(key):
        try:
            outcomes[key] = database.write_together(part(key))
        except StudyError as error:
            outcomes[key] = type(error).__name__

    names = ["first", "a", "broken", "refused", "b"]
    threads = [threading.Thread(target=send, args=(name,)) for name in names]
    threads[0].start()
    assert begun.wait(30)
    for thread in threads[1:]:
        thread.start()
    while database._together._waiting.qsize() < len(names) - 1:
        pass
    gate.set()
    for thread in threads:
        thread.join()
    assert outcomes == {"first": "first", "a": "a", "b": "b", "broken": "StudyError", "refused": "StudyError"}
    with database.look() as base:
        assert set(base.execute(sql("SELECT key FROM setting")).scalars()) == {"first", "a", "b"}
    database.close()


def test_nothing_is_acknowledged_before_it_is_committed():
    class Failing:
        def __enter__(self):
            return None

        def __exit__(self, *_):
            raise OSError("disk full")

    together = Together(Failing)
    with pytest.raises(OSError, match="disk full"):
        together.run(lambda _: "done", timeout=30)
    together.stop()


def test_tables_and_migrations_agree(store):
    """The columns, keys, indexes and uniqueness that the program expects are those that the migrations make."""
    with store.database.engine.connect() as base:
        context = MigrationContext.configure(base, opts={"compare_type": True})
        assert compare_metadata(context, SQLModel.metadata) == []
        assert context.get_current_revision() == HEAD
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_a_newer_database_is_left_alone(url):
    store = Store(url)
    with store.database.write() as session:
        session.connection().execute(sql("UPDATE alembic_version SET version_num = '9999'"))
    store.close_database()
    with pytest.raises(StudyError, match="newer Larvatus"):
        Store(url)


def test_two_processes_may_open_a_new_database_at_once(url):
    opened, errors = [], []

    def begin():
        try:
            opened.append(Store(url))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=begin) for _ in range(4)]  # each with its own engine, as processes have
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == [] and len(opened) == 4
    for one in opened:
        one.close_database()


def test_a_backup_is_whole_while_raters_go_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LARVATUS_STUDIES", str(tmp_path / "studies"))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    store = Store()
    study = rehearsal.study(store)
    rater = store.enrol(study, "1").rater
    store.record(rater, store.next_trial(rater).trial, 4, "t", 1.0)
    target = tmp_path / "copies" / "copy.sqlite"
    assert backup.main([str(target)]) == 0 and str(target) in capsys.readouterr().out
    store.record(rater, store.next_trial(rater).trial, 2, "u", 1.0)
    copy = Store(f"sqlite:///{target}")
    assert votes(copy, study)["answer"].tolist() == [4] and copy.study(study) == store.study(study)
    assert [file.name for file in (tmp_path / "studies").iterdir() if "larvatus.sqlite" not in file.name] == []
    assert target.stat().st_mode & 0o077 == 0
    copy.close_database()
    store.close_database()
    with pytest.raises(StudyError, match="another place"):
        backup.backup(store.database, tmp_path / "copies" / "copy.sqlite" / "below.sqlite")


def test_a_copy_of_postgresql_is_one_that_pg_restore_reads(cluster, tmp_path, monkeypatch):
    address = cluster.fresh()
    store = Store(address)
    rehearsal.study(store)
    monkeypatch.setenv("DATABASE_URL", address)
    monkeypatch.setenv("LARVATUS_STUDIES", str(tmp_path))
    assert backup.main([]) == 0
    (copy,) = (tmp_path / "backups").iterdir()
    assert copy.suffix == ".dump" and copy.stat().st_mode & 0o077 == 0
    listed = subprocess.run([str(cluster.bin / "pg_restore"), "--list", str(copy)], capture_output=True, text=True)
    assert listed.returncode == 0 and "TABLE DATA public stimulus" in listed.stdout
    store.close_database()
    monkeypatch.setenv("DATABASE_URL", address.replace("/postgres", "/nothing"))
    assert backup.main([]) == 1 and len(list((tmp_path / "backups").iterdir())) == 1


def test_postgresql_is_backed_up_by_its_own_tool(monkeypatch, tmp_path):
    class Remote:
        path = None
        url = parsed("postgresql://ann:secret@db.example/studies")

    said = backup.pg_dump_command(Remote, backup.Path("my copy.dump"))  # type: ignore[arg-type]
    assert said == "pg_dump --format=custom '--file=my copy.dump' --dbname=postgresql://ann@db.example/studies"
    monkeypatch.setattr(backup.shutil, "which", lambda name: None)
    monkeypatch.setattr(backup.glob, "glob", lambda pattern: [])
    with pytest.raises(StudyError, match="pg_dump is not here. Run where it is: pg_dump"):
        backup.backup(Remote, tmp_path / "x")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_broken_database_file_is_a_sentence(tmp_path):
    (tmp_path / "a.sqlite").write_bytes(b"not a database, but long enough to look like one" * 100)
    with pytest.raises(StudyError, match="refused this"):
        Store(f"sqlite:///{tmp_path}/a.sqlite")
    (tmp_path / "file").write_text("")
    with pytest.raises(StudyError, match="LARVATUS_STUDIES"):
        Store(f"sqlite:///{tmp_path}/file/below/a.sqlite")
    with pytest.raises(sqlite3.Error):
        sqlite3.connect(tmp_path / "a.sqlite").execute("SELECT * FROM study")
