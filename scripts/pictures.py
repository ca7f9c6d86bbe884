"""Take the pictures of the documents from the pages themselves: docs/pictures/*.png.

dvc repro && python scripts/pictures.py                     # artifacts/report.html
make serve & python scripts/pictures.py http://127.0.0.1:3000/     # the service's page
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import FloatRect, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
REPORT, READINGS = "artifacts/report.html", "data/readings/pump-2.csv"


def main() -> int:
    """Take the pictures of what is named, the evaluation page unless it is, and say which."""
    source = sys.argv[1] if len(sys.argv) > 1 else str(ROOT / REPORT)
    is_service = source.startswith("http")
    chromium, needed = shutil.which("chromium"), ROOT / READINGS if is_service else Path(source).resolve()
    if chromium is None or not needed.exists():
        print(f"error: needs Chromium (apt-get install chromium) and {needed} (dvc repro)", file=sys.stderr)
        return 1
    PICTURES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1100, "height": 1020})
        if is_service:
            take_service(page, source)
        else:
            take_report(page, needed.as_uri())
        browser.close()
    for path in sorted(PICTURES.glob("service*.png" if is_service else "report*.png")):
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")
    return 0


def take_report(page: Page, address: str) -> None:
    """Take the evaluation page: its top, an asset and an alarm."""
    page.goto(address)
    page.wait_for_selector("html[data-ready=words]", state="attached")
    page.screenshot(path=PICTURES / "report-top.png", clip=until(page, ".doubt"))
    first_alarm(page)
    page.locator("#place").screenshot(path=PICTURES / "report-alarm.png")
    page.evaluate("scrollTo(0, 0)")
    page.screenshot(path=PICTURES / "report.png", clip=until(page, "#timeline", "#asset"), full_page=True)


def take_service(page: Page, address: str) -> None:
    """Take the service's page with a bundled pump and one of its alarms."""
    page.goto(address)
    page.wait_for_selector("#ask:not([hidden])")
    page.set_input_files("#file", ROOT / READINGS)
    page.wait_for_selector("html[data-ready] #timeline .chart svg")
    page.locator("#alarms button").nth(3).click()
    page.wait_for_timeout(500)  # the picture zooms
    page.evaluate("scrollTo(0, 0)")
    page.screenshot(path=PICTURES / "service.png", clip=until(page, "#alarm"), full_page=True)


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
