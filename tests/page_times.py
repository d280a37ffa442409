"""Prints how fast the page is: first text, Gradio's page, layout shift, clicks. python -m tests.page_times"""

from playwright.sync_api import Page, sync_playwright

from demo.compare.examples import EXAMPLES
from tests.serving import BROWSER_OPTIONS, browser_path, running_app

VISITS = 3
WATCH = """window.shifted = 0;
new PerformanceObserver(list => list.getEntries().forEach(each => { window.shifted += each.value; }))
    .observe({type: 'layout-shift', buffered: true});
const looking = setInterval(() => {
    const first = document.querySelector('#first-paint .pane-text .text');
    if (first && first.checkVisibility({visibilityProperty: true})) window.readable ??= performance.now();
    if (window.readable && !first) { window.built = performance.now(); clearInterval(looking); }
}, 10);"""
CLICK = """title => new Promise(done => {
    const button = [...document.querySelectorAll('.examples button')].find(each => each.textContent.trim() === title);
    const look = document.querySelector('.block.look');
    const began = performance.now();
    const change = new MutationObserver(() => {
        change.disconnect();
        requestAnimationFrame(() => setTimeout(() => done(performance.now() - began)));
    });
    change.observe(look, {childList: true, subtree: true, characterData: true});
    button.click();
})"""


def visit(page: Page, address: str) -> str:
    """One line about a visit."""
    page.add_init_script(WATCH)
    page.goto(address)
    page.wait_for_function("window.built")
    page.wait_for_timeout(2000)
    clicks = []
    for example in EXAMPLES[1:4]:
        clicks.append(page.evaluate(CLICK, example.title))
        page.wait_for_timeout(1000)
    readable, built, shifted = page.evaluate("[window.readable, window.built, window.shifted]")
    told = ", ".join(f"{click / 1000:.2f}" for click in clicks)
    return f"first text {readable / 1000:.2f} s, page {built / 1000:.2f} s, shift {shifted:.3f}, clicks {told} s"


def main() -> None:
    """Visits a fresh app a few times, with an empty browser each time."""
    with running_app() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(playwright), args=BROWSER_OPTIONS)
        for _ in range(VISITS):
            context = browser.new_context(viewport={"width": 1280, "height": 800})
            print(visit(context.new_page(), address), flush=True)
            context.close()
        browser.close()


if __name__ == "__main__":
    main()
