"""Snapshots to a private dataset and back, against the local Hub."""

from __future__ import annotations

import json

import pytest
from hub_server import TOKEN, Handler, HubServer
from huggingface_hub import constants

from app.study import rehearsal, sync
from app.study.errors import StudyError
from app.study.store import Store
from app.study.votes import votes

REPO = "someone/studies"


class DatasetHandler(Handler):
    """The same small Hub, for datasets: what a repository is, binary files by LFS, and forgetting its history."""

    def do_GET(self):
        if self.path.startswith("/api/datasets/"):
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                return self.answer(401, {"error": "Invalid token"}, X_Error_Code="RepoNotFound")
            repo = self.path.removeprefix("/api/datasets/").split("?")[0]
            private = self.server.ways.get(repo) != "public"
            return self.answer(200, {"id": repo, "private": private, "siblings": []})
        return super().do_GET()

    def do_POST(self):
        if "/super-squash/" in self.path:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.server.squashed += 1
            return self.answer(200, {})
        if "/commit/" in self.path:
            self.path = self.path.replace("/api/datasets/", "/api/models/datasets/")
        return super().do_POST()

    @staticmethod
    def mode(file):
        lfs = file["path"].endswith((".sqlite", ".png"))
        return {"path": file["path"], "uploadMode": "lfs" if lfs else "regular", "shouldIgnore": False, "oid": None}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    with HubServer() as server:
        server.RequestHandlerClass, server.squashed = DatasetHandler, 0
        for name, value in {"HF_ENDPOINT": server.endpoint, "HF_TOKEN": TOKEN, sync.VARIABLE: REPO,
                            "LARVATUS_STUDIES": str(tmp_path / "studies")}.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("DATABASE_URL", raising=False)
        yield server


def test_answers_go_to_the_hub_and_come_back_on_a_fresh_disk(hub, tmp_path, monkeypatch):
    assert not sync.wake()  # nothing there yet
    store = Store()
    study = rehearsal.study(store)
    rater = store.enrol(study, "1").rater
    store.record(rater, store.next_trial(rater).trial, 4, "t", 1.0)

    def exports(of, folder):
        (folder / "votes.json").write_text(json.dumps(votes(of, study)["answer"].tolist()))

    scheduler = sync.start(store, exports)
    scheduler.trigger().result(60)
    repo, _, sent = hub.commits[0]
    assert repo == f"datasets/{REPO}" and sent["votes.json"] == b"[4]"
    pictures = {name for name in sent if name.startswith("pictures/")}
    assert len(pictures) == len({one.sha256 for one in store.stimuli(study)}) == len(sent) - 2
    assert len(sent["larvatus.sqlite"]) < 200_000 and hub.squashed == 1
    assert scheduler.trigger().result(60) is None and len(hub.commits) == 1  # nothing new, nothing sent
    store.record(rater, store.next_trial(rater).trial, 2, "u", 1.0)
    scheduler.trigger().result(60)
    assert set(hub.commits[1][2]) == {"larvatus.sqlite", "votes.json"}  # pictures go once
    scheduler.stop()
    assert not sync.wake()  # there is a database here: it is not overwritten

    monkeypatch.setenv("LARVATUS_STUDIES", str(tmp_path / "fresh"))
    assert sync.wake()
    back = Store()
    assert votes(back, study).equals(votes(store, study))
    for one in store.stimuli(study):
        assert back.picture(one.sha256) == store.picture(one.sha256)
    assert back.next_trial(rater) == store.next_trial(rater)  # and the rater goes on
    for one in (store, back):
        one.close_database()


def test_a_public_dataset_and_a_wrong_token_are_refused(hub, tmp_path):
    store = Store()
    hub.ways[REPO] = "public"
    with pytest.raises(StudyError, match="make it private"):
        sync.start(store)
    with pytest.raises(StudyError, match="check its name and the token"):
        sync.SnapshotScheduler(store, REPO, tmp_path / "x", token="hf_wrong", endpoint=hub.endpoint)
    with pytest.raises(StudyError, match="check its name"):
        sync.SnapshotScheduler(store, REPO, tmp_path / "x", token=TOKEN, endpoint="http://127.0.0.1:9")
    assert hub.commits == []
    store.close_database()


def test_elsewhere_nothing_is_pushed(hub, monkeypatch):
    monkeypatch.delenv(sync.VARIABLE)
    store = Store()
    assert sync.start(store) is None and not sync.wake() and hub.asked == []
    store.close_database()
