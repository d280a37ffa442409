"""What a person does with attributes: looks at a list, trains a discriminator and steers by it, in a real browser.

Without the embedded model or a browser these tests are skipped and say why; with CI=true that is a failure.
"""

import json
import random
import re

from playwright.sync_api import Browser, Page, expect

from demo.attributes import words as words_attributes
from demo.parts import words as text
from tests.browsing import expect_done, flaws, run, set_new_tokens, tall_page, to_tab
from tests.serving import Server

SLOW, ANSWER = 240_000, 30_000  # ms; a busy machine takes its time
FINISHED = re.compile("token limit|finished")


def open_tab(page: Page, address: str, theme: str = "light") -> None:
    page.goto(f"{address}?__theme={theme}")
    expect(page.locator(".pane").first).to_be_visible(timeout=SLOW)
    to_tab(page, "Attributes")
    expect(page.locator(".virtual-row").first).to_be_visible(timeout=SLOW)


def cells(page: Page) -> list[list[str]]:
    """The rows of the table of words."""
    rows = page.get_by_role("tabpanel").locator(".quiet-table:visible").first.locator(".virtual-row").all()
    return [row.get_by_role("gridcell").all_inner_texts() for row in rows]


def write_words(page: Page, words: str) -> None:
    page.get_by_role("textbox", name=re.compile("^Words")).fill(words)


def upload(page: Page, button: str, name: str, content: str) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name=button).locator("visible=true").click()
    chooser.value.set_files({"name": name, "mimeType": "text/plain", "buffer": content.encode()})


def test_a_list_shows_how_each_word_is_split(page: Page, address: str) -> None:
    open_tab(page, address)
    write_words(page, "laser:2, black hole, android")
    line = page.get_by_text("2 of 3 words steer at once, 1 cannot be used.")
    expect(line).to_be_visible(timeout=ANSWER)
    rows = cells(page)
    assert [row[:4] for row in rows] == [
        ["laser", "yes", "laser", "2"],
        ["black hole", "yes", "black | ·hole", "1"],
        ["android", "no", "and | roid", "1"],
    ]
    assert "'and' is a word by itself" in rows[2][4]
    upload(page, text.UPLOAD_LIST, "list.txt", "\n".join(f"w{place}" for place in range(100_000)))
    expect(page.get_by_text("A list has 100,000 words, at most 5,000 can be used: shorten it.")).to_be_visible(
        timeout=ANSWER
    )
    upload(page, text.UPLOAD_LIST, "list.csv", "word,weight\nwhale,3\nwhite shark,\n")
    expect(page.get_by_role("textbox", name=re.compile("^Words"))).to_have_value("whale:3, white shark", timeout=ANSWER)
    page.get_by_role("button", name=words_attributes.SEND_WORDS).click()
    expect(page.get_by_text(words_attributes.WORDS_SENT)).to_be_visible(timeout=ANSWER)
    to_tab(page, "Compare")
    pane = page.locator(".pane:visible").nth(3)
    expect(pane.get_by_role("heading")).to_have_text("PPLM own words", timeout=ANSWER)
    pane.get_by_role("button", name=re.compile("^Settings")).click()
    expect(pane.get_by_role("textbox", name="Own words")).to_have_value("whale:3, white shark", timeout=ANSWER)
    strength = pane.get_by_label("number input for Strength")
    strength.fill("999")
    page.keyboard.press("Tab")
    expect(pane.locator(".pane-head p")).to_contain_text("no limit,", timeout=ANSWER)  # the end of the scale
    expect(pane.locator(".pane-note")).not_to_be_visible()


def test_a_discriminator_is_trained_and_steers_at_once(page: Page, address: str, server: Server) -> None:
    draw = random.Random(0)
    nouns = {"sea": ["wave", "ship", "sail", "whale", "tide"], "land": ["field", "cow", "barn", "tractor", "fence"]}
    rows = [
        {"text": f"The {draw.choice(words)} and the {draw.choice(words)}, {place}.", "label": label}
        for place in range(12)
        for label, words in nouns.items()
    ]
    open_tab(page, address)
    upload(page, words_attributes.UPLOAD_ROWS, "rows.jsonl", json.dumps(rows[0]))
    expect(page.get_by_text("All rows have the label 'sea'")).to_be_visible(timeout=ANSWER)
    upload(page, words_attributes.UPLOAD_ROWS, "rows.jsonl", "\n".join(map(json.dumps, rows)))
    expect(page.get_by_text("24 texts: land 12, sea 12.")).to_be_visible(timeout=ANSWER)
    page.get_by_role("textbox", name=re.compile("^Name")).fill("place")
    page.get_by_role("button", name=words_attributes.TRAIN, exact=True).click()
    expect(page.get_by_text("Done: choose place:land, place:sea")).to_be_visible(timeout=SLOW)
    expect(page.get_by_text("held-out texts (95 % interval")).to_be_visible(timeout=ANSWER)
    assert (server.folder / "adapters" / "place" / "README.md").is_file()
    to_tab(page, "Compare")
    pane = page.locator(".pane:visible").nth(3)
    pane.get_by_label("Topic (PPLM)").fill("place:sea")
    page.get_by_role("option", name="place:sea").click()
    expect(pane.get_by_role("heading")).to_have_text("PPLM place:sea", timeout=ANSWER)
    set_new_tokens(page, 4)
    run(page, "We saw the")
    expect_done(page)
    assert page.locator(".legend .topic-0").count() == 0, "a discriminator marks nothing"
    to_tab(page, "Leaderboard")
    page.get_by_label("Methods").fill("pplm:place")
    expect(page.get_by_role("option", name="pplm:place:sea")).to_be_visible(timeout=ANSWER)


def test_no_flaws_in_any_look(browser: Browser, address: str) -> None:
    page = tall_page(browser)
    open_tab(page, address)
    write_words(page, "laser:2, android, quark")
    expect(page.get_by_text("words steer at once")).to_be_visible()
    assert flaws(page) == {}, "Attributes"
    page.context.close()
