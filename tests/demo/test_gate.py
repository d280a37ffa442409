"""The gate before Gradio: sizes, paces, foreign pages, headers; and the real app behind it."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from adapters.decoding.visitors import Allowance
from demo import gate
from demo.cookies import asking
from demo.gate import FRAME, HEADERS, MAX_BODY, UPLOAD, Door, Gate

BIG = Door(max_upload=20_000_000)


async def read(request: Request) -> Response:
    """Says how much it was sent, with Gradio's headers for other pages."""
    headers = {
        "access-control-allow-origin": request.headers.get("origin", ""),
        "access-control-allow-credentials": "true",
    }
    return PlainTextResponse(str(len(await request.body())), headers=headers)


def client(door: Door = BIG, host: str = "http://board.example", **paces: int) -> TestClient:
    routes = [Route("/{path:path}", read, methods=["GET", "POST"])]
    settings = {"paces": {name.replace("_", "/"): most for name, most in paces.items()}} if paces else {}
    return TestClient(
        Starlette(routes=routes, middleware=[Middleware(Gate, door=door, allowance=Allowance({}, asking), **settings)]),
        base_url=host,
    )


def parts(total: int) -> Iterator[bytes]:
    """A body whose length is not said beforehand."""
    for _ in range(total // 100_000):
        yield bytes(100_000)


def test_a_body_is_bounded_whether_its_length_is_said_or_not() -> None:
    app = client()
    assert app.post("/gradio_api/queue/join", content=bytes(MAX_BODY)).text == str(MAX_BODY)
    for body in (bytes(MAX_BODY + 1), parts(MAX_BODY + 200_000)):
        answer = app.post("/gradio_api/queue/join", content=body)
        assert (answer.status_code, answer.text) == (413, "This is larger than 8 MB: send less.")


def test_an_upload_has_a_bound_of_its_own() -> None:
    app = client()
    assert app.post(UPLOAD, content=bytes(BIG.max_upload + FRAME)).status_code == 200
    assert app.post(UPLOAD, content=bytes(BIG.max_upload + FRAME + 1)).status_code == 413
    assert app.post(UPLOAD, content=parts(BIG.max_upload + 2 * FRAME + 100_000)).status_code == 413


@pytest.mark.parametrize("length", ["-1", "many", "1e3"])
def test_a_length_that_is_no_number_is_refused(length: str) -> None:
    assert client().post("/", content=b"x", headers={"content-length": length}).status_code == 413


@pytest.mark.parametrize(
    "path",
    [
        "/openapi.json", "/gradio_api/openapi.json", "/docs", "/redoc", "/monitoring", "/monitoring/summary",
        "/gradio_api/proxy=http://other", "/gradio_api/deep_link", "/gradio_api/vibe-code/", "/gradio_api/dev/reload",
    ],
)  # fmt: skip
def test_routes_that_nothing_uses_are_not_there(path: str) -> None:
    assert client().get(path).status_code == 404


def test_answers_carry_our_headers_and_no_leave_for_foreign_pages() -> None:
    app = client()
    own = app.get("/", headers={"origin": "http://board.example"})
    assert own.headers["access-control-allow-origin"] == "http://board.example"
    foreign = app.get("/", headers={"origin": "http://evil.example"})
    assert not any(name.startswith("access-control") for name in foreign.headers)
    for answer in (own, foreign, app.get("/openapi.json"), app.post("/", content=bytes(MAX_BODY + 1))):
        assert HEADERS.items() <= answer.headers.items()


def test_another_page_cannot_use_an_app_on_this_machine() -> None:
    local = client(host="http://127.0.0.1:7860")
    assert local.post("/", headers={"origin": "http://evil.example"}).status_code == 403
    assert local.post("/", headers={"origin": "null"}).status_code == 403
    assert local.post("/", headers={"origin": "http://localhost:7860"}).status_code == 200
    assert local.post("/").status_code == 200, "a program has no origin"
    assert client().post("/", headers={"origin": "https://board.example"}).status_code == 200, "behind a proxy"


def test_one_address_has_a_pace_and_the_others_have_their_own() -> None:
    app = client(Door(proxies=1), _api_=3)

    def ask(address: str) -> int:
        return int(app.get("/api/", headers={"x-forwarded-for": f"9.9.9.9, {address}"}).status_code)

    assert [ask("1.2.3.4") for _ in range(4)] == [200, 200, 200, 429]
    assert ask("1.2.3.5") == 200
    assert [ask(f"2001:db8::{n}") for n in range(4)] == [200, 200, 200, 429], "a household has 64 bits of these"
    assert app.get("/other").status_code == 200


def test_what_a_visitor_says_of_the_address_counts_only_behind_proxies() -> None:
    app = client(_api_=1)
    assert [app.get("/api/", headers={"x-forwarded-for": f"1.1.1.{n}"}).status_code for n in range(2)] == [200, 429]


def test_a_body_that_stops_coming_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "IDLE_SECONDS", 0.05)
    sent: list[int] = []

    async def receive() -> Message:
        if sent:
            await asyncio.sleep(5)
        sent.append(1)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()

    async def send(message: Message) -> None:
        raise AssertionError("the app answers nothing")

    async def stall() -> None:
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b"", "server": ("a", 1)}
        await Gate(app, BIG, Allowance({}, asking))(scope, receive, send)

    with ThreadPoolExecutor(1) as elsewhere, pytest.raises(HTTPException) as caught:  # a browser's loop may run here
        elsewhere.submit(asyncio.run, stall()).result()
    assert caught.value.status_code == 408
