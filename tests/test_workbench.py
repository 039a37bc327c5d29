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
from pathlib import Path

import pytest
from PIL import Image

from app import gallery
from app.study import votes
from app.study.incoming import Incoming
from app.study.stimuli import prepare, with_anchors
from app.study.store import Store

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: no browser tests.")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed.")

from tests.chromium import ARGS, CHROMIUM, MINUTE, needed  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
sync_api.expect.set_options(timeout=MINUTE)
TOKEN = "a-token-of-this-test"
pytestmark = needed
DESIGN = {
    "title": "Which looks natural?",
    "protocol": "pairs",
    "training": 2,
    "catch": 1,
    "repeats": 1,
    "minimum_view": 0.1,
    "tie": True,
}


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


def made(store, **changes) -> str:
    """A study that is open."""
    found = store.create({**DESIGN, **changes})
    store.add(found.id, with_anchors(map(prepare, pictures())))
    store.open(found.id)
    return found.id


@pytest.fixture(scope="module")
def study(store) -> str:
    return made(store)


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


def opened(browser, address: str, width: int = 1280):
    page = browser.new_context(viewport={"width": width, "height": 844}).new_page()
    page.set_default_timeout(MINUTE)
    page.goto(address, wait_until="load")
    page.wait_for_selector("h1")
    return page


def serious(page) -> list[str]:
    """What axe-core calls serious or critical."""
    found = axe.Axe().run(page).response
    assert len(found["passes"]) > 10, "axe has looked"
    bad = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
    return [f"{one['id']}: {node['html'][:200]}" for one in bad for node in one["nodes"]]


def begin(browser, url: str, study: str, width: int):
    """Consent and start; the page and the rater's code."""
    page = opened(browser, f"{url}/?study={study}", width)
    page.get_by_role("button", name="Start").wait_for()
    assert not serious(page)
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


def by_key(page) -> None:
    page.keyboard.press("ArrowLeft")


def by_click(page) -> None:
    page.get_by_role("button", name="Right").click()


def test_two_raters_side_by_side_pause_resume_and_withdraw(browser, url, store, study):
    one, code = begin(browser, url, study, 1280)
    two, second = begin(browser, url, study, 390)
    assert code != second and one.locator(".practice").count() == 1
    for _ in range(4):
        answer(one, by_key)
        answer(two, by_click)
    assert one.locator(".where").inner_text() == "5 of 10" and two.locator(".where").inner_text() == "5 of 10"
    assert two.evaluate("document.documentElement.scrollWidth") <= 390, "nothing sticks out of a phone's screen"
    one.get_by_role("button", name="Pause").click()
    one.wait_for_selector("text=Your answers are kept")
    elsewhere = opened(browser, f"{url}/?study={study}", 390)
    elsewhere.get_by_text("Go on with a code").click()
    elsewhere.get_by_label("Your code").fill(code.lower())
    elsewhere.get_by_role("button", name="Go on", exact=True).click()
    elsewhere.wait_for_selector(".trial .question")
    assert elsewhere.locator(".where").inner_text() == "5 of 10"
    for _ in range(6):
        answer(elsewhere, by_click)
    elsewhere.wait_for_selector("text=That was the last one")
    two.reload()
    two.wait_for_selector(".trial .question")
    assert two.locator(".where").inner_text() == "5 of 10", "a reload loses nothing"
    found = votes.votes(store, study)
    assert len(found) == 14 and found["seconds"].min() >= 0.1 and set(found["screen_width"]) <= {1280, 390}
    assert sorted(found["answer"].unique()) == ["first", "second"]
    withdraw(browser, url, study, second)
    after = store.progress(study)
    assert (after.raters, after.finished, after.answers) == (1, 1, 10)
    assert (after.withdrawn_raters, after.withdrawn_answers) == (1, 4)


def withdraw(browser, url: str, study: str, code: str) -> None:
    page = opened(browser, f"{url}/?study={study}")
    page.get_by_text("Go on with a code").click()
    page.get_by_label("Your code").fill("2222-2222-2222")
    page.get_by_role("button", name="Go on", exact=True).click()
    page.wait_for_selector("text=No session has this code")
    page.get_by_label("Your code").fill(code)
    page.get_by_role("button", name="Delete my answers").click()
    page.get_by_role("button", name="Yes, delete them").click()
    page.wait_for_selector("text=Your 4 answers have been deleted")


def focused(page) -> str:
    """The words of what has the focus, inside the trial's own tree, too."""
    return page.evaluate("""() => {
        let at = document.activeElement;
        while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
        return at?.innerText || at?.getAttribute("aria-label") || "";
    }""")


def tab_to(page, words: str) -> None:
    for _ in range(40):
        if focused(page).startswith(words):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{words} is not reached by Tab")


def test_keys_press_the_button_that_has_the_focus_and_answer_nothing_else(browser, url, store):
    """Space means "No difference" in general; on the button "Left" it means that."""
    own = made(store, training=0, catch=0, repeats=0)
    page, _ = begin(browser, url, own, 1280)

    def space_on_left(page) -> None:
        tab_to(page, "Left")
        page.keyboard.press("Space")

    answer(page, space_on_left)
    answer(page, lambda page: page.keyboard.press("Space"))
    assert list(votes.votes(store, own)["answer"]) == ["first", "tie"]
    assert not serious(page)


def drag(page, a: float, b: float) -> None:
    """A box over the picture between two shares of its sides, by the mouse."""
    box = page.locator(".layer").bounding_box()
    page.mouse.move(box["x"] + a * box["width"], box["y"] + a * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + b * box["width"], box["y"] + b * box["height"], steps=4)
    page.mouse.up()


def test_boxes_are_drawn_by_mouse_and_keys_and_say_what_they_are(browser, url, store):
    own = made(store, protocol="artefacts", training=0, catch=0, repeats=0, tie=False)
    page, _ = begin(browser, url, own, 390)
    page.wait_for_function("() => !document.querySelector('.answer:disabled')")
    page.get_by_role("button", name="Next").click()
    page.wait_for_selector("text=Draw at least one box")
    drag(page, 0.2, 0.5)
    tab_to(page, "Add a box")
    page.keyboard.press("Enter")
    assert page.locator(".boxes li").count() == 2 and focused(page).startswith("2")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Next").click()
    page.wait_for_selector("text=Say of each box what it is")
    page.get_by_label("What is wrong in box 1").select_option("Skin")
    page.get_by_label("What is wrong in box 2").select_option("Hair")
    page.keyboard.press("Escape")
    tab_to(page, "Add a box")
    page.keyboard.press("Enter")
    tab_to(page, "Remove this box")
    page.keyboard.press("Enter")
    assert page.locator(".boxes li").count() == 2, "the third is gone, and nothing was sent"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert not serious(page)
    answer(page, lambda page: page.get_by_role("button", name="Next").click())
    one, two = votes.votes(store, own)["answer"][0]
    assert (one["label"], two["label"]) == ("Skin", "Hair")
    assert [one[edge] for edge in ("x0", "y0", "x1", "y1")] == pytest.approx([0.2, 0.2, 0.5, 0.5], abs=0.02)
    assert [two[edge] for edge in ("x0", "y0", "x1", "y1")] == pytest.approx([0.42, 0.4, 0.62, 0.62], abs=1e-6)


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
