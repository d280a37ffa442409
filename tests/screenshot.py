"""Takes the screenshot in README.md from the real app: python -m tests.screenshot [file]"""

import sys
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from tests.browsing import open_page
from tests.serving import BROWSER_OPTIONS, ROOT, browser_path, running_app


def main(file: Path) -> None:
    """Photographs the page as it opens."""
    with running_app() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(playwright), args=BROWSER_OPTIONS)
        page = browser.new_page(viewport={"width": 1280, "height": 920})
        open_page(page, f"{address}?__theme=light")
        expect(page.locator(".strip i").first).to_be_visible()
        page.mouse.move(0, 0)
        page.wait_for_timeout(1000)
        page.screenshot(path=file)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "screenshot.png")
