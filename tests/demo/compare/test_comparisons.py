"""Shared comparisons: kept, read, written again; and the page that shows one."""

import base64
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gradio as gr
import pytest

from adapters.methods import Sampling, UserError, to_json
from demo.compare.comparisons import Comparison, find_comparison, make_record, read_record, replay
from demo.compare.form import Form, PaneForm
from demo.compare.run import check_parity, compare
from demo.compare.shared import (
    SharedPage,
    lay_out_shared,
    on_delete,
    on_replay,
    on_report,
    on_share,
    open_shared,
)
from demo.parts import words as text
from demo.parts.board import Board
from demo.parts.links import COMPARE, RUN, Link, new_secret, owner_of
from demo.parts.panes import ERROR
from demo.parts.running import changed
from demo.services import Services
from tests.demo.fake_runs import FakeRunner
from tests.demo.fakes import TEXTS, FakeEngine, FakeFingerprints, fake_services

ME = new_secret()
PANES = {0: PaneForm(), 1: PaneForm(lora="poetry"), 3: PaneForm(attribute="science"), 4: PaneForm(prefix="facts")}


@pytest.fixture
def services() -> Services:
    return fake_services()


@pytest.fixture
def page(services: Services) -> Iterator[SharedPage]:
    with gr.Blocks():
        yield lay_out_shared(services)


def finished(services: Services, prompt: str = "The movie was") -> Board:
    form = Form(prompt, PANES, to_json(Sampling()), seed=11)
    return list(compare(services, form, Board()))[-1]


def shared(services: Services, prompt: str = "The movie was") -> str:
    """The id of a comparison that this browser has shared."""
    update, _ = on_share(services, finished(services, prompt), ME)
    return str(update["value"]).removeprefix("?compare=")


def found(services: Services, prompt: str = "The movie was") -> Comparison:
    return find_comparison(services, shared(services, prompt))


def test_only_a_finished_comparison_can_be_shared(services: Services) -> None:
    form = Form("The movie was", PANES, to_json(Sampling()))
    *growing, last = compare(services, form, Board())
    assert last.outcome is not None
    assert all(board.outcome is None for board in growing)
    assert growing[-1].stop().outcome is None


def test_what_is_shown_can_be_shared_until_it_is_replaced(services: Services) -> None:
    board = finished(services)
    assert board.stop().outcome is board.outcome
    assert board.refuse(UserError("no")).outcome is board.outcome
    form = Form("The movie was", PANES, to_json(Sampling()))
    assert list(check_parity(services, form, board))[-1].outcome is board.outcome


def test_a_record_is_json_and_holds_what_a_replay_needs(services: Services) -> None:
    board = finished(services)
    assert board.outcome is not None
    record = json.loads(json.dumps(make_record(services, board, board.outcome), allow_nan=False))
    assert record["version"] == 1
    assert record["seed"] == 11
    assert record["hashes"] == {
        "base": "esab",
        "lora:poetry": "yrteop:arol",
        "prefix:facts": "stcaf:xiferp",
        "words:science": "ecneics:sdrow",
    }
    assert [pane["text"] for pane in record["panes"]] == [TEXTS[kind] for kind in ("base", "lora", "pplm", "prefix")]
    assert all(len(pane["token_ids"]) == len(pane["logprobs"]) > 0 for pane in record["panes"])
    comparison = read_record(services, record)
    assert list(comparison.requests.values()) == list(board.outcome.requests.values())
    assert comparison.sampling == board.outcome.sampling


def test_numbers_that_json_does_not_have_are_null(services: Services) -> None:
    board = finished(services)
    assert board.outcome is not None
    rows = [row._replace(logprobs=(math.nan, -math.inf)) for row in board.outcome.rows]  # type: ignore[attr-defined]
    record = make_record(services, board, board.outcome._replace(rows=rows))
    assert record["panes"][0]["logprobs"] == [None, None]
    json.dumps(record, allow_nan=False)


def test_the_page_shows_what_was_shared(services: Services) -> None:
    board = finished(services)
    assert board.outcome is not None
    before, after = board.panes, read_record(services, make_record(services, board, board.outcome)).board.panes
    assert [(view.spans, view.figures, view.status) for view in after.values()] == [
        (view.spans, view.figures, view.status) for view in before.values()
    ]


def test_a_diverged_text_is_shared_as_such(services: Services) -> None:
    view = found(services, "DIVERGE").board.panes[2]
    assert view.note == text.DIVERGED
    assert view.is_error


def test_a_record_of_a_newer_release_is_not_read(services: Services) -> None:
    record = services.database.comparison(shared(services))
    assert record is not None
    with pytest.raises(UserError, match="newer release"):
        read_record(services, record | {"version": 2})


def test_a_replay_says_identical(services: Services) -> None:
    *going, last = replay(services, found(services))
    assert all(board.running for board in going)
    assert "of at most 60 tokens" in going[0].message
    assert last.message == "Identical: 4 texts written again, token for token."
    assert last.panes[0].note == "Replay: identical, token for token (36 tokens)."
    assert not last.running


def test_a_replay_shows_the_first_token_that_differs(services: Services) -> None:
    comparison = found(services)
    ids = list(comparison.token_ids[0])
    ids[3] = ids[0]
    last = list(replay(services, comparison._replace(token_ids=[tuple(ids), *comparison.token_ids[1:]])))[-1]
    assert last.panes[0].note == "Replay: token 4 differs: “ long” now, “ a” then."
    assert last.message == "1 of 4 texts differ."


def test_a_replay_says_what_has_changed_since(services: Services) -> None:
    comparison = found(services)
    fingerprints = FakeFingerprints()
    fingerprints.changed = {"lora:poetry"}
    now = services._replace(fingerprints=fingerprints, versions={"torch": "2.14.0"})
    assert list(replay(now, comparison))[-1].message.endswith("Changed since: lora:poetry, torch 2.13.0 → 2.14.0.")
    methods = [request.method for request in comparison.requests.values()]
    assert changed(services, methods, comparison.hashes, comparison.versions) == []


def test_a_replay_that_cannot_be_says_why_and_keeps_the_texts(services: Services) -> None:
    comparison = found(services)
    request = comparison.requests[1]
    gone = comparison.requests | {1: request._replace(method=replace(request.method, lora="gone"))}
    (board,) = replay(services, comparison._replace(requests=gone))
    assert "There is no LoRA adapter 'gone'" in board.message
    assert board.is_error
    assert board.panes == comparison.board.panes


def test_a_broken_replay_does_not_tell_its_inner_life(services: Services) -> None:
    comparison = found(services)
    broken = {place: request._replace(prompt="BREAK") for place, request in comparison.requests.items()}
    seen: list[Board] = []
    with pytest.raises(RuntimeError):
        seen.extend(replay(services, comparison._replace(requests=broken)))
    assert seen[-1].message == text.SERVER_ERROR


def test_closing_a_replay_closes_the_engine() -> None:
    engine = FakeEngine()
    services = fake_services(engine)
    boards = replay(services, found(services))
    next(boards)
    before = engine.closed
    boards.close()  # type: ignore[attr-defined]
    assert engine.closed == before + 1


# The page


def test_sharing_needs_a_finished_comparison_and_a_browser_that_keeps_its_secret(services: Services) -> None:
    assert on_share(services, Board(), ME)[1] == [(text.NOTHING_TO_SHARE, ERROR)]
    for secret in (None, "forged", 7):
        assert on_share(services, finished(services), secret)[1] == [(text.NO_OWNER, ERROR)]


def test_a_link_opens_read_only_and_delete_is_for_the_owner(services: Services, page: SharedPage) -> None:
    link = Link(COMPARE, shared(services))
    with gr.Blocks():
        live = gr.Column()
    mine, others = (open_shared(services, page, live, link, secret) for secret in (ME, new_secret()))
    assert mine[live]["visible"] is False
    assert mine[page.column]["visible"] is True
    assert [place for place, pane in enumerate(page.panes) if pane.column in mine] == [0, 1, 2, 3]
    assert "seed 11" in mine[page.settings]
    assert ["sha256 of base", "esab"] in mine[page.facts]
    assert mine[page.delete.ask]["visible"] is True
    assert others[page.delete.ask]["visible"] is False


@pytest.mark.parametrize("link", [None, Link(RUN, "0" * 32), Link(COMPARE, "0" * 32), Link(COMPARE, "../x")])
def test_other_links_leave_the_tab_as_it_is(services: Services, page: SharedPage, link: Link | None) -> None:
    with gr.Blocks():
        live = gr.Column()
    assert open_shared(services, page, live, link, ME) == {page.id: None}


def test_the_page_replays_and_shows_the_verdict_in_each_pane(services: Services, page: SharedPage) -> None:
    first, *_, last = on_replay(services, page, shared(services))
    assert first[page.stop]["interactive"] is True
    assert last[page.stop]["interactive"] is False
    assert last[page.panes[0].note] == [("Replay: identical, token for token (36 tokens).", None)]


@pytest.mark.parametrize("id", [None, "0" * 32, "x", 5, {}])
def test_ids_are_checked_again_in_every_handler(services: Services, page: SharedPage, id: Any) -> None:
    assert [*on_replay(services, page, id)] == [{page.message: [(text.NOTHING_HERE, ERROR)]}]
    assert on_report(services, id) == (None, [(text.NOTHING_HERE, ERROR)])
    assert on_delete(services, page, id, ME) == {page.message: [(text.NOT_YOURS, ERROR)]}


def test_a_report_is_one_html_file(services: Services) -> None:
    file, line = on_report(services, shared(services, "<script>alert(1)</script>"))
    assert file is not None
    assert file["name"] == "comparison.html"
    page = base64.b64decode(file["data"]).decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert line == []


def test_only_the_owner_deletes(services: Services, page: SharedPage) -> None:
    id = shared(services)
    for secret in (new_secret(), None, owner_of(ME)):
        assert on_delete(services, page, id, secret) == {page.message: [(text.NOT_YOURS, ERROR)]}
    updates = on_delete(services, page, id, ME)
    assert updates[page.head] == text.DELETED_HTML
    assert services.database.comparison(id) is None


def test_the_fakes_answer_as_the_real_ones() -> None:
    from leaderboard.runs.runner import Runner
    from leaderboard.store.database import Database

    for fake, real in ((FakeRunner(), Runner), (FakeRunner().database, Database)):
        public = [name for name in dir(fake) if not name.startswith("_") and callable(getattr(fake, name))]
        own = {"keep", "set_status", "forget"}
        assert [name for name in public if not hasattr(real, name) and name not in own] == []
