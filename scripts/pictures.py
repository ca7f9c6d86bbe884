"""Take the pictures of the documents from the pages themselves: docs/pictures/*.png, from artifacts/report.html.

dvc repro && python scripts/pictures.py
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import FloatRect, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
REPORT = "artifacts/report.html"


def main() -> int:
    """Take every picture, and say which."""
    report = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / REPORT).resolve()
    chromium = shutil.which("chromium")
    if chromium is None or not report.exists():
        print(f"error: needs Chromium (apt-get install chromium) and {report} (dvc repro)", file=sys.stderr)
        return 1
    PICTURES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1100, "height": 1020})
        page.goto(report.as_uri())
        page.wait_for_selector("html[data-ready=words]", state="attached")
        page.screenshot(path=PICTURES / "report-top.png", clip=until(page, ".doubt"))
        first_alarm(page)
        page.locator("#place").screenshot(path=PICTURES / "report-alarm.png")
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=PICTURES / "report.png", clip=until(page, "#timeline", "#asset"), full_page=True)
        browser.close()
    for path in sorted(PICTURES.glob("report*.png")):
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")
    return 0


def until(page: Page, last: str, first: str = "body") -> FloatRect:
    """Return the part of the page from the top of one element to the bottom of another, with a margin."""
    top, bottom = page.locator(first).bounding_box(), page.locator(last).first.bounding_box()
    assert top
    assert bottom
    return {
        "x": top["x"],
        "y": top["y"],
        "width": top["width"],
        "height": bottom["y"] + bottom["height"] + 16 - top["y"],
    }


def first_alarm(page: Page) -> None:
    """Open the first alarm of the last asset."""
    page.locator("#assets a").last.click()
    page.locator("#places button").first.click()
    page.wait_for_selector("#place .chart svg")


if __name__ == "__main__":
    sys.exit(main())
