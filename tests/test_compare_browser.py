"""The Compare tab in a browser: faces that zoom together, and the face behind a point of the plot."""

from __future__ import annotations

import pytest
from chromium import ARGS, CHROMIUM, MINUTE, needed, once, says
from serving import registry_of, serving

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: no browser tests.")

pytestmark = needed
MOVES = "faces => faces.map(face => getComputedStyle(face).transform)"
POINTS = "#lv-tradeoff .scatterlayer .points path"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A board of FGSM swept in three steps, and one preset."""
    registry = registry_of(tmp_path_factory.mktemp("weights"), "sface", "dlib-resnet")
    with (
        serving(example=False, **registry) as url,
        sync_api.sync_playwright() as started,
        started.chromium.launch(executable_path=CHROMIUM, args=ARGS) as browser,
    ):
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(f"{url}/?compare=fgsm:Natural&sweep=fgsm:3", wait_until="load")
        page.wait_for_selector("#lv-compare-button:visible", timeout=MINUTE)
        says(page, "#lv-compare-methods", "FGSM, Natural")
        page.click("#lv-compare-button")
        says(page, "#lv-compare-status", "Done", 3 * MINUTE)
        yield page


def moves(page) -> list[str]:
    """How every face of the board and of the step is moved."""
    return page.locator("#lv-compare-board .lv-zoom img, #lv-step-view .lv-zoom img").evaluate_all(MOVES)


def zoomed(page, where: str, before: str) -> str:
    """Turn the wheel over the last face there; how all faces are moved then, all alike."""
    face = page.locator(f"{where} .lv-zoom").last
    face.scroll_into_view_if_needed()
    face.hover()
    page.mouse.wheel(0, -100)
    once(page, lambda: before not in moves(page), lambda: f"no zoom over a face of {where}")
    assert len(set(moves(page))) == 1
    return moves(page)[0]


def test_all_faces_of_the_board_and_of_the_step_zoom_together(page):
    still = moves(page)
    assert set(still) == {"matrix(1, 0, 0, 1, 0, 0)"} and page.locator("#lv-step-view .lv-zoom").count() >= 3
    once_more = zoomed(page, "#lv-step-view", zoomed(page, "#lv-compare-board", still[0]))
    assert once_more.startswith("matrix(1.44") and len(moves(page)) == len(still)


def over(page, place: int) -> str:
    """The words of the picture that comes up over a point of the plot."""
    page.mouse.move(5, 5)
    page.locator(".lv-peek").wait_for(state="detached", timeout=MINUTE)
    point = page.locator(POINTS).nth(place)
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def there() -> bool:
        for step in (8, 4, 0):
            page.mouse.move(x + step, y)
            page.wait_for_timeout(60)
        return page.locator(".lv-peek").count() == 1

    once(page, there, lambda: "no picture over a point")
    return page.locator(".lv-peek").get_attribute("alt")


def test_over_a_point_stands_the_protected_face_of_its_line_without_its_name_on_a_blind_board(page):
    titles = page.locator("#lv-compare-board .lv-shots").evaluate_all("rows => rows.map(row => row.dataset.line)")
    words = {over(page, place) for place in range(len(titles))}
    assert words <= {f"Protected, {title}" for title in titles} and len(words) > 1, "each its own"
    face = page.locator(".lv-peek").get_attribute("src")
    rows = page.locator("#lv-compare-board img[alt^=Protected]").evaluate_all("faces => faces.map(face => face.src)")
    assert face in rows
    page.check("#lv-blind input")
    says(page, "#lv-compare-board", "Method A")
    once(page, lambda: "FGSM" not in page.inner_text("#lv-tradeoff"))
    assert over(page, 0).startswith("Protected, Method ")
