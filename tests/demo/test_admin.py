"""The operator's page: who may see it, what it shows and deletes; over HTTP against the real app, and in a browser."""

import re
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from playwright.sync_api import Page, expect
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient

import demo.page
from adapters.lora.settings import LoraSettings
from adapters.methods import BASE, Sampling
from adapters.training.order import TrainOrder, TrainSettings
from adapters.training.queue import Trainer
from demo.admin import Admin, disk
from demo.gate import Door
from demo.services import Services
from leaderboard.records import Prompt, PromptSet, RunSpec
from tests.browsing import violations
from tests.serving import free_port

TOKEN = "not to be guessed"
EVIL = "\"><script>alert('x')</script>"
OWNER = "ab" * 32


class Desk(NamedTuple):
    """The real app with an operator."""

    services: Services
    address: str
    home: Path

    def post(self, told: str = "7.7.7.7", **fields: str) -> httpx.Response:
        return httpx.post(f"{self.address}admin", data=fields, headers={"x-forwarded-for": told}, timeout=30)

    def rows(self, title: str) -> list[list[str]]:
        """The cells of a list on the page, without tags."""
        text = self.post(token=TOKEN).text
        part = text.split(f"<h2>{title}</h2>")[1].split("<h2>")[0]
        return [re.findall("<td>(.*?)</td>", row) for row in re.findall("<tr>(.*?)</tr>", part, re.DOTALL)[1:]]

    def ids(self, title: str) -> list[str]:
        part = self.post(token=TOKEN).text.split(f"<h2>{title}</h2>")[1].split("<h2>")[0]
        return re.findall('name="id" value="(.*?)"', part)


@pytest.fixture
def desk(build: Callable[[Path], Services], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """With a run, a comparison and a waiting training of a visitor."""
    monkeypatch.setattr(Trainer, "_attend", lambda self: None)
    home = tmp_path / "home"
    services = build(home)
    spec = RunSpec((BASE,), sampling=Sampling(max_new_tokens=2))
    services.runner.add(spec, PromptSet(EVIL, (Prompt("One day"),)), OWNER)
    services.database.add_comparison({"title": EVIL, "prompt": "One day"}, OWNER)
    file = tmp_path / "sea.txt"
    file.write_text("\n\n".join(f"The sea was grey on day {day}." for day in range(20)))
    settings = TrainSettings(LoraSettings(r=1), steps=4, batch_size=2, max_length=16)
    services.trainer.start(TrainOrder("waves", settings), file, OWNER)
    blocks = demo.page.build_app(services)
    door = Door(proxies=1, admin=TOKEN, home=home)
    yield Desk(services, demo.page.start(services, blocks, "127.0.0.1", free_port(), door), home)
    blocks.close()


def test_without_a_token_of_the_operator_there_is_no_page(lasting: Services) -> None:
    admin = Middleware(Admin, services=lasting, door=Door(), lines=list)
    client = TestClient(Starlette(middleware=[admin]))
    for token in ("", "None"):
        assert client.post("/admin", data={"token": token}).status_code == 404
    assert client.get("/admin").status_code == 404


def test_only_the_token_opens_it_and_whoever_guesses_has_to_wait(desk: Desk) -> None:
    asked = httpx.get(f"{desk.address}admin")
    assert asked.status_code == 200
    assert "Runs" not in asked.text
    assert asked.headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in asked.headers["content-security-policy"]
    assert "set-cookie" not in asked.headers
    (id,) = desk.ids("Runs")
    for token in ("wrong", "", TOKEN[:-1], f"{TOKEN} ", "é"):
        refused = desk.post(token=token, deed="Delete run", id=id)
        assert (refused.status_code, "Runs" in refused.text) == (403, False)
    while desk.post(token="wrong").status_code == 403:
        pass
    answer = desk.post(token=TOKEN)
    assert (answer.status_code, answer.text) == (429, "Too many requests: wait a minute.")
    assert desk.post(told="8.8.8.8", token=TOKEN).status_code == 200, "another address"
    assert len(desk.services.database.runs(None, operator=True)) == 1, "nothing was deleted"


def test_it_shows_what_there_is_and_escapes_what_visitors_wrote(desk: Desk) -> None:
    text = desk.post(token=TOKEN).text
    assert EVIL not in text
    assert "<script" not in text
    assert "0 texts are being written, 0 requests wait" in text
    escaped = "&#34;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"
    ((_, prompts, state, owner),) = desk.rows("Runs")
    assert (prompts, state, owner) == (escaped, "stopped", "abababababab")
    assert [row[1] for row in desk.rows("Shared comparisons")] == [escaped]
    assert [row[:2] for row in desk.rows("Trainings")] == [["waves", "waiting"]]
    assert {row[0]: row[2] for row in desk.rows("Adapters and classifiers")}["verse"] == "command line"
    sizes = {row[0]: float(row[1]) for row in desk.rows("Disk")}
    assert sizes["adapters"] > 0
    assert sizes.keys() >= {"adapters", "jobs", "other files"}


def test_everything_can_be_deleted(desk: Desk) -> None:
    for title, deed in (("Runs", "Delete run"), ("Shared comparisons", "Delete comparison")):
        (id,) = desk.ids(title)
        assert f"{deed}: done." in desk.post(token=TOKEN, deed=deed, id=id).text
        assert desk.ids(title) == []
        assert "It is gone already." in desk.post(token=TOKEN, deed=deed, id=id).text
    assert "Delete adapter: done." in desk.post(token=TOKEN, deed="Delete adapter", id="verse").text
    assert "verse" not in desk.services.store.names
    assert not (desk.home / "adapters" / "verse").exists()
    (id,) = desk.ids("Trainings")
    assert "stop it first" in desk.post(token=TOKEN, deed="Delete training", id=id).text
    assert "Stop training: done." in desk.post(token=TOKEN, deed="Stop training", id=id).text
    desk.services.trainer._offer_ended()  # the thread that does so is not running here
    assert "Delete training: done." in desk.post(token=TOKEN, deed="Delete training", id=id).text
    assert desk.ids("Trainings") == []


def test_what_is_not_there_is_not_deleted(desk: Desk) -> None:
    before = sorted(path for path in desk.home.rglob("*") if "steerboard.db" not in path.name)
    deeds = ("Delete adapter", "Delete run", "Delete comparison", "Delete training", "Stop training", "Drop", "")
    for deed, id in product(deeds, ("", "..", "../steerboard.db", "a/b", "none-such", "x" * 500)):
        answer = desk.post(told=f"1.1.1.{len(deed)}", token=TOKEN, deed=deed, id=id)
        assert answer.status_code == 200
        assert "done" not in answer.text
    assert sorted(path for path in desk.home.rglob("*") if "steerboard.db" not in path.name) == before


def test_the_disk_is_counted_without_following_links(tmp_path: Path) -> None:
    (tmp_path / "inner" / "deep").mkdir(parents=True)
    (tmp_path / "inner" / "deep" / "a").write_bytes(bytes(3_000_000))
    (tmp_path / "b").write_bytes(bytes(1_000_000))
    (tmp_path / "link").symlink_to(tmp_path / "inner")
    assert disk(tmp_path) == [("inner", 3.0), ("other files", 1.0)]


def test_an_operator_deletes_a_run_in_a_browser(desk: Desk, page: Page) -> None:
    page.goto(f"{desk.address}admin")
    page.get_by_label("Token").fill("wrong")
    page.get_by_role("button", name="Open").click()
    expect(page.get_by_role("status")).to_contain_text("not the token")
    page.get_by_label("Token").fill(TOKEN)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Runs")).to_be_visible()
    assert violations(page) == {}
    expect(page.get_by_role("button", name="Delete run")).to_be_hidden()  # one click deletes nothing
    page.get_by_role("row", name="stopped").locator("summary").click()
    page.get_by_role("button", name="Delete run").click()
    expect(page.get_by_role("status")).to_have_text("Delete run: done.")
    expect(page.get_by_role("button", name="Delete run")).to_have_count(0)
    assert page.context.cookies() == []
