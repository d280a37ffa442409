"""Who is told apart from whom, and what the real app refuses of an hour, over HTTP and in a browser."""

import re
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
from playwright.sync_api import FilePayload, Page, expect
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

import demo.page
from adapters.decoding.visitors import DISK, TOKENS, UPLOADS, Allowance, Visitor
from adapters.methods import BASE, PPLM, Attribute, Method, Sampling
from demo.cookies import COOKIE, NETWORK, address, asking, find_visitor, new_cookie, read_key
from demo.gate import Door, Gate
from demo.parts.running import work
from demo.services import Services
from tests.browsing import open_page, to_tab
from tests.serving import free_port

KEY = b"k" * 32


def request(cookie: str = "", told: str = "", client: str = "9.9.9.9") -> Request:
    headers = [(b"cookie", cookie.encode()), (b"x-forwarded-for", told.encode())]
    return Request({"type": "http", "headers": headers, "client": (client, 1)})


def test_a_cookie_counts_only_if_we_signed_it() -> None:
    cookie = new_cookie(KEY, framed=False).partition(";")[0]
    visitor = find_visitor(request(cookie), KEY, 0)
    assert re.fullmatch("[0-9a-f]{32}", visitor.id)
    assert visitor == Visitor(visitor.id, "9.9.9.0/24", True)
    for forged in ("", f"{COOKIE}=", f"{COOKIE}=.", f"{COOKIE}={visitor.id}", f"{cookie}0", f"{cookie[:-1]}é"):
        assert find_visitor(request(forged), KEY, 0) == Visitor("9.9.9.9/32", "9.9.9.0/24", False)
    assert not find_visitor(request(cookie), b"another key", 0).cookie
    assert not find_visitor(request(new_cookie(b"", framed=False)), b"", 0).cookie


def test_a_cookie_is_for_this_page_only_and_no_script_reads_it() -> None:
    assert re.fullmatch(
        r"steerboard=[0-9a-f]{32}\.[0-9a-f]{64}; Path=/; HttpOnly; SameSite=Lax", new_cookie(KEY, False)
    )
    assert new_cookie(KEY, True).endswith("; Path=/; HttpOnly; SameSite=None; Secure; Partitioned")


@pytest.mark.parametrize(
    ("told", "client", "own", "network"),
    [
        ("1.2.3.4", "10.0.0.1", "1.2.3.4/32", "1.2.3.0/24"),
        ("7.7.7.7, 1.2.3.4", "10.0.0.1", "1.2.3.4/32", "1.2.3.0/24"),
        ("2001:db8:1:2:3::4", "10.0.0.1", "2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("::ffff:1.2.3.4", "10.0.0.1", "1.2.3.4/32", "1.2.3.0/24"),
        ("", "1.2.3.4", "1.2.3.4/32", "1.2.3.0/24"),
        ("nonsense", "10.0.0.1", "", ""),
    ],
)
def test_behind_a_proxy_the_address_is_the_one_that_the_proxy_saw(
    told: str, client: str, own: str, network: str
) -> None:
    asked = request(told=told, client=client)
    assert (address(asked, 1), address(asked, 1, NETWORK)) == (own, network)


def test_a_proxy_may_add_a_header_of_its_own() -> None:
    headers = [(b"x-forwarded-for", b"7.7.7.7"), (b"x-forwarded-for", b"1.2.3.4")]
    asked = Request({"type": "http", "headers": headers, "client": ("10.0.0.1", 1)})
    assert address(asked, 1) == "1.2.3.4/32"


def test_the_key_survives_a_restart_and_nobody_else_reads_it(tmp_path: Path) -> None:
    key = read_key(tmp_path)
    assert len(key) == 32
    assert read_key(tmp_path) == key
    (file,) = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def cookie_of(path: str, hourly: int = 20, cookie: str = "", framed: bool = False) -> str:
    """The cookie that an answer of the gate gives, where there are so many tokens an hour."""
    routes = [Route("/{path:path}", lambda _: PlainTextResponse("page"))]
    gate = Middleware(Gate, door=Door(key=KEY, framed=framed), allowance=Allowance({TOKENS: hourly}, asking))
    answer = TestClient(Starlette(routes=routes, middleware=[gate])).get(path, headers={"cookie": cookie})
    return str(answer.headers.get("set-cookie", ""))


def test_only_the_page_gives_a_cookie_and_only_to_who_has_none() -> None:
    assert cookie_of("/", hourly=0) == "", "there are no limits"
    given = cookie_of("/")
    assert given.endswith("SameSite=Lax")
    assert cookie_of("/", cookie=given.partition(";")[0]) == ""
    assert cookie_of("/", cookie=f"{COOKIE}=forged") != ""
    assert cookie_of("/gradio_api/queue/join") == ""
    assert cookie_of("/", framed=True).endswith("SameSite=None; Secure; Partitioned")


# The real app


def test_a_steered_token_counts_for_each_of_its_passes() -> None:
    steered = Method("steered", steering=PPLM((Attribute("science"),), num_iterations=3, best_of=2))
    assert work([BASE, Method("verse", lora="verse")], Sampling(max_new_tokens=50)) == 100
    assert work([BASE, steered], Sampling(max_new_tokens=10)) == 10 + 10 * 2 * (1 + 2 * 3)


Start = Callable[..., str]


@pytest.fixture
def start(services: Services) -> Iterator[Start]:
    """Serves the app with limits by the hour, behind a proxy; returns its address."""
    opened = []

    def start(**hourly: int) -> str:
        limited = services._replace(allowance=Allowance(hourly, asking))
        blocks = demo.page.build_app(limited)
        opened.append(blocks)
        return demo.page.start(limited, blocks, "127.0.0.1", free_port(), Door(key=KEY, proxies=1))

    yield start
    for blocks in opened:
        blocks.close()


def compare(address: str, tokens: int, client: httpx.Client | None = None, told: str = "1.2.3.4") -> str:
    """The last event of a call of /compare, as a program or as whoever has the client's cookie."""
    asked = client or httpx.Client()
    url, headers = f"{address}gradio_api/call/compare", {"x-forwarded-for": told}
    data = ["The movie was", ["base"], 1.0, 0, 1.0, 1.0, tokens, 0, False]
    event = asked.post(url, json={"data": data}, headers=headers).json()["event_id"]
    return asked.get(f"{url}/{event}", headers=headers, timeout=30).text.split("event: ")[-1]


def browser(address: str) -> httpx.Client:
    """A client that has opened the page, and so has a cookie."""
    client = httpx.Client()
    assert COOKIE in client.get(address, headers={"x-forwarded-for": "1.2.3.4"}).cookies
    return client


def test_texts_beyond_an_hours_worth_are_refused_before_they_begin(start: Start) -> None:
    address = start(**{TOKENS: 20})
    me, you = browser(address), browser(address)
    assert compare(address, 12, me).startswith("complete")
    assert "You have used 12 of 20 tokens of this hour, and this takes 12: again in 60 min." in compare(address, 12, me)
    assert compare(address, 8, me).startswith("complete")
    assert compare(address, 20, you).startswith("complete"), "another visitor of the same network"
    assert compare(address, 20).startswith("complete"), "a program, which has no cookie"
    assert "Without a cookie: your address has used 20 of 20 tokens" in compare(address, 1)
    assert compare(address, 1, told="1.2.3.5").startswith("complete"), "a neighbour"
    me.cookies.set(COOKIE, me.cookies[COOKIE][:-1] + "0")
    assert "Without a cookie" in compare(address, 1, httpx.Client(cookies={COOKIE: f"{'0' * 32}.{'0' * 64}"}))


def test_a_refused_prompt_costs_nothing(start: Start) -> None:
    address = start(**{TOKENS: 20})
    me = browser(address)
    url = f"{address}gradio_api/call/compare"
    data = ["The movie was", ["lora:unknown"], 1.0, 0, 1.0, 1.0, 20, 0, False]
    event = me.post(url, json={"data": data}).json()["event_id"]
    assert "unknown" in me.get(f"{url}/{event}", timeout=30).text
    assert compare(address, 20, me).startswith("complete")


def upload(client: httpx.Client, address: str, num_bytes: int) -> httpx.Response:
    files = {"files": ("a.txt", bytes(num_bytes))}
    return client.post(f"{address}gradio_api/upload", files=files, headers={"x-forwarded-for": "1.2.3.4"})


def test_uploads_are_refused_before_they_are_read(start: Start) -> None:
    address = start(**{UPLOADS: 2, DISK: 500_000})
    me = browser(address)
    assert upload(me, address, 300_000).status_code == 200
    refused = upload(me, address, 300_000)
    assert (refused.status_code, refused.text[:34]) == (429, "You have used 0.3 of 0.5 MB of thi")
    assert upload(me, address, 100_000).status_code == 200, "the refused one did not count"
    assert upload(me, address, 1).text.startswith("You have used 2 of 2 uploads of this hour, and this takes 1: again")
    assert upload(httpx.Client(), address, 600_000).text == (
        "This takes 0.6 MB, and 0.5 are allowed in an hour: ask for less."
    )


@pytest.mark.parametrize("queued", [True, False])
def test_every_kind_of_event_knows_who_asks(services: Services, queued: bool) -> None:
    def who() -> str:
        visitor = asking()
        return visitor.id if visitor else ""

    def steps() -> Iterator[str]:
        yield who()
        time.sleep(0.01)
        yield f"{who()}+"

    with gr.Blocks() as blocks:
        text = gr.Textbox()
        gr.Button().click(steps if queued else who, None, text, queue=queued)
    address = demo.page.start(services, blocks.queue(api_open=False), "127.0.0.1", free_port(), Door(key=KEY))
    me = httpx.Client(cookies=dict([new_cookie(KEY, False).partition(";")[0].split("=")]))
    body: dict[str, Any] = {"data": [], "fn_index": 0, "session_hash": "mine"}
    id = me.cookies[COOKIE].partition(".")[0]
    if queued:
        me.post(f"{address}gradio_api/queue/join", json=body)
        found = me.get(f"{address}gradio_api/queue/data?session_hash=mine", timeout=30).text
        assert f'"{id}"' in found
        assert f'"{id}+"' in found
    else:
        assert me.post(f"{address}gradio_api/run/predict", json=body).json()["data"] == [id]
    blocks.close()


def test_a_browser_shows_what_was_refused(start: Start, page: Page) -> None:
    open_page(page, start(**{TOKENS: 40, UPLOADS: 1}))
    page.get_by_label("Prompt").first.fill("The movie was")
    page.keyboard.press("Enter")
    expect(page.get_by_text("tokens, and 40 are allowed in an hour: ask for less.")).to_be_visible()
    to_tab(page, "Leaderboard")
    file = page.locator("input[type=file]").first
    for number, line in enumerate(("2 prompts · no duplicates", "1 of 1 uploads of this hour")):
        content: FilePayload = {"name": f"{number}.txt", "mimeType": "text/plain", "buffer": b"One day\nTwo days"}
        file.set_input_files(content)
        expect(page.get_by_text(line)).to_be_visible()
