"""A small Hub: the endpoints that huggingface-hub's client really calls, with every way to fail.

A file lies at `files["owner/name/file"]`; `ways["owner/name"]` says how its repository behaves:

    "gone" no such file     "norepo" no such repository    "gated" terms not accepted   "broken" 503
    "login" a captive portal's page      "mute" accepts, never answers      "plain" no LFS file
    "other" other bytes     "short" half, as if it were all     "drop" half the first time, then closed
    "drops" always closed after 1,000 bytes     "stall" half, then silence   "slow" small pieces
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "c" * 40
TOKEN = "hf_secret"


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class HubServer(ThreadingHTTPServer):
    """`with HubServer() as hub:` serves `hub.endpoint`; `asked` lists (method, path, Range, Authorization)."""

    daemon_threads = True
    request_queue_size = 32

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.ways: dict[str, str] = {}
        self.repos: set[str] = set()
        self.commits: list[tuple[str, str, dict[str, bytes]]] = []  # repository, message, files
        self.stored: dict[str, bytes] = {}  # LFS objects by oid
        self.asked: list[tuple[str, str, str, str]] = []
        self.closing = threading.Event()
        self.pause = 0.0  # between the pieces of "slow"

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def cdn(self) -> str:
        return f"http://localhost:{self.server_port}/cdn"  # another origin: the client must not sign what it asks

    def gets(self) -> list[tuple[str, str]]:
        """(Range, Authorization) of the bodies asked of the CDN."""
        return [(span, auth) for how, path, span, auth in self.asked if how == "GET" and path.startswith("/cdn")]

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.closing.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, *_):
        pass  # clients that hang up are part of the tests


class Handler(BaseHTTPRequestHandler):
    server: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def parse_request(self):
        done = super().parse_request()
        if done:
            span, auth = self.headers.get("Range", ""), self.headers.get("Authorization", "")
            self.server.asked.append((self.command, self.path, span, auth))
        return done

    def answer(self, code, body=b"", **headers):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        kind = "text/html" if isinstance(body, bytes) else "application/json"
        self.send_response(code)
        for name, value in {"Content-Type": kind, "Content-Length": len(data), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def do_HEAD(self):
        repo, _, rest = self.path.strip("/").partition("/resolve/")
        revision, _, file = rest.partition("/")
        way, data = self.server.ways.get(repo, "whole"), self.server.files.get(f"{repo}/{file}")
        if way == "mute":
            self.server.closing.wait(30)
        elif way == "login":
            self.answer(200, b"<html>Welcome to the hotel</html>")
        elif way == "gated":
            self.answer(403, X_Error_Code="GatedRepo", X_Error_Message="Access to this model is restricted")
        elif way == "norepo":
            self.answer(401, X_Error_Code="RepoNotFound")
        elif way == "broken":
            self.answer(503)
        elif way == "gone" or data is None:
            self.answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=revision)
        elif way == "plain":
            self.answer(200, data, ETag='"' + "1" * 40 + '"', X_Repo_Commit=revision)
        else:
            linked = {"X_Linked_Etag": f'"{sha(data)}"', "X_Linked_Size": len(data)}
            self.answer(302, X_Repo_Commit=revision, Location=f"{self.server.cdn}/{repo}/{file}", **linked)

    def do_GET(self):
        if self.path == "/api/whoami-v2":
            signed = self.headers.get("Authorization") == f"Bearer {TOKEN}"
            self.answer(200 if signed else 401, {"name": "someone"} if signed else {"error": "Invalid token"})
        elif self.path.startswith("/cdn/"):
            self.body()
        else:
            self.do_HEAD()

    def body(self):
        name = self.path.removeprefix("/cdn/")
        data, way = self.server.files[name], self.server.ways.get("/".join(name.split("/")[:2]), "whole")
        if way == "other":
            data = bytes(len(data))
        if way == "short":
            data = data[: len(data) // 2]
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        first = len(self.server.gets()) == 1
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if way == "slow":
            for at in range(start, len(data), len(data) // 8):
                self.wfile.write(data[at : at + len(data) // 8])
                time.sleep(self.server.pause)
        elif way in ("drop", "drops", "stall") and (first or way != "drop"):
            self.wfile.write(data[start : start + 1000] if way == "drops" else data[start : len(data) // 2])
            self.wfile.flush()
            if way == "stall":
                self.server.closing.wait(30)
            self.close_connection = True
        else:
            self.wfile.write(data[start:])

    def do_PUT(self):
        data = self.rfile.read(int(self.headers["Content-Length"]))
        oid = self.path.rsplit("/", 1)[1]
        if sha(data) == oid:
            self.server.stored[oid] = data
        self.answer(200 if sha(data) == oid else 400)

    def do_POST(self):
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.answer(403, {"error": "You don't have the rights"})
        path, base = self.path.split("?")[0], self.server.endpoint
        if path == "/api/repos/create":
            asked = json.loads(sent)
            repo = f"{asked.get('organization') or 'someone'}/{asked['name']}"
            if self.server.ways.get(repo) == "readonly":
                return self.answer(403, {"error": "You don't have the rights"})
            fresh = repo not in self.server.repos
            self.server.repos.add(repo)
            self.answer(200 if fresh else 409, {"url": f"{base}/{repo}"})
        elif "/preupload/" in path:
            self.answer(200, {"files": [self.mode(file) for file in json.loads(sent)["files"]]})
        elif path.endswith(".git/info/lfs/objects/batch"):
            objects = [self.upload(item, base) for item in json.loads(sent)["objects"]]
            self.answer(200, {"transfer": "basic", "objects": objects})
        elif path == "/lfs-verify":
            self.answer(200 if json.loads(sent)["oid"] in self.server.stored else 404)
        elif "/commit/" in path:
            self.commit(path.split("/api/models/")[1].split("/commit/")[0], sent)
        else:
            self.answer(404)

    @staticmethod
    def mode(file):
        mode = "lfs" if file["path"].endswith(".safetensors") else "regular"
        return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": None}

    def upload(self, item, base):
        if item["oid"] in self.server.stored:
            return item
        actions = {"upload": {"href": f"{base}/lfs/{item['oid']}"}, "verify": {"href": f"{base}/lfs-verify"}}
        return {**item, "actions": actions}

    def commit(self, repo, sent):
        files, message = {}, ""
        for line in map(json.loads, sent.splitlines()):
            value = line["value"]
            if line["key"] == "header":
                message = value["summary"]
            elif line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server.stored[value["oid"]]
        self.server.commits.append((repo, message, files))
        self.server.files.update({f"{repo}/{name}": data for name, data in files.items()})
        url = f"{self.server.endpoint}/{repo}/commit/{COMMIT}"
        self.answer(200, {"success": True, "commitOid": COMMIT, "commitUrl": url})
