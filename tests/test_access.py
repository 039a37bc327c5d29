"""Everybody gets through: readers of screens (axe-core), keyboards, phones with a camera, people without a photo."""

from __future__ import annotations

import pytest
from chromium import ARGS, CHROMIUM, MINUTE, fits, hidden, needed, opened, says
from PIL import Image
from serving import serving

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: no browser tests.")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed.")

from app import gallery  # noqa: E402
from app.demo import tour  # noqa: E402

pytestmark = needed
MUTE = """[...document.images].filter(one => one.offsetParent && !one.alt?.trim())
    .map(one => one.outerHTML.slice(0, 120))"""
TABS = ("Protect", "Forge", "Authority", "Compare", "Models", "About & privacy")


@pytest.fixture(scope="module")
def address():
    with serving(example=False) as url:
        yield url


@pytest.fixture(scope="module")
def chromium():
    with sync_api.sync_playwright() as started:
        yield started.chromium.launch(executable_path=CHROMIUM, args=ARGS)


@pytest.fixture
def browser(chromium):
    with chromium.new_context() as context:
        yield context


@pytest.fixture
def phone(chromium):
    screen = {"width": 390, "height": 844}
    with chromium.new_context(viewport=screen, has_touch=True, is_mobile=True, color_scheme="dark") as context:
        yield context


def go(page, tab: str) -> None:
    """To a tab, which a narrow page keeps in a menu."""
    found = page.get_by_role("tab", name=tab, exact=True)
    if found.count() and found.first.is_visible():
        found.first.click()
    else:
        page.locator(".overflow-menu > button").first.click()
        page.locator(".overflow-dropdown button", has_text=tab).first.click()
    page.wait_for_timeout(700)


def unfold(page) -> None:
    closed = page.locator("button.label-wrap:not(.open):visible")
    while closed.count():
        closed.first.click()
        page.wait_for_timeout(150)


def faults(page) -> list[str]:
    """What axe-core calls serious or critical, and pictures without words; not what is only passing, like a fade."""
    page.wait_for_timeout(700)
    if found := seen(page):
        page.wait_for_timeout(3000)
        found = [one for one in seen(page) if one in found]
    return found


def seen(page) -> list[str]:
    found = axe.Axe().run(page).response
    assert len(found["passes"]) > 30, "axe has looked"
    bad = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
    said = [f"{one['id']}: {node['html'][:200]}" for one in bad for node in one["nodes"]]
    return said + page.evaluate(MUTE)


def reach(page, selector: str, presses: int = 80) -> None:
    """By Tab alone until the element, or something inside it, has the focus."""
    inside = f"!!document.activeElement?.closest({selector!r})"
    for _ in range(presses):
        if page.evaluate(inside):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{selector} is not reached by {presses} presses of Tab")


def opens_a_file_chooser(page, selector: str) -> None:
    """By Tab and Enter; once more where the focus went while the page was still coming in."""
    for last in (False, True):
        reach(page, selector)
        try:
            with page.expect_file_chooser(timeout=10_000):
                page.keyboard.press("Enter")
            return
        except sync_api.TimeoutError:
            if last:
                raise
            page.wait_for_timeout(2000)


def protected(page) -> None:
    """A job's result on the page, by clicks."""
    page.click(f'[data-example="{gallery.HOPPER}"]')
    says(page, "#lv-faces-line", "public domain")
    page.get_by_label("ID-Guard", exact=True).check()
    page.click("#lv-protect")
    says(page, "#lv-status", "Done", 2 * MINUTE)


def test_axe_finds_nothing_serious_with_everything_unfolded_nor_in_results(browser, address):
    page = opened(browser, address)
    protected(page)
    found = {}
    for tab in TABS:
        go(page, tab)
        if tab == "Authority":
            for inner in ("Take a mask off", "A stolen model"):
                page.get_by_role("tab", name=inner, exact=True).click()
                page.wait_for_timeout(700)
                unfold(page)
                found[inner] = faults(page)
        if tab == "Forge":
            says(page, "#lv-forge-status", "Done", 2 * MINUTE)
            page.locator("#lv-wall [data-forger]").first.click()
            page.wait_for_selector("#lv-closer-slider img", timeout=MINUTE)
        unfold(page)
        found[tab] = faults(page)
    go(page, "Protect")
    page.click("#lv-panel-button")
    page.wait_for_timeout(700)
    found["panel"] = faults(page)
    page.keyboard.press("Escape")
    page.click("#lv-tour-start")
    says(page, "#lv-tour", tour.STEPS[0].title)
    found["tour"] = faults(page)
    assert not any(found.values()), found


def test_nor_in_the_dark_on_a_phone(phone, address):
    page = opened(phone, f"{address}/?__theme=dark", 390, 844)
    found = {}
    for tab in TABS:
        go(page, tab)
        found[tab] = faults(page)
    assert not any(found.values()), found


def test_the_main_job_by_keyboard_alone(browser, address):
    page = opened(browser, address)
    page.wait_for_selector("[data-example]", timeout=MINUTE)
    opens_a_file_chooser(page, "#lv-drop button")
    reach(page, f'[data-example="{gallery.HOPPER}"]')
    page.keyboard.press("Enter")
    says(page, "#lv-faces-line", "Grace Hopper")
    reach(page, "#lv-method input")
    for _ in range(len(page.locator("#lv-method input").all())):
        if page.get_by_label("ID-Guard", exact=True).is_checked():
            break
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(200)  # Gradio draws the buttons anew when the photo's first result is in
    assert page.get_by_label("ID-Guard", exact=True).is_checked()
    page.wait_for_timeout(700)
    reach(page, "#lv-protect")
    page.keyboard.press("Enter")
    says(page, "#lv-status", "Done", 2 * MINUTE)
    reach(page, "#lv-download")
    with page.expect_download() as got:
        page.keyboard.press("Enter")
    assert got.value.suggested_filename.startswith("larvatus-id-guard-")


@pytest.fixture
def two(tmp_path, astronaut_file, hopper_file):
    """A photo of two people side by side."""
    pictures = [Image.open(path).convert("RGB").resize((400, 400)) for path in (astronaut_file, hopper_file)]
    both = Image.new("RGB", (800, 400))
    for place, picture in enumerate(pictures):
        both.paste(picture, (400 * place, 0))
    both.save(tmp_path / "two.png")
    return tmp_path / "two.png"


def test_a_face_among_others_and_a_box_are_chosen_by_keyboard(browser, address, two):
    page = opened(browser, address)
    page.set_input_files("#lv-drop input", str(two))
    first = says(page, "#lv-faces-line", "2 faces found. Face 1 is chosen")
    assert "Face 1 is chosen" in first
    reach(page, "#lv-face input")
    page.keyboard.press("ArrowRight")
    says(page, "#lv-faces-line", "Face 2 is chosen")
    reach(page, "#lv-box")
    page.keyboard.press("Enter")
    says(page, "#lv-faces-line", "opposite corners")
    reach(page, "#lv-edges input")
    page.keyboard.type("60, 10, 40")
    page.keyboard.press("Enter")
    says(page, "#lv-faces-line", "Type four numbers")
    page.keyboard.press("Control+A")
    page.keyboard.type("5 5 45 80")
    page.keyboard.press("Enter")
    says(page, "#lv-faces-line", "3 faces found. Face 3 is chosen")


def test_quick_hands_get_what_they_chose_last(browser, address):
    """Over a slow line: two methods in a row and Protect at once, before any knob of either is there."""
    page = opened(browser, address)
    page.click(f'[data-example="{gallery.HOPPER}"]')
    says(page, "#lv-faces-line", "public domain")
    page.route("**/queue/join*", lambda route: (page.wait_for_timeout(800), route.continue_()))
    page.get_by_label("DIP-Watermark", exact=True).check()
    page.get_by_label("ID-Guard", exact=True).check()
    assert page.locator("#lv-protect").is_disabled()
    page.click("#lv-protect")
    says(page, "#lv-status", "Done", 2 * MINUTE)
    page.get_by_text("Strategy").first.wait_for(timeout=MINUTE)
    with page.expect_download() as got:
        page.click("#lv-download")
    assert got.value.suggested_filename.startswith("larvatus-id-guard-")


def test_a_phone_takes_the_photo_with_its_camera(phone, address, astronaut_file):
    page = opened(phone, address, 390, 844)
    page.wait_for_selector("[data-example]", timeout=MINUTE)
    camera = page.locator("#lv-ways .lv-camera")
    assert camera.is_visible() and "Take a photo" in camera.inner_text()
    taken = camera.locator("input")
    assert (taken.get_attribute("capture"), taken.get_attribute("accept")) == ("user", "image/*")
    taken.set_input_files(str(astronaut_file))
    says(page, "#lv-faces-line", "One face found")
    fits(page)


def test_a_computer_with_a_mouse_is_shown_no_camera(browser, address):
    page = opened(browser, address)
    page.wait_for_selector("[data-example]", timeout=MINUTE)
    assert not page.locator("#lv-ways .lv-camera").is_visible()


def test_the_tour_points_at_places_that_there_are(browser, address):
    width = 390
    page = opened(browser, address, width)
    page.click("#lv-tour-start")
    for place, step in enumerate(tour.STEPS):
        says(page, "#lv-tour", step.title)
        page.wait_for_selector(f":is({step.place}).lv-toured", timeout=MINUTE)
        box = page.locator("#lv-tour").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width
        assert page.evaluate("document.activeElement.dataset.part") == "next", "Enter goes on"
        assert page.locator("#lv-tour [data-part=back]").is_disabled() == (place == 0)
        page.keyboard.press("Enter")
    hidden(page, "#lv-tour")
    hidden(page, ".lv-toured")
    page.click("#lv-tour-start")
    page.keyboard.press("Escape")
    hidden(page, "#lv-tour")


def test_a_quick_hand_on_the_tour_ends_on_the_tab_of_its_last_step(browser, address):
    """Over a slow line each step asks for its tab before the one before has come."""
    page = opened(browser, address)
    page.route("**/run/predict*", lambda route: (page.wait_for_timeout(800), route.continue_()))
    page.click("#lv-tour-start")
    forge = next(place for place, step in enumerate(tour.STEPS) if step.tab == "forge")
    for _ in range(forge):
        page.keyboard.press("Enter")
    page.wait_for_selector(f":is({tour.STEPS[forge].place}).lv-toured", timeout=MINUTE // 2)


def test_the_tour_takes_two_minutes():
    words = sum(len(f"{step.title} {step.words}".split()) for step in tour.STEPS)
    assert 60 < words * 60 / 130 < 150, "seconds at 130 words a minute"
