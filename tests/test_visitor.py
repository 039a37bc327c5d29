"""Files go to the visitor whose they are; the folder of a process that was killed is removed by the next."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
import weakref
from types import SimpleNamespace

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from app import gallery
from app.demo import about, room, session
from app.demo.api_base import RUNNING, cancel
from app.demo.session import Desk
from app.demo.visitor import COOKIE, Owners, Visitors, asking, folder_of, visitor_of
from app.errors import OURS, sentence
from app.scoring import embed, find_person
from app.study import inbox


def echo(request) -> PlainTextResponse:
    """Whom the app behind the middleware sees."""
    return PlainTextResponse(visitor_of(request))


@pytest.fixture(autouse=True)
def _nobody():
    """A test that says who asks says so for itself alone."""
    before = asking.set("nobody")
    yield
    asking.reset(before)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "files"


@pytest.fixture
def app(root):
    routes = [Route("/{path:path}", echo)]
    return Starlette(routes=routes, middleware=[Middleware(Visitors, root=root)])


def test_a_visitor_gets_one_secret_that_scripts_cannot_read_and_keeps_it(app):
    one, two = TestClient(app), TestClient(app)
    first = one.get("/")
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Secure" not in cookie
    assert first.text == folder_of(one.cookies[COOKIE]), "the first event knows its visitor"
    again = one.get("/")
    assert again.text == first.text and "set-cookie" not in again.headers
    assert two.get("/").text != first.text
    assert one.cookies[COOKIE] not in first.text


def test_inside_the_frame_of_a_space_the_cookie_is_partitioned(app):
    found = TestClient(app).get("/", headers={"x-forwarded-proto": "https"}).headers
    assert "Secure; SameSite=None; Partitioned" in found["set-cookie"]
    assert found["strict-transport-security"] == "max-age=31536000"
    assert "strict-transport-security" not in TestClient(app).get("/").headers, "without TLS browsers would ignore it"


HOST = {"host": "larvatus.example.org"}


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://larvatus.example.org.evil.example", "x"])
@pytest.mark.parametrize("way", ["GET", "POST", "OPTIONS"])
def test_a_page_of_another_site_is_refused(app, origin, way):
    given = {**HOST, "origin": origin, "access-control-request-method": "POST"}
    answer = TestClient(app).request(way, "/gradio_api/queue/join", headers=given)
    assert answer.status_code == 403 and "Pages of other sites" in answer.json()["detail"]
    assert "access-control-allow-origin" not in answer.headers and "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "own",
    [
        {**HOST, "origin": "https://larvatus.example.org"},
        {"host": "127.0.0.1:7860", "x-forwarded-host": HOST["host"], "origin": "https://larvatus.example.org"},
        {"host": "localhost:7860", "origin": "http://localhost:7860"},
        HOST,
    ],
)
def test_its_own_page_and_programs_are_not(app, own):
    assert TestClient(app).get("/", headers=own).status_code == 200


@pytest.mark.parametrize("forged", ["larvatus=", "larvatus=short", "larvatus=" + "a" * 44, 'larvatus="; x', "\xff=1"])
def test_a_cookie_that_is_none_of_ours_is_replaced(app, forged):
    answer = TestClient(app).get("/", headers={"cookie": forged.encode("latin-1")})
    assert answer.status_code == 200 and COOKIE in answer.headers["set-cookie"]


@pytest.mark.parametrize("way", ["/gradio_api/file=", "/file=", "/gradio_api/file/"])
def test_a_file_is_served_to_its_owner_only_and_never_kept_by_caches(app, root, way):
    one, two = TestClient(app), TestClient(app)
    file = root / one.get("/").text / "session" / "00001" / "view.png"
    mine = one.get(f"{way}{file}")
    assert mine.status_code == 200 and mine.headers["cache-control"] == "private, no-store"
    theirs = two.get(f"{way}{file}")
    assert theirs.status_code == 404 and "Nothing of yours" in theirs.json()["detail"]
    assert TestClient(app).head(f"{way}{file}").status_code == 404


ELSEWHERE = ["/etc/passwd", "{own}/../{other}/a.png", "{own}%2F..%2F{other}/a.png", "http://10.0.0.1/", "{own}\0", ""]


@pytest.mark.parametrize("path", ELSEWHERE)
def test_what_lies_elsewhere_is_served_to_nobody(app, root, path):
    one = TestClient(app)
    own = root / one.get("/").text
    asked = path.format(own=own, other=folder_of("other"))
    assert one.get("/gradio_api/file=" + asked.replace("\0", "%00")).status_code == 404


def test_a_file_in_a_linked_folder_is_not_the_visitors(app, root, tmp_path):
    one = TestClient(app)
    own = root / one.get("/").text
    own.mkdir(parents=True)
    (own / "link").symlink_to(tmp_path)
    assert one.get(f"/gradio_api/file={own}/link/secret").status_code == 404


@pytest.mark.parametrize("path", ["/gradio_api/proxy=http://10.0.0.1/", "/gradio_api/stream/x/1/2/a", "/monitoring"])
def test_ways_that_the_demo_does_not_use_are_closed(app, path):
    assert TestClient(app).get(path).status_code == 404


WAYS = [
    "/gradio_api/queue/data?session_hash={}",
    "/gradio_api/heartbeat/{}",
    "/gradio_api/call/protect/{}",
    "/gradio_api/call/v2/protect/{}",
    "/call/protect/{}/",
]


@pytest.mark.parametrize("way", WAYS)
def test_nobody_listens_to_anothers_queue(app, way):
    one, two = TestClient(app), TestClient(app)
    assert one.get(way.format("abc")).status_code == 200
    assert two.get(way.format("abc")).status_code == 404
    assert two.get(way.format("xyz")).status_code == 200


def test_nobody_cancels_what_another_has_asked_for():
    owners, told = Owners(), {"session_hash": "hers", "event_id": "event"}
    asking.set("alice")
    stop = RUNNING["alice", "hers"] = threading.Event()
    assert owners.mine("hers") and owners.mine("event")
    asking.set("bob")
    for event in (told, {**told, "event_id": None}, {**told, "session_hash": "his"}):
        assert not cancel(event, owners) and not stop.is_set()
    asking.set("alice")
    assert cancel(told, owners) and stop.is_set()
    del RUNNING["alice", "hers"]


def test_what_recognisers_saw_in_a_face_goes_with_it(runtime):
    """Embeddings are biometric data: no list of the process holds them."""
    recogniser, portrait = runtime.recogniser("compact-vgg"), gallery.portrait(gallery.COLLINS)
    person = find_person(runtime, "somebody", portrait)
    row = embed(recogniser, person)
    assert embed(recogniser, person) is row, "asked for once"
    gone = weakref.ref(row)
    del row, person
    gc.collect()
    assert gone() is None


def test_every_answer_says_what_a_page_may_do(app):
    headers = TestClient(app).get("/").headers
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy and "object-src 'none'" in policy and "http:" not in policy
    assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "same-origin"


def visitor(secret: str, hash: str = "same") -> SimpleNamespace:
    return SimpleNamespace(cookies={COOKIE: secret}, session_hash=hash)


def test_another_visitor_with_the_same_session_hash_gets_another_session(tmp_path):
    desk = Desk(tmp_path / "files")
    mine, theirs = desk.of(visitor("a" * 43)), desk.of(visitor("b" * 43))
    assert mine is not theirs and mine.folder.parent != theirs.folder.parent
    assert mine.folder.parent.name == folder_of("a" * 43)


def test_a_session_nobody_touches_goes_and_one_that_is_used_stays(tmp_path, monkeypatch):
    monkeypatch.setenv("LARVATUS_KEEP_MINUTES", "10")
    monkeypatch.setattr(Desk, "_later", staticmethod(lambda seconds, action: None))
    desk = Desk(tmp_path / "files")
    old, new = desk.of(visitor("a" * 43)), desk.of(visitor("b" * 43))
    kept = [one.write("out.png", b"x") for one in (old, new)]
    old.seen -= 601
    desk.sweep()
    assert old.stop.is_set() and not old.folder.parent.exists() and not new.stop.is_set()
    assert desk.of(visitor("a" * 43)) is not old and desk.of(visitor("b" * 43)) is new
    assert session.kept_for() == 600 and kept[0] != kept[1] and new.folder.exists()


def test_delete_now_takes_every_tab_of_the_visitor_and_nobody_elses(tmp_path):
    desk = Desk(tmp_path / "files")
    tabs, other = [desk.of(visitor("a" * 43, hash)) for hash in "xy"], desk.of(visitor("b" * 43))
    for one in (*tabs, other):
        one.write("out.png", b"12345")
        one.identities.register("Alice")
    assert desk.delete(visitor("a" * 43, "z")) == (2, 10)
    assert not tabs[0].folder.parent.exists() and all(one.stop.is_set() for one in tabs)
    assert not any(one.identities.path.exists() for one in tabs)
    assert other.folder.exists() and other.identities.path.exists() and not other.stop.is_set()
    assert desk.delete(visitor("a" * 43)) == (0, 0)
    assert "1 file (0.0 MB)" in about.receipt(1, 10) and "2 files (3.2 MB)" in about.receipt(2, 3_200_000)


HOLD = """
import filelock, sys, time
lock = filelock.FileLock(sys.argv[1])
lock.acquire()
print("held", flush=True)
time.sleep(60)
"""


def test_the_folder_of_a_killed_process_is_removed_and_a_living_ones_stays(tmp_path):
    dead, alive, other = (tmp_path / f"larvatus-{name}" for name in ("dead", "alive", "else"))
    for folder in (dead, alive, other):
        (folder / "files").mkdir(parents=True)
    locks = [str(folder / room.LOCK) for folder in (dead, alive)]
    holders = [subprocess.Popen([sys.executable, "-c", HOLD, lock], stdout=subprocess.PIPE) for lock in locks]
    assert all(holder.stdout.readline() == b"held\n" for holder in holders)
    holders[0].kill()
    holders[0].wait()
    try:
        assert room.clear(tmp_path) == [dead]
        assert not dead.exists() and alive.exists() and other.exists(), "no lock: not a room of ours"
    finally:
        holders[1].kill()
        holders[1].wait()


def test_the_page_says_how_long_and_who_runs_it_and_renders_no_markup_of_theirs(monkeypatch):
    monkeypatch.setenv("LARVATUS_KEEP_MINUTES", "12")
    monkeypatch.delenv("LARVATUS_OPERATOR", raising=False)
    assert "at most 13 minutes" in about.text() and about.NOBODY in about.text() and "{" not in about.text()
    monkeypatch.setenv("LARVATUS_OPERATOR", "Ann, <b>ann</b> [x](http://y), ann@example.org")
    said = about.text().rsplit("\n", 1)[1]
    assert not set("<>[]()") & set(said) and "Ann, " in said and "ann@example.org" in said


def test_the_privacy_page_keeps_its_promises():
    """What people need to know before they put a face in; a sentence that goes has to be missed by somebody."""
    said = " ".join(about.text().split())
    for promise in (
        "Protection is not permanent.",
        "No result makes a photo safe.",
        "Use your own face, or that of somebody who agreed to it",
        "Article 9 of the GDPR",
        "explicit consent",
        "no tracking and no logs of pictures",
        "a cookie, the only one",
        f"{session.GRACE / 60:g} minutes after the tab is closed",
        f"at most {(session.kept_for() + session.SWEEP) / 60:g} minutes after your last press",
        f"| {'a day' if inbox.DAY == 86400 else inbox.DAY}; in a study",
        "The button below deletes everything of yours at once, but for what waits for a study.",
    ):
        assert promise in said, promise


def test_the_log_says_where_an_error_was_and_nothing_of_whose(caplog):
    def read(name: str) -> None:
        raise OSError(2, "No such file", f"/tmp/{name}.png")

    try:
        read("Jane Doe")
    except OSError as error:
        assert sentence(error) == OURS
    assert "FileNotFoundError in test_visitor.py" in caplog.text and "read" in caplog.text
    assert "Jane" not in caplog.text and "/tmp" not in caplog.text


def test_an_upload_that_nobody_asked_for_goes_when_its_time_is_over(tmp_path, monkeypatch):
    monkeypatch.setenv("LARVATUS_KEEP_MINUTES", "10")
    monkeypatch.setattr(Desk, "_later", staticmethod(lambda seconds, action: None))
    desk, alice = Desk(tmp_path / "files"), SimpleNamespace(session_hash="one", cookies={COOKIE: "a" * 43})
    kept = desk.of(alice).folder / "own.png"
    stale, broken_off = tmp_path / "files" / "ab" / "upload-1" / "photo.png", tmp_path / "files" / "tmp1"
    fresh, alices = tmp_path / "files" / "cd" / "upload-1" / "photo.png", kept.parents[1] / "upload-1" / "photo.png"
    for path in (kept, stale, broken_off, fresh, alices):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    for path in (kept.parent.parent, stale.parent, alices.parent, broken_off):
        os.utime(path, (0, time.time() - 601))
    desk.sweep()
    assert kept.exists() and fresh.exists(), "of a visitor who is here, and a fresh one"
    assert not any(path.exists() for path in (stale.parent, alices.parent, broken_off))
