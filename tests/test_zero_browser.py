"""The main paths of the page on a GPU that is lent, in a real browser; see tests/zero_gpu."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace

import pytest
from gradio_client import Client  # type: ignore[import-untyped]
from playwright.sync_api import Page, expect

from demo.compare import words
from demo.parts import words as common
from tests.adapters.conftest import make_bench, vowel_tokenizer
from tests.browsing import open_page, to_tab
from tests.serving import ROOT, Server

ANSWER = 60_000  # ms
STAND_IN = ROOT / "tests" / "zero_gpu"


@pytest.fixture(scope="module")
def zero(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    from tests import tiny

    home = tmp_path_factory.mktemp("zero")
    model = home / "model"
    base = replace(tiny.llama(), tokenizer=vowel_tokenizer(), id=str(model))
    base.model.save_pretrained(model)
    base.tokenizer.save_pretrained(model)
    make_bench(base, home / "adapters")
    shutil.rmtree(home / "adapters" / "burst")
    lent = {
        "SPACES_ZERO_GPU": "true",
        "PYTHONPATH": str(STAND_IN),
        "SPACES_CALLS_FILE": str(home / "calls"),
        "SPACES_QUOTA_FILE": str(home / "quota"),
        "OMP_NUM_THREADS": "1",
    }
    server = Server(home, str(model), lent)
    yield server
    server.stop()


@pytest.fixture
def client(zero: Server) -> Client:
    return Client(zero.address, verbose=False)


def calls(zero: Server) -> list[str]:
    file = zero.folder / "calls"
    return file.read_text().splitlines() if file.is_file() else []


def test_a_visitor_compares_checks_shares_and_replays(zero: Server, page: Page) -> None:
    open_page(page, zero.address)
    page.locator("#prompt textarea").fill("a e o a e o")
    expect(page.get_by_text(re.compile(r"^A run uses about \d+ s of your GPU quota"))).to_be_visible(timeout=ANSWER)
    page.get_by_label("Topic", exact=True).locator("visible=true").click()
    page.get_by_role("option", name="mood:up").first.click()
    before = len(calls(zero))
    page.get_by_role("button", name=words.RUN, exact=True).click()
    expect(page.get_by_role("button", name=words.RUN_AGAIN)).to_be_visible(timeout=ANSWER)
    assert len(calls(zero)) == before + 1
    page.get_by_role("button", name=words.PARITY).click()
    expect(page.get_by_text(re.compile(r"^Switched off, \d of \d panes"))).to_be_visible(timeout=ANSWER)
    page.get_by_role("button", name=common.SHARE, exact=True).first.click()
    link = page.locator(".link textarea").locator("visible=true")
    expect(link).to_have_value(re.compile(r"\?compare=[0-9a-f]{32}"), timeout=ANSWER)
    open_page(page, link.input_value())
    page.get_by_role("button", name=common.REPLAY, exact=True).locator("visible=true").click()
    expect(page.get_by_text(words.REPLAY_EQUAL).first).to_be_visible(timeout=ANSWER)


def test_programs_compare_and_score(client: Client, zero: Server) -> None:
    methods = ["base", "lora:verse", "prefix:facts", "pplm:mood:up"]
    rows = client.predict(prompt="a e o", methods=methods, seed=3, max_new_tokens=6, api_name="/compare")
    assert [row["method"] for row in rows] == methods
    assert all(row["tokens"] and row["perplexity"] for row in rows)
    before = len(calls(zero))
    with pytest.raises(Exception, match="nobody"):
        client.predict(prompt="a", methods=["lora:nobody"], seed=3, max_new_tokens=6, api_name="/compare")
    assert len(calls(zero)) == before, "refused before a GPU was asked for"
    scored = client.predict(prompts=["a e", "o a"], methods=["base", "lora:verse"], api_name="/score")
    assert "lora:verse" in json.dumps(scored)


def test_a_quota_that_is_used_up_is_said(zero: Server, client: Client) -> None:
    quota = zero.folder / "quota"
    quota.write_text("0")
    try:
        with pytest.raises(Exception, match="used up for now"):
            client.predict(prompt="a", methods=["base"], seed=3, max_new_tokens=6, api_name="/compare")
    finally:
        quota.unlink()


def test_a_look_inside_an_adapter(zero: Server, page: Page) -> None:
    open_page(page, zero.address)
    expect(page.locator(".pane").first).to_be_visible(timeout=ANSWER)
    to_tab(page, "Inside")
    page.get_by_label("Adapter", exact=True).locator("visible=true").click()
    page.get_by_role("option", name="verse").first.click()
    expect(page.get_by_text(re.compile(r"^verse changed \w+"))).to_be_visible(timeout=ANSWER)
