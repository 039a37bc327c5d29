"""The demo in a real browser: skipped, with a message, where there is no Chromium."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from chromium import ARGS, CHROMIUM, MINUTE, fits, hidden, needed, once, opened, put, says
from hub_server import HubServer
from serving import registry_of, serving

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: no browser tests.")

from app import gallery  # noqa: E402
from app import photo as photos  # noqa: E402
from app.study import inbox  # noqa: E402
from engines import manipulate  # noqa: E402
from engines.checkpoints import checkpoint, locate  # noqa: E402

pytestmark = needed
STEPS = 'input[aria-label="number input for Steps N"]'


@pytest.fixture(scope="module")
def playwright():
    with sync_api.sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def profile(playwright, tmp_path_factory):
    """One browser with a cache for all tests, so that the page's scripts are fetched and compiled once."""
    folder = tmp_path_factory.mktemp("profile")
    with playwright.chromium.launch_persistent_context(folder, executable_path=CHROMIUM, args=ARGS) as context:
        yield context


@pytest.fixture
def browser(profile):
    """The browser, whose pages are closed after each test: open ones keep drawing."""
    yield profile
    for page in profile.pages[1:]:
        page.close()


@pytest.fixture(scope="module")
def hub():
    """A small Hub that holds SFace, and comes with it slowly."""
    with HubServer() as server:
        card = checkpoint("sface-hub")
        server.files[f"{card.repo}/{card.file}"] = locate(checkpoint("sface")).read_bytes()
        server.ways[card.repo], server.pause = "slow", 0.25
        yield server


@pytest.fixture(scope="module")
def studies(tmp_path_factory) -> str:
    """The folder that the demo and the study workbench share."""
    return str(tmp_path_factory.mktemp("studies"))


@pytest.fixture(scope="module")
def log(tmp_path_factory) -> Path:
    """What the app prints."""
    return tmp_path_factory.mktemp("log") / "app.log"


@pytest.fixture(scope="module")
def address(hub, studies, tmp_path_factory):
    """An app with two recognisers that are here, two of the Hub, one to be added by hand; its cache is empty."""
    folder = tmp_path_factory.mktemp("weights")
    registry = registry_of(folder, "sface", "sface-hub", "dlib-resnet", "facenet", "ir152")
    caches = {"LARVATUS_CACHE": str(folder / "cache"), "HF_HUB_CACHE": str(folder / "clients")}
    caches |= {"FRBENCH_CACHE": str(folder / "frbench"), "LARVATUS_STUDIES": studies}
    settings = {"HF_ENDPOINT": hub.endpoint, "HF_HUB_DISABLE_XET": "1"}
    with serving(example=False, **settings, **registry, **caches) as url:
        yield url


@pytest.fixture(scope="module")
def shown(log):
    """An app as visitors find it, its example included."""
    with serving(example=True, log=log, PYTHONUNBUFFERED="1") as url:
        yield url


@pytest.fixture(scope="module")
def astronaut(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("photos") / "astronaut.png"
    path.write_bytes(gallery.portrait(gallery.COLLINS))
    return str(path)


def steps(page, count: int) -> None:
    page.fill(STEPS, str(count))
    page.press(STEPS, "Tab")
    page.wait_for_timeout(300)


def test_protect_download_and_restore(browser, address, astronaut, studies, tmp_path, monkeypatch):
    page = opened(browser, address)
    assert "One face found" in put(page, astronaut)
    assert page.get_by_label(gallery.HOPPER).first.is_checked()
    steps(page, 20)
    page.click("#lv-protect")
    says(page, "#lv-status", r"Step \d+ of 20")
    says(page, "#lv-status", "Done", 2 * MINUTE)
    attacked = page.locator("#lv-board tbody tr").filter(has_text="attacked")
    assert "does not match you" in attacked.inner_text() and "before: matches you" in attacked.inner_text()
    assert "held-out judge" in page.inner_text("#lv-board") and "recogniser" in page.inner_text("#lv-verdict")
    once(page, lambda: page.locator("#lv-survival figure").count() >= 4 and page.locator("#lv-cams img").count() >= 2)
    with page.expect_download() as got:
        page.click("#lv-download")
    assert re.fullmatch(r"larvatus-tip-im-\d{8}-[0-9a-f]+\.png", got.value.suggested_filename)
    file = tmp_path / got.value.suggested_filename
    got.value.save_as(file)
    page.click("#lv-to-study")
    code = re.search(r"enter the code (\S+)\.", says(page, "#lv-sent", "enter the code")).group(1)
    monkeypatch.setenv("LARVATUS_STUDIES", studies)
    assert [one.data for one in inbox.fetch(code)][1] == file.read_bytes()
    steps(page, 33)
    page.get_by_label("FGSM", exact=True).check()
    put(page, str(file))
    assert "settings are restored" in says(page, "#lv-faces-line", "restored")
    page.wait_for_function(f"document.querySelector('{STEPS}')?.value === '20'", timeout=MINUTE)
    assert page.get_by_label("TIP-IM", exact=True).is_checked()


PUBLIC = re.compile(
    r"/($|\?|assets/|static/|theme\.css|config|manifest\.json|favicon|gradio_api/(startup-events|info|app_id|login))"
)


def test_what_a_visitor_saw_is_at_no_address_for_anybody_else(playwright, browser, shown):
    page, seen = opened(browser, shown), set()
    page.on("request", lambda asked: seen.add(asked.url))
    page.reload()
    page.click(f'[data-example="{gallery.HOPPER}"]')
    says(page, "#lv-faces-line", "Grace Hopper")
    page.get_by_label("ID-Guard", exact=True).check()
    page.click("#lv-protect")
    says(page, "#lv-status", "Done")
    page.wait_for_function("document.querySelectorAll('#lv-slider img').length > 1", timeout=MINUTE)
    page.click("#lv-to-forge")
    says(page, "#lv-forge-status", "Done", 2 * MINUTE)
    page.locator("#lv-wall [data-forger]").first.click()
    page.wait_for_selector("#lv-closer-slider img", timeout=MINUTE)
    hrefs = "[...document.querySelectorAll('a[href*=\"/file=\"]')].map(link => link.href)"
    seen |= set(page.evaluate(hrefs))
    page.wait_for_timeout(1000)
    assert not {url for url in seen if not url.startswith((shown, "data:", "blob:"))}, "nothing is asked of others"
    own = {url for url in seen if url.startswith(shown) and not PUBLIC.match(url.removeprefix(shown))}
    files, queue = {url for url in own if "/file=" in url}, {url for url in own if "session_hash=" in url}
    assert len(files) >= 8 and queue, "before and after of both tabs, the photo, the downloads; the line"
    stranger = playwright.request.new_context()
    assert {page.context.request.get(url).status for url in files} == {200}
    for url in sorted(own):
        assert stranger.get(url, timeout=5000).status in (403, 404, 405), url
    page.get_by_role("tab", name="About & privacy").click()
    page.click("#lv-delete-all")
    assert re.search(r"[1-9]\d* files", says(page, "#lv-receipt", "Deleted at"))
    assert {page.context.request.get(url).status for url in files} <= {403, 404}, "gone"
    page.click("#lv-receipt a")
    page.wait_for_selector("#lv-verdict:has-text('Example: Eileen Collins')", timeout=MINUTE)


def test_the_log_of_a_whole_job_names_nobody(browser, shown, astronaut, log, tmp_path):
    photo, broken = tmp_path / "Zerlina at home.png", tmp_path / "Zerlina torn.png"
    photo.write_bytes(Path(astronaut).read_bytes())
    broken.write_bytes(photo.read_bytes()[:400])
    page = opened(browser, shown)
    page.set_input_files("#lv-drop input[type=file]", str(broken))
    says(page, "#lv-faces-line", "cut off|damaged|cannot be read")
    put(page, str(photo))
    page.get_by_label("DIP-Watermark", exact=True).check()
    page.fill("#lv-identity input, #lv-identity textarea", "Zerlina")
    page.click("#lv-protect")
    says(page, "#lv-status", "Done", 2 * MINUTE)
    printed = log.read_text()
    assert "Larvatus: http" in printed, "this is the log"
    assert not re.search("Zerlina|data:image|base64|127.0.0.1(?!:)|Traceback", printed)


def test_cancel_stops_and_frees_the_place(browser, address, astronaut):
    page, other = opened(browser, address), opened(browser, address)
    for tab in (page, other):
        put(tab, astronaut)
        steps(tab, 200)
    page.click("#lv-protect")
    says(page, "#lv-status", r"Step [1-9]\d* of 200")
    other.click("#lv-protect")
    says(other, "#lv-status", "Waiting|queue")
    other.click("#lv-cancel")
    says(other, "#lv-status", "Stopped before it began. Nothing was exported.", 10_000)
    start = time.perf_counter()
    page.click("#lv-cancel")
    says(page, "#lv-status", r"Stopped at step \d+ of 200\. Nothing was exported\.", 10_000)
    took = time.perf_counter() - start
    assert took < 10, f"Cancel took {took:.1f} s (a second on an idle machine; up to six beside other tests)"
    steps(other, 2)
    other.click("#lv-protect")
    says(other, "#lv-status", "Done")


def test_errors_are_where_the_person_looks(browser, address, tmp_path):
    page = opened(browser, address)
    page.click("#lv-protect")
    assert "put in a photo" in says(page, "#lv-status", "no face to protect")
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"not a photo")
    page.set_input_files("#lv-drop input[type=file]", str(bad))
    assert "can be read" in says(page, "#lv-faces-line", "choose a")


def drawer(page, open: bool = True) -> None:
    """Open or close the panel's drawer, and wait for the end of its way."""
    page.click("#lv-panel-button" if open else "#lv-panel .toggle-button")
    page.wait_for_function(f"document.querySelector('#lv-panel').classList.contains('open') === {str(open).lower()}")
    page.wait_for_timeout(500)


def checked(page, group: str) -> list[str]:
    """The labels that are checked in a list of the drawer."""
    return [label.inner_text() for label in page.locator(f"{group} label").all() if label.locator(":checked").count()]


def rows(page) -> list[tuple[str, str]]:
    """Recogniser and role, row by row of the scoreboard."""
    cells = page.locator("#lv-board tbody tr td:first-child").all()
    return [(cell.locator("b").inner_text(), cell.locator("small").inner_text()) for cell in cells]


def test_the_drawer_opens_on_every_tab_and_its_lists_exclude_one_another(browser, address, astronaut):
    page = opened(browser, address)
    for tab in ("Models", "About & privacy", "Protect"):
        page.get_by_role("tab", name=tab).click()
        drawer(page)
        assert page.locator("#lv-attacked").is_visible()
        page.keyboard.press("Escape")
        hidden(page, "#lv-attacked")
        assert page.locator("#lv-panel-button").is_visible()
    put(page, astronaut)
    drawer(page)
    assert checked(page, "#lv-attacked") == ["SFace"] and checked(page, "#lv-held-out") == ["dlib ResNet"]
    assert page.locator("#lv-attacked label").count() == 1, "a judge of the registry cannot be attacked"
    page.locator("#lv-held-out").get_by_label("SFace", exact=True).check()
    assert "check one under Attacked by the method" in says(page, "#lv-panel-line", "TIP-IM needs")
    says(page, "#lv-panel-button", "^Panel: 0 attacked, 2 held out$")
    assert checked(page, "#lv-attacked") == []
    drawer(page, open=False)
    page.click("#lv-protect")
    says(page, "#lv-status", "TIP-IM needs at least one recogniser")
    drawer(page)
    for label in ("SFace", "dlib ResNet"):
        page.locator("#lv-held-out").get_by_label(label, exact=True).uncheck()
    says(page, "#lv-panel-line", "No recogniser is switched on")
    page.click("#lv-usual")
    says(page, "#lv-panel-button", "1 attacked, 1 held out")
    assert checked(page, "#lv-attacked") == ["SFace"]


def test_a_recogniser_from_the_hub_is_described_fetched_and_used(browser, address, hub, astronaut):
    page = opened(browser, address)
    put(page, astronaut)
    drawer(page)
    page.locator("#lv-add button.label-wrap").click()
    choose(page, "FaceNet")
    assert "locked at the first download" in says(page, "#lv-drawer-facts", "112 MB")
    page.click("#lv-drawer-download")
    assert "can stand in" in says(page, "#lv-drawer-status", "The Hub has no")
    page.keyboard.press("Escape")
    hidden(page, "#lv-attacked")
    drawer(page)
    assert "can stand in" in page.inner_text("#lv-drawer-status"), "nothing is lost"
    before = len(hub.gets())
    choose(page, "SFace (from the Hub)")
    facts = says(page, "#lv-drawer-facts", "10.7 MB")
    assert "Apache-2.0" in facts and "MS1MV2" in facts and "pinned" in facts and len(hub.gets()) == before
    hub.pause = 1.0  # long enough to be seen on a busy machine
    page.click("#lv-drawer-download")
    says(page, "#lv-drawer-status", r"\d of 10\.7 MB")
    page.click("#lv-drawer-cancel")
    says(page, "#lv-drawer-status", "What came is kept", 10_000)
    hub.pause = 0.0
    page.click("#lv-drawer-download")
    says(page, "#lv-drawer-status", "is here now, and off")
    fetched = page.locator("#lv-attacked").get_by_label("SFace (from the Hub)", exact=True)
    assert not fetched.is_checked() and "SFace (from the Hub)" in says(page, "#lv-panel-line", "Off: SFace")
    fetched.check()
    page.locator("#lv-attacked").get_by_label("SFace", exact=True).uncheck()
    says(page, "#lv-panel-button", "1 attacked, 1 held out")
    drawer(page, open=False)
    steps(page, 2)
    page.click("#lv-protect")
    says(page, "#lv-status", "Done")
    judged = [("SFace (from the Hub)", "attacked (surrogate)"), ("dlib ResNet", "held-out judge")]
    once(page, lambda: rows(page) == judged, lambda: rows(page))
    page.get_by_role("tab", name="Models").click()
    assert "0.91 / 0.93\nLFW, 6,000 pairs" in says(page, "#lv-models", "loaded now")
    assert "FaceNet" in says(page, "#lv-models", r"Not here: on the Hub \(1\)")


def choose(page, title: str) -> None:
    page.click("#lv-drawer-choice input")
    page.get_by_role("option", name=title, exact=True).click()


def test_the_drawer_fits_a_phone(browser, address):
    page = opened(browser, address, 390, 844)
    drawer(page)
    for fold in page.locator("#lv-panel button.label-wrap").all():
        fold.click()
    choose(page, "FaceNet")
    says(page, "#lv-drawer-facts", "112 MB")
    fits(page)
    inside = page.evaluate("""() => [...document.querySelectorAll('#lv-panel .sidebar-content *')]
        .every(e => e.getBoundingClientRect().right <= 391)""")
    assert inside and page.locator("#lv-panel .toggle-button").is_visible()


def test_a_phone_needs_no_sideways_scrolling_and_shows_the_example(browser, shown):
    page = opened(browser, shown, 390, 844)
    says(page, "#lv-verdict", "Example: Eileen Collins", 2 * MINUTE)
    fits(page)
    for fold in page.locator("button.label-wrap").all():
        if fold.is_visible() and "open" not in (fold.get_attribute("class") or ""):
            fold.click()
    fits(page)
    for tab in ("Compare", "Models", "About & privacy"):
        if not page.get_by_role("tab", name=tab).is_visible():
            page.get_by_role("button", name="…").or_(page.locator(".overflow-menu button")).first.click()
        page.get_by_role("tab", name=tab).or_(page.get_by_role("button", name=tab)).first.click()
        fits(page)
    page.get_by_role("tab", name="Protect").click()
    page.locator("#lv-board").wait_for(timeout=MINUTE)
    order = page.evaluate("""() => ['lv-photo', 'lv-method', 'lv-protect',
        'lv-verdict', 'lv-slider', 'lv-board']
        .map(id => document.getElementById(id).getBoundingClientRect().top)""")
    assert order == sorted(order)


def test_a_mark_is_written_sent_over_read_back_and_claimed(browser, shown, astronaut):
    """Protect with an identity, read it back on the Authority tab, check a claim, move a slider: on a phone."""
    page = opened(browser, shown, 390)
    page.set_input_files("#lv-drop input[type=file]", astronaut)
    page.wait_for_selector("text=One face found", timeout=MINUTE)
    page.click('#lv-method label:has-text("DIP-Watermark")')
    page.locator("#lv-identity").wait_for(timeout=MINUTE)
    assert not page.is_visible("#lv-targets"), "it knows only its own targets"
    page.fill("#lv-identity input, #lv-identity textarea", "Alice")
    page.wait_for_function("document.querySelector('#lv-identity-line .lv-code')?.innerText.length == 50")
    page.click("#lv-protect")
    page.wait_for_selector("#lv-verdict:has-text('its mark says identity number')", timeout=MINUTE)
    page.click("#lv-to-authority")
    page.wait_for_selector("#lv-authority-verdict:has-text('registered here as “Alice”')", timeout=MINUTE)
    once(page, lambda: page.locator("#lv-authority-marks .lv-bits i").count() == 50)
    says(page, "#lv-registry", "Alice")
    page.wait_for_selector("#lv-channel .js-plotly-plot", timeout=MINUTE)
    page.fill("#lv-claim input, #lv-claim textarea", "Mallory")
    page.click("#lv-read")
    page.wait_for_selector("#lv-authority-status [role=alert]:has-text('Mallory')", timeout=MINUTE)
    page.fill("#lv-claim input, #lv-claim textarea", "Alice")
    page.click("#lv-read")
    page.wait_for_selector("#lv-authority-verdict:has-text('Accepted')", timeout=MINUTE)
    page.click("#lv-control")
    page.wait_for_selector("#lv-authority-status:has-text('Control')", timeout=MINUTE)
    page.fill("#lv-slider-jpeg input[type=number]", "20")
    page.press("#lv-slider-jpeg input[type=number]", "Tab")
    page.wait_for_selector("#lv-remains:has-text('bits as before')", timeout=MINUTE)
    page.fill("#lv-registry-name input, #lv-registry-name textarea", "Alice")
    page.click("#lv-delete")
    page.wait_for_selector("#lv-registry:has-text('Nobody is registered')", timeout=MINUTE)
    fits(page)


def test_a_wall_of_forgeries_is_built_enlarged_changed_and_stopped(browser, shown):
    """The example's wall unasked; a pair enlarged, another edit, and Cancel: on a phone."""
    page = opened(browser, shown, 390)
    page.wait_for_selector("#lv-to-forge:visible", timeout=2 * MINUTE)
    page.get_by_role("tab", name="Forge").click()
    page.wait_for_selector("#lv-forge-status:has-text('Done in')", timeout=2 * MINUTE)
    once(page, lambda: page.locator("#lv-wall [data-forger]").count() == len(manipulate.available()))
    says(page, "#lv-forge-verdict", f"of {len(manipulate.available())} forgers")
    page.click("#lv-wall [data-forger=hisd]")
    page.wait_for_selector("#lv-closer-line:has-text('HiSD')", timeout=MINUTE)
    fits(page)
    with page.expect_download(timeout=MINUTE) as download:
        page.click("#lv-wall-download")
    assert photos.load(Path(download.value.path()).read_bytes()).settings, "the wall says how it was made"
    page.click("#lv-edit label:has-text('age')")
    page.wait_for_selector("#lv-wall:has-text('age')", timeout=MINUTE)
    page.wait_for_selector("#lv-forge-status:has-text('Done in')", timeout=MINUTE)
    page.click("#lv-forge-button")
    page.click("#lv-forge-cancel")
    page.wait_for_selector("#lv-forge-status:has-text('Stopped.')", timeout=MINUTE)
    hung = len(manipulate.available())  # the last whole wall, once what was under way has noticed
    page.wait_for_function(f"document.querySelectorAll('#lv-wall [data-forger]').length == {hung}", timeout=MINUTE)
