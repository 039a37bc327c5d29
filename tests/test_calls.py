"""What an endpoint of the API is asked: every parameter out of its range is one sentence and 400, before any work."""

from __future__ import annotations

import json
import math
import re
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from app import gallery
from app.demo import api_page
from app.demo.api_values import LONGEST, entries_of, ids, read
from app.demo.asked import Asked
from app.demo.calls import FEW, META, NO_LIST, fault
from app.demo.wishes import CHECKS
from engines.checkpoints import registry
from engines.params import ParamError

PHOTO = {"path": "photo.png", "meta": META}
FOR_A_PHOTO = {
    "compare": {"photos": [PHOTO]},
    "send_to_study": {"photo": PHOTO, "files": [PHOTO]},
    **{name: {} for name in ("methods", "models", "claims", "identities")},
}
CALL, NAMED = "/gradio_api/call/", "/gradio_api/call/v2/"


def asked(endpoint: str, **values) -> str | None:
    """The fault of a call by names, the photo given."""
    given = FOR_A_PHOTO.get(endpoint, {"photo": PHOTO})
    return fault(f"{NAMED}{endpoint}", {**given, **values}, registry())


WRONG = [
    ("protect", {"photo": None}, "There is no photo"),
    ("protect", {"photo": "/etc/passwd"}, "`photo` must be a file"),
    ("protect", {"photo": {"url": "http://x/y.png"}}, "`photo` must be a file"),
    ("protect", {"reference": {"path": "x"}}, "must say that it is a file: send {"),
    ("protect", {"reference": 7}, "`reference` must be a file"),
    ("protect", {"target_photos": [PHOTO, "x.png"]}, "`target_photos` must be a file"),
    ("protect", {"method": "../../etc/passwd"}, "no method called '../../etc/passwd'"),
    ("protect", {"method": ["tip-im"]}, "`method` must be a text"),
    ("protect", {"targets": [gallery.HOPPER, "Nobody"]}, "`targets` must be one of Grace Hopper"),
    ("protect", {"targets": gallery.HOPPER}, "Targets are lists of ids"),
    ("protect", {"params": "{"}, "not valid JSON"),
    ("protect", {"params": [1]}, "must be an object"),
    ("protect", {"params": {"steps": math.nan}}, "Steps"),
    ("protect", {"params": {"steps": 10**9}}, "Steps"),
    ("protect", {"params": {"steps": "many"}}, "Steps"),
    ("protect", {"params": {"step": 3}}, "no setting called 'step'"),
    ("protect", {"seed": math.nan}, "`seed` must be a whole number from 0"),
    ("protect", {"seed": -1}, "`seed` must be a whole number"),
    ("protect", {"seed": 0.5}, "`seed` must be a whole number"),
    ("protect", {"seed": True}, "`seed` must be a whole number"),
    ("protect", {"quality": 101}, "`quality` must be a whole number from 1 to 100"),
    ("protect", {"quality": "good"}, "`quality` must be"),
    ("protect", {"far": 0.5}, "Thresholds are known"),
    ("protect", {"far": math.inf}, "Thresholds are known"),
    ("protect", {"far": [0.01]}, "Thresholds are known"),
    ("protect", {"format": "SVG"}, "`format` must be one of PNG, JPEG"),
    ("protect", {"surrogates": ["http://169.254.169.254/"]}, "no recogniser called"),
    ("protect", {"judges": ["parser"]}, "no recogniser called 'parser'"),
    ("protect", {"judges": "sface"}, "lists of ids"),
    ("protect", {"judges": [["sface"]]}, "lists of ids"),
    ("protect", {"identity": "a\0b"}, "`identity` must be a text"),
    ("protect", {"key": "k" * (LONGEST + 1)}, "`key` must be a text"),
    ("protect", {"nosuch": 1}, "no parameter 'nosuch'"),
    ("score", {}, "give one as `against`"),
    ("score", {"against": "x.png"}, "`against` must be a file"),
    ("score", {"against": PHOTO, "judges": ["stargan"]}, "no recogniser called 'stargan'"),
    ("score", {"against": PHOTO, "judges": "sface"}, "Judges are lists of ids"),
    ("score", {"against": PHOTO, "far": 0.1}, "Thresholds are known"),
    ("reveal", {"method": "tip-im"}, "leaves no mark"),
    ("reveal", {"claim": {"a": 1}}, "`claim` must be a text"),
    ("erase", {"method": "tip-im"}, "no mask that could be erased"),
    ("forge", {}, "give one as `protected`"),
    ("forge", {"protected": PHOTO, "edit": "moustache"}, "No forger makes the edit"),
    ("forge", {"protected": PHOTO, "forgers": ["../stargan"]}, "`forgers` must be one of"),
    ("compare", {"photos": None}, "give one as `photos`"),
    ("compare", {"photos": [PHOTO, "/etc/passwd"]}, "`photos` must be a file"),
    ("compare", {"photos": PHOTO}, "`photos` must be a list of files"),
    ("score", {"against": [PHOTO]}, "`against` must be one file"),
    ("compare", {"entries": "tip-im"}, "`entries` must be a list"),
    ("compare", {"entries": {"method": "tip-im"}}, "`entries` must be a list"),
    ("compare", {"entries": []}, "nothing to compare"),
    ("compare", {"entries": ["tip-im:Sideways"]}, "no preset 'Sideways'"),
    ("compare", {"entries": ["../../etc:x"]}, "no method called '../../etc'"),
    ("compare", {"entries": [7]}, "An entry is a text such as"),
    ("compare", {"entries": [{"method": "tip-im", "file": "x"}]}, "An entry is a text such as"),
    ("compare", {"entries": [{"method": ["tip-im"]}]}, "`method` must be a text"),
    ("compare", {"entries": [{"method": "tip-im", "name": "a\0b"}]}, "`name` must be a text"),
    ("compare", {"entries": [{"method": "tip-im", "params": {"gamma": math.nan}}]}, "gamma"),
    (
        "compare",
        {"entries": [{"method": "pgd", "params": {"steps": n}} for n in range(1, 26)]},
        "too many for one board",
    ),
    ("compare", {"surrogates": ["dlib-resnet"]}, "held-out judge"),
    ("compare", {"surrogates": "sface"}, "lists of ids"),
    ("compare", {"surrogates": ["sface"], "judges": ["sface"]}, "named twice"),
    ("compare", {"judges": ["stargan"]}, "no recogniser called 'stargan'"),
    ("compare", {"sweep": ["tip-im.gamma:5"]}, "`sweep` must be a text"),
    ("compare", {"sweep": "tip-im.steps:5"}, "`sweep` must be one of tip-im.gamma, tip-im.epsilon"),
    ("compare", {"sweep": "../../etc:5"}, "`sweep` must be one of"),
    ("compare", {"sweep": "tip-im.gamma"}, "with steps or values, such as tip-im.gamma:5"),
    ("compare", {"sweep": "tip-im.gamma:many"}, "with steps or values"),
    ("compare", {"sweep": "tip-im.gamma:0.5"}, "with steps or values"),
    ("compare", {"sweep": "tip-im.gamma:2"}, "A sweep has 3 to 12 steps"),
    ("compare", {"sweep": "tip-im.gamma:1e400"}, "with steps or values"),
    ("compare", {"sweep": "tip-im.gamma:0,-1"}, "(gamma) must be a number"),
    ("compare", {"sweep": "tip-im.gamma:0,nan"}, "(gamma) must be a number"),
    ("compare", {"sweep": "tip-im.epsilon:" + ",".join(map(str, range(1, 28)))}, "too many for one board"),
    ("survive", {}, "give one as `against`"),
    ("survive", {"against": PHOTO, "changes": {"jpeg": 1000}}, "`changes.jpeg` must be a number from 5 to 100"),
    ("survive", {"against": PHOTO, "changes": {"noise": math.nan}}, "`changes.noise` must be a number from 0"),
    ("survive", {"against": PHOTO, "changes": {"../x": 1}}, "`changes` must be one of jpeg, noise, scale, blur"),
    ("survive", {"against": PHOTO, "changes": [1]}, "must be an object"),
    ("survive", {"against": PHOTO, "judges": ["stargan"]}, "no recogniser called 'stargan'"),
    ("stolen", {"photo": None}, "give one as `photo`"),
    ("stolen", {"face": "Nobody"}, "`face` must be one of Grace Hopper"),
    ("stolen", {"face": 7}, "`face` must be a text"),
    ("send_to_study", {"files": None}, "give one as `files`"),
    ("send_to_study", {"files": PHOTO}, "`files` must be a list of files"),
    ("send_to_study", {"files": ["/etc/passwd"]}, "`files` must be a file"),
    ("send_to_study", {"files": []}, "1 to 24 files"),
    ("send_to_study", {"files": [PHOTO] * 25}, "1 to 24 files"),
    ("send_to_study", {"method": "../../etc"}, "no method called '../../etc'"),
    ("send_to_study", {"conditions": "mild"}, "Conditions are lists"),
    ("send_to_study", {"conditions": ["mild", "strong"]}, "a name for each of the `files`"),
    ("send_to_study", {"conditions": ["a\0b"]}, "`conditions` must be a text"),
    ("methods", {"method": "../../etc"}, "no method called '../../etc'"),
    ("methods", {"method": ["tip-im"]}, "`method` must be a text"),
    ("methods", {"photo": PHOTO}, "no parameter 'photo'"),
    ("models", {"kind": "virus"}, "`kind` must be one of"),
    ("claims", {"threat": "Bob"}, "`threat` must be one of"),
    ("identities", {"register": "a\0b"}, "`register` must be a text"),
    ("identities", {"forget": 7}, "`forget` must be a text"),
    ("compare", {"targets": ["Nobody"]}, "`targets` must be one of Grace Hopper"),
    ("compare", {"seed": -1}, "`seed` must be a whole number"),
    ("compare", {"far": 0.5}, "Thresholds are known"),
]


@pytest.mark.parametrize(("endpoint", "values", "words"), WRONG)
def test_each_wrong_wish_is_one_sentence(endpoint, values, words):
    said = asked(endpoint, **values)
    assert said and words in said and said.endswith(".") and "\n" not in said and "Something went wrong" not in said


def test_what_is_left_out_or_null_has_its_usual_value():
    assert asked("protect") is None and asked("reveal") is None and asked("forge", protected=PHOTO) is None
    assert asked("protect", seed=None, far=None, method=None, params=None, judges=None, target_photos=[]) is None
    assert asked("compare") is None and asked("compare", entries='["pgd:Balanced"]', targets=[], seed=7) is None
    assert asked("compare", entries=[{"method": "pgd", "params": {"steps": 2}}, "tip-im:Balanced"]) is None
    assert asked("stolen") is None and asked("send_to_study", method="", conditions=["mild"]) is None
    assert asked("compare", entries=[], sweep="tip-im.gamma:5", surrogates=["compact-vgg"]) is None
    whole = [PHOTO, "key", None, None]
    assert fault(f"{CALL}reveal", {"data": whole}, {}) is None


def test_of_a_plain_list_no_value_is_left_out():
    """Gradio would end with an error of its own, and write the file's name into the log."""
    said = fault(f"{CALL}reveal", {"data": [PHOTO]}, registry())
    assert said == FEW.format(4, "reveal", "reveal") and "/call/v2/reveal" in said
    assert "nosuch" in fault(f"{CALL}reveal", {"data": [PHOTO, "", "", "nosuch"]}, registry())


@pytest.mark.parametrize("event", [{}, [], 7, None, {"data": None}, {"data": {}}, {"data": [PHOTO] * 50}])
def test_values_that_are_no_list_are_asked_for_as_one(event):
    assert fault(f"{CALL}reveal", event, {}) == NO_LIST
    assert fault("/gradio_api/queue/join", event, {}) is None and fault(f"{CALL}nosuch", event, {}) is None


def test_settings_are_read_from_json():
    assert read('{"gamma": 1}') == {"gamma": 1} and read(None) == {} and read({"steps": 3}) == {"steps": 3}
    for bad in ("{", "[1]", [1], "[" * 100_000):
        with pytest.raises(ParamError):
            read(bad)
    assert ids(None) == [] and ids(["sface"]) == ["sface"]


def test_a_sweep_is_steps_over_a_range_or_values_beside_the_entries():
    steps, values = entries_of([], "tip-im.gamma:3"), entries_of(["pgd:Balanced"], "tip-im.gamma:0,0.5,2")
    assert [one.params for one in steps] == [{"gamma": gamma} for gamma in (0, 1.5, 3)]
    assert [(one.method, one.name) for one in values[:2]] == [("pgd", "Balanced"), ("tip-im", "γ 0")]
    assert [one.params for one in values[1:]] == [{"gamma": gamma} for gamma in (0, 0.5, 2)]


async def echo(request) -> PlainTextResponse:
    return PlainTextResponse(await request.body())


def test_a_wrong_wish_is_400_and_a_right_one_passes(tmp_path):
    routes = [Route("/{path:path}", echo, methods=["POST"])]
    guard = Middleware(Asked, root=tmp_path, fault=lambda path, event: fault(path, event, registry()))
    client = TestClient(Starlette(routes=routes, middleware=[guard]))
    photo = {"path": str(tmp_path / "photo.png"), "meta": META}
    wrong = client.post(f"{CALL}reveal", json={"data": [photo, "key", "", "nosuch"]})
    assert wrong.status_code == 400 and "no method called 'nosuch'" in wrong.json()["detail"]
    right = client.post(f"{CALL}reveal", json={"data": [photo, "key", "", None]})
    assert right.status_code == 200 and json.loads(right.content) == {"data": [photo, "key", "", None]}


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(string.printable, max_size=300),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, database=None)
@given(endpoint=st.sampled_from(list(CHECKS)), data=st.lists(ANY, max_size=18))
def test_whatever_is_asked_is_answered_in_one_sentence(endpoint, data):
    said = fault(f"{CALL}{endpoint}", {"data": [PHOTO, *data]}, registry())
    assert said is None or (said.endswith(".") and "\n" not in said and "Something went wrong" not in said), said


def test_the_page_of_the_api_and_the_readmes_table_are_what_the_endpoints_say():
    assert api_page.PAGE.read_text() == api_page.page(), "docs/api.md is stale: run make api"
    assert api_page.MARKED.findall(api_page.README.read_text()) == [api_page.table()], "README is stale: run make api"
    assert all(f"\n## /{name}\n" in api_page.page() for name in re.findall(r"api\.md#(\w+)", api_page.table()))
