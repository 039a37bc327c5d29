"""`bench first-look`: from the start of the app to a page that answers, and what the page weighs. Needs Chromium.

    python -m app bench first-look

A browser without a cache opens the page on the same machine, over plain HTTP/1.1. "Answers" is when the page shows
what the app sent after it had opened: portraits to try; by then every button works.
"""

from __future__ import annotations

import os
import shutil
import time
from typing import Any

WIDTHS = ((1280, 900), (390, 844))
ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
ANSWERED = "[data-example]"
LARGEST = """() => new Promise(tell => new PerformanceObserver(list => {
    const last = list.getEntries().at(-1);
    tell([last.startTime / 1000, last.element?.closest('[id]')?.id || last.element?.tagName || '']);
}).observe({ type: 'largest-contentful-paint', buffered: true }))"""
MISSING = "This needs Chromium and Playwright: run `make setup`, and `apt install chromium`."


def looked(browser: Any, url: str, width: int, height: int) -> dict[str, Any]:
    """One opening of the page by a browser that has never seen it: seconds, bytes and requests."""
    context = browser.new_context(viewport={"width": width, "height": height})
    page, sizes = context.new_page(), []
    wire = context.new_cdp_session(page)
    wire.send("Network.enable")
    wire.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    start = time.perf_counter()
    page.goto(url)
    page.wait_for_selector(ANSWERED, timeout=120_000)
    answered = time.perf_counter() - start
    page.wait_for_timeout(3000)  # what still comes in
    seconds, what = page.evaluate(LARGEST)
    context.close()
    weight = {"page MB": sum(sizes) / 1e6, "requests": len(sizes)}
    return {"width px": width, "answers s": answered, "largest paint s": seconds, "largest paint": what, **weight}


def measure(repeats: int, check: float | None = None) -> dict[str, Any]:
    """A row for each start of the app and width: the first page of a start waits for the app, too.

    `check`: seconds that no cold start may take; SystemExit says where one did.
    """
    from app.crowd import served  # the client of an API is slow to import

    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise SystemExit(MISSING) from None
    if not (chromium := shutil.which("chromium") or shutil.which("google-chrome")):
        raise SystemExit(MISSING)
    rows = []
    with sync_playwright() as started, started.chromium.launch(executable_path=chromium, args=ARGS) as browser:
        for number in range(repeats):
            for size in WIDTHS:
                start = time.perf_counter()
                with served("") as (url, _):
                    served_after = time.perf_counter() - start
                    row = looked(browser, url, *size)
                cold = {"app s": served_after, "cold start s": served_after + row["answers s"]}
                rows.append({"start": number + 1, **cold, **row})
    slow = max(row["cold start s"] for row in rows)
    if check is not None and slow > check:
        raise SystemExit(f"A cold start took {slow:.1f} s, more than {check:g} s.")
    return {"rows": rows, "provenance": {"cores": os.cpu_count(), "repeats": repeats}}


def add_parser(names: Any) -> None:
    """`bench first-look`."""
    parser = names.add_parser("first-look", help="cold start, page weight, largest paint (needs Chromium)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--check", type=float, metavar="SECONDS", help="end with 1 where a cold start takes longer")
    parser.set_defaults(func=lambda args: measure(args.repeats, args.check))
