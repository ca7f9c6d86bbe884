"""A browser for the tests of all pages: what a page asks for and complains of is written down and must be nothing."""

import os
import shutil
from urllib.parse import urlsplit

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium():
    """Return the browser of this machine; without one the tests skip, but in CI, which installs it, they fail."""
    found = next((path for path in map(shutil.which, NAMES) if path), None)
    if found is None:
        why = "no Chromium on this machine: apt-get install chromium"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(why)
    return found


@pytest.fixture(scope="module")
def browser():
    """Chromium, of each module its own: Playwright keeps an event loop, which other tests must not find."""
    api = pytest.importorskip("playwright.sync_api", reason="no Playwright: make setup")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def open_page(browser):
    """Open an address in a fresh tab; at the end nothing was asked of another place, and nothing went wrong.

    `open_page(address, width=1400, scheme="dark")` returns Playwright's page. `page.complaints` holds errors and what
    the console says, `page.requests` every address that was asked for.
    """
    tabs = []

    def open_one(address, *, width=1400, height=900, scheme="light"):
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
        page.complaints, page.requests = [], []
        page.on("console", lambda message: page.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("request", lambda request: page.requests.append(request.url))
        page.goto(address)
        tabs.append((page, urlsplit(address)))
        return page

    yield open_one
    for page, address in tabs:
        outside = [url for url in page.requests if urlsplit(url)[:2] != address[:2] and not url.startswith("data:")]
        assert outside == []
        assert page.complaints == []
        page.close()
