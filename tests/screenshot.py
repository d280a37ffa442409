"""Takes the screenshot in README.md from the real app: python -m tests.screenshot [file]"""

import re
import sys
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from tests.serving import BROWSER_OPTIONS, ROOT, browser_path, running_app

EXAMPLE = "In a distant galaxy"
MINUTES = 60_000  # ms


def main(file: Path) -> None:
    """Continues an example in the four panes and photographs the page when all have ended."""
    with running_app() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(playwright), args=BROWSER_OPTIONS)
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.goto(f"{address}?__theme=light")
        page.get_by_role("button", name=EXAMPLE).click()
        expect(page.get_by_label("Prompt")).to_have_value(EXAMPLE)
        page.get_by_role("button", name="Generate", exact=True).click()
        ended = page.locator(".pane:visible .status", has_text=re.compile("token limit|finished"))
        expect(ended).to_have_count(4, timeout=10 * MINUTES)
        page.mouse.move(0, 0)
        page.wait_for_timeout(1000)
        page.screenshot(path=file)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "screenshot.png")
