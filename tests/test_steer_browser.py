"""What a person does on the Steer tab: looks at a topic, tries it, trains a classifier, reads, in a real browser.

Without the embedded model or a browser these tests are skipped and say why; with CI=true that is a failure.
"""

import json
import random
import re

from playwright.sync_api import Browser, Locator, Page, expect

from demo.parts import words as text
from demo.steer import words
from tests.browsing import expect_done, flaws, open_page, run, set_new_tokens, settle, tall_page, to_tab
from tests.serving import Server

SLOW, ANSWER = 240_000, 30_000  # ms; a busy machine takes its time


def open_tab(page: Page, address: str, theme: str = "light") -> None:
    open_page(page, f"{address}?__theme={theme}")
    expect(page.locator(".pane").first).to_be_visible(timeout=SLOW)
    to_tab(page, "Steer")
    expect(chips(page).first).to_be_visible(timeout=SLOW)


def chips(page: Page) -> Locator:
    return page.locator(".chips .token")


def write_words(page: Page, typed: str) -> None:
    page.get_by_role("textbox", name=re.compile("^Words")).fill(typed)


def choose_topic(page: Page, search: str, name: str) -> None:
    page.get_by_role("combobox", name="Topic", exact=True).fill(search)
    page.get_by_role("option", name=name).click()


def upload(page: Page, button: str, name: str, content: str) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name=button).locator("visible=true").click()
    chooser.value.set_files({"name": name, "mimeType": "text/plain", "buffer": content.encode()})


def test_a_topic_is_found_tried_and_used_in_the_panes_under_its_name(page: Page, address: str) -> None:
    open_tab(page, address)
    choose_topic(page, "spa", "Space · Steerboard")
    expect(chips(page).filter(has_text="planet").first).to_be_visible(timeout=ANSWER)
    page.get_by_label("Start of the text").fill("Once upon a time there was a")
    page.keyboard.press("Enter")
    expect(page.get_by_text(re.compile(r"On topic: \d+ steered, \d+ in Base"))).to_be_visible(timeout=SLOW)
    base, steered = page.locator(".pair .pane-text").all_inner_texts()
    assert base != steered
    page.get_by_role("button", name=words.SEND_WORDS).click()
    expect(page.get_by_text("Every pane of Compare that has a topic now steers to Space")).to_be_visible(timeout=ANSWER)
    to_tab(page, "Compare")
    expect(page.locator(".pane:visible").nth(3).get_by_role("heading")).to_have_text("PPLM space", timeout=ANSWER)


def test_own_words_are_split_and_reach_the_panes_without_a_false_error(page: Page, address: str) -> None:
    open_tab(page, address)
    write_words(page, "laser:2, black hole, android")
    expect(page.get_by_text("2 steer at once, 1 cannot be used.")).to_be_visible(timeout=ANSWER)
    assert chips(page).all_inner_texts() == ["laser", "black hole", "android"]
    page.get_by_role("button", name=words.DETAILS).click()
    rows = page.locator(".quiet-table:visible").first.locator(".virtual-row")
    expect(rows).to_have_count(3, timeout=ANSWER)
    found = [row.get_by_role("gridcell").all_inner_texts() for row in rows.all()]
    assert [row[:4] for row in found] == [
        ["laser", words.NOW, "laser", "2"],
        ["black hole", words.NOW, "black | ·hole", "1"],
        ["android", words.UNUSED, "and | roid", "1"],
    ]
    assert "'and' is a word by itself" in found[2][4]
    upload(page, text.UPLOAD_LIST, "list.txt", "\n".join(f"w{place}" for place in range(100_000)))
    expect(page.get_by_text("A list has 100,000 words, at most 5,000 can be used: shorten it.")).to_be_visible(
        timeout=ANSWER
    )
    upload(page, text.UPLOAD_LIST, "list.csv", "word,weight\nwhale,3\nwhite shark,\n")
    expect(page.get_by_role("textbox", name=re.compile("^Words"))).to_have_value("whale:3, white shark", timeout=ANSWER)
    page.evaluate(
        """window.told = []; new MutationObserver(() => document.querySelectorAll('.pane-note').forEach(
            note => note.innerText.trim() && window.told.push(note.innerText.trim())
        )).observe(document.body, {childList: true, subtree: true, characterData: true})"""
    )
    page.get_by_role("button", name=words.SEND_WORDS).click()
    expect(page.get_by_text("now steers to own words")).to_be_visible(timeout=ANSWER)
    to_tab(page, "Compare")
    expect(page.locator(".pane:visible").nth(3).get_by_role("heading")).to_have_text("PPLM own words", timeout=ANSWER)
    page.wait_for_timeout(1500)
    assert page.evaluate("window.told") == [], "no pane says that its words are missing"


def test_the_slider_shows_a_text_at_each_strength(page: Page, address: str) -> None:
    open_tab(page, address)
    shown = page.locator(".strength-text .pane-text")
    expect(shown).to_contain_text("Once upon a time", timeout=ANSWER)
    steered = shown.inner_text()
    page.get_by_label("number input for Strength").last.fill("0")
    page.keyboard.press("Tab")
    expect(shown).not_to_have_text(steered, timeout=ANSWER)
    expect(page.get_by_text("Use strength 40: ")).to_be_visible()
    expect(page.get_by_text(words.REGION)).to_be_visible()


def test_a_discriminator_is_trained_and_steers_at_once(page: Page, address: str, server: Server) -> None:
    draw = random.Random(0)
    nouns = {"sea": ["wave", "ship", "sail", "whale", "tide"], "land": ["field", "cow", "barn", "tractor", "fence"]}
    rows = [
        {"text": f"The {draw.choice(choices)} and the {draw.choice(choices)}, {place}.", "label": label}
        for place in range(12)
        for label, choices in nouns.items()
    ]
    open_tab(page, address)
    page.get_by_role("button", name=words.TRAIN_OWN).click()
    upload(page, words.UPLOAD_ROWS, "rows.jsonl", json.dumps(rows[0]))
    expect(page.get_by_text("All rows have the label 'sea'")).to_be_visible(timeout=ANSWER)
    upload(page, words.UPLOAD_ROWS, "rows.jsonl", "\n".join(map(json.dumps, rows)))
    expect(page.get_by_text("24 texts: land 12, sea 12.")).to_be_visible(timeout=ANSWER)
    page.get_by_role("textbox", name=re.compile("^Name")).fill("place")
    page.get_by_role("button", name=words.TRAIN, exact=True).click()
    expect(page.get_by_text("Done: choose place:land, place:sea")).to_be_visible(timeout=SLOW)
    expect(page.get_by_text("held-out texts (guessing")).to_be_visible(timeout=ANSWER)
    assert (server.folder / "adapters" / "place" / "README.md").is_file()
    to_tab(page, "Compare")
    pane = page.locator(".pane:visible").nth(3)
    pane.get_by_label("Topic", exact=True).fill("place:sea")
    page.get_by_role("option", name="place:sea").click()
    expect(pane.get_by_role("heading")).to_have_text("PPLM place:sea", timeout=ANSWER)
    set_new_tokens(page, 4)
    run(page, "We saw the")
    expect_done(page)
    assert page.locator(".legend .topic-0").count() == 0, "a discriminator marks nothing"
    to_tab(page, "Leaderboard")
    page.get_by_label("Methods").fill("place:sea")
    expect(page.get_by_role("option", name="PPLM place:sea")).to_be_visible(timeout=ANSWER)


def test_no_flaws_in_any_look(browser: Browser, address: str) -> None:
    page = tall_page(browser)
    open_tab(page, address)
    write_words(page, "laser:2, android, quark")
    expect(page.get_by_text("steers at once,")).to_be_visible()
    for fold in (words.DETAILS, words.TRAIN_OWN, words.STRENGTH_DETAILS):
        page.get_by_role("button", name=fold).click()
        settle(page)
    assert flaws(page, "steer") == {}
    page.context.close()
