"""The page as plain HTML, before Gradio's script has built it."""

import html
import io
import re
import time
from functools import partial

from PIL import Image, ImageColor, ImageFont
from starlette.responses import HTMLResponse
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from adapters.methods import BASE, Sampling, parse_method
from demo.compare.record import find_comparison
from demo.compare.shared import on_share
from demo.front import HEIGHT, WIDTH, Front, Fronts, fronted, lines, picture
from demo.look.theme import COLORS
from demo.page import front
from demo.parts import words as common
from demo.parts.links import new_secret
from demo.services import Services
from leaderboard.records import Prompt, PromptSet, RunSpec
from tests.demo.compare.conftest import form, run

HOSTILE = '<img src=x onerror="alert(1)">'


def test_a_page_whose_examples_do_not_ship_has_none(services: Services) -> None:
    assert front(services, {}) == Front(common.TITLE, common.PURPOSE)


def test_a_shared_comparison_stands_there_with_its_texts_escaped(services: Services) -> None:
    boards = run(services, form(prompt=f"a {HOSTILE}", max_new_tokens=4))
    update, _ = on_share(services, boards[-1], f"mine {HOSTILE}", new_secret())
    id = str(update["value"]).removeprefix("?compare=")
    assert front(services, {"compare": id}).title == f"mine {HOSTILE} · {common.TITLE}", (
        "the title that the sharer gave"
    )
    page = fronted("<html><body class='x'></body></html>", front(services, {"compare": id}), "")
    assert page.startswith("<html><body class='x'><style>")
    assert HOSTILE not in page
    panes = len(find_comparison(services, id).board.panes)
    assert page.count("a &lt;img src=x onerror=&#34;alert(1)&#34;&gt;") == panes + 1, "once beside the figures"


def test_a_dead_link_and_a_run_have_no_first_texts(services: Services) -> None:
    assert front(services, {"compare": "0" * 32}).body == front(services, {"run": "0" * 32}).body == ""


def test_a_comparison_has_a_picture_of_its_panes(services: Services) -> None:
    """Each pane's edge has the colour of its method; a prompt of any length and letters fits, and takes no time."""
    board = run(services, form(max_new_tokens=4))[-1]
    started = time.process_time()
    image = Image.open(io.BytesIO(picture("w" * 20_000 + " \u4e2d \U0001f40b", board)))
    assert time.process_time() - started < 5
    assert image.size == (WIDTH, HEIGHT)
    seen = {color for _, color in image.getcolors(1 << 20) or ()}
    assert {ImageColor.getrgb(COLORS[kind]) for kind in ("base", "lora", "prefix", "pplm")} <= seen
    assert list(lines("one two  three", ImageFont.load_default(22), 90)) == ["one two", "three"]


def test_the_picture_is_named_by_its_full_address_and_served(services: Services) -> None:
    update, _ = on_share(services, run(services, form(max_new_tokens=4))[-1], "", new_secret())
    link = str(update["value"])

    async def gradio(scope: Scope, receive: Receive, send: Send) -> None:
        await HTMLResponse("<html><head></head><body></body></html>")(scope, receive, send)

    client = TestClient(Fronts(gradio, partial(front, services)), base_url="http://inner")
    page = client.get(f"/{link}", headers={"x-forwarded-proto": "https", "host": "there.example"}).text
    address = f"https://there.example/preview.png{link}"
    assert f'<meta property="og:image" content="{address}">' in page
    found = client.get(f"/preview.png{link}")
    assert (found.status_code, found.headers["content-type"]) == (200, "image/png")
    assert client.get("/preview.png?compare=" + "0" * 32).status_code == 404
    assert "og:image" not in client.get("/").text, "no example ships for this base model"


def test_the_link_of_a_finished_run_shows_its_board_at_once(services: Services) -> None:
    prompts = PromptSet(f"mine {HOSTILE}", (Prompt("The movie was"), Prompt("The sea")))
    spec = RunSpec((BASE, parse_method("lora:verse")), 1, Sampling(max_new_tokens=3))
    run = services.runner.add(spec, prompts, None)
    assert front(services, {"run": run.id}).body == "", "it has no figures yet"
    assert list(services.runner.run(run.id))
    shown = front(services, {"run": run.id})
    assert shown.title == f"mine {HOSTILE} · {common.TITLE}"
    assert 'class="ranking"' in shown.body
    assert shown.description in html.unescape(re.sub("</p><p>", " ", shown.body))
    assert HOSTILE not in shown.body
