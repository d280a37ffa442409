"""What a person does on the Leaderboard tab and with links: the real app with the real model, in a real browser.

Without the embedded model or a browser these tests are skipped and say why; with CI=true that is a failure.
"""

import json
import math
import re
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from demo.leaderboard import words as words_leaderboard
from demo.parts import words as text
from tests.browsing import LAPTOP, PHONE, eventually, flaws, open_page, run, set_new_tokens, settle, sideways, tall_page
from tests.large_run import large_run
from tests.serving import Server

HOSTILE = "<img src=x onerror=\"document.title='owned'\"> **bold**"
CSV = f'prompt,genre\nIn a distant galaxy,space\nThe sea is,verse\n"{HOSTILE.replace(chr(34), chr(34) * 2)}",verse\n'
METHODS = ["base", "lora:poetry", "pplm:science"]
TITLES = ["Base", "LoRA poetry", "PPLM science"]
SLOW = 240_000  # ms; a run on a busy machine


class Finished(NamedTuple):
    """A page that has just made a run, the link to it, and what was seen on the way."""

    page: Page
    link: str
    seen: list[str]


@pytest.fixture(scope="module")
def context(browser: Browser, server: Server) -> Iterator[BrowserContext]:
    """The browser of the one who makes things; nothing is asked of any other host and nothing breaks."""
    elsewhere: list[str] = []
    errors: list[str] = []
    context = browser.new_context(viewport=LAPTOP, accept_downloads=True)  # type: ignore[arg-type]
    known = (server.address, "data:", "blob:")
    context.on("request", lambda r: None if r.url.startswith(known) else elsewhere.append(r.url))
    context.on("weberror", lambda error: errors.append(str(error.error)))
    yield context
    context.close()
    assert elsewhere == []
    assert errors == []


@pytest.fixture(scope="module")
def finished(context: BrowserContext, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A run of three prompts, one of them hostile, by three methods."""
    page = open_leaderboard(context, server.address)
    file = tmp_path_factory.mktemp("upload") / "mine.csv"
    file.write_text(CSV, encoding="utf-8")
    upload(page, file)
    expect(page.get_by_role("button", name="3 prompts · no duplicates")).to_be_visible()
    choose(page, METHODS)
    set_lengths(page, texts=2, tokens=6)
    page.get_by_role("button", name=words_leaderboard.RUN, exact=True).click()
    seen = watch(page)
    return Finished(page, link_of(page), seen)


def open_leaderboard(context: BrowserContext, address: str) -> Page:
    page = context.new_page()
    open_page(page, address)
    page.get_by_role("tab", name="Leaderboard").click()
    expect(page.locator(".estimate .text")).to_be_visible(timeout=SLOW)
    return page


def upload(page: Page, file: Path) -> None:
    page.locator(".setup .start input[type=file]").set_input_files(file)


def choose(page: Page, methods: list[str]) -> None:
    """Takes away what is chosen and types other methods, as a person does."""
    box = page.get_by_label("Methods")
    box.click()
    for _ in range(4):
        page.keyboard.press("Backspace")
    for method in methods:
        box.fill(method)
        page.keyboard.press("Enter")
    page.keyboard.press("Escape")


def set_lengths(page: Page, texts: int, tokens: int) -> None:
    """Changes shared settings: unfold, type, fold."""
    fold = page.get_by_role("button", name=re.compile("a prompt · "))
    fold.click()
    page.wait_for_timeout(400)  # what is typed in the moment of unfolding is lost
    for label, value in (("Texts for each prompt", texts), ("New tokens", tokens)):
        page.locator(".setup").get_by_label(f"number input for {label}").fill(str(value))
        page.keyboard.press("Tab")
    expect(fold).to_contain_text(re.compile(rf"{texts} texts? a prompt .* {tokens} tokens"))
    fold.click()


def watch(page: Page) -> list[str]:
    """Waits for the end of a run; the different lines of progress on the way."""
    seen: list[str] = []
    line = page.locator(".tabitem:visible > .column > .shared-note")
    end = time.monotonic() + SLOW / 1000
    while not (seen and seen[-1].startswith("Done")):
        assert time.monotonic() < end, seen
        words = line.first.inner_text() if line.count() else ""
        if words and words not in seen[-1:]:
            seen.append(words)
        page.wait_for_timeout(100)
    return seen


def link_of(page: Page) -> str:
    """The whole address in the box, which the page's script completes after each filling."""
    whole = "() => document.querySelector('.results .link textarea')?.value.match(/^http.*\\?run=[0-9a-f]{32}$/)?.[0]"
    address = page.wait_for_function(whole).json_value()
    assert isinstance(address, str)
    return address


def inner(page: Page, name: str) -> None:
    """Opens an inner tab of the results, wherever the width of the page has put it."""
    if not page.locator(".results .tabs").first.is_visible():
        page.locator(".results").get_by_role("button", name=re.compile(f"^{words_leaderboard.DETAILS}")).click()
        page.wait_for_timeout(400)
    tab = page.locator(".results").get_by_role("tab", name=name, exact=True)
    if not tab.is_visible():
        page.locator(".results .overflow-menu button").first.click()
        tab = page.locator(".results .overflow-dropdown").get_by_text(name, exact=True)
    tab.click()


def rows(table: Locator) -> list[list[str]]:
    """What a table shows, row by row, from top to bottom."""
    cells = "rows => rows.map(row => [...row.querySelectorAll('[role=gridcell]')].map(cell => cell.innerText.trim()))"
    found: list[list[str]] = table.locator(".virtual-row").evaluate_all(cells)
    return found


def sort(table: Locator, heading: str, way: str) -> None:
    table.locator(f'th[title^="{heading}"]').locator(".cell-menu-button").click()
    table.page.get_by_role("menuitem", name=f"Sort {way}").click()
    settle(table.page)


def board(page: Page) -> Locator:
    return page.locator(".results .figures-table").first


# A run


def test_a_refused_upload_is_one_line_and_changes_nothing(
    context: BrowserContext, server: Server, tmp_path: Path
) -> None:
    page = open_leaderboard(context, server.address)
    before = page.get_by_role("button", name="no duplicates").inner_text()
    bad = tmp_path / "bad.csv"
    bad.write_text("question,answer\n1,2\n", encoding="utf-8")
    upload(page, bad)
    expect(page.locator(".setup .shared-note")).to_contain_text("'question', 'answer'")
    assert page.get_by_role("button", name="no duplicates").inner_text() == before
    page.close()


def test_a_run_streams_and_ends_with_its_table(finished: Finished) -> None:
    assert any(re.match(r"Writing · \d+ texts? · \d+ of at most 108 tokens", line) for line in finished.seen)
    ranking = finished.page.locator(".results .ranking tbody tr")
    expect(ranking).to_have_count(3)
    expect(finished.page.locator(".results .conclusion")).to_contain_text("Too few prompts to tell methods apart (3)")
    inner(finished.page, words_leaderboard.TABLE_TAB)
    table = rows(board(finished.page))
    assert [row[0] for row in table] == TITLES
    assert all(re.match(r"[\d,.]+$", row[1]) for row in table), f"three prompts have no interval: {table}"
    assert finished.page.locator(".bar progress").count() == 0


def test_a_click_on_a_row_or_a_point_shows_its_texts(finished: Finished) -> None:
    page = finished.page
    heading = page.locator(".texts-title h3")
    page.locator(".results .ranking tr[data-method='1']").click()
    expect(heading).to_have_text("Texts of LoRA poetry")
    settle(page)
    page.locator(".results .both .trade-off a[data-method='2']").press("Enter")
    expect(heading).to_have_text("Texts of PPLM science")
    expect(page.locator(".method-texts .virtual-row")).to_have_count(3)
    assert page.locator(".method-texts img").count() == 0


def test_an_upload_changes_the_estimate(context: BrowserContext, server: Server, tmp_path: Path) -> None:
    page = open_leaderboard(context, server.address)
    expect(page.locator(".estimate")).to_contain_text("32 texts")
    file = tmp_path / "two.txt"
    file.write_text("One\nTwo\n", encoding="utf-8")
    upload(page, file)
    expect(page.locator(".estimate")).to_contain_text("8 texts", timeout=SLOW)
    page.get_by_label("Your prompts").fill("One\nTwo\nThree")
    expect(page.locator(".estimate")).to_contain_text("12 texts", timeout=SLOW)
    page.close()


def test_text_stays_text(finished: Finished) -> None:
    page = finished.page
    inner(page, words_leaderboard.TEXTS_TAB)
    prompts = page.locator(".prompts-table")
    expect(prompts.locator(".virtual-row")).to_have_count(3)
    assert HOSTILE in [row[1] for row in rows(prompts)]
    prompts.get_by_text("<img").last.click()
    expect(page.locator(".chosen-prompt")).to_contain_text(HOSTILE)
    assert page.locator(".results img, .results .quiet-table strong, .results .pane strong").count() == 0
    assert page.title() == text.TITLE


def test_the_table_sorts_by_number_and_filters(finished: Finished) -> None:
    page = finished.page
    inner(page, words_leaderboard.TABLE_TAB)
    table = board(page)
    for way, least in (("ascending", False), ("descending", True)):
        sort(table, "perplexity", way)
        figures = [float(re.split(r"[\s★≈]", row[1])[0].replace(",", "")) for row in rows(table)]
        assert figures == sorted(figures, reverse=least)
    table.locator(".search-input").fill("lora")
    expect(table.locator(".virtual-row")).to_have_count(1)
    table.locator(".search-input").fill("")
    expect(table.locator(".virtual-row")).to_have_count(3)


def test_the_first_column_stays_while_the_table_is_scrolled(finished: Finished) -> None:
    page = finished.page
    inner(page, words_leaderboard.TABLE_TAB)
    cell = board(page).locator("[role=gridcell]").first
    before = cell.bounding_box()
    board(page).locator(".virtual-table-viewport").evaluate("view => view.scrollLeft = 400")
    settle(page)
    after = cell.bounding_box()
    assert before is not None
    assert after is not None
    assert after["x"] == pytest.approx(before["x"], abs=2)
    assert not sideways(page)


def test_a_slice_counts_fewer_prompts(finished: Finished) -> None:
    page = finished.page
    inner(page, words_leaderboard.TABLE_TAB)
    whole = rows(board(page))
    choose_slice(page, "genre = verse")
    eventually(page, lambda: rows(board(page)) != whole)
    choose_slice(page, words_leaderboard.ALL_PROMPTS)
    eventually(page, lambda: rows(board(page)) == whole)


def choose_slice(page: Page, name: str) -> None:
    page.locator(".results").get_by_label("Slice").click()
    page.get_by_role("option", name=name, exact=True).click()


def test_passports_and_cross_scores_are_there_on_demand(finished: Finished) -> None:
    page = finished.page
    inner(page, words_leaderboard.TABLE_TAB)
    page.get_by_role("button", name=words_leaderboard.PASSPORTS).click()
    expect(page.locator(".passports section").first).to_contain_text("exp(total loss")
    page.get_by_role("button", name=words_leaderboard.CROSS).click()
    cross = page.locator(".results .figures-table:visible").nth(1)
    expect(cross.locator("th", has_text="under lora:poetry").first).to_be_visible()
    page.get_by_role("button", name=words_leaderboard.PASSPORTS).click()
    page.get_by_role("button", name=words_leaderboard.CROSS).click()


def test_plots_have_names_intervals_and_the_pages_colours(finished: Finished) -> None:
    page = finished.page
    inner(page, words_leaderboard.PLOTS_TAB)
    plot = page.locator(".results .trade-off:visible").last
    expect(plot.locator(".name")).to_have_count(3)
    assert sorted(plot.locator(".name").all_text_contents()) == sorted(TITLES)
    assert plot.locator(".whisker").count() == 3
    page.locator(".results").get_by_role("combobox", name="Up", exact=True).click()
    page.get_by_role("option", name="distinct-2", exact=True).click()
    expect(page.locator(".results .trade-off:visible").last).to_contain_text("distinct-2, higher is better")
    for theme in ("dark", "light"):
        page.evaluate(f"document.body.classList.toggle('dark', {str(theme == 'dark').lower()})")
        ink = plot.locator(".name").first.evaluate("name => getComputedStyle(name).fill")
        assert ink == page.evaluate("getComputedStyle(document.querySelector('.results .link-head h2')).color"), theme


def test_the_worst_prompt_is_found_and_read_side_by_side(finished: Finished) -> None:
    page = finished.page
    inner(page, words_leaderboard.TEXTS_TAB)
    prompts = page.locator(".prompts-table")
    page.get_by_label("Order").click()
    page.get_by_role("option", name=words_leaderboard.HIGHEST_FIRST.format(method="base"), exact=True).click()

    def figures() -> list[float]:
        return [float(row[3].replace(",", "")) for row in rows(prompts)]

    eventually(page, lambda: figures() == sorted(figures(), reverse=True))
    found = rows(prompts)
    prompts.locator(".virtual-row").nth(1).locator("[role=gridcell]").nth(1).click()
    expect(page.locator(".chosen-prompt")).to_contain_text(f"Prompt {found[1][0]}")
    sides = page.locator(".samples:visible")
    expect(sides).to_have_count(3)
    assert sides.get_by_role("heading").all_inner_texts() == ["Base", "LoRA poetry", "PPLM science"]
    for side in sides.all():
        heads = side.locator(".highlighted").all_inner_texts()
        assert [head.strip().split(" · ")[0] for head in heads] == ["Text 1", "Text 2"]


def test_everything_can_be_saved(finished: Finished, tmp_path: Path) -> None:
    page = finished.page
    inner(page, words_leaderboard.FILES_TAB)
    saved = {}
    for button in words_leaderboard.FILES.values():
        with page.expect_download() as download:
            page.get_by_role("button", name=button, exact=True).click()
        name = download.value.suggested_filename
        download.value.save_as(tmp_path / name)
        saved[name] = (tmp_path / name).read_bytes()
    lines = [json.loads(line) for line in saved["mine-texts.jsonl"].splitlines()]
    assert len(lines) == 18
    assert {line["prompt"] for line in lines} == {"In a distant galaxy", "The sea is", HOSTILE}
    assert saved["mine-texts.parquet"].startswith(b"PAR1")
    assert b"perplexity" in saved["mine-table.csv"]
    assert not re.search(rb"""(src|href)\s*=\s*["']?(https?:)?//""", saved["mine-report.html"])


def test_a_replay_says_identical(finished: Finished) -> None:
    page = finished.page
    inner(page, words_leaderboard.FACTS_TAB)
    expect(page.locator(".results .facts")).to_contain_text("sha256 of lora:poetry")
    page.locator(".results").get_by_role("button", name=text.REPLAY, exact=True).click()
    expect(page.locator(".replay-note")).to_contain_text("18 texts, identical", timeout=SLOW)


def test_a_run_is_repeated_at_once_and_stands_beside_the_first(finished: Finished) -> None:
    page = finished.page
    page.get_by_label("Methods").click()
    page.keyboard.press("Backspace")
    page.keyboard.press("Escape")
    expect(page.locator(".estimate")).to_contain_text("12 texts, all stored already", timeout=SLOW)
    page.get_by_role("button", name=words_leaderboard.RUN, exact=True).click()
    link = page.locator(".results .link textarea")
    expect(link).not_to_have_value(finished.link, timeout=SLOW)
    earlier = page.locator(".earlier")
    expect(earlier.locator(".virtual-row")).to_have_count(3)
    earlier.locator(".virtual-row").nth(1).locator("[role=gridcell]").first.click()
    expect(link).to_have_value(finished.link)
    inner(page, words_leaderboard.BESIDE_TAB)
    page.get_by_label("Other run").click()
    page.get_by_role("option").first.click()
    table = page.locator(".results .figures-table:visible")
    expect(table.locator(".virtual-row")).to_have_count(3)
    beside = rows(table)
    assert beside[0][1] == beside[0][2], "the same texts have the same figures"
    assert beside[2][2] == "–", "the other run does without this method"


def test_stop_keeps_what_is_done_and_resume_goes_on(context: BrowserContext, server: Server) -> None:
    page = open_leaderboard(context, server.address)
    choose(page, ["base", "pplm:positive"])
    set_lengths(page, texts=1, tokens=8)
    page.get_by_role("button", name=words_leaderboard.RUN, exact=True).click()
    expect(page.locator(".newest .virtual-row").first).to_be_visible(timeout=SLOW)
    page.get_by_role("button", name=text.STOP, exact=True).first.click()
    resume = page.get_by_role("button", name=words_leaderboard.RESUME, exact=True)
    expect(resume).to_be_visible(timeout=SLOW)
    expect(page.locator(".results .block.link-head")).to_contain_text("· stopped")
    resume.click()
    expect(page.locator(".bar progress")).to_be_visible(timeout=SLOW)
    watch(page)
    expect(resume).to_be_hidden()
    expect(page.locator(".results .block.link-head")).not_to_contain_text("stopped")
    page.close()


def test_finished_texts_stand_in_the_table_beside_the_methods(
    context: BrowserContext, server: Server, tmp_path: Path
) -> None:
    page = open_leaderboard(context, server.address)
    page.get_by_label("Your prompts").fill("One day\nThe sea is")
    choose(page, ["base"])
    set_lengths(page, texts=1, tokens=3)
    file = tmp_path / "people.csv"
    file.write_text(f'prompt,text\nOne day,we sang\nThe sea is,"{HOSTILE.replace(chr(34), chr(34) * 2)}"\n')
    fold = page.get_by_role("button", name=re.compile("a prompt · "))
    fold.click()
    page.locator(".setup .drop input[type=file]").set_input_files(file)
    expect(page.locator(".estimate")).to_contain_text("and 2 texts of people", timeout=SLOW)
    page.get_by_label("Name of the texts").fill("<b>Ours</b>")
    expect(page.locator(".estimate")).to_contain_text("and 2 texts of <b>Ours</b>", timeout=SLOW)
    page.get_by_label("Base twice (A/A)").check()
    expect(page.locator(".estimate")).to_contain_text("4 texts", timeout=SLOW)
    page.get_by_role("button", name=words_leaderboard.RUN, exact=True).click()
    watch(page)
    open_page(page, link_of(page))
    ranking = page.locator(".results .ranking tbody")
    expect(ranking.locator("tr")).to_have_count(3)
    assert sorted(ranking.locator("th").all_inner_texts()) == ["<b>Ours</b>", "Base", "Base again"]
    ours = ranking.locator("tr", has_text="Ours")
    assert ours.locator("td strong").all_inner_texts()[-2:] == ["–", "–"]
    ours.locator("a").click()
    expect(page.locator(".method-texts")).to_contain_text("we sang")
    expect(page.locator(".texts-title h3")).to_have_text("Texts of <b>Ours</b>")
    assert page.locator(".results b:not(.interval b), .method-texts img").count() == 0
    page.close()


# Links


class Shared(NamedTuple):
    """A page that has shared a comparison, the link to it, and the texts in its panes."""

    page: Page
    link: str
    texts: list[str]


@pytest.fixture(scope="module")
def shared(context: BrowserContext, server: Server) -> Shared:
    """A comparison of a hostile prompt."""
    page = context.new_page()
    open_page(page, server.address)
    share = page.get_by_role("button", name=text.SHARE, exact=True)
    set_new_tokens(page, 5)
    run(page, HOSTILE)
    expect(share).to_be_disabled()
    expect(share).to_be_enabled(timeout=SLOW)
    share.click()
    link = page.locator(".link textarea")
    expect(link).to_have_value(re.compile(r"^http.*\?compare=[0-9a-f]{32}$"))
    return Shared(page, link.input_value(), page.locator(".pane:visible .pane-text").all_inner_texts())


@pytest.fixture(scope="module")
def restarted(finished: Finished, shared: Shared, server: Server) -> None:
    """The app was stopped and started again after the run and the comparison."""
    server.stop()
    server.start()


@pytest.mark.usefixtures("restarted")
def test_a_run_outlives_a_restart_and_only_its_maker_can_delete_it(finished: Finished, browser: Browser) -> None:
    stranger = browser.new_context(viewport=LAPTOP)  # type: ignore[arg-type]
    page = stranger.new_page()
    open_page(page, finished.link)
    expect(page.get_by_role("tab", name="Leaderboard")).to_have_attribute("aria-selected", "true")
    expect(page.locator(".results .link-head h2")).to_have_text("mine")
    expect(page.locator(".results .ranking tbody tr")).to_have_count(3)
    assert page.locator(".setup:visible").count() == 0
    assert page.get_by_role("button", name=text.DELETE, exact=True).count() == 0
    inner(page, words_leaderboard.TEXTS_TAB)
    expect(page.locator(".samples:visible")).to_have_count(3)

    mine = finished.page.context.new_page()
    open_page(mine, finished.link)
    mine.get_by_role("button", name=text.DELETE, exact=True).click()
    mine.get_by_role("button", name=text.DELETE_YES).click()
    expect(mine.locator(".results .link-head h2")).to_have_text("Deleted")
    for address in (finished.link, finished.link[:-1], re.sub("run=.*", "compare=x", finished.link)):
        open_page(page, address)
        expect(page.locator(".block.missing")).to_contain_text(text.NOTHING_HERE)
        assert page.get_by_role("tab").count() == 0
    stranger.close()


@pytest.mark.usefixtures("restarted")
def test_a_comparison_is_opened_elsewhere_after_a_restart_replayed_and_deleted(
    shared: Shared, browser: Browser
) -> None:
    stranger = browser.new_context(viewport=PHONE)  # type: ignore[arg-type]
    other = stranger.new_page()
    open_page(other, shared.link)
    expect(other.locator(".pane:visible").first).to_contain_text("<img", timeout=SLOW)
    assert other.locator(".pane:visible .pane-text").all_inner_texts() == shared.texts
    assert other.locator(".pane img, .pane strong").count() == 0
    assert other.get_by_label("Prompt").count() == 0
    assert other.get_by_role("button", name=text.DELETE, exact=True).count() == 0
    assert not sideways(other)
    other.get_by_role("button", name=text.REPLAY, exact=True).click()
    expect(other.locator(".shared-note:visible")).to_contain_text("4 texts, identical", timeout=SLOW)
    with other.expect_download() as download:
        other.get_by_role("button", name=text.REPORT).click()
    assert "<img" not in Path(download.value.path()).read_text(encoding="utf-8")

    page = shared.page
    open_page(page, shared.link)
    page.get_by_role("button", name=text.DELETE, exact=True).click()
    page.get_by_role("button", name=text.DELETE_YES).click()
    expect(page.locator(".block.link-head:visible")).to_contain_text("Deleted")
    open_page(other, shared.link)
    expect(other.locator(".block.missing")).to_contain_text(text.NOTHING_HERE)
    stranger.close()


# A large run, widths, themes


@pytest.fixture(scope="module")
def large(server: Server) -> str:
    """The address of a run of 500 prompts, 6 methods and 3 texts, as the command line would have left it."""
    return f"{server.address}?run={large_run(f'sqlite:///{server.database}')}"


def takes_less(seconds: float, action: Callable[[], float]) -> bool:
    """Whether the action can be that fast: attempts that take longer say how busy the machine is."""
    return any(action() < seconds for _ in range(20))


def seconds_to(browser: Browser, address: str, seen: Callable[[Page], None]) -> float:
    """How long a fresh browser takes from the address to what is to be seen."""
    context = browser.new_context(viewport=LAPTOP)  # type: ignore[arg-type]
    page = context.new_page()
    started = time.perf_counter()
    open_page(page, address)
    seen(page)
    seconds = time.perf_counter() - started
    context.close()
    return seconds


@pytest.mark.timed
def test_a_large_run_opens_at_once(large: str, browser: Browser) -> None:
    """It takes at most twice as long as the plain page, on this machine, however busy."""

    def plain_page(page: Page) -> None:
        expect(page.locator(".pane-head").first).to_be_visible(timeout=SLOW)

    def table(page: Page) -> None:
        expect(page.locator(".results .ranking tbody tr")).to_have_count(6, timeout=SLOW)

    plain, opened = math.inf, math.inf
    for _ in range(10):
        plain = min(plain, seconds_to(browser, large.partition("?")[0], plain_page))
        opened = min(opened, seconds_to(browser, large, table))
        if opened < 2 * plain:
            return
    pytest.fail(f"{opened:.2f} s, the plain page {plain:.2f} s")


@pytest.mark.timed
def test_a_prompt_of_a_large_run_is_read_at_once(large: str, browser: Browser) -> None:
    context = browser.new_context(viewport=LAPTOP)  # type: ignore[arg-type]
    page = context.new_page()
    open_page(page, large)
    expect(page.locator(".results .ranking tbody tr")).to_have_count(6, timeout=SLOW)
    inner(page, words_leaderboard.TEXTS_TAB)
    expect(page.locator(".samples:visible")).to_have_count(6, timeout=SLOW)
    numbers = cycle(range(2, 8))

    def drilled() -> float:
        number = next(numbers)
        cell = page.locator(".prompts-table .virtual-row").nth(number - 1).locator("[role=gridcell]").nth(1)
        started = time.perf_counter()
        cell.click()
        expect(page.locator(".chosen-prompt")).to_contain_text(f"Prompt {number}", timeout=SLOW)
        return time.perf_counter() - started

    assert takes_less(1, drilled)
    context.close()


INNER = [
    words_leaderboard.TABLE_TAB,
    words_leaderboard.PLOTS_TAB,
    words_leaderboard.TEXTS_TAB,
    words_leaderboard.BESIDE_TAB,
    words_leaderboard.FACTS_TAB,
    words_leaderboard.FILES_TAB,
]


def test_no_flaws_in_any_look(large: str, server: Server, browser: Browser) -> None:
    page = tall_page(browser)
    open_page(page, large)
    expect(page.locator(".results .ranking tbody tr")).to_have_count(6, timeout=SLOW)
    for name in INNER:
        inner(page, name)
        assert flaws(page) == {}, name
    open_page(page, server.address)
    page.get_by_role("tab", name="Leaderboard").click()
    page.get_by_role("button", name=re.compile("a prompt · ")).click()
    page.get_by_role("button", name="no duplicates").click()
    assert flaws(page, "leaderboard") == {}
    open_page(page, f"{server.address}?run=x")
    expect(page.locator(".block.missing")).to_be_visible()
    assert flaws(page) == {}, "missing"
    page.context.close()
