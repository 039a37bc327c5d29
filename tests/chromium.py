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
