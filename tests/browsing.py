"""What tests of the page in a browser have in common."""

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page

LAPTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
in_every_look = pytest.mark.parametrize(
    ("theme", "viewport"),
    [(theme, viewport) for theme in ("light", "dark") for viewport in (LAPTOP, PHONE)],
    ids=["light laptop", "light phone", "dark laptop", "dark phone"],
)
NARROW = 500  # px; below it some tabs stand in a menu


def to_tab(page: Page, name: str) -> None:
    """Opens a tab, which on a phone may stand in the menu of those that have no room."""
    menu = page.locator(".overflow-menu button").locator("visible=true").first
    if page.viewport_size is not None and page.viewport_size["width"] < NARROW:
        menu.wait_for()  # until the page has found out which tabs have room, every one of them can be seen
    tab = page.get_by_role("tab", name=name, exact=True)
    if not tab.is_visible():
        menu.click()
        tab = page.locator(".overflow-dropdown").get_by_text(name, exact=True)
    tab.click()


def sideways(page: Page) -> bool:
    """Whether the page scrolls sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))


def violations(page: Page) -> dict[str, list[str]]:
    """The places where the page breaks a rule of axe's, by rule."""
    return {
        each["id"]: [node["html"][:200] for node in each["nodes"]] for each in Axe().run(page).response["violations"]
    }
