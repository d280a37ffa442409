"""The X-ray on the page: views, figures and handlers, with the fake engine."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import gradio as gr
import pytest

from adapters.methods import BASE, PPLM, Attribute, Method, Request, Sampling, UserError, to_json
from adapters.xray.trace import Candidate, NextTokens, Record, Word, XRay, from_json, pack, unpack
from demo.compare.form import Form, PaneForm
from demo.compare.run import compare
from demo.compare.shared import find_texts, on_share
from demo.parts import words as text
from demo.parts.board import Board, Outcome
from demo.parts.links import new_secret
from demo.parts.panes import Values
from demo.services import Services
from demo.xray import figures as xray_figures
from demo.xray import words as words_xray
from demo.xray.layout import XRayPage, lay_out_xray
from demo.xray.run import Text, View, examine, read_named, steered, texts_of_board
from demo.xray.tab import (
    on_again,
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
from tests.demo.fakes import FakeEngine, FakeXRays, fake_services, fake_step

SCIENCE = Method("pplm:science", steering=PPLM((Attribute("science"),)))
POETRY = Method("lora:poetry", lora="poetry")


def finished(engine: FakeEngine, methods: list[Method], prompt: str = "The movie was") -> Board:
    """A board whose texts have ended."""
    requests = {place: Request(prompt, method, 7) for place, method in enumerate(methods)}
    rows = list(engine.generate(list(requests.values()), Sampling(max_new_tokens=5)))[-1]
    return Board(outcome=Outcome(requests, Sampling(), rows))


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def services(engine: FakeEngine) -> Services:
    return fake_services(engine)


@pytest.fixture
def page() -> Iterator[XRayPage]:
    with gr.Blocks():
        yield lay_out_xray()


@pytest.fixture
def texts(engine: FakeEngine) -> dict[int, Text]:
    return texts_of_board(finished(engine, [BASE, POETRY, SCIENCE]))


def xrays(services: Services) -> FakeXRays:
    assert isinstance(services.xrays, FakeXRays)
    return services.xrays


def opened(services: Services, page: XRayPage, board: Board, named: str = "happy, sad") -> Values:
    """What the section shows at the end of a run."""
    shown: Values = {}
    for updates in on_open(services, page, texts_of_board, named, board):
        shown |= updates
    return shown | show_xray(page, shown[page.record])


def event(index: Any) -> Any:
    return gr.SelectData(None, {"index": index, "value": "x"})


# Views


def test_a_run_looks_at_all_methods_and_then_writes_the_steered_text_again(
    services: Services, texts: dict[int, Text]
) -> None:
    views = list(examine(services, texts, 2, "happy, sad"))
    assert [view.running for view in views] == [True] * (len(views) - 1) + [False]
    assert "3 of 3" in views[2].message
    assert any("of 2 models" in view.message for view in views), "base and poetry; steering takes no part"
    assert any("5 of 5 tokens" in view.message for view in views)
    record = views[-1].record
    assert [found.method for found in record.next_tokens] == [BASE, POETRY, SCIENCE]
    assert [len(scored.logprobs) for scored in record.scores] == [2, 2, 2]
    assert record.xray is not None
    assert len(record.xray.steps) == 5
    assert xrays(services).asked == [(texts[2].request, ("happy", "sad"))]


def test_a_known_record_is_not_made_again(services: Services, texts: dict[int, Text]) -> None:
    record = list(examine(services, texts, 2, ""))[-1].record
    views = list(examine(services, texts, 2, "joy", record))
    assert all(view.record.scores == record.scores for view in views)
    assert all("once more" in view.message for view in views[:-1])
    xray = views[-1].record.xray
    assert xray is not None
    assert [word.word for word in xray.steps[0].named] == ["joy"]


def test_without_texts_or_steering_a_line_says_what_to_do(services: Services, engine: FakeEngine) -> None:
    (view,) = examine(services, texts_of_board(Board()), None, "")
    assert (view.message, view.is_error, view.running) == (words_xray.NOTHING_TO_XRAY, True, False)
    unsteered = texts_of_board(finished(engine, [BASE, POETRY]))
    assert steered(unsteered) == []
    view = list(examine(services, unsteered, None, ""))[-1]
    assert (view.message, view.is_error) == (words_xray.XRAY_NOT_STEERED, False)
    assert view.record.next_tokens
    assert view.record.xray is None


def test_a_text_that_went_wrong_says_so(services: Services, engine: FakeEngine) -> None:
    texts = texts_of_board(finished(engine, [SCIENCE], "DIVERGE now"))
    view = list(examine(services, texts, 0, ""))[-1]
    assert view.is_error
    assert "went wrong" in view.message
    assert "2 tokens" in view.message
    assert view.record.xray is not None


def test_an_engine_that_breaks_is_told_and_raised(services: Services, texts: dict[int, Text]) -> None:
    broken = {0: texts[2]._replace(request=texts[2].request._replace(prompt="BREAK"))}
    views: list[View] = []
    with pytest.raises(RuntimeError):
        views.extend(examine(services, broken, 0, ""))
    assert (views[-1].message, views[-1].running) == (text.SERVER_ERROR, False)
    assert views[-1].record.next_tokens, "what was found stays"


def test_closing_cancels_the_replay(services: Services, texts: dict[int, Text]) -> None:
    views: Any = examine(services, texts, 2, "")
    for view in views:
        if "once more" in view.message:
            break
    views.close()
    assert xrays(services).closed == 1


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


def test_the_section_opens_with_the_first_step(services: Services, page: XRayPage, engine: FakeEngine) -> None:
    shown = opened(services, page, finished(engine, [BASE, SCIENCE]))
    assert shown[page.column]["visible"]
    assert shown[page.body]["visible"]
    assert shown[page.pane]["choices"] == [("2: PPLM science", 1)]
    assert shown[page.number] == gr.update(maximum=5, value=1)
    assert [piece for piece, _ in shown[page.text]] == [" about", " a", " laboratory", " in", " which"]
    assert "rank 3 unsteered" in shown[page.step["line"]][0][0]
    assert [shown[side.column]["visible"] for side in page.next] == [True, True, False, False, False, False]
    assert [shown[side.column]["visible"] for side in page.under] == [True] + [False] * 5
    assert "mean −1.00 nats" in shown[page.under[0].head]
    assert unpack(shown[page.record]).prompt == "The movie was"


def test_without_a_steered_pane_the_step_is_hidden(services: Services, page: XRayPage, engine: FakeEngine) -> None:
    shown = opened(services, page, finished(engine, [BASE]))
    assert not shown[page.body]["visible"]
    assert shown[page.step["likely"]] is None
    assert shown[page.message] == [(words_xray.XRAY_NOT_STEERED, None)]
    assert shown[page.next[0].column]["visible"]


def test_another_pane_is_looked_at_without_looking_at_all_again(
    services: Services, page: XRayPage, engine: FakeEngine, texts: dict[int, Text]
) -> None:
    board = finished(engine, [SCIENCE, Method("both", lora="poetry", steering=SCIENCE.steering)])
    shown = opened(services, page, board)
    updates = list(on_again(services, page, shown[page.texts], shown[page.record], 1, "joy"))
    assert all(page.next[0].body not in update for update in updates)
    assert xrays(services).asked[-1][0].method.name == "both"
    record = unpack(updates[-1][page.record])
    assert record.xray is not None
    assert record.xray.method.name == "both"
    nothing = list(on_again(services, page, None, None, "nonsense", None))
    assert nothing[-1][page.message] == [(words_xray.NOTHING_TO_XRAY, "error")]


def test_a_clicked_token_moves_the_slider_and_the_slider_shows_its_step(
    services: Services, page: XRayPage, engine: FakeEngine
) -> None:
    shown = opened(services, page, finished(engine, [SCIENCE]))
    assert on_select(event(3)) == 4
    assert on_select(event([0, 1])) == gr.skip()
    updates = show_step(page, shown[page.record], 4)
    marks = [mark for _, mark in updates[page.text]]
    assert marks[3] == xray_figures.CHOSEN
    assert marks[:3] == pytest.approx([0, 0.1, 0.2])
    assert "Token 4 “ in”" in updates[page.step["line"]][0][0]
    assert updates.keys() == {page.text, *page.step.values()}
    for number in (0, 6, None, "2", float("nan")):
        assert show_step(page, shown[page.record], number) == {page.text: gr.skip()}
    assert show_step(page, None, 1) == {page.text: gr.skip()}


def test_an_inner_tab_is_filled_again_when_it_is_opened(services: Services, page: XRayPage, engine: FakeEngine) -> None:
    data = opened(services, page, finished(engine, [BASE, POETRY]))[page.record]
    assert [bar.x[0] for bar in show_next(services, page, data)[page.next[1].body].data] == [0.5, 0.5]
    updates = show_under(services, page, data, 1)
    assert updates[page.under[1].body][0] == (" a", pytest.approx(2 / xray_figures.NATS_IN_FULL))
    for place in (2, "x", None):
        assert not any(show_under(services, page, data, place)[side.column]["visible"] for side in page.under)
    assert not any(show_next(services, page, None)[side.column]["visible"] for side in page.next)


def test_a_kept_comparison_is_looked_at_like_a_new_one(services: Services) -> None:
    form = Form("The movie was", {0: PaneForm(), 3: PaneForm(attribute="science")}, to_json(Sampling()), seed=11)
    board = list(compare(services, form, Board()))[-1]
    update, _ = on_share(services, board, new_secret())
    kept = find_texts(services, str(update["value"]).removeprefix("?compare="))
    assert [one.token_ids for one in kept.values()] == [one.token_ids for one in texts_of_board(board).values()]
    view = list(examine(services, kept, 1, ""))[-1]
    assert view.record.xray is not None
    assert view.record.prompt == "The movie was"
    assert find_texts(services, "nonsense") == {}


def test_a_judged_token_tells_its_numbers(services: Services, page: XRayPage, engine: FakeEngine) -> None:
    data = opened(services, page, finished(engine, [BASE, POETRY]))[page.record]
    ((line, _),) = on_judged(data, 0, event(1))
    assert line == "Token 2 “ little”: Base −1.00, LoRA poetry −2.00 nats."
    assert on_judged(data, 9, event(1)) == on_judged(None, 0, event(1)) == on_judged(data, 0, event(99)) == []


def test_the_record_is_saved_as_json(services: Services, page: XRayPage, engine: FakeEngine) -> None:
    data = opened(services, page, finished(engine, [SCIENCE]))[page.record]
    file, line = on_save(data)
    assert file is not None
    saved = base64.b64decode(file["data"])
    assert json.loads(saved)["xray"]["steps"][1]["rank_clean"] == 4
    assert from_json(saved) == unpack(data)
    assert line == []
    assert on_save(None) == (None, [(words_xray.NOTHING_TO_XRAY, "error")])


def test_stop_says_so(page: XRayPage) -> None:
    assert on_stop(page)[page.message] == [(words_xray.XRAY_STOPPED, None)]


# Figures


def an_xray() -> XRay:
    return XRay(
        SCIENCE, ("The", " start"), (" <i>", " b"), tuple(fake_step(place, " <i>", ("sad",)) for place in (0, 1))
    )


def test_text_of_a_model_is_no_markup_in_a_figure() -> None:
    xray = an_xray()
    likely = xray_figures.likely(xray.steps[0])
    assert likely.layout.yaxis.ticktext == ("“ &lt;i&gt;” ←", "“ &lt;b&gt;other&lt;/b&gt;”")
    figures = [likely, xray_figures.heat(xray, 1), xray_figures.path(xray, 1, 2), xray_figures.costs(xray, 1)]
    figures += [xray_figures.words(xray.steps[0]), xray_figures.next_bars(NextTokens(BASE, (("<b>", 0.5),)), 0.5)]
    assert all("<i>" not in figure.to_json() and "<b>" not in figure.to_json() for figure in figures)


def test_figures_show_the_numbers_of_their_step() -> None:
    xray = an_xray()
    step = xray.steps[1]
    assert list(xray_figures.losses(step).data[0].y) == list(step.losses)
    assert [list(trace.y) for trace in xray_figures.layers(step).data] == [[1, 2, 3], [0.5, 1, 1.5]]
    heat = xray_figures.heat(xray, 1)
    assert list(map(list, heat.data[0].z)) == [[0.5, 1.0, 1.5]] * 2, "a line a position, a column a layer"
    assert heat.layout.yaxis.ticktext == ("“The”", "“ start”")
    assert list(xray_figures.path(xray, 1, 2).data[-1].y) == [0, 3, 6]
    assert list(xray_figures.costs(xray, 1).data[0].y) == [0, 0.1]
    followed = xray_figures.followed(xray, 1)
    assert [list(line.y) for line in followed.data] == [[0.01, 0.01], [0.015, 0.015]]
    assert followed.data[0].marker.size == (5, 11)
    words = xray_figures.words(step)
    assert words.layout.yaxis.ticktext == ("laboratory", "P(“sad”)")
    assert {trace.name: tuple(trace.x) for trace in words.data if trace.name} == {
        words_xray.CLEAN: (0.001, 0.01),
        words_xray.PERTURBED: (0.01, 0.02),
        words_xray.FUSED: (0.005, 0.015),
    }


def test_a_word_says_its_piece_its_attribute_and_whether_it_rests() -> None:
    word = Word("nebula", Candidate(1, " neb", 0.1, 0.1, 0.1), "space", resting=True)
    assert xray_figures.word_label(word, with_attribute=False) == "nebula “ neb” (resting)"
    assert xray_figures.word_label(word, with_attribute=True) == "nebula “ neb” (space, resting)"
    whole = Word("sea", Candidate(2, " sea", 0.1, 0.1, 0.1), "space")
    assert xray_figures.word_label(whole, with_attribute=False) == "sea"


def test_numbers_of_the_likeliest_stand_in_a_table() -> None:
    table = xray_figures.candidates_table(an_xray().steps[0])
    assert list(table.columns) == [words_xray.TOKEN, words_xray.CLEAN, words_xray.PERTURBED, words_xray.FUSED]
    assert table.iloc[0].tolist() == ["“ <i>”", "10.0\u00a0%", "20.0\u00a0%", "30.0\u00a0%"]


def test_a_token_that_is_part_of_a_character_can_still_be_clicked() -> None:
    xray = XRay(SCIENCE, (), ("", "é"), (fake_step(0, "", ()), fake_step(1, "é", ())))
    assert xray_figures.shaded(xray, 1)[0] == ("\ufffd", 0)
    assert xray_figures.surprises(("", "é"), (None, -6.0)) == [("\ufffd", None), ("é", 0.5)]


def test_a_record_without_anything_packs() -> None:
    assert unpack(pack(Record("p", 0, False))) == Record("p", 0, False)
