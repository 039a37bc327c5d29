"""The study workbench in a real browser: two raters side by side, and the researcher's door."""

from __future__ import annotations

import io
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlencode

import pytest
from PIL import Image

from app import gallery
from app.study import votes
from app.study.incoming import Incoming
from app.study.stimuli import prepare, with_anchors
from app.study.store import Store

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: no browser tests.")

from tests.chromium import ARGS, CHROMIUM, MINUTE, needed  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
sync_api.expect.set_options(timeout=MINUTE)
TOKEN = "a-token-of-this-test"
pytestmark = needed
DESIGN = {
    "title": "Which looks natural?",
    "protocol": "pairs",
    "training": 2,
    "catch": 2,
    "repeats": 2,
    "minimum_view": 0.1,
    "tie": True,
    "completion_url": "https://app.prolific.com/submissions/complete?cc=C1",
}
PROLIFIC = {"PROLIFIC_PID": "5f00", "STUDY_ID": "6a11", "SESSION_ID": "7b22"}


def pictures() -> list[Incoming]:
    """The built-in portrait, and it turned a little."""
    image = Image.open(io.BytesIO(gallery.portrait(gallery.COLLINS))).convert("RGB").resize((160, 160))

    def png(degrees: float) -> bytes:
        file = io.BytesIO()
        image.rotate(degrees).save(file, "PNG")
        return file.getvalue()

    turned = [Incoming(png(k), "ann", method="turn", parameters={"degrees": k}) for k in (1, 2, 3)]
    return [Incoming(png(0), "ann", role="reference"), *turned]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("studies")


@pytest.fixture(scope="module")
def store(home):
    found = Store(f"sqlite:///{home}/larvatus.sqlite")
    yield found
    found.close_database()


@pytest.fixture(scope="module")
def study(store) -> str:
    made = store.create(DESIGN)
    store.add(made.id, with_anchors(map(prepare, pictures())))
    store.open(made.id)
    return made.id


@pytest.fixture(scope="module")
def url(home, study):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--server.port", str(port), "--server.headless", "true", "--server.address", "127.0.0.1"]
    env = {**os.environ, "LARVATUS_STUDIES": str(home), "LARVATUS_ADMIN_TOKEN": TOKEN, "DATABASE_URL": ""}
    command = [sys.executable, "-m", "streamlit", "run", "pages/workbench.py", *options]
    server = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    for _ in range(240):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=2).close()
            break
        except OSError:
            time.sleep(0.25)
    yield f"http://127.0.0.1:{port}"
    server.kill()  # asked politely, Streamlit waits seven seconds for its browsers
    server.wait(20)


@pytest.fixture(scope="module")
def chromium():
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield found
        found.close()


@pytest.fixture
def browser(chromium):
    """Every page is a device of its own; they are closed after each test."""
    yield chromium
    for context in chromium.contexts:
        context.close()


def opened(browser, address: str, width: int = 1280, **device):
    page = browser.new_context(viewport={"width": width, "height": 844}, **device).new_page()
    page.set_default_timeout(MINUTE)
    page.goto(address, wait_until="load")
    page.wait_for_selector("h1")
    return page


def begin(browser, url: str, study: str, width: int, more: str = "", **device):
    """Consent and start; the page and the rater's code."""
    page = opened(browser, f"{url}/?study={study}{more}", width, **device)
    assert page.get_by_role("button", name="Start").is_disabled()
    page.get_by_text("I have read this and agree").click()
    page.get_by_role("button", name="Start").click()
    page.wait_for_selector(".trial .question")
    said = page.get_by_text("Your code is").inner_text()
    return page, re.search(r"[A-Z0-9]{4}(-[A-Z0-9]{4}){2}", said)[0]


def answer(page, how) -> None:
    """One answer, and the next screen."""
    where = page.locator(".where")
    before = where.inner_text()
    page.wait_for_function("() => [...document.querySelectorAll('*')].some(e => e.shadowRoot?.querySelector("
                           "'.answer:enabled')) || document.querySelector('.answer:enabled')")  # fmt: skip
    how(page)
    after = where.or_(page.get_by_text("That was the last one")).first
    sync_api.expect(after).not_to_have_text(before, timeout=MINUTE)


def resume(page, code: str) -> None:
    page.get_by_label("Your code").fill(code)
    page.get_by_role("button", name="Go on", exact=True).click()
    page.wait_for_selector(".trial .question")


def by_key(page) -> None:
    page.keyboard.press("ArrowLeft")


def by_click(page) -> None:
    page.get_by_role("button", name="Right").click()


def interrupted(page) -> None:
    """An answer while the line is down; sent again, it counts once."""
    page.context.set_offline(True)
    by_click(page)
    page.get_by_role("button", name="Send it again").click()
    page.context.set_offline(False)
    with suppress(sync_api.TimeoutError):  # it may have gone out as soon as the line was back
        page.get_by_role("button", name="Send it again").click(timeout=15_000)


def test_two_raters_side_by_side_one_interrupted_one_paid_and_withdrawn(browser, url, store, study):
    one, code = begin(browser, url, study, 1280)
    two, second = begin(browser, url, study, 390, f"&{urlencode(PROLIFIC)}")
    assert code != second and one.locator(".practice").count() == 1
    for _ in range(4):
        answer(one, by_key)
        answer(two, by_click)
    assert one.locator(".where").inner_text() == "5 of 12" and one.locator(".practice").count() == 0
    assert two.evaluate("document.documentElement.scrollWidth") <= 390, "nothing sticks out of a phone's screen"
    one.get_by_role("button", name="Pause").click()
    one.wait_for_selector("text=Your answers are kept")
    elsewhere = opened(browser, f"{url}/?study={study}", 390)
    elsewhere.get_by_text("Go on with a code").click()
    resume(elsewhere, code.lower())
    assert elsewhere.locator(".where").inner_text() == "5 of 12"
    answer(elsewhere, interrupted)
    assert elsewhere.locator(".where").inner_text() == "6 of 12", "counted once"
    two.reload()
    two.wait_for_selector(".trial .question")
    assert two.locator(".where").inner_text() == "5 of 12", "a reload loses nothing"
    for _ in range(7):
        answer(elsewhere, by_click)
    for _ in range(8):
        answer(two, by_click)
    for page in (elsewhere, two):
        page.wait_for_selector("text=That was the last one")
        back = page.get_by_role("link", name="Back to the site that sent you here")
        sync_api.expect(back).to_have_attribute("href", DESIGN["completion_url"])
    found = votes.votes(store, study)
    assert len(found) == 24 and found["seconds"].min() >= 0.1 and set(found["screen_width"]) <= {1280, 390}
    assert (found["kind"] != "training").sum() == 20 and sorted(found["answer"].unique()) == ["first", "second"]
    ids = votes.raters(store, study)[list(PROLIFIC)].to_dict("records")
    assert sorted(ids, key=str) == [dict.fromkeys(PROLIFIC, ""), PROLIFIC]
    withdraw(browser, url, study, second)
    after = store.progress(study)
    assert (after.raters, after.finished, after.answers) == (1, 1, 12)
    assert (after.withdrawn_raters, after.withdrawn_answers) == (1, 12)


def withdraw(browser, url: str, study: str, code: str) -> None:
    page = opened(browser, f"{url}/?study={study}")
    page.get_by_text("Go on with a code").click()
    page.get_by_label("Your code").fill("2222-2222-2222")
    page.get_by_role("button", name="Go on", exact=True).click()
    page.wait_for_selector("text=No session has this code")
    page.get_by_label("Your code").fill(code)
    page.get_by_role("button", name="Delete my answers").click()
    page.get_by_role("button", name="Yes, delete them").click()
    page.wait_for_selector("text=Your 12 answers have been deleted")


def test_the_example_is_open_to_all_and_the_rest_needs_the_token(browser, url):
    page = opened(browser, url)
    page.get_by_role("button", name="Open the example").click()
    page.wait_for_selector("text=no evidence about people")
    page.wait_for_selector(".js-plotly-plot")
    page.goto(f"{url}/design", wait_until="load")
    page.get_by_label("Token").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_selector("text=This is not the token")
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_selector("text=4 Open and share")
    sync_api.expect(page.get_by_text("SHA-256")).to_have_count(1)


PROTOCOL_KEYS = {"pairs": (" ", "tie"), "acr": ("5", 5), "dsis": ("1", 1), "detection": ("ArrowLeft", "first"),
                 "verification": ("d", "different"), "artefacts": ("0", [])}  # fmt: skip


@pytest.fixture(scope="module")
def trials(store, study, url):
    """An open study of this protocol, of three trials without practice; the same one for the same words."""
    made: dict[str, str] = {}

    def ask(protocol: str, **changes) -> str:
        name = f"{protocol} {changes}"
        if name not in made:
            asked = {"title": name, "protocol": protocol, "trials": 3, "training": 0, "catch": 0, "repeats": 0}
            made[name] = store.create({**asked, "minimum_view": 0.1, **changes}).id
            other = [Incoming(gallery.portrait(gallery.HOPPER), "grace", role="reference")]
            people = pictures() + (other if protocol == "verification" else [])
            store.add(made[name], with_anchors(map(prepare, people)))
            store.open(made[name])
        return made[name]

    return ask


def stored(store, study: str) -> list:
    """The answers in the order in which they came."""
    return votes.votes(store, study).sort_values("answered_at")["answer"].tolist()


def seen(page) -> None:
    """Wait until answers are taken."""
    sync_api.expect(page.locator(".answer").first).to_be_enabled(timeout=MINUTE)


def focused(page, name: str) -> None:
    """By Tab alone to the button of this name."""
    deep = "() => { let at = document.activeElement; while (at?.shadowRoot) at = at.shadowRoot.activeElement;"
    for _ in range(20):
        if page.evaluate(deep + " return at?.getAttribute('aria-label') || at?.innerText || ''; }").startswith(name):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{name} is not reached by Tab")


def test_space_and_enter_press_the_button_that_has_the_focus(browser, url, store, trials):
    page, _ = begin(browser, url, study := trials("pairs", tie=True), 1280)
    seen(page)
    focused(page, "Left")
    answer(page, lambda page: page.keyboard.press(" "))
    assert stored(store, study) == ["first"], "no tie"
    seen(page)
    focused(page, "Pause")
    page.keyboard.press(" ")
    page.wait_for_selector("text=Your answers are kept")
    assert stored(store, study) == ["first"]


def test_boxes_are_drawn_by_mouse_and_by_keys_and_labelled_by_the_rater(browser, url, store, trials):
    page, _ = begin(browser, url, study := trials("artefacts", seed=1), 1280)
    seen(page)
    page.get_by_role("button", name="Next").click()
    page.wait_for_selector("text=Draw at least one box")
    place = page.locator(".layer").bounding_box()
    at = [(place["x"] + k * place["width"], place["y"] + k * place["height"]) for k in (0.75, 0.25)]
    page.mouse.move(*at[0])
    page.mouse.down()
    page.mouse.move(*at[1])
    page.mouse.up()
    focused(page, "Add a box")
    page.keyboard.press("Enter")
    for key in ("ArrowLeft", "ArrowUp", "Shift+ArrowRight", *["ArrowRight"] * 30):
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Say what it is for every box")
    assert stored(store, study) == []
    page.get_by_label("What is wrong in box 1").select_option("Mouth")
    page.get_by_label("What is wrong in box 2").select_option("Hair")
    page.get_by_role("button", name="Add a box").click()
    focused(page, "Remove this box 3")
    page.keyboard.press("Enter")
    sync_api.expect(page.locator(".box")).to_have_count(2)
    answer(page, lambda page: page.get_by_role("button", name="Next").click())
    (drawn,) = stored(store, study)
    assert [box["label"] for box in drawn] == ["Mouth", "Hair"]
    assert [drawn[0][side] for side in ("x0", "y0", "x1", "y1")] == pytest.approx([0.25, 0.25, 0.75, 0.75], abs=0.01)
    assert [drawn[1][side] for side in ("x0", "y0", "x1", "y1")] == pytest.approx([0.78, 0.38, 1, 0.58])
    seen(page)
    focused(page, "Nothing looks wrong")
    answer(page, lambda page: page.keyboard.press("Enter"))
    assert stored(store, study)[1] == []


FRAMES = "all => all.map(one => [one.clientWidth, one.clientHeight].join()).filter((v, i, a) => a.indexOf(v) === i)"


@pytest.mark.parametrize("protocol", PROTOCOL_KEYS)
def test_every_protocol_by_touch_on_a_phone_and_by_keys(browser, url, store, trials, protocol):
    study = trials(protocol, minimum_view=0.8, tie=protocol == "pairs")
    page, _ = begin(browser, url, study, 390, has_touch=True)
    assert page.locator(".answer:disabled").count() == page.locator(".answer").count(), "not before the time is up"
    assert len(page.locator(".frame img").evaluate_all(FRAMES)) == 1, "pictures of one size"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("window.larvatusPictures.size") > page.locator(".frame img").count(), "the next too"
    answer(page, lambda page: page.locator(".answer").last.tap())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert faults(page) == []
    desk, _ = begin(browser, url, study, 1280)
    key, value = PROTOCOL_KEYS[protocol]
    desk.keyboard.press(key)
    answer(desk, lambda page: page.keyboard.press(key))
    found = votes.votes(store, study)
    assert found["seconds"].min() >= 0.8 and len(found) == 2 and found.iloc[-1]["answer"] == value


def test_axe_finds_nothing_serious_before_and_after_the_trials(browser, url, trials):
    study = trials("acr", trials=1, minimum_view=0, completion_url="https://example.org/back")
    page = opened(browser, f"{url}/?study={study}", 390)
    found = {"consent": faults(page)}
    page, code = begin(browser, url, study, 390)
    page.get_by_role("button", name="Pause").click()
    page.wait_for_selector("text=Your answers are kept")
    found["paused"] = faults(page)
    resume(page, code)
    answer(page, lambda page: page.keyboard.press("3"))
    page.wait_for_selector("text=That was the last one")
    found["thanks"] = faults(page)
    assert not any(found.values()), found


def faults(page) -> list[str]:
    """What axe-core calls serious or critical."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed.")
    page.wait_for_timeout(500)  # Streamlit fades its elements in
    bad = [one for one in axe.Axe().run(page).response["violations"] if one["impact"] in ("serious", "critical")]
    return [f"{one['id']}: {node['html'][:200]}" for one in bad for node in one["nodes"]]
