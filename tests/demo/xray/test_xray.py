"""The X-ray on the page: views, figures and handlers, around the tiny Llama."""

import base64
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import gradio as gr
import plotly.graph_objects as go
import pytest

from adapters.methods import BASE, PPLM, Attribute, Method, Request, Sampling, UserError
from adapters.xray.replay import XRays
from adapters.xray.trace import RECORD, Candidate, NextTokens, Step, TextRecord, Word, XRay, pack, unpack
from demo.compare.board import Board, PaneView
from demo.compare.record import make_record, read_record
from demo.compare.shared import on_share, texts_on_page
from demo.parts.events import guarded
from demo.parts.links import new_secret
from demo.parts.marked import ERROR, Values
from demo.parts.words import SERVER_ERROR
from demo.services import Services
from demo.xray import figures, words
from demo.xray.layout import XRayPage
from demo.xray.run import LookView, Text, examine, read_named, steered
from demo.xray.tab import (
    Source,
    inflated,
    on_again,
    on_inner_tab,
    on_judged,
    on_open,
    on_save,
    on_select,
    on_stop,
    show_next,
    show_step,
    show_under,
    show_xray,
)
from tests.demo.conftest import UsedUp

VOWELS = PPLM((Attribute("vowels", words=("a", "e", "o")),))
STEERED = Method("pplm:vowels", steering=VOWELS)
VERSE = Method("lora:verse", lora="verse")
TOKENS = 4


def finished(services: Services, methods: list[Method]) -> Board:
    """A board with finished texts."""
    requests = [Request("The movie was", method, 7) for method in methods]
    rows = dict(enumerate(list(services.engine.generate(requests, Sampling(max_new_tokens=TOKENS)))[-1]))
    return Board(record=make_record(services, rows, dict.fromkeys(rows, PaneView()), Sampling()))


def texts_of_board(services: Services, board: Board) -> dict[int, Text]:
    return {} if board.record is None else read_record(services, board.record).texts


@pytest.fixture(scope="module")
def services(lasting: Services) -> Services:
    return lasting


@pytest.fixture(scope="module")
def page() -> XRayPage:
    with gr.Blocks():
        return XRayPage()


@pytest.fixture(scope="module")
def source(services: Services, page: XRayPage) -> Source:
    with gr.Blocks():
        return Source([], [gr.State()], partial(texts_of_board, services), gr.JSON(visible=False))


@pytest.fixture(scope="module")
def board(services: Services) -> Board:
    return finished(services, [BASE, VERSE, STEERED])


@pytest.fixture(scope="module")
def texts(services: Services, board: Board) -> dict[int, Text]:
    return texts_of_board(services, board)


@pytest.fixture(scope="module")
def views(services: Services, texts: dict[int, Text]) -> list[LookView]:
    return list(examine(services, texts, 2, "happy, sad"))


def test_an_xray_counts_towards_the_hour(services: Services, texts: dict[int, Text], used_up: UsedUp) -> None:
    (view,) = examine(used_up(services), texts, 2, "")
    assert view.message.startswith("You have used 1 of 1 X-rays of this hour, and this takes 1: again in 60 min.")
    assert view.is_error
    assert not view.running


@pytest.fixture(scope="module")
def record(views: list[LookView]) -> TextRecord:
    return views[-1].record


@pytest.fixture(scope="module")
def data(record: TextRecord) -> bytes:
    return pack(record)


def fresh(page: XRayPage, source: Source, board: Board, named: str, clicked: Any) -> Values:
    """The values of the section before it has looked at anything."""
    nothing: Values = dict.fromkeys([page.record, page.texts, page.pane])
    return nothing | {page.named: named, source.clicked: clicked, source.held[0]: board}


def opened(
    services: Services, page: XRayPage, source: Source, board: Board, named: str = "happy, sad", clicked: Any = None
) -> Values:
    """The section at the end of a run."""
    shown: Values = {}
    for updates in on_open(services, page, source, fresh(page, source, board, named, clicked)):
        shown |= updates
    return shown | show_xray(page, source, shown[page.record], words.TOKEN_TAB, clicked)


def event(index: Any) -> Any:
    return gr.SelectData(None, {"index": index, "value": "x"})


# Views


def test_a_run_looks_at_all_methods_and_then_replays_the_steered_text(
    texts: dict[int, Text], views: list[LookView]
) -> None:
    assert [view.running for view in views] == [True] * (len(views) - 1) + [False]
    assert any("3 of 3" in view.message for view in views)
    assert any("of 2 models" in view.message for view in views), "base and verse; steering takes no part"
    assert any("4 of 4 tokens" in view.message for view in views)
    record = views[-1].record
    assert [found.method for found in record.next_tokens] == [BASE, VERSE, STEERED]
    assert [len(scored.logprobs) for scored in record.scores] == [2, 2, 2]
    assert record.xray is not None
    assert [step.chosen.token_id for step in record.xray.steps] == list(texts[2].token_ids)
    assert [word.word for word in record.xray.steps[0].named] == ["happy", "sad"]


def test_a_known_record_is_not_made_again(services: Services, texts: dict[int, Text], record: TextRecord) -> None:
    views = list(examine(services, texts, 2, "joy", record))
    assert all(view.record.scores == record.scores for view in views)
    assert all("Replaying" in view.message for view in views[:-1])
    xray = views[-1].record.xray
    assert xray is not None
    assert [word.word for word in xray.steps[0].named] == ["joy"]


def test_without_texts_or_steering_a_line_says_what_to_do(services: Services) -> None:
    (view,) = examine(services, {}, None, "")
    assert (view.message, view.is_error, view.running) == (words.NOTHING_TO_XRAY, True, False)
    unsteered = texts_of_board(services, finished(services, [BASE, VERSE]))
    assert steered(unsteered) == []
    view = list(examine(services, unsteered, None, ""))[-1]
    assert (view.message, view.is_error) == (words.XRAY_NOT_STEERED, False)
    assert view.record.next_tokens
    assert view.record.xray is None


def test_a_text_that_went_wrong_says_so(services: Services, texts: dict[int, Text]) -> None:
    view = list(examine(services, {0: texts[2]._replace(diverged=True)}, 0, ""))[-1]
    assert view.is_error
    assert view.message == words.XRAY_DIVERGED.format(tokens="4 tokens")
    assert view.record.xray is not None


def test_an_xray_that_breaks_is_a_line_and_its_words_are_in_the_log(
    services: Services, texts: dict[int, Text], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> Iterator[XRay]:
        raise RuntimeError("the replay broke")

    monkeypatch.setattr(XRays, "text", broken)
    last = list(examine(services, texts, 2, ""))[-1]
    assert (last.message, last.is_error, last.running) == (SERVER_ERROR, True, False)
    assert last.record.next_tokens, "the rest stays"
    assert "the replay broke" in caplog.text


def test_closing_cancels_the_replay(
    services: Services, texts: dict[int, Text], record: TextRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str] = []
    real = XRays.text

    def text(self: XRays, *asked: Any) -> Iterator[XRay]:
        try:
            yield from real(self, *asked)
        finally:
            ended.append("ended")

    monkeypatch.setattr(XRays, "text", text)
    views = examine(services, texts, 2, "", record)
    next(views)
    assert ended == []
    views.close()  # type: ignore[attr-defined]
    assert ended == ["ended"]


@pytest.mark.parametrize("value", ["a b c d e f g h i", "x" * 300, "a\0b", "\ud800"])
def test_bad_words_to_follow_are_refused(value: str, services: Services, texts: dict[int, Text]) -> None:
    with pytest.raises(UserError, match="Words to follow"):
        read_named(value)
    (view,) = examine(services, texts, 2, value)
    assert view.is_error


def test_words_to_follow_are_separated_by_commas_and_blanks() -> None:
    assert read_named("happy, sad sad,\njoy") == ("happy", "sad", "joy")
    assert read_named(None) == ()


# Handlers


def test_the_section_opens_with_the_first_step(
    services: Services, page: XRayPage, source: Source, board: Board
) -> None:
    shown = opened(services, page, source, board)
    assert shown[page.column]["visible"]
    assert shown[page.body]["visible"]
    assert shown[page.pane]["choices"] == [("3: PPLM vowels", 2)]
    assert shown[page.number] == gr.update(maximum=TOKENS, value=1)
    record = unpack(shown[page.record])
    assert record.prompt == "The movie was"
    assert record.xray is not None
    assert [piece for piece, _ in shown[page.text]] == [piece or "\ufffd" for piece in record.xray.tokens]
    assert shown[page.step["line"]][0][0] == words.step_line(record.xray.steps[0], 0)
    assert [shown[side.column]["visible"] for side in page.next] == [True, True, True, False, False, False]
    assert [shown[side.column]["visible"] for side in page.under] == [True, True] + [False] * 4
    assert "mean −" in shown[page.under[0].head]


def test_a_clicked_word_opens_its_pane_at_its_token_and_a_second_click_replays_nothing(
    services: Services, page: XRayPage, source: Source
) -> None:
    board = finished(services, [STEERED, Method("both", lora="verse", steering=VOWELS)])
    assert board.record is not None
    text = board.record["panes"][1]["text"]
    shown = opened(services, page, source, board, clicked=[1, len(text) - 1])
    assert shown[page.pane]["value"] == 1
    assert shown[page.number]["value"] == TOKENS
    assert shown[source.clicked] is None
    known: Values = {page.record: shown[page.record], page.texts: shown[page.texts], page.pane: 1}
    values = fresh(page, source, board, "", [1, 0]) | known
    assert list(on_open(services, page, source, values)) == [{page.message: gr.skip()}]
    again = show_xray(page, source, shown[page.record], words.TOKEN_TAB, [1, 0])
    assert again[page.number]["value"] == 1
    assert show_xray(page, source, shown[page.record], words.TOKEN_TAB, [1, 999])[page.number]["value"] == TOKENS


def test_without_a_steered_pane_the_step_is_hidden(services: Services, page: XRayPage, source: Source) -> None:
    shown = opened(services, page, source, finished(services, [BASE]))
    assert not shown[page.body]["visible"]
    assert shown[page.step["likely"]] is None
    assert shown[page.message] == [(words.XRAY_NOT_STEERED, None)]
    assert shown[page.next[0].column]["visible"]


def test_another_pane_is_looked_at_without_looking_at_all_again(
    services: Services, page: XRayPage, source: Source
) -> None:
    board = finished(services, [STEERED, Method("both", lora="verse", steering=VOWELS)])
    shown = opened(services, page, source, board)
    updates = list(on_again(services, page, shown[page.texts], shown[page.record], 1, "joy"))
    assert all(page.next[0].body not in update for update in updates)
    record = unpack(updates[-1][page.record])
    assert record.xray is not None
    assert record.xray.method.name == "both"
    nothing = list(on_again(services, page, None, None, "nonsense", None))
    assert nothing[-1][page.message] == [(words.NOTHING_TO_XRAY, ERROR)]


def test_a_clicked_token_moves_the_slider_and_the_slider_shows_its_step(page: XRayPage, data: bytes) -> None:
    assert on_select(event(3)) == 4
    assert on_select(event([0, 1])) == gr.skip()
    updates = show_step(page, data, 4, words.TOKEN_TAB)
    marks = [mark for _, mark in updates[page.text]]
    assert marks[3] == figures.CHOSEN
    assert all(mark >= 0 for mark in marks[:3])
    assert "Token 4. Without steering: “" in updates[page.step["line"]][0][0]
    for number in (0, TOKENS + 1, None, "2", float("nan")):
        assert show_step(page, data, number, words.TOKEN_TAB) == {page.text: gr.skip()}
    assert show_step(page, None, 1, words.TOKEN_TAB) == {page.text: gr.skip()}


def test_only_the_open_inner_tab_is_drawn(page: XRayPage, data: bytes) -> None:
    drawn = {name: show_step(page, data, 2, name).keys() - {page.text} for name in page.tabs}
    assert set().union(*drawn.values()) == set(page.step.values())
    assert sum(map(len, drawn.values())) == len(page.step), "nothing twice"
    assert on_inner_tab(page, words.GRADIENT_TAB, data, 2, words.TOKEN_TAB, words.GRADIENT_TAB) == {
        page.inner: words.GRADIENT_TAB
    }, "nobody sees it yet"
    updates = on_inner_tab(page, words.NUDGE_TAB, data, 2, words.GRADIENT_TAB, words.GRADIENT_TAB)
    assert updates[page.open] == words.NUDGE_TAB
    assert updates.keys() == {page.open, page.inner, page.text, *drawn[words.NUDGE_TAB]}


def test_clicks_inflate_a_long_record_once_and_draw_few_traces(page: XRayPage) -> None:
    named = tuple(f"word{i}" for i in range(8))
    steps = tuple(a_step(index % 40, " x", named) for index in range(256))
    data = pack(TextRecord("p", 0, False, xray=XRay(STEERED, ("The", " start"), (" x",) * 256, steps)))
    inflated.cache_clear()
    for name in page.tabs:
        for number in (1, 128, 256):
            updates = show_step(page, data, number, name)
            traces = [len(value.data) for value in updates.values() if isinstance(value, go.Figure)]
            assert sum(traces) <= 25, (name, traces)
    assert inflated.cache_info().misses == 1


def test_an_inner_tab_is_filled_again_when_it_is_opened(
    services: Services, page: XRayPage, data: bytes, record: TextRecord
) -> None:
    bars = [bar.x[0] for bar in show_next(services, page, data)[page.next[1].body].data]
    assert bars == [record.next_tokens[1].tokens[0][1]]
    updates = show_under(services, page, data, 1)
    logprob = record.scores[1].logprobs[1][0]
    assert logprob is not None
    assert updates[page.under[1].body][0][1] == pytest.approx(min(1, -logprob / figures.NATS_IN_FULL))
    for place in (3, -1, "x", None):
        assert not any(show_under(services, page, data, place)[side.column]["visible"] for side in page.under)
    assert not any(show_next(services, page, None)[side.column]["visible"] for side in page.next)


def test_a_kept_comparison_is_looked_at_like_a_new_one(services: Services) -> None:
    from tests.demo.compare.conftest import STEERED, form, run

    board = run(services, form(panes={0: STEERED}, max_new_tokens=2))[-1]
    update, _ = on_share(services, board, "", new_secret())
    kept = texts_on_page(services, Board(), str(update["value"]).removeprefix("?compare="))
    assert [one.token_ids for one in kept.values()] == [
        one.token_ids for one in texts_of_board(services, board).values()
    ]
    view = list(examine(services, kept, 0, ""))[-1]
    assert view.record.xray is not None
    assert view.record.prompt == "The movie was"
    assert texts_on_page(services, Board(), "nonsense") == {}


def test_a_judged_token_tells_its_numbers(data: bytes, record: TextRecord) -> None:
    ((line, _),) = on_judged(data, 0, event(1))
    assert line.startswith("Token 2 “")
    base, verse = (words.nats(row[1]) for row in record.scores[0].logprobs)
    assert line.endswith(f": Base {base}, LoRA verse {verse} nats.")
    assert on_judged(data, 9, event(1)) == on_judged(None, 0, event(1)) == on_judged(data, 0, event(99)) == []


def test_the_record_is_saved_as_json(page: XRayPage, data: bytes, record: TextRecord) -> None:
    file, line = on_save(data)
    assert file is not None
    assert RECORD.validate_json(base64.b64decode(file["data"])) == record
    assert line == []
    told = guarded(page.message, on_save)(None)
    assert told == {page.message: [(words.NOTHING_TO_XRAY, ERROR)]}


def test_stop_says_so(page: XRayPage) -> None:
    assert on_stop(page)[page.message] == [(words.XRAY_STOPPED, None)]


# Figures


def a_step(place: int, piece: str, named: tuple[str, ...]) -> Step:
    """The step at a place, with two gradient steps in three layers over `place + 1` columns."""
    chosen = Candidate(place, piece, 0.1, 0.2, 0.3)
    width = place + 1
    return Step(
        chosen=chosen,
        rank_clean=place + 3,
        rank_perturbed=2,
        rank_fused=1,
        candidates=(chosen, Candidate(99, " <b>other</b>", 0.4, 0.2, 0.25)),
        kl_perturbed=1.0,
        kl_fused=0.1 * place,
        share=0.5,
        losses=(8.0 - place, 6.0 - place, 5.0 - place),
        norms=((1.0, 2.0, 3.0), (0.5, 1.0, 1.5)),
        width=width,
        heat=tuple((0.5 * layer,) * width for layer in (1, 2, 3)),
        bag=(Word("laboratory", Candidate(7, " laboratory", 0.001, 0.01, 0.005), "science"),),
        named=tuple(Word(word, Candidate(8, f" {word}", 0.01, 0.02, 0.015)) for word in named),
        path=((0.0, 0.0, 0.0), (1.0, 2.0, 3.0), (2.0, 4.0, 6.0)),
    )


def an_xray() -> XRay:
    return XRay(STEERED, ("The", " start"), (" <i>", " b"), tuple(a_step(place, " <i>", ("sad",)) for place in (0, 1)))


def test_text_of_a_model_is_no_markup_in_a_figure() -> None:
    xray = an_xray()
    likely = figures.likely(xray.steps[0])
    assert likely.layout.yaxis.ticktext == ("“ &lt;i&gt;” ←", "“ &lt;b&gt;other&lt;/b&gt;”")
    drawn = [likely, figures.heat(xray, 1), figures.path(xray, 1, 2), figures.costs(xray, 1)]
    drawn += [figures.word_changes(xray.steps[0]), figures.next_bars(NextTokens(BASE, (("<b>", 0.5),)), 0.5)]
    assert all("<i>" not in figure.to_json() and "<b>" not in figure.to_json() for figure in drawn)


def test_figures_show_the_numbers_of_their_step() -> None:
    xray = an_xray()
    step = xray.steps[1]
    assert list(figures.losses(step).data[0].y) == list(step.losses)
    assert [list(trace.y) for trace in figures.layers(step).data] == [[1, 2, 3], [0.5, 1, 1.5]]
    heat = figures.heat(xray, 1)
    assert list(map(list, heat.data[0].z)) == [[0.5, 1.0, 1.5]] * 2, "a line a position, a column a layer"
    assert heat.layout.yaxis.ticktext == ("“The”", "“ start”")
    assert list(figures.path(xray, 1, 2).data[-1].y) == [0, 3, 6]
    assert list(figures.costs(xray, 1).data[0].y) == [0, 0.1]
    followed = figures.followed(xray, 1)
    assert [list(line.y) for line in followed.data] == [[0.01, 0.01], [0.015, 0.015]]
    assert followed.data[0].marker.size == (5, 11)
    unnamed = replace(xray, steps=tuple(replace(step, named=()) for step in xray.steps))
    assert figures.followed_words(unnamed) == ["laboratory"], "what gained most of the list"
    assert [list(line.y) for line in figures.followed(unnamed, 0).data] == [[0.001, 0.001], [0.005, 0.005]]
    changes = figures.word_changes(step)
    assert changes.layout.yaxis.ticktext == ("laboratory", "P(“sad”)")
    assert {trace.name: tuple(trace.x) for trace in changes.data if trace.name} == {
        words.CLEAN: (0.001, 0.01),
        words.PERTURBED: (0.01, 0.02),
        words.FUSED: (0.005, 0.015),
    }


def test_many_lines_are_one_trace_with_gaps() -> None:
    assert figures.in_one([[(1, 2), (3, 4)], [(5, 6)]]) == {"x": [1, 3, None, 5], "y": [2, 4, None, 6]}
    assert figures.in_one([]) == {"x": [], "y": []}


def test_a_word_says_its_piece_its_attribute_and_whether_it_cools_down() -> None:
    word = Word("nebula", Candidate(1, " neb", 0.1, 0.1, 0.1), "space", resting=True)
    assert figures.word_label(word, with_attribute=False) == "nebula “ neb” (cooldown)"
    assert figures.word_label(word, with_attribute=True) == "nebula “ neb” (space, cooldown)"
    whole = Word("sea", Candidate(2, " sea", 0.1, 0.1, 0.1), "space")
    assert figures.word_label(whole, with_attribute=False) == "sea"


def test_numbers_of_the_likeliest_stand_in_a_table() -> None:
    table = figures.candidates_table(an_xray().steps[0])
    assert list(table.columns) == [words.TOKEN, words.CLEAN, words.PERTURBED, words.FUSED]
    assert table.iloc[0].tolist() == ["“ <i>”", "10.0\u00a0%", "20.0\u00a0%", "30.0\u00a0%"]


def test_a_step_is_one_line_with_its_ranks() -> None:
    assert words.step_line(a_step(1, " in", ()), 1) == (
        "Token 2. Without steering: “ <b>other</b>” 40.0\u00a0%, “ in” 10.0\u00a0%. "
        "With: “ in” 10.0\u00a0% → 30.0\u00a0% (4th → 1st most likely; KL 0.1 nats)."
    )
    assert [words.ordinal(rank) for rank in (2, 3, 11, 12, 13, 21, 1102, 112)] == [
        *("2nd", "3rd", "11th", "12th", "13th", "21st", "1,102nd", "112th"),
    ]


def test_a_token_that_is_part_of_a_character_can_still_be_clicked() -> None:
    xray = XRay(STEERED, (), ("", "é"), (a_step(0, "", ()), a_step(1, "é", ())))
    assert figures.shaded(xray, 1)[0] == ("\ufffd", 0)
    assert figures.surprises(("", "é"), (None, -6.0)) == [("\ufffd", None), ("é", 0.5)]


def test_a_record_without_anything_packs() -> None:
    assert unpack(pack(TextRecord("p", 0, False))) == TextRecord("p", 0, False)
