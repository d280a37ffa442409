"""What a person does to see what adapters have learned, in a real browser.

Without the embedded model or a browser these tests are skipped and say why; with CI=true that is a failure.
"""

import json
import re
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from demo.inside import words
from tests.browsing import flaws, open_page, tall_page, to_tab

SLOW, ANSWER = 240_000, 60_000  # ms; a busy machine takes its time
TAB = "Inside"


def open_tab(page: Page, address: str, theme: str = "light") -> None:
    open_page(page, f"{address}?__theme={theme}")
    expect(page.locator(".pane").first).to_be_visible(timeout=SLOW)
    to_tab(page, TAB)


def choose(page: Page, label: str, option: str | re.Pattern[str]) -> None:
    page.get_by_label(label, exact=True).locator("visible=true").click()
    page.get_by_role("option", name=option).first.click()


def test_a_lora_by_its_matrices_and_a_prefix_by_its_words(page: Page, address: str, tmp_path: Path) -> None:
    open_tab(page, address)
    choose(page, "Adapter", "scifi")
    expect(page.get_by_text(re.compile(r"^scifi changed \w+ \(.*\) in layer \d+ most"))).to_be_visible(timeout=ANSWER)
    expect(page.locator(".model button")).to_have_count(120, timeout=ANSWER)
    expect(page.locator(".js-plotly-plot:visible")).to_have_count(3, timeout=ANSWER)
    page.get_by_role("button", name=re.compile("^layer 30, q_proj")).click()
    chosen = page.get_by_role("button", name=re.compile("^layer 30, q_proj"), pressed=True)
    expect(chosen).to_be_visible(timeout=ANSWER)
    expect(page.get_by_label("Matrix", exact=True)).to_have_value(re.compile("^layer 30, q_proj"), timeout=ANSWER)
    page.get_by_role("button", name=words.DETAILS).click()
    expect(page.get_by_text("921,600 trained parameters in 120 modules")).to_be_visible(timeout=ANSWER)
    expect(page.get_by_text(re.compile("^layer 30, q_proj: .* 576 × 576"))).to_be_visible(timeout=ANSWER)
    with page.expect_download() as download:
        page.get_by_role("button", name=words.SAVE_NUMBERS).click()
    download.value.save_as(tmp_path / "scifi.json")
    assert len(json.loads((tmp_path / "scifi.json").read_bytes())["learned"]) == 120
    choose(page, "Adapter", "facts")
    expect(page.get_by_text(re.compile(r"facts draws .* of the attention"))).to_be_visible(timeout=SLOW)
    rows = page.locator(".quiet-table:visible").first.locator(".virtual-row")
    expect(rows.first).to_contain_text(" → ", timeout=SLOW)
    expect(rows.first).to_contain_text("%")
    page.get_by_role("button", name=words.PREFIX_DETAILS).click()
    expect(page.locator(".js-plotly-plot:visible")).to_have_count(3, timeout=ANSWER)
    expect(page.get_by_text("full fine-tuning").first).to_be_visible()  # the shipped costs


def test_no_flaws_in_any_look(browser: Browser, address: str) -> None:
    page = tall_page(browser)
    open_tab(page, address)
    for kind, name, line in (("lora", "poetry", "poetry changed "), ("prefix", "facts", "facts draws ")):
        choose(page, "Adapter", name)
        expect(page.get_by_text(line).first).to_be_visible(timeout=SLOW)
        assert flaws(page, f"inside-{kind}") == {}
    page.context.close()
