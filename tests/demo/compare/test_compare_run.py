"""Runs as plain generators over a fake engine."""

import math
from collections.abc import Iterator
from typing import Any

import pytest

from adapters.methods import BASE, Request, Sampling, UserError, parse_method, to_json
from demo.compare.form import Form, PaneForm
from demo.compare.run import check_parity, compare, compare_as_json
from demo.parts import words as text
from demo.parts.board import Board, PaneErrors, PaneView
from demo.parts.numbers import ATTRIBUTE, PROMPT
from tests.demo.fakes import TEXTS, FakeContinuation, FakeEngine, fake_services

PANES = {
    0: PaneForm(),
    1: PaneForm(lora="poetry"),
    2: PaneForm(prefix="facts"),
    3: PaneForm(attribute="science"),
}


def form(prompt: str = "The movie was", panes: dict[int, PaneForm] | None = None, **sampling: Any) -> Form:
    return Form(prompt, panes or PANES, to_json(Sampling()) | sampling)


def run(engine: FakeEngine, form: Form, board: Board | None = None) -> list[Board]:
    return list(compare(fake_services(engine), form, board or Board()))


def written(view: PaneView) -> str:
    return "".join(piece for piece, mark in view.spans if mark != PROMPT)


def test_panes_stream_together_and_end_with_their_own_texts() -> None:
    boards = run(FakeEngine(), form())
    assert boards[0].running
    assert not boards[-1].running
    assert [written(view) for view in boards[-1].panes.values()] == list(TEXTS.values())
    lengths = [sum(len(written(view)) for view in board.panes.values()) for board in boards]
    assert lengths == sorted(lengths)
    first = next(board for board in boards if written(board.panes[0]))
    assert written(first.panes[1]), "unsteered panes begin together"


def test_a_board_is_sent_only_when_something_changed() -> None:
    boards = run(FakeEngine(), form())
    assert all(before != after for before, after in zip(boards, boards[1:], strict=False))


def test_all_panes_run_in_one_batch_with_the_same_prompt_and_seed() -> None:
    engine = FakeEngine()
    run(engine, form()._replace(seed=11))
    assert [[(r.prompt, r.seed, r.method.name) for r in batch] for batch in engine.asked] == [
        [("The movie was", 11, name) for name in ("base", "lora:poetry", "prefix:facts", "pplm:science")]
    ]


def test_perplexity_is_always_the_base_models() -> None:
    """The fake's own rows have log-probability -2 a token, its base scores -3."""
    engine = FakeEngine()
    boards = run(engine, form())
    own, scored = math.exp(2), math.exp(3)
    figures = [view.figures for view in boards[-1].panes.values()]
    assert [f and f.perplexity for f in figures] == pytest.approx([own, scored, scored, own])
    assert set(engine.scored) == {BASE}
    middle = boards[len(boards) // 4].panes
    assert middle[0].figures is not None
    assert middle[0].figures.perplexity == pytest.approx(own), "live where it is known"
    assert middle[1].figures is not None
    assert middle[1].figures.perplexity is None, "not before it has been scored"


def test_each_finished_row_is_scored_once() -> None:
    engine = FakeEngine()
    run(engine, form())
    assert len(engine.scored) == 2  # poetry and facts end at different times


def test_attribute_words_of_the_steered_panes_are_counted_everywhere() -> None:
    board = run(FakeEngine(), form())[-1]
    marked = [[piece for piece, mark in view.spans if mark == ATTRIBUTE] for view in board.panes.values()]
    assert marked[0] == ["science"]
    assert marked[3][:3] == ["laboratory", "researcher", "theory"]
    counts = [view.figures and view.figures.attribute_words for view in board.panes.values()]
    assert counts == [len(words) for words in marked]


def test_own_words_are_counted_too() -> None:
    panes = {0: PaneForm(), 1: PaneForm(attribute=text.OWN_WORDS, words="bridge, ticket")}
    figures = run(FakeEngine(), form(panes=panes))[-1].panes[0].figures
    assert figures is not None
    assert figures.attribute_words == 2


def test_a_weighted_word_is_marked_by_its_word_and_a_discriminator_marks_nothing() -> None:
    panes = {
        0: PaneForm(),
        1: PaneForm(attribute=text.OWN_WORDS, words="bridge:2, worth the, :3", attribute_2="sentiment:positive"),
    }
    view = run(FakeEngine(), form(panes=panes))[-1].panes[0]
    assert [piece for piece, mark in view.spans if mark == ATTRIBUTE] == ["bridge", "worth the"]
    panes = {0: PaneForm(attribute="sentiment:positive")}
    view = run(FakeEngine(), form(panes=panes))[-1].panes[0]
    assert view.figures is not None
    assert view.figures.attribute_words is None


def test_without_attributes_there_is_no_count() -> None:
    figures = run(FakeEngine(), form(panes={0: PaneForm()}))[-1].panes[0].figures
    assert figures is not None
    assert figures.attribute_words is None


def test_a_diverged_pane_says_so_and_the_others_finish() -> None:
    panes = run(FakeEngine(), form("DIVERGE"))[-1].panes
    assert panes[3].status == "diverged"
    assert panes[3].note == text.DIVERGED
    assert panes[0].status == text.FINISHED["eos"]


def test_closing_a_run_closes_the_engine() -> None:
    engine = FakeEngine()
    boards = compare(fake_services(engine), form(), Board())
    while not written(next(boards).panes.get(0, PaneView())):
        pass
    assert engine.closed == 0
    close(boards)
    assert engine.closed == 1


def test_stop_keeps_what_was_there() -> None:
    boards = run(FakeEngine(), form())
    middle = boards[len(boards) // 2]
    stopped = middle.stop()
    assert not stopped.running
    assert [written(view) for view in stopped.panes.values()] == [written(view) for view in middle.panes.values()]
    assert stopped.panes[3].status == text.STOPPED
    assert stopped.panes[2].status == text.FINISHED["eos"], "what had ended by itself still has"


@pytest.mark.parametrize("prompt", ["", "  \n "])
def test_an_empty_prompt_starts_nothing_and_keeps_the_texts(prompt: str) -> None:
    engine = FakeEngine()
    before = run(engine, form())[-1]
    boards = run(engine, form(prompt), before)
    assert [board.message for board in boards] == [text.NO_PROMPT]
    assert boards[-1].is_error
    assert boards[-1].panes == before.panes
    assert len(engine.asked) == 1


def test_what_the_engine_refuses_for_all_stands_under_the_prompt() -> None:
    board = run(FakeEngine(), form(max_new_tokens=99))[-1]
    assert "need 102 tokens, the context has 100" in board.message
    assert board.errors == {}


def test_what_the_engine_refuses_for_one_pane_stands_in_that_pane() -> None:
    board = run(FakeEngine(), form(panes=PANES | {4: PaneForm(lora="gone")}))[-1]
    assert board.errors == {4: "There is no LoRA adapter 'gone': choose one of poetry, scifi."}
    assert board.message == text.MEND_SOME
    assert [written(view) for view in board.panes.values()] == list(TEXTS.values()), "the others go on"


def test_parity_waits_until_every_pane_can_be_read() -> None:
    board = list(check_parity(fake_services(), form(panes=PANES | {4: PaneForm(attribute="a", weight=99)}), Board()))[
        -1
    ]
    assert board.message == text.MEND_PANES
    assert "weight" in board.errors[4]


def test_a_broken_engine_is_reported_without_its_words() -> None:
    seen: list[Board] = []
    with pytest.raises(RuntimeError):
        seen.extend(compare(fake_services(), form("BREAK"), Board()))
    assert seen[-1].message == text.SERVER_ERROR
    assert not seen[-1].running
    assert seen[-1].panes[0].status == text.STOPPED


def test_parity_runs_every_method_with_its_effect_off_beside_the_base() -> None:
    engine = FakeEngine()
    board = list(check_parity(fake_services(engine), form(), Board()))[-1]
    neutral = [request.method for request in engine.asked[0]]
    assert neutral[0] == BASE
    assert [method.lora_scale for method in neutral[1:]] == [0.0] * 4
    assert [method.prefix for method in neutral] == [None] * 5
    assert neutral[4].steering is not None
    assert neutral[4].steering.step_size == 0
    assert [board.panes[place].note for place in PANES] == [
        text.PARITY_BASE,
        *[text.PARITY_EQUAL.format(tokens="36 tokens")] * 3,
    ]
    assert "4 of 4 panes" in board.message


def test_parity_shows_the_first_token_that_differs() -> None:
    board = list(check_parity(fake_services(), form("UNEQUAL"), Board()))[-1]
    assert board.panes[2].note.startswith("Parity: with its effect off"), "without its prefix it is the base"
    assert "token 2 differs: “ silver” where the base has “ little”" in board.panes[1].note
    assert "2 of 4 panes" in board.message


def test_parity_keeps_the_texts() -> None:
    before = run(FakeEngine(), form())[-1]
    after = list(check_parity(fake_services(), form(), before))[-1]
    assert [view.spans for view in after.panes.values()] == [view.spans for view in before.panes.values()]


def test_json_rows_hold_texts_and_figures() -> None:
    methods = [parse_method("base"), parse_method("pplm:science")]
    answers = list(compare_as_json(fake_services(), methods, Request("The movie was", BASE, 5), Sampling()))
    base, pplm = answers[-1]
    assert base["method"] == "base"
    assert base["text"] == TEXTS["base"]
    assert base["finish_reason"] == "eos"
    assert base["tokens"] == 36
    assert base["perplexity"] == pytest.approx(math.exp(2))
    assert pplm["attribute_words"] > base["attribute_words"] == 1
    assert answers[0][0]["finish_reason"] is None


def test_json_says_which_method_is_refused() -> None:
    methods = [parse_method("base"), parse_method("lora:gone")]
    with pytest.raises(PaneErrors) as caught:
        next(compare_as_json(fake_services(), methods, Request("Hi", BASE), Sampling()))
    assert caught.value.notes.keys() == {1}
    with pytest.raises(UserError, match="context"):
        next(compare_as_json(fake_services(), methods[:1], Request("Hi " * 99, BASE), Sampling()))


def close(boards: Iterator[Board]) -> None:
    """What Gradio does when a visitor presses Stop or leaves."""
    boards.close()  # type: ignore[attr-defined]


def test_the_fake_is_a_continuation() -> None:
    """Its fields are those of the engine's, so that what holds here holds there."""
    from adapters.decoding.engine import Continuation

    assert FakeContinuation._fields == Continuation._fields
