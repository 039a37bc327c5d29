"""The real app, asked by programs: its endpoints, and the same as tools for assistants."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path

import anyio
import httpx
import pytest
from gradio_client import Client, handle_file
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from PIL import Image
from serving import ROOT, registry_of, serving

from app import gallery
from app import photo as photos
from app.compare.threats import CLAIMS
from app.demo import tools
from app.demo.api_stolen import ITSELF, SIDE
from app.demo.api_study import made
from app.demo.wishes import CHECKS
from app.study import inbox
from app.to_study import pictures
from engines.checkpoints import REGISTRY
from engines.methods import METHODS

TEACHERS = ("compact-vgg", "compact-vovnet", "compact-ir-se")  # against which the networks below were trained
RECOGNISERS = ("sface", "dlib-resnet", *TEACHERS, "compact-inception")
HERE = (*RECOGNISERS, "dip-watermark", "erasable-mask", "attributes", "parser", "stargan", "ipmn")


def put(folder: Path, data: bytes) -> Path:
    """A file of its own."""
    path = folder / "photo.png"
    path.write_bytes(data)
    return path


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """The folder of the study workbench beside the app."""
    return tmp_path_factory.mktemp("studies")


@pytest.fixture(scope="module")
def address(tmp_path_factory, studies):
    """The real app in a process of its own, with two recognisers, masks, a mark, a forger and imitators."""
    folder = tmp_path_factory.mktemp("weights")
    (folder / "bundled").symlink_to(REGISTRY.parent / "bundled")
    with serving(example=False, LARVATUS_STUDIES=str(studies), SPACE_ID="", **registry_of(folder, *HERE)) as url:
        yield url


def test_the_app_says_that_it_is_well(address):
    assert json.load(urllib.request.urlopen(f"{address}/health", timeout=20))["status"] == "ok"


def test_the_api_protects_and_names_its_parameters(address, tmp_path):
    client = Client(address, verbose=False, download_files=str(tmp_path / "got"))
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert list(endpoints) == [f"/{name}" for name in CHECKS], "public"
    page = (ROOT / "docs" / "api.md").read_text()
    for name, endpoint in endpoints.items():
        rows = re.findall(r"^\| `(\w+)` ", page.split(f"\n## {name}\n")[1].split("\n## ")[0], re.M)
        assert rows == [part["parameter_name"] for part in endpoint["parameters"]], name
    photo = handle_file(put(tmp_path, gallery.portrait(gallery.COLLINS)))
    file, report = client.predict(
        photo=photo, targets=[gallery.HOPPER], params={"steps": 2}, seed=3, api_name="/protect"
    )
    assert Path(file).read_bytes().startswith(b"\x89PNG") and Path(file).name == report["file"]
    assert report["provenance"]["provenance"]["seed"] == 3 and report["rows"][0]["recogniser"]
    scored = client.predict(handle_file(file), photo, judges=["sface", "dlib-resnet"], api_name="/score")
    assert [(row["recogniser"], row["role"]) for row in scored["rows"]] == [
        ("sface", "surrogate"),
        ("dlib-resnet", "judge"),
    ]
    assert scored["verdict"]
    job = {"photo": photo, "targets": [gallery.HOPPER], "params": {"steps": 2}, "api_name": "/protect"}
    _, report = client.predict(**job, surrogates=["sface"], judges=["dlib-resnet"])
    roles = [(row["recogniser"], row["role"]) for row in report["rows"]]
    assert roles == [("sface", "surrogate"), ("dlib-resnet", "judge")]
    for change, says in (
        ({"surrogates": ["dlib-resnet"]}, "held-out judge"),
        ({"judges": ["nosuch"]}, "no recogniser called"),
        ({"judges": "sface"}, "lists of ids"),
    ):
        with pytest.raises(Exception, match=says):
            client.predict(**job, **change)
    weak = {"method": "fgsm", "name": "weak", "params": {"epsilon": 2}}
    board, found = client.predict([photo], [weak, "fgsm:Balanced"], targets=[gallery.HOPPER], api_name="/compare")
    assert [(row["method"], row["name"]) for row in found["rows"]] == [("fgsm", "weak"), ("fgsm", "Balanced")]
    assert found["rows"][0]["figures"]["PSNR"] > found["rows"][1]["figures"]["PSNR"] > 20
    with zipfile.ZipFile(board) as packed:
        assert {"table.tex", "figure-photo1.png", "files/fgsm-weak-photo1.png"} <= set(packed.namelist())
    panel = {"surrogates": ["compact-vgg"], "judges": ["sface"], "entries": [], "sweep": "fgsm.epsilon:2,8"}
    board, found = client.predict([photo], targets=[gallery.HOPPER], **panel, api_name="/compare")
    assert [row["params"] for row in found["rows"]] == [{"epsilon": 2.0}, {"epsilon": 8.0}]
    assert all(row["still_known_by"].endswith("of 1 held-out judges") for row in found["rows"])
    with pytest.raises(Exception, match="A sweep has 3 to 12 steps"):
        client.predict([photo], sweep="fgsm.epsilon:99", api_name="/compare")
    with pytest.raises(Exception, match="no setting called"):
        client.predict(photo=photo, targets=[gallery.HOPPER], params={"step": 2}, api_name="/protect")


def test_who_uploads_the_same_photo_has_a_file_of_its_own_that_is_read_once(address, tmp_path):
    file = put(tmp_path, gallery.portrait(gallery.COLLINS))
    clients = [Client(address, verbose=False, download_files=str(tmp_path / str(i))) for i in range(2)]
    for client in clients:
        found = client.predict(handle_file(file), handle_file(file), judges=["sface"], api_name="/score")
        assert found["rows"][0]["to_self"] == pytest.approx(1, abs=1e-3), "the same photo twice"
    one, two = (httpx.post(f"{address}/gradio_api/upload", files={"files": file.read_bytes()}).json() for _ in "ab")
    assert one != two
    photo, against = ({"path": up[0], "meta": {"_type": "gradio.FileData"}} for up in (one, two))
    told = [called(address, "score", photo=photo, against=against, judges=["sface"]) for _ in range(2)]
    assert "event: complete" in told[0] and "event: error" in told[1] and "upload the photo again" in told[1]


def called(address: str, name: str, **given) -> str:
    """The events of a call over plain HTTP."""
    url = f"{address}/gradio_api/call"
    asked = httpx.post(f"{url}/v2/{name}", json=given, timeout=60).json()
    return httpx.get(f"{url}/{name}/{asked['event_id']}", timeout=60).text


@pytest.mark.parametrize("path", ["http://169.254.169.254/latest/", "https://example.org/a.png", "/etc/passwd"])
def test_the_api_fetches_no_address_and_reads_no_other_path(address, path):
    event = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}]}
    asked = urllib.request.Request(f"{address}/gradio_api/call/reveal", json.dumps(event).encode())
    asked.add_header("Content-Type", "application/json")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(asked, timeout=20)
    assert caught.value.code == 400 and "upload it first" in json.load(caught.value)["detail"]


def test_a_wish_that_cannot_be_is_refused_before_it_waits_in_line(address):
    event = {"data": [None, [], [], "../../etc/passwd"]}
    asked = urllib.request.Request(f"{address}/gradio_api/call/protect", json.dumps(event).encode())
    asked.add_header("Content-Type", "application/json")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(asked, timeout=20)
    assert caught.value.code == 400 and json.load(caught.value)["detail"].startswith("There is no photo")


def test_a_client_of_the_api_fetches_its_own_files_and_nobody_elses(address, tmp_path):
    """The file of every endpoint that makes one."""
    one, two = (Client(address, verbose=False, download_files=False) for _ in range(2))
    photo = handle_file(put(tmp_path, gallery.portrait(gallery.COLLINS)))
    asked = {
        "protect": {"photo": photo, "method": "fgsm", "targets": [gallery.HOPPER]},
        "erase": {"photo": photo},
        "forge": {"photo": photo, "protected": photo, "forgers": ["stargan"]},
        "survive": {"photo": photo, "against": photo, "judges": ["sface"]},
        "compare": {"photos": [photo], "entries": ["fgsm:Balanced"], "targets": [gallery.HOPPER]},
        "stolen": {"photo": photo},
    }

    def answer(url: str, **cookies: str) -> int:
        asked = urllib.request.Request(url, headers={"Cookie": "; ".join("=".join(pair) for pair in cookies.items())})
        try:
            return urllib.request.urlopen(asked, timeout=20).status
        except urllib.error.HTTPError as error:
            return error.code

    for name, given in asked.items():
        file, _ = one.predict(**given, api_name=f"/{name}")
        url = f"{address}/gradio_api/file={file['path']}"
        assert (answer(url, **one.cookies), answer(url, **two.cookies), answer(url)) == (200, 404, 404), name


# assistants


@pytest.fixture(scope="module")
def face():
    return base64.b64encode(gallery.portrait(gallery.COLLINS)).decode()


def told(address, *calls):
    """The tools, and what each call is answered."""

    async def work():
        async with (
            streamablehttp_client(f"{address}{tools.PATH}") as (read, write, _),
            ClientSession(read, write) as one,
        ):
            await one.initialize()
            return (await one.list_tools()).tools, [await one.call_tool(name, values) for name, values in calls]

    return anyio.run(work)


def test_an_assistant_protects_a_photo_and_scores_what_came_back(address, face):
    asked = {"photo": face, "method": "fgsm", "targets": [gallery.HOPPER], "params": {"epsilon": 8}}
    found, [made] = told(address, ("protect", asked))
    assert [tool.name for tool in found] == list(CHECKS) and not made.isError
    picture, report = made.content
    assert picture.mimeType == "image/png" and Image.open(io.BytesIO(base64.b64decode(picture.data))).format == "PNG"
    assert json.loads(report.text)["provenance"]["provenance"]["method"] == "fgsm"
    _, [scored] = told(address, ("score", {"photo": picture.data, "against": f"data:image/png;base64,{face}"}))
    rows = json.loads(scored.content[0].text)["rows"]
    assert {row["recogniser"] for row in rows} == {"sface", "dlib-resnet", "compact-inception"}


def test_a_board_comes_as_a_file(tmp_path):
    (tmp_path / "board.zip").write_bytes(b"PK of a board")
    file, report = tools.packed((str(tmp_path / "board.zip"), {"rows": []}))
    assert base64.b64decode(file.resource.blob) == b"PK of a board" and file.resource.mimeType == "application/zip"
    assert str(file.resource.uri) == "file:///board.zip" and json.loads(report.text) == {"rows": []}


WRONG = [
    ("nosuch", {}, "no tool called 'nosuch'"),
    ("protect", {}, "There is no photo: give one as `photo`"),
    ("protect", {"photo": "http://169.254.169.254/latest/"}, "`photo` must be a picture file in base64"),
    ("protect", {"photo": "/etc/passwd#"}, "`photo` must be a picture file in base64"),
    ("protect", {"photo": {"path": "/etc/passwd"}}, "`photo` must be a picture file in base64"),
    ("protect", {"photo": "é"}, "`photo` must be a picture file in base64"),
    ("protect", {"photo": "aGVsbG8=", "method": "../x"}, "no method called '../x'"),
    ("protect", {"photo": "aGVsbG8=", "nosuch": 1}, "no parameter 'nosuch'"),
    ("protect", {"photo": "aGVsbG8=", "seed": "x"}, "`seed` must be a whole number"),
    ("protect", {"photo": "aGVsbG8="}, "not a picture that can be read"),
    ("compare", {"photos": "aGVsbG8="}, "`photos` must be a list"),
]


def test_what_is_wrong_is_one_sentence(address):
    _, answers = told(address, *[(name, values) for name, values, _ in WRONG])
    for (name, values, words), answer in zip(WRONG, answers, strict=True):
        said = answer.content[0].text
        assert answer.isError and words in said and "\n" not in said and "Traceback" not in said, (name, values, said)


def test_every_parameter_is_described():
    for tool in map(tools.tool, CHECKS):
        assert tool.description and tool.inputSchema["properties"]
        for name, one in tool.inputSchema["properties"].items():
            assert one["description"].endswith("."), (tool.name, name)


def test_few_requests_are_read_at_a_time(monkeypatch):
    inside, most = [], []

    class Manager:
        def __init__(self, server, **settings):
            assert server.version.count(".") == 2 and settings["stateless"]

        @asynccontextmanager
        async def run(self):
            yield

        async def handle_request(self, scope, receive, send):
            inside.append(scope)
            most.append(len(inside))
            await asyncio.sleep(0.01)
            inside.pop()

    async def ask_ten():
        app = tools.Tools(None)
        scope = {"type": "http", "path": tools.PATH, "method": "POST", "server": ("127.0.0.1", 1)}
        await asyncio.gather(*(app(scope, None, None) for _ in range(10)))

    monkeypatch.setattr(tools, "StreamableHTTPSessionManager", Manager)
    asyncio.run(ask_ten())
    assert len(most) == 10 and max(most) == tools.AT_ONCE


@pytest.mark.parametrize(
    ("method", "body", "status"), [("GET", None, 405), ("DELETE", None, 405), ("POST", b"{", 400)]
)
def test_other_ways_to_ask_are_refused(address, method, body, status):
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    asked = urllib.request.Request(f"{address}{tools.PATH}", body, headers, method=method)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(asked, timeout=20)
    assert caught.value.code == status


# from a program, as the README says it; what a job makes goes on to the next


def test_the_readmes_example_runs_as_it_stands(address, tmp_path):
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)[1]
    (tmp_path / "in.jpg").write_bytes(gallery.portrait(gallery.COLLINS))
    code = code.replace("http://127.0.0.1:7860", address)
    run, env = [sys.executable, "-c", code], {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(run, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = done.stdout.strip().splitlines()
    assert "recogniser" in said[-2] and "'accepted': True" in said[-1] and "Alice" in said[-1]


def test_what_a_mask_hides_is_erased_forged_and_sent_through_jpeg(address, tmp_path):
    """The rest of the endpoints over HTTP, each on what the one before has made."""
    one, two = (Client(address, verbose=False, download_files=str(tmp_path / name)) for name in "ab")
    photo = handle_file(put(tmp_path, gallery.portrait(gallery.COLLINS)))
    masked, report = one.predict(photo=photo, method="erasable-mask", api_name="/protect")
    assert report["provenance"]["provenance"]["method"] == "erasable-mask"
    bare, erased = one.predict(handle_file(masked), original=photo, api_name="/erase")
    assert Path(bare).read_bytes().startswith(b"\x89PNG") and erased["verdict"] and erased["rows"]
    wall, forged = one.predict(photo, handle_file(masked), "blond hair", ["stargan"], api_name="/forge")
    assert Image.open(wall).width > 200 and [row["forger"] for row in forged["rows"]] == ["stargan"]
    small, left = one.predict(handle_file(masked), photo, {"jpeg": 20, "scale": 50}, ["sface"], api_name="/survive")
    assert Image.open(small).size == Image.open(masked).size and left["changes"] == {"jpeg": 20.0, "scale": 50.0}
    before, after = (left[when]["rows"][0]["to_self"] for when in ("before", "after"))
    assert before != after and -1 <= after <= 1
    with pytest.raises(Exception, match="`changes.jpeg` must be a number from 5 to 100"):
        one.predict(photo, photo, {"jpeg": 1000}, api_name="/survive")
    one.predict(register="Alice", api_name="/identities")
    assert [row["name"] for row in one.predict(api_name="/identities")["rows"]] == ["Alice"]
    assert two.predict(api_name="/identities") == {"rows": []}, "each client has a registry of its own"
    assert one.predict(forget="alice", api_name="/identities") == {"rows": []}
    with pytest.raises(Exception, match="is not registered here"):
        one.predict(forget="Alice", api_name="/identities")


def test_imitators_draw_and_what_they_stole_is_read(address, tmp_path):
    client = Client(address, verbose=False, download_files=str(tmp_path / "got"))
    photo = handle_file(put(tmp_path, gallery.portrait(gallery.COLLINS)))
    board, found = client.predict(photo, api_name="/stolen")
    assert Image.open(board).size == (3 * SIDE, len(found["rows"]) * SIDE)
    names = [row["drawn_by"] for row in found["rows"]]
    assert ITSELF in names and names[0].startswith("Imitator") and found["verdict"].startswith("The watermark gives")
    assert [row["nc"] is None for row in found["rows"]] == [name.startswith("Control") for name in names]
    with pytest.raises(Exception, match="not in the list of choices"):
        client.predict(photo, "Nobody", api_name="/stolen")


def test_a_photo_and_what_methods_made_of_it_are_sent_to_a_study(address, studies, tmp_path, monkeypatch):
    client = Client(address, verbose=False, download_files=str(tmp_path / "got"))
    photo = handle_file(put(tmp_path, gallery.portrait(gallery.COLLINS)))
    ours, _ = client.predict(photo, method="fgsm", targets=[gallery.HOPPER], api_name="/protect")
    (tmp_path / "theirs.png").write_bytes(gallery.portrait(gallery.HOPPER))
    files = [handle_file(ours), handle_file(tmp_path / "theirs.png")]
    with pytest.raises(Exception, match="no method and no condition: fill in one"):
        client.predict(photo, files, api_name="/send_to_study")
    sent = client.predict(photo, files, conditions=["", "a cloak"], api_name="/send_to_study")
    assert [row["method"] for row in sent["rows"]] == ["", "fgsm", ""]
    monkeypatch.setenv("LARVATUS_STUDIES", str(studies))
    reference, first, second = inbox.fetch(sent["code"])
    assert first.data == Path(ours).read_bytes() and first.parameters["epsilon"] == 12.0 and not first.condition
    assert second.condition == "a cloak" and reference.photo == first.photo == second.photo
    assert [one.label for one in (reference, first, second)] == [row["condition"] for row in sent["rows"]]


def test_what_a_file_says_of_itself_counts_as_far_as_it_makes_sense(astronaut):
    def said(settings):
        return photos.encode(astronaut.photo.pixels, "PNG", 95, settings)

    for stamp in ("x", {"method": ["fgsm"]}, {"method": "nosuch"}, {}):
        assert made(astronaut, said({"provenance": stamp}), "pgd").method == "pgd"
    for params in ("x", [1], {"epsilon": [1]}):
        one = made(astronaut, said({"provenance": {"method": "fgsm", "params": params}}), "pgd")
        assert one.method == "fgsm" and pictures(one)[1].parameters == {}


def test_a_client_learns_what_there_is(address):
    client = Client(address, verbose=False, download_files=False)
    rows = {row["id"]: row for row in client.predict(api_name="/methods")["rows"]}
    assert set(rows) == set(METHODS) and rows["dip-watermark"]["can"] == ["read"]
    (epsilon,) = [one for one in rows["tip-im"]["settings"] if one["name"] == "epsilon"]
    assert (epsilon["default"], epsilon["low"], epsilon["high"], epsilon["unit"]) == (12.0, 0.5, 32.0, "/255")
    assert rows["tip-im"]["presets"]["Natural"] == {"epsilon": 10.0, "gamma": 2.0}
    cards = client.predict("recogniser", api_name="/models")["rows"]
    assert [card["id"] for card in cards] == list(RECOGNISERS) and all(card["here"] for card in cards)
    assert [card["id"] for card in cards if card["role"] == "judge"] == ["dlib-resnet", "compact-inception"]
    assert cards[0]["thresholds"].keys() == {"0.01", "0.001"}
    assert all(len(card["sha256"]) == 64 and card["licence"] for card in cards)
    found = client.predict("Someone forges my face", api_name="/claims")["rows"]
    claim = CLAIMS["id-guard"]["Someone forges my face"]
    assert found[0] == {"method": "id-guard", **asdict(claim), "where": f"Qu et al., ID-Guard, {claim.where}"}
    assert found[-1]["helps"] is None
    for name, wrong, words in (
        ("methods", "../tip-im", "no method called"),
        ("models", "virus", "`kind` must be one of"),
        ("claims", "Bob", "not in the list of choices"),
    ):
        with pytest.raises(Exception, match=words):
            client.predict(wrong, api_name=f"/{name}")


def test_an_assistant_is_told_what_a_value_may_be():
    told = {name: tools.tool(name).inputSchema["properties"] for name in CHECKS}
    assert told["protect"]["method"]["enum"] == list(METHODS) and told["protect"]["far"]["enum"] == [0.01, 0.001]
    assert told["protect"]["targets"]["items"]["enum"] == list(gallery.NAMES)
    assert told["reveal"]["method"]["enum"] == ["dip-watermark"] and "enum" not in told["protect"]["photo"]
    assert set(told["erase"]["method"]["enum"]) == {"erasable-mask", "ipmn"}
