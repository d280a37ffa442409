"""What tests of the page in a browser share."""

import re
import time
from collections.abc import Callable

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, FloatRect, Locator, Page, expect

from demo.compare import words
from tests.looks import looked

LAPTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
PROMPT = "In a distant galaxy"
STOP = re.compile("^Stop")
SETTINGS = re.compile("^Settings")
SLOW = 240_000  # ms; a steered text on a busy machine
TALL = 5000  # px; nothing lies over a text
BY_WIDTH = ("color-contrast", "scrollable-region-focusable", "target-size")  # axe's rules that depend on the layout
NARROW = 500  # px; below it some tabs are in a menu
STILL = """() => {
    const moving = document.getAnimations().filter(each => each.playState === 'running'
        && each.effect.getComputedTiming().iterations !== Infinity).length;
    const empty = [...document.querySelectorAll('[aria-label="Empty value"]')].some(each => each.checkVisibility());
    const seen = [document.body.innerHTML.length, document.documentElement.scrollHeight, window.innerWidth].join();
    const still = !moving && !empty && seen === window.lastSeen;
    window.lastSeen = seen;
    return still;
}"""


def open_page(page: Page, address: str) -> None:
    """Opens the app, and waits until Gradio's page stands in the place of the first texts."""
    page.goto(address)
    expect(page.locator("gradio-app .main")).to_be_attached()
    expect(page.locator("#first-paint")).to_have_count(0)


def to_tab(page: Page, name: str) -> None:
    """Opens a tab, which may be in the menu on a phone."""
    menu = page.locator(".overflow-menu button").locator("visible=true").first
    if page.viewport_size is not None and page.viewport_size["width"] < NARROW:
        menu.wait_for()  # until the page has measured its tabs, all of them are visible
    tab = page.get_by_role("tab", name=name, exact=True)
    if not tab.is_visible():
        menu.click()
        tab = page.locator(".overflow-dropdown").get_by_text(name, exact=True)
    tab.click()


def settle(page: Page) -> None:
    """Waits until every visible plot is drawn and two looks, 0.3 s apart, see the same page."""
    page.wait_for_function(STILL, polling=300)


def eventually(page: Page, holds: Callable[[], bool], seconds: float = 30) -> None:
    """Waits until something holds that `expect` cannot say; raises AssertionError if it never does."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not within {seconds} s"
        page.wait_for_timeout(100)


def sideways(page: Page) -> bool:
    """Whether the page scrolls sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))


def violations(page: Page, *rules: str) -> dict[str, list[str]]:
    """The places where the page breaks one of axe's rules (all of them unless some are named), by rule."""
    options = {"runOnly": list(rules)} if rules else None
    found = Axe().run(page, options=options).response["violations"]
    return {each["id"]: [node["html"][:200] for node in each["nodes"]] for each in found}


def tall_page(browser: Browser) -> Page:
    """A laptop's page in a context of its own, so tall that everything on it is visible."""
    return browser.new_context(viewport={"width": LAPTOP["width"], "height": TALL}).new_page()


def flaws(page: Page, screen: str = "") -> dict[str, object]:
    """What is wrong with the page: sideways scrolling, axe's rules on a laptop and a phone, contrast in the dark.

    With the name of a screen also how it differs from the pictures that are kept of it, in light and dark.
    """
    found: dict[str, object] = {}
    for device, size, rules in (("phone", PHONE, BY_WIDTH), ("laptop", LAPTOP, ())):
        page.set_viewport_size({"width": size["width"], "height": TALL})
        settle(page)
        found |= {f"{device} sideways": True} if sideways(page) else {}
        found |= {device: broken} if (broken := violations(page, *rules)) else {}
        found |= changes(page, screen, f"{device}-light")
    page.evaluate("document.body.classList.add('dark')")
    settle(page)
    found |= {"dark": broken} if (broken := violations(page, "color-contrast")) else {}
    found |= changes(page, screen, "laptop-dark")
    if screen:
        page.set_viewport_size({"width": PHONE["width"], "height": TALL})
        settle(page)
        found |= changes(page, screen, "phone-dark")
    page.evaluate("document.body.classList.remove('dark')")
    return found


def changes(page: Page, screen: str, look: str) -> dict[str, object]:
    """How a screen differs from the picture of it in this look; nothing without a name."""
    if not screen:
        return {}
    height = page.evaluate("document.querySelector('gradio-app .tabs').getBoundingClientRect().bottom")
    size = page.viewport_size or LAPTOP
    page.mouse.move(0, 0)
    clip: FloatRect = {"x": 0, "y": 0, "width": size["width"], "height": min(height, size["height"])}
    differs = looked(f"{screen}-{look}", page.screenshot(clip=clip, animations="disabled"))
    return {look: differs} if differs else {}


# The Compare tab


def panes(page: Page) -> Locator:
    return page.locator(".pane:visible")


def run(page: Page, prompt: str = PROMPT) -> None:
    """Types a prompt and presses Enter."""
    page.get_by_label("Prompt").fill(prompt)
    page.keyboard.press("Enter")
    expect(page.locator(".run").get_by_role("button", name=STOP)).to_be_visible()


def drawer(page: Page, tab: str = words.SETTINGS_OF_ALL) -> Locator:
    """Opens the drawer of settings at one of its tabs."""
    part = page.locator(".drawer")
    fold = part.get_by_role("button", name=SETTINGS)
    if not part.get_by_role("tab").first.is_visible():
        fold.click()
        page.wait_for_timeout(400)  # what is typed in the moment of unfolding is lost
    part.get_by_role("tab", name=tab).click()
    return part


def set_new_tokens(page: Page, tokens: int) -> None:
    """Changes a shared setting, as a person does: unfold, type, fold."""
    part = drawer(page)
    part.get_by_label("number input for New tokens").fill(str(tokens))
    page.keyboard.press("Tab")
    fold = part.get_by_role("button", name=SETTINGS)
    expect(fold).to_contain_text(f"{tokens} tokens")
    fold.click()


def expect_done(page: Page) -> None:
    """Waits until no pane is running."""
    expect(page.get_by_role("button", name=words.RUN_AGAIN, exact=True)).to_be_visible(timeout=SLOW)
    expect(page.locator(".pane:visible .status", has_text=re.compile("token limit|finished"))).to_have_count(
        panes(page).count()
    )
