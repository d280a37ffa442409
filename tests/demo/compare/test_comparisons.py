"""Shared comparisons: kept, read, written again; and the page that shows one."""

import base64
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import gradio as gr
import pytest

from adapters.decoding.engine import Engine
from adapters.decoding.text import Continuation
from adapters.methods import BASE, Request, Sampling, UserError
from demo.compare import words
from demo.compare.board import Board
from demo.compare.form import pane_form
from demo.compare.record import Comparison, find_comparison, make_record, read_record
from demo.compare.run import check_parity, replay
from demo.compare.shared import SharedPage, kept_rows, on_delete, on_replay, on_report, on_share, open_shared
from demo.parts import words as common
from demo.parts.actions import play
from demo.parts.controls import CONTROLS
from demo.parts.links import COMPARE, RUN, Link, new_secret, owner_of
from demo.parts.marked import ERROR, Values
from demo.parts.numbers import PROMPT
from demo.parts.running import changed
from demo.services import Services
from tests.demo.compare.conftest import TOKENS, form, run
from tests.demo.conftest import UsedUp

ME = new_secret()


@pytest.fixture(scope="module")
def page(lasting: Services) -> SharedPage:
    with gr.Blocks():
        return SharedPage(lasting)


def shared(services: Services, board: Board) -> str:
    """The id of a comparison that this browser has shared."""
    update, _ = on_share(services, board, "", ME)
    return str(update["value"]).removeprefix("?compare=")


@pytest.fixture(scope="module")
def id(lasting: Services, finished: Board) -> str:
    return shared(lasting, finished)


@pytest.fixture(scope="module")
def found(lasting: Services, id: str) -> Comparison:
    return find_comparison(lasting, id)


def test_the_share_dialogue_says_what_a_restart_leaves(lasting: Services, finished: Board) -> None:
    def info(services: Services) -> str:
        return str(on_share(services, finished, "", ME)[0]["info"])

    plain = info(lasting)
    assert plain == CONTROLS["link"].info
    assert info(lasting._replace(lasts=False)).removeprefix(plain) == f" {common.SAFETY['lost']}"


def replayed(services: Services, page: SharedPage, id: Any) -> list[Values]:
    """What Replay shows, step by step."""
    return list(play(page.work, partial(on_replay, services, page), id, ME))


def record_of(board: Board) -> dict[str, Any]:
    assert board.record is not None
    return dict(board.record)


def test_only_a_finished_comparison_can_be_shared(boards: list[Board]) -> None:
    *growing, last = boards
    assert last.record is not None
    assert all(board.record is None for board in growing)
    assert growing[-1].stop().record is None


def test_what_is_shown_can_be_shared_until_it_is_replaced(lasting: Services, finished: Board) -> None:
    assert finished.stop().record is finished.record
    assert finished.refuse(UserError("no")).record is finished.record
    assert list(check_parity(lasting, form(max_new_tokens=2), finished))[-1].record is finished.record


def test_a_record_is_json_and_holds_what_a_replay_needs(lasting: Services, finished: Board) -> None:
    record = json.loads(json.dumps(record_of(finished), allow_nan=False))
    assert record["version"] == 1
    assert record["seed"] == 5
    assert record["hashes"].keys() == {"base", "lora:verse", "prefix:facts", "words:own words"}
    assert all(len(value) >= 16 for value in record["hashes"].values())
    assert ["".join(piece for piece, mark in view.spans if mark != PROMPT) for view in finished.panes.values()] == [
        pane["text"] for pane in record["panes"]
    ]
    assert all(len(pane["token_ids"]) == len(pane["logprobs"]) > 0 for pane in record["panes"])
    comparison = read_record(lasting, record)
    assert [text.request.method for text in comparison.texts.values()] == [
        view.method for view in finished.panes.values()
    ]
    assert {text.request.seed for text in comparison.texts.values()} == {5}
    assert comparison.sampling == Sampling(max_new_tokens=TOKENS)


def test_numbers_that_json_does_not_have_are_null(lasting: Services, finished: Board) -> None:
    row = Continuation(Request("Hi", BASE), (0,), (1, 2), "a", (math.nan, -math.inf), "eos", 1.0)
    record = make_record(lasting, {0: row}, finished.panes, Sampling())
    assert record["panes"][0]["logprobs"] == [None, None]
    json.dumps(record, allow_nan=False)


def test_the_panes_of_a_record_stand_where_they_stood(lasting: Services) -> None:
    (*_, board) = run(lasting, form(panes={1: pane_form(), 4: pane_form(lora="verse")}))
    assert read_record(lasting, record_of(board)).board.panes.keys() == {1, 4}
    old = [{name: value for name, value in pane.items() if name != "place"} for pane in record_of(board)["panes"]]
    comparison = read_record(lasting, record_of(board) | {"panes": old})
    assert list(comparison.texts) == [0, 1], "records of earlier releases have no places"


def test_the_page_shows_what_was_shared(lasting: Services, finished: Board) -> None:
    before, after = finished.panes, read_record(lasting, record_of(finished)).board.panes
    assert [(view.spans, view.figures, view.status) for view in after.values()] == [
        (view.spans, view.figures, view.status) for view in before.values()
    ]


def test_a_browser_finds_its_own_comparisons_by_their_titles(services: Services) -> None:
    board = run(services, form(max_new_tokens=2))[-1]
    ids = [str(on_share(services, board, name, ME)[0]["value"])[-32:] for name in ("", " The " + "x" * 100, None)]
    on_share(services, board, "another browser's", new_secret())
    rows = kept_rows(services, ME)
    assert [row[2] for row in rows] == ids[::-1], "newest first"
    assert [row[1] for row in rows] == ["The movie was", "The " + "x" * 76, "The movie was"]
    assert kept_rows(services, None) == []
    assert find_comparison(services, ids[1]).texts == find_comparison(services, ids[0]).texts


def test_a_diverged_text_is_shared_as_such(lasting: Services) -> None:
    board = run(lasting, form(panes={0: pane_form(), 1: pane_form(lora="burst")}))[-1]
    comparison = find_comparison(lasting, shared(lasting, board))
    view = comparison.board.panes[1]
    assert (view.note, view.is_error) == (words.DIVERGED, True)
    assert [one.diverged for one in comparison.texts.values()] == [False, True]


def test_a_record_of_a_newer_release_is_not_read(lasting: Services, finished: Board) -> None:
    with pytest.raises(UserError, match="newer release"):
        read_record(lasting, record_of(finished) | {"version": 2})


def test_a_replay_says_identical(lasting: Services, found: Comparison) -> None:
    *going, last = replay(lasting, found)
    assert all(board.running for board in going)
    assert "of at most 8 tokens" in going[0].message
    assert last.message == "✓ Re-written just now: 4 texts, identical."
    assert last.panes[0].note == words.REPLAY_EQUAL
    assert not last.running


def test_a_replay_shows_the_first_token_that_differs(lasting: Services, found: Comparison) -> None:
    text = found.texts[0]
    ids = list(text.token_ids)
    now = lasting.engine.base.tokenizer.decode(ids[3:4])
    (ids[3],) = lasting.engine.base.tokenizer.encode("x", add_special_tokens=False)
    last = list(replay(lasting, found._replace(texts=found.texts | {0: text._replace(token_ids=tuple(ids))})))[-1]
    assert last.panes[0].note == f"✗ Re-written just now: token 4 is “{now}”, it was “x”."
    assert last.message == "✗ Re-written just now: 1 of 4 texts differ."


def test_a_replay_says_what_has_changed_since(lasting: Services, found: Comparison) -> None:
    hashes, versions = found.record["hashes"], found.record["versions"]
    then = dict(found.record) | {"hashes": hashes | {"lora:verse": "another"}, "versions": {"torch": "1.0"}}
    last = list(replay(lasting, found._replace(record=then)))[-1]
    assert last.message.endswith(f"Changed since: lora:verse, torch 1.0 → {lasting.versions['torch']}.")
    methods = [text.request.method for text in found.texts.values()]
    assert changed(lasting, methods, hashes, versions) == []


def test_a_replay_that_cannot_be_says_why(lasting: Services, found: Comparison) -> None:
    text = found.texts[1]
    gone = text.request._replace(method=replace(text.request.method, lora="gone"))
    with pytest.raises(UserError, match="There is no LoRA adapter 'gone'"):
        list(replay(lasting, found._replace(texts=found.texts | {1: text._replace(request=gone)})))


@pytest.mark.parametrize(
    ("error", "reason"), [(RuntimeError("the engine broke"), common.SERVER_ERROR), (UserError("no room"), "no room")]
)
def test_a_broken_replay_does_not_tell_its_inner_life(
    error: Exception, reason: str, lasting: Services, page: SharedPage, id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def generate(*_: Any) -> Iterator[Any]:
        raise error

    monkeypatch.setattr(Engine, "generate", generate)
    _, refused, _ = replayed(lasting, page, id)
    assert refused == {page.work.message: [(common.CANNOT_REPLAY.format(reason=reason), ERROR)]}


def test_closing_a_replay_closes_the_engine(
    lasting: Services, found: Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str] = []
    real = Engine.generate

    def generate(self: Engine, *asked: Any) -> Iterator[Any]:
        try:
            yield from real(self, *asked)
        finally:
            ended.append("ended")

    monkeypatch.setattr(Engine, "generate", generate)
    boards = replay(lasting, found)
    next(boards)
    boards.close()  # type: ignore[attr-defined]
    assert ended == ["ended"]


# The page


def test_sharing_needs_a_finished_comparison_and_a_browser_that_keeps_its_secret(
    lasting: Services, finished: Board
) -> None:
    with pytest.raises(UserError, match=words.NOTHING_TO_SHARE):
        on_share(lasting, Board(), "", ME)
    for secret in (None, "forged", 7):
        with pytest.raises(UserError, match=common.NO_OWNER):
            on_share(lasting, finished, "", secret)


def test_texts_and_links_count_towards_the_hour(
    lasting: Services, finished: Board, found: Comparison, used_up: UsedUp
) -> None:
    full = used_up(lasting)
    with pytest.raises(UserError, match="MB, and 1e-06 are allowed in an hour"):
        on_share(full, finished, "", ME)
    with pytest.raises(UserError, match="This takes 48 tokens"):  # 3 texts of 8 tokens, one steered
        list(replay(full, found))
    *_, board = check_parity(full, form(), finished)
    assert board.message.startswith("This takes 56 tokens"), "the base is written too"


def test_a_link_opens_read_only_and_delete_is_for_the_owner(lasting: Services, page: SharedPage, id: str) -> None:
    with gr.Blocks():
        live = gr.Column()
    mine, others = (open_shared(lasting, page, live, Link(COMPARE, id), secret) for secret in (ME, new_secret()))
    assert mine[live]["visible"] is False
    assert mine[page.column]["visible"] is True
    assert [place for place, pane in enumerate(page.panes) if pane.column in mine] == [0, 1, 2, 3]
    assert "seed 5" in mine[page.settings]
    assert '<span class="topic-0">own words word</span>' in mine[page.legend], "what the marks mean"
    assert mine[page.figures].count('class="track"') == 4 * 4
    assert ["sha256 of base", lasting.runner.hashes.base] in mine[page.facts]
    assert mine[page.delete.ask]["visible"] is True
    assert others[page.delete.ask]["visible"] is False


@pytest.mark.parametrize("link", [None, Link(RUN, "0" * 32), Link(COMPARE, "0" * 32), Link(COMPARE, "../x")])
def test_other_links_leave_the_tab_as_it_is(lasting: Services, page: SharedPage, link: Link | None) -> None:
    with gr.Blocks():
        live = gr.Column()
    assert open_shared(lasting, page, live, link, ME) == {page.id: None}


def test_the_page_replays_and_shows_the_verdict_in_each_pane(lasting: Services, page: SharedPage, id: str) -> None:
    first, *_, verdict, last = replayed(lasting, page, id)
    assert first[page.work.stop]["interactive"] is True
    assert last[page.work.stop]["interactive"] is False
    assert verdict[page.panes[0].note] == [(words.REPLAY_EQUAL, None)]


@pytest.mark.parametrize("id", [None, "0" * 32, "x", 5, {}])
def test_ids_are_checked_again_in_every_handler(lasting: Services, page: SharedPage, id: Any) -> None:
    _, refused, _ = replayed(lasting, page, id)
    assert refused == {page.work.message: [(common.NOTHING_HERE, ERROR)]}
    with pytest.raises(UserError, match="mistyped"):
        on_report(lasting, id)
    with pytest.raises(UserError, match=common.NOT_YOURS):
        on_delete(lasting, page, id, ME)


def test_a_report_is_one_html_file(lasting: Services) -> None:
    board = run(lasting, form("<script>alert(1)</script>", max_new_tokens=2))[-1]
    file, line = on_report(lasting, shared(lasting, board))
    assert file is not None
    assert file["name"] == "comparison.html"
    page = base64.b64decode(file["data"]).decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert line == []


def test_only_the_owner_deletes(lasting: Services, page: SharedPage, finished: Board) -> None:
    id = shared(lasting, finished)
    for secret in (new_secret(), None, owner_of(ME)):
        with pytest.raises(UserError, match=common.NOT_YOURS):
            on_delete(lasting, page, id, secret)
    assert on_delete(lasting, page, id, ME)[page.head] == common.DELETED_HTML
    assert lasting.database.comparison(id) is None
