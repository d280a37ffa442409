"""What a person does with training: uploads a text, watches the curve move, uses the adapter in a pane, deletes it.

In a real browser, with the real app and a tiny random model: each training is a process of its own that has to import
torch before its first step (10 s of the time here), and measures the adapter at its end, which takes minutes with the
embedded model.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, FilePayload, Locator, Page, expect

from adapters.base_model import BaseModel
from demo.train import words as words_train
from tests.browsing import flaws, open_page, run, tall_page, to_tab
from tests.serving import Server

SLOW, ANSWER = 240_000, 30_000  # ms; a busy machine takes its time
SEA = "\n\n".join(f"The sea was grey on day {day}, and the wind came from the north." for day in range(40))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder of its own, for what is trained."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def address(folder: Path, tiny_llama: BaseModel) -> Iterator[str]:
    model = folder / "tiny"
    tiny_llama.model.save_pretrained(model)
    tiny_llama.tokenizer.save_pretrained(model)
    server = Server(folder, str(model))
    yield server.address
    server.stop()


def open_tab(page: Page, address: str, name: str = "Train", theme: str = "light") -> None:
    open_page(page, f"{address}?__theme={theme}")
    expect(page.locator(".pane").first).to_be_visible(timeout=SLOW)
    to_tab(page, name)


def paste(page: Page, text: str) -> None:
    page.get_by_label(words_train.CONTROLS["pasted"].label).fill(text)


def fill_settings(page: Page, **values: str) -> None:
    """Shows all settings and writes these."""
    page.get_by_role("radio", name=words_train.ADVANCED).click()
    expect(page.get_by_role("button", name=re.compile("learning rate"))).to_be_visible(timeout=ANSWER)
    page.wait_for_timeout(500)  # what is typed in the moment of unfolding is lost
    for name, value in values.items():
        field = page.get_by_label(words_train.CONTROLS[name].label, exact=True)
        field.fill(value)
        field.blur()


def start(page: Page, name: str) -> None:
    page.get_by_role("textbox", name=re.compile("^Name Of the new")).fill(name)
    page.get_by_role("button", name=words_train.START, exact=True).click()


def small_card(page: Page, name: str) -> Locator:
    return page.locator(".adapter-cards label").filter(has=page.locator(f'input[value="{name}"]'))


def test_a_text_is_uploaded_trained_on_used_and_its_adapter_deleted(page: Page, address: str, folder: Path) -> None:
    open_tab(page, address)
    paste(page, "Only one.")
    expect(page.get_by_text("give at least 2")).to_be_visible(timeout=ANSWER)
    drop = FilePayload(name="sea.txt", mimeType="text/plain", buffer=SEA.encode())
    page.locator(".drop input[type=file]").set_input_files(drop)
    expect(page.get_by_text("measuring included").first).to_be_visible(timeout=ANSWER)
    expect(page.get_by_role("textbox", name=re.compile("^Name Of the new"))).to_have_value("sea-lora", timeout=ANSWER)
    fill_settings(page, steps="40", batch_size="4", max_length="64", eval_every="5", patience="0", sample_every="10")
    expect(page.get_by_role("button", name=re.compile("40 steps of 4 × 64 tokens"))).to_be_visible(timeout=ANSWER)
    start(page, "../sea")
    expect(page.get_by_text("Give it a name")).to_be_visible(timeout=ANSWER)
    start(page, "sea")
    expect(page.locator(".training-head")).to_contain_text("sea: ", timeout=ANSWER)
    points = page.locator(".training .js-plotly-plot .scatterlayer .point")
    expect(points.first).to_be_visible(timeout=SLOW)
    open_tab(page, address)  # the training goes on, and is found again
    expect(page.locator(".training-head")).to_contain_text("sea is ready: ", timeout=SLOW)
    expect(points).to_have_count(9, timeout=ANSWER)  # a check every 5 steps, and the ring around the best
    expect(page.locator(".says").last).to_contain_text("step 40", timeout=ANSWER)
    expect(small_card(page, "sea")).to_contain_text("Yours", timeout=ANSWER)
    assert (folder / "adapters" / "sea" / "README.md").is_file()
    use_in_a_pane(page)
    to_tab(page, "Train")
    small_card(page, "sea").click()
    expect(page.get_by_role("heading", name="sea", exact=True)).to_be_visible(timeout=ANSWER)
    with page.expect_download(timeout=ANSWER) as download:
        page.get_by_role("button", name=words_train.DOWNLOAD, exact=True).click()
    assert download.value.suggested_filename == "sea.zip"
    delete(page)
    assert not (folder / "adapters" / "sea").exists()
    to_tab(page, "Compare")
    run(page, "The sea is")
    expect(page.get_by_text("There is no LoRA adapter 'sea'").first).to_be_visible(timeout=SLOW)


def use_in_a_pane(page: Page) -> None:
    """Takes the new adapter to Compare, where a pane has it without a reload, and writes with it."""
    page.get_by_role("button", name=words_train.TRY, exact=True).click()
    pane = page.locator(".pane:visible").nth(1)
    expect(pane.get_by_role("heading")).to_have_text("LoRA sea", timeout=ANSWER)
    run(page, "The sea was")
    expect(pane.locator(".status")).to_contain_text(re.compile("token limit|finished"), timeout=SLOW)


def delete(page: Page) -> None:
    page.get_by_role("button", name="Delete", exact=True).locator("visible=true").click()
    page.get_by_role("button", name="Delete for good").locator("visible=true").click()
    expect(page.get_by_text("sea is deleted")).to_be_visible(timeout=ANSWER)
    expect(small_card(page, "sea")).to_have_count(0, timeout=ANSWER)


def test_no_flaws_in_any_look(browser: Browser, address: str) -> None:
    page = tall_page(browser)
    open_tab(page, address)
    page.get_by_role("radio", name=words_train.ADVANCED).click()
    assert flaws(page, "train") == {}
    page.context.close()
