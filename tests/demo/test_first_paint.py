"""The page as plain HTML, before Gradio's script has built it."""

from demo.compare.record import find_comparison
from demo.compare.shared import on_share
from demo.front import Front, fronted
from demo.page import front
from demo.parts import words as common
from demo.parts.links import new_secret
from demo.services import Services
from tests.demo.compare.conftest import form, run

HOSTILE = '<img src=x onerror="alert(1)">'


def test_a_page_whose_examples_do_not_ship_has_none(services: Services) -> None:
    assert front(services, {}) == Front(common.TITLE, common.PURPOSE)


def test_a_shared_comparison_stands_there_with_its_texts_escaped(services: Services) -> None:
    boards = run(services, form(prompt=f"a {HOSTILE}", max_new_tokens=4))
    update, _ = on_share(services, boards[-1], f"mine {HOSTILE}", new_secret())
    id = str(update["value"]).removeprefix("?compare=")
    page = fronted("<html><body class='x'></body></html>", front(services, {"compare": id}))
    assert page.startswith("<html><body class='x'><style>")
    assert HOSTILE not in page
    assert page.count("a &lt;img src=x onerror=&#34;alert(1)&#34;&gt;") == len(
        find_comparison(services, id).board.panes
    )


def test_a_dead_link_and_a_run_have_no_first_texts(services: Services) -> None:
    assert front(services, {"compare": "0" * 32}).body == front(services, {"run": "0" * 32}).body == ""
