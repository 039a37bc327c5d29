"""What the tests share that drive the demo in a real browser."""

from __future__ import annotations

import shutil

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
needed = pytest.mark.skipif(CHROMIUM is None, reason="No Chromium on this machine: no browser tests.")
MINUTE = 60_000


def opened(browser, url: str, width: int = 1280, height: int = 900):
    """A new page of the demo, once it shows what it is about."""
    page = browser.new_page()
    page.set_viewport_size({"width": width, "height": height})
    page.goto(url)
    page.wait_for_selector("#lv-verdict p", timeout=MINUTE)
    return page


def says(page, where: str, pattern: str, timeout: int = MINUTE) -> str:
    """Wait until the element's text matches."""
    page.wait_for_function(
        "([where, pattern]) => new RegExp(pattern).test(document.querySelector(where)?.innerText)",
        arg=[where, pattern],
        timeout=timeout,
    )
    return page.inner_text(where)


def put(page, path: str) -> str:
    """Put a photo in; what is said of it."""
    page.set_input_files("#lv-drop input[type=file]", path)
    return says(page, "#lv-faces-line", "face found|restored|No face")


def once(page, met, said=lambda: "") -> None:
    """Wait until what is asked of the page holds: a busy machine may take its time."""
    for _ in range(MINUTE // 250):
        if met():
            return
        page.wait_for_timeout(250)
    raise AssertionError(f"not within a minute {said()}")


def hidden(page, where: str) -> None:
    """Wait until the element is gone or can no longer be seen."""
    page.locator(where).first.wait_for(state="hidden", timeout=MINUTE)


def fits(page) -> None:
    """Wait until nothing on the page reaches beyond its right edge, but for what is inside something that scrolls."""
    once(page, lambda: page.evaluate(FITS), lambda: f"beyond the edge: {page.evaluate(BEYOND)}")


# Elements that can be seen, reach beyond the right edge and are not inside something that scrolls.
BEYOND = """() => [...document.querySelectorAll('body *')].filter(e => {
    const box = e.getBoundingClientRect();
    if (!box.width || !box.height || box.right <= innerWidth + 1) return false;
    if (getComputedStyle(e).visibility === 'hidden') return false;
    for (let p = e.parentElement; p && p !== document.body; p = p.parentElement)
        if (['auto', 'scroll', 'hidden', 'clip'].includes(getComputedStyle(p).overflowX)) return false;
    return true;
}).map(e => e.tagName + '#' + e.id + '.' + e.className)"""
FITS = f"() => document.documentElement.scrollWidth <= innerWidth && !({BEYOND})().length"
