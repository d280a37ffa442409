"""What a person does on the page: the real app with the real model, in a real browser.

Without the embedded model or a browser these tests are skipped and say why; with CI=true that is a failure.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from adapters.pplm.word_list import NO_WORDS
from demo.compare import words
from demo.compare.examples import EXAMPLES, records
from demo.parts import words as common
from demo.xray import words as words_xray
from tests.browsing import (
    PROMPT,
    SETTINGS,
    SLOW,
    STOP,
    drawer,
    eventually,
    expect_done,
    flaws,
    open_page,
    panes,
    run,
    set_new_tokens,
    sideways,
    violations,
)
from tests.page_times import WATCH


@pytest.fixture
def app(page: Page, address: str) -> Iterator[Page]:
    """A fresh page at laptop width; whatever the test does, nothing is asked of any other host and nothing breaks."""
    elsewhere: list[str] = []
    errors: list[str] = []
    page.on(
        "request",
        lambda request: None if request.url.startswith((address, "data:", "blob:")) else elsewhere.append(request.url),
    )
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_viewport_size({"width": 1280, "height": 900})
    open_page(page, address)
    yield page
    stop = page.locator(".run").get_by_role("button", name=STOP)
    if stop.is_visible():
        stop.click()
    assert elsewhere == []
    assert errors == []


def texts(page: Page) -> list[str]:
    """The texts of all panes, prompts included, as they are read: the pieces and the ends of lines."""
    pieces = "f => [...f.querySelectorAll('.text, .line-break')].map(piece => piece.textContent || '\\n').join('')"
    found: list[str] = panes(page).locator(".pane-text .textfield").evaluate_all(f"fields => fields.map({pieces})")
    return found


def test_it_opens_on_a_finished_comparison_and_each_example_shows_its_own(app: Page) -> None:
    expect(app.get_by_label("Prompt")).to_have_value(records()[EXAMPLES[0].title]["prompt"])
    for example in [*EXAMPLES, EXAMPLES[0]]:
        app.get_by_role("button", name=example.title, exact=True).click()
        expect(app.locator(".block.look")).to_have_text(example.look)
        record = records()[example.title]
        expect(app.get_by_label("Prompt")).to_have_value(record["prompt"])
        stored = [" ".join((record["prompt"] + pane["text"]).split()) for pane in record["panes"]]
        eventually(app, lambda stored=stored: [" ".join(text.split()) for text in texts(app)] == stored)  # type: ignore[misc]
        expect(app.locator(".strip i")).not_to_have_count(0)
        expect(app.get_by_role("button", name=words.RUN_AGAIN, exact=True)).to_be_visible()


def test_texts_can_be_read_before_the_script_runs_and_nothing_moves_when_it_takes_over(
    page: Page, address: str
) -> None:
    page.set_viewport_size({"width": 1280, "height": 800})
    page.add_init_script(WATCH)
    page.route("**/assets/*.js", lambda route: route.abort())
    page.goto(address)
    first, second = (records()[example.title] for example in EXAMPLES[:2])
    pieces = page.locator("#first-paint .pane-text").all_text_contents()
    assert ["".join(text.split()) for text in pieces] == [
        "".join((first["prompt"] + pane["text"]).split()) for pane in first["panes"]
    ]
    expect(page.locator("#first-paint .pane-text .topic-0").first).to_be_visible()
    page.unroute("**/assets/*.js")
    page.reload(wait_until="commit")
    page.locator("#first-paint").get_by_role("button", name=EXAMPLES[1].title).dispatch_event("click")
    expect(page.locator("#first-paint")).to_have_count(0)
    expect(page.get_by_label("Prompt")).to_have_value(second["prompt"])
    assert page.evaluate("window.shifted") < 0.05
    assert page.evaluate("window.readable / window.built") < 0.7


def test_run_again_writes_the_example_live(app: Page) -> None:
    before = texts(app)
    app.get_by_role("button", name=words.RUN_AGAIN, exact=True).click()
    expect(app.locator(".status.running")).to_have_count(4)
    expect(app.locator(".run").get_by_role("button", name=re.compile(r"^Stop · \d+ (s|min) left$"))).to_be_visible(
        timeout=SLOW
    )
    expect_done(app)
    assert texts(app) == before
    expect(app.locator(".block.legend")).not_to_contain_text("written earlier")


def test_four_different_texts_stream_side_by_side(app: Page) -> None:
    names = panes(app).get_by_role("heading").all_inner_texts()
    assert names == ["Base", "LoRA austen", "Prefix facts", "PPLM space"]
    set_new_tokens(app, 12)
    run(app)
    expect(app.locator(".status.running")).to_have_count(4)
    first = app.wait_for_function(
        "() => { const t = [...document.querySelectorAll('.pane .status')].map(s => parseInt(s.textContent));"
        " return t[0] > 0 && t[0] < 11 && t[1] > 0 ? t : null }",
        timeout=SLOW,
    ).json_value()
    assert first[0] == first[1], "the unsteered panes step together"
    expect_done(app)
    assert len(set(texts(app))) == 4
    assert all(written.startswith(PROMPT) and len(written) > len(PROMPT) + 20 for written in texts(app))
    on_topic, perplexity, pairs, speed = (
        each.locator("b").all_inner_texts() for each in app.locator(".strip section").all()
    )
    assert all(re.fullmatch(r"\d+", one) for one in on_topic), on_topic
    assert all(re.fullmatch(r"[\d,]+\.\d|–", one) for one in perplexity), perplexity
    assert all(re.fullmatch(r"[01]\.\d\d", one) for one in pairs), pairs
    assert all(re.fullmatch(r"\d+\.\d", one) for one in speed), speed


def test_another_seed_writes_other_texts(app: Page) -> None:
    set_new_tokens(app, 4)
    run(app)
    expect_done(app)
    before = texts(app)
    app.get_by_role("button", name=words.SHUFFLE).click()
    expect(app.locator(".drawer").get_by_role("button", name=SETTINGS)).not_to_contain_text("seed 1 ·")
    run(app)
    expect_done(app)
    assert texts(app) != before


def test_texts_of_another_prompt_than_the_one_in_the_box_are_dimmed(app: Page) -> None:
    opacity = "pane => getComputedStyle(pane).opacity"
    first = panes(app).first.locator(".block.pane-text")
    assert first.evaluate(opacity) == "1"
    app.get_by_label("Prompt").fill("Another prompt")
    eventually(app, lambda: first.evaluate(opacity) == "0.45")
    app.get_by_label("Prompt").fill(records()[EXAMPLES[0].title]["prompt"])
    eventually(app, lambda: first.evaluate(opacity) == "1")
    app.get_by_role("button", name=EXAMPLES[3].title, exact=True).click()  # its prompt has two lines
    expect(app.get_by_label("Prompt")).to_have_value(records()[EXAMPLES[3].title]["prompt"])
    eventually(app, lambda: first.evaluate(opacity) == "1")


def test_stop_keeps_what_was_there_and_frees_the_model(app: Page) -> None:
    run(app)
    expect(panes(app).nth(3).locator(".status.running")).to_contain_text("token", timeout=SLOW)
    app.keyboard.press("Enter")
    expect(app.locator(".shared-note")).to_have_text(words.STILL_WRITING)
    app.locator(".run").get_by_role("button", name=STOP).click()
    expect(panes(app).nth(3).locator(".status")).to_contain_text(words.STOPPED)
    expect(app.get_by_role("button", name=words.RUN, exact=True)).to_be_visible()
    kept = texts(app)
    assert kept[3].startswith(PROMPT)
    app.wait_for_timeout(1000)
    assert texts(app) == kept
    set_new_tokens(app, 2)
    run(app, "Another day")
    expect_done(app)
    assert all(written.startswith("Another day") for written in texts(app))


def test_a_changed_setting_renames_the_pane_and_steers_the_next_text(app: Page) -> None:
    pane = panes(app).nth(3)
    before = texts(app)[3]
    pane.get_by_label("Topic", exact=True).click()
    app.get_by_role("option", name="science", exact=True).click()
    expect(pane.get_by_role("heading")).to_have_text("PPLM science")
    expect(pane.locator(".status")).to_have_text(words.CHANGED)
    assert texts(app)[3] == before
    pane.get_by_label("number input for Strength").fill("0")
    app.keyboard.press("Tab")
    expect(pane.locator(".block.pane-head")).to_contain_text("strength 0)")
    set_new_tokens(app, 4)
    run(app)
    expect_done(app)
    assert texts(app)[3] == texts(app)[0], "without strength it writes what the base writes"
    expect(pane.locator(".pane-note")).to_contain_text("Same text as Base. Raise the strength")


def test_the_drawer_sets_the_pane_that_is_chosen_in_it(app: Page) -> None:
    part = drawer(app, words.SETTINGS_OF_ONE)
    expect(part.get_by_role("radio", name="4 · PPLM space")).to_be_checked()
    part.get_by_role("button", name=words.MORE_SETTINGS).click()
    steps = part.get_by_label("number input for Steps per token (num_iterations)")
    steps.fill("2")
    app.keyboard.press("Tab")
    expect(panes(app).nth(3).locator(".block.pane-head")).to_contain_text("2 steps")
    part.get_by_role("radio", name="1 · Base").check()
    expect(steps).to_have_value("1")
    part.get_by_role("checkbox", name="Prefix").check()
    expect(panes(app).nth(0).get_by_role("heading")).to_have_text(re.compile("^Prefix "))
    expect(part.get_by_role("radio", name=re.compile("^1 · Prefix"))).to_be_checked()
    part.get_by_role("radio", name="4 · PPLM space").check()
    expect(steps).to_have_value("2")


def test_a_pane_can_push_ask_and_follow_experts(app: Page) -> None:
    """What a pane uses brings its choice and its lever; all of it is written in one run."""
    part, pane = drawer(app, words.SETTINGS_OF_ONE), panes(app).nth(3)
    for use, name in (("Logit push", "PPLM space + push space"), ("Best of several", None)):
        part.get_by_role("checkbox", name=use).check()
        expect(pane.get_by_role("heading")).to_have_text(name or "PPLM space + push space")
    expect(pane.locator(".block.pane-head")).to_contain_text("best of 10) · adds 3 nats")
    part.get_by_role("checkbox", name="PPLM").uncheck()
    expect(pane.get_by_role("heading")).to_have_text("Best of 10 space + push space")
    part.get_by_role("checkbox", name="Best of several").uncheck()
    expect(pane.get_by_role("heading")).to_have_text("Push space")
    pane.get_by_label("number input for Nats").fill("5")
    part.get_by_role("radio", name=re.compile("^3 · ")).check()
    expect(part.get_by_role("checkbox", name="Prefix")).to_be_checked()
    part.get_by_role("checkbox", name="Ask (instruction)").check()
    part.get_by_role("checkbox", name="Prefix").uncheck()
    ask = panes(app).nth(2)
    ask.get_by_label("Ask for").click()
    app.get_by_role("option", name=common.OWN_WORDS, exact=True).click()
    expect(ask.locator(".pane-note")).to_contain_text("There is no instruction")
    ask.get_by_label("Own instruction").fill("A sad poem about the sea:")
    expect(ask.locator(".block.pane-head")).to_contain_text("“A sad poem about the sea:” stands before the prompt")
    part.get_by_role("radio", name=re.compile("^2 · ")).check()
    expect(part.get_by_role("checkbox", name="LoRA")).to_be_checked()
    part.get_by_role("checkbox", name="Experts").check()
    expect(panes(app).nth(1).get_by_role("heading")).to_have_text(re.compile("^Experts .* over LoRA austen$"))
    set_new_tokens(app, 4)
    run(app)
    expect_done(app)
    assert len(set(texts(app))) >= 3
    app.get_by_role("button", name=words.PARITY).click()
    expect(app.locator(".shared-note")).to_contain_text("4 of 4 panes write exactly what Base writes", timeout=SLOW)


def test_panes_are_added_up_to_six_and_removed(app: Page) -> None:
    add = app.get_by_role("button", name=words.ADD)
    add.click()
    expect(panes(app)).to_have_count(5)
    expect(panes(app).nth(4).get_by_role("heading")).to_have_text("Push science")
    add.click()
    expect(panes(app)).to_have_count(6)
    expect(add).to_be_disabled()
    set_new_tokens(app, 2)
    part = drawer(app, words.SETTINGS_OF_ONE)
    expect(part.get_by_role("radio", name="6 · PPLM science over LoRA poetry")).to_be_checked()
    part.get_by_role("radio", name="1 · Base").check()
    part.get_by_role("button", name=words.REMOVE).click()
    expect(panes(app)).to_have_count(5)
    run(app)
    expect_done(app)
    assert all(written.startswith(PROMPT) for written in texts(app))


def test_parity_is_checked_pane_by_pane(app: Page) -> None:
    set_new_tokens(app, 3)
    app.get_by_role("button", name=words.PARITY).click()
    expect(app.locator(".shared-note")).to_contain_text("4 of 4 panes write exactly what Base writes", timeout=SLOW)
    notes = panes(app).locator(".pane-note").all_inner_texts()
    assert notes[0] == words.PARITY_BASE
    assert all(note == words.PARITY_EQUAL for note in notes[1:])


def test_the_xray_shows_the_step_of_a_clicked_token(app: Page) -> None:
    xray = app.get_by_role("button", name=words_xray.XRAY, exact=True).first
    set_new_tokens(app, 4)
    run(app)
    expect(xray).to_be_disabled()
    expect_done(app)
    written = texts(app)[3]
    xray.click()
    section = app.locator(".xray:visible")
    expect(section.get_by_role("button", name=words_xray.SAVE_RECORD)).to_be_enabled(timeout=SLOW)
    tokens = section.locator(".shaded-text:visible .text")
    expect(tokens).to_have_count(4)
    pieces: list[str] = tokens.evaluate_all("spans => spans.map(span => span.textContent)")
    assert PROMPT + "".join(pieces) == written, "the record is of the text in the pane"
    expect(section.locator(".step-line:visible")).to_contain_text("Token 1. Without steering: ")
    tokens.nth(2).click()
    expect(section.locator(".step-line:visible")).to_contain_text(f" With: {common.quote(pieces[2])} ")
    expect(section.locator(".js-plotly-plot:visible")).to_have_count(3)
    expect(section.locator(".ytick", has_text="←")).to_contain_text(pieces[2].strip())
    for name in (words_xray.NEXT_TAB, words_xray.EXPERT_TAB, words_xray.NUDGE_TAB):
        section.get_by_role("tab", name=name, exact=True).click()
        expect(section.locator(".js-plotly-plot:visible")).to_have_count({words_xray.NEXT_TAB: 4}.get(name, 3))
    section.get_by_role("tab", name=words_xray.UNDER_TAB, exact=True).click()
    expect(section.locator(".pane:visible")).to_have_count(3)
    section.locator(".pane:visible .shaded-text .text").first.click()
    expect(section.locator(".step-line:visible")).to_contain_text("LoRA austen −")
    with app.expect_download() as download:
        section.get_by_role("button", name=words_xray.SAVE_RECORD).click()
    saved = json.loads(Path(download.value.path()).read_bytes())
    assert [step["chosen"]["text"] for step in saved["xray"]["steps"]] == pieces
    app.set_viewport_size({"width": 390, "height": 844})
    assert not sideways(app)


def test_an_xray_can_be_stopped(app: Page) -> None:
    set_new_tokens(app, 16)  # long enough to be stopped
    run(app)
    expect_done(app)
    app.get_by_role("button", name=words_xray.XRAY, exact=True).first.click()
    section = app.locator(".xray:visible")
    expect(section.locator(".shared-note")).to_contain_text("Replaying", timeout=SLOW)
    section.get_by_role("button", name=common.STOP, exact=True).click()
    note = section.locator(".shared-note")  # what is seen of it: Gradio may leave a hidden word there
    expect(note).to_have_text(words_xray.XRAY_STOPPED, use_inner_text=True)
    expect(section.get_by_role("button", name=common.STOP, exact=True)).to_be_disabled()


def test_errors_stand_beside_the_controls(app: Page) -> None:
    prompt = app.get_by_label("Prompt")
    prompt.fill("1 " * 9000)
    app.keyboard.press("Enter")
    expect(app.locator(".shared-note")).to_contain_text(re.compile(r"Too long: .*\b40 new ones .*\b8192\b"))
    prompt.fill("   ")
    app.keyboard.press("Enter")
    expect(app.locator(".shared-note")).to_have_text(common.NO_PROMPT)
    pane = panes(app).nth(3)
    pane.get_by_label("Topic", exact=True).click()
    app.get_by_role("option", name=common.OWN_WORDS, exact=True).click()
    expect(pane.locator(".pane-note")).to_have_text(NO_WORDS)
    pane.get_by_role("textbox", name="Own words").fill("antidisestablishmentarianism")
    run(app)
    expect(pane.locator(".pane-note")).to_contain_text("antidisestablishmentarianism")
    expect(app.locator(".shared-note")).to_have_text(words.MEND_SOME)
    expect(panes(app).nth(0).locator(".status")).to_contain_text("token", timeout=SLOW)


def test_text_stays_text(app: Page) -> None:
    hostile = "<img src=x onerror=\"document.title='owned'\"> ${document.title='owned'} **bold** </script>\nsecond line"
    set_new_tokens(app, 1)
    run(app, hostile)
    expect_done(app)
    assert texts(app)[0].startswith(hostile)
    assert panes(app).locator("img, script, strong").count() == 0
    assert app.title() == common.TITLE


def test_four_panes_in_a_row_at_one_level_above_the_fold(app: Page) -> None:
    app.set_viewport_size({"width": 1280, "height": 800})
    boxes = [pane.bounding_box() for pane in panes(app).all()]
    levels = [pane.locator(".block.pane-text").bounding_box() for pane in panes(app).all()]
    assert len({(box["y"], box["height"]) for box in boxes if box}) == 1
    assert len({level["y"] for level in levels if level}) == 1
    assert len({box["x"] for box in boxes if box}) == 4
    assert boxes[0]
    assert boxes[0]["y"] <= 260
    strip = app.locator(".strip").bounding_box()
    assert strip
    assert strip["y"] + strip["height"] <= 800
    assert not sideways(app)
    app.set_viewport_size({"width": 1100, "height": 800})
    boxes = [pane.bounding_box() for pane in panes(app).all()]
    assert len({box["x"] for box in boxes if box}) == len({box["y"] for box in boxes if box}) == 2, "two by two"


def test_on_a_phone_base_stays_and_the_others_are_swiped_below_it(app: Page) -> None:
    app.set_viewport_size({"width": 390, "height": 844})
    base, *others = [pane.bounding_box() for pane in panes(app).all()]
    assert base
    assert all(other and other["y"] >= base["y"] + base["height"] for other in others)
    assert len({other["x"] for other in others if other}) == 3
    panes(app).nth(3).scroll_into_view_if_needed()
    moved = panes(app).first.bounding_box()
    assert moved
    assert abs(moved["x"] - base["x"]) < 1
    assert not sideways(app)
    box = app.get_by_role("button", name=words.RUN_AGAIN, exact=True).bounding_box()
    assert box is not None
    assert box["y"] > 844 / 2, "within reach of the thumb"
    drawer(app)
    assert not sideways(app)


def test_no_flaws_in_any_look(app: Page) -> None:
    assert app.get_by_role("heading", level=1).all_inner_texts() == [common.TITLE]
    assert flaws(app, "compare") == {}
    drawer(app, words.SETTINGS_OF_ONE).get_by_role("button", name=words.MORE_SETTINGS).click()
    assert violations(app) == {}


def test_a_link_shows_our_title_where_it_is_posted(app: Page, address: str) -> None:
    page = app.request.get(address).text()
    tags = re.findall(r'<meta\s+(?:property="og|name="twitter):(?:title|description)"\s+content="([^"]*)"', page)
    assert set(tags) == {common.TITLE, common.PURPOSE}
    assert "header-image" not in page
