"""Tabs of the page in a browser."""

from playwright.sync_api import Page

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
