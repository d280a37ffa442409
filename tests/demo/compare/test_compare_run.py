"""Runs as plain generators over the real engine."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import pytest

from adapters.decoding.engine import Engine
from adapters.decoding.likelihood import perplexity_of
from adapters.decoding.scheduler import Scheduler
from adapters.decoding.text import Continuation
from adapters.decoding.visitors import ONE_EACH
from adapters.methods import BASE, Ask, Method, Request, Sampling, UserError, parse_method
from demo.compare import run as runs
from demo.compare import words
from demo.compare.board import Board, PaneView
from demo.compare.form import form_of, pane_form, read_method
from demo.compare.record import topic_lists
from demo.compare.run import check_parity, compare, compare_as_json
from demo.parts.numbers import DEPARTS, PROMPT, TOPICS
from demo.parts.running import PaneErrors
from demo.parts.words import MEND_PANES, NO_PROMPT, OWN_WORDS, SERVER_ERROR
from demo.services import Services
from leaderboard.metrics.distinct import distinct
from tests.demo.compare.conftest import PANES, STEERED, TOKENS, form, run

Steps = Iterator[list[Continuation]]


def written(view: PaneView) -> str:
    return "".join(piece for piece, mark in view.spans if mark != PROMPT)


def spied(monkeypatch: pytest.MonkeyPatch, around: Callable[[Steps], Steps]) -> list[list[Request]]:
    """What the engine is asked from now on; its steps go through `around`."""
    asked: list[list[Request]] = []
    real = Engine.generate

    def generate(self: Engine, requests: Sequence[Request], sampling: Sampling) -> Steps:
        steps = real(self, requests, sampling)
        asked.append(list(requests))
        return around(steps)

    monkeypatch.setattr(Engine, "generate", generate)
    return asked


def breaking(steps: Steps) -> Steps:
    """Steps that break after the third."""
    for number, step in enumerate(steps):
        if number == 3:
            raise RuntimeError("the engine broke")
        yield step


def test_panes_stream_together_and_end_with_their_own_texts(boards: list[Board]) -> None:
    assert boards[0].running
    assert not boards[-1].running
    assert [view.method.name for view in boards[-1].panes.values()] == [
        *("base", "lora:verse", "prefix:facts"),
        f"pplm:{OWN_WORDS}",
    ]
    assert len({written(view) for view in boards[-1].panes.values()}) == 4
    lengths = [sum(view.figures.tokens for view in board.panes.values() if view.figures) for board in boards]
    assert lengths == sorted(lengths)
    assert lengths[-1] == 4 * TOKENS
    first = next(board for board in boards if board.panes[0].figures and board.panes[0].figures.tokens)
    assert first.panes[1].figures, "unsteered panes begin together"
    assert first.panes[1].figures.tokens == 1


def test_a_board_is_sent_only_when_something_changed(boards: list[Board]) -> None:
    assert all(before != after for before, after in zip(boards, boards[1:], strict=False))


def test_all_panes_run_in_one_batch_with_the_same_prompt_and_seed(
    lasting: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = spied(monkeypatch, lambda steps: steps)
    run(lasting, form(seed=11, panes={0: PANES[0], 4: PANES[1]}))
    assert [[(r.prompt, r.seed, r.method.name) for r in batch] for batch in asked] == [
        [("The movie was", 11, name) for name in ("base", "lora:verse")]
    ]


def test_perplexity_is_always_the_base_models(lasting: Services, boards: list[Board]) -> None:
    assert boards[-1].record is not None
    prompt_ids = tuple(lasting.engine.base.encode("The movie was"))
    for place, pane in enumerate(boards[-1].record["panes"]):
        (scored,) = lasting.engine.loglikelihood([(prompt_ids, tuple(pane["token_ids"]))], BASE)
        figures = boards[-1].panes[place].figures
        assert figures is not None
        assert figures.perplexity == pytest.approx(perplexity_of(scored.sum_logprob, TOKENS), rel=1e-4)
    middle = [board for board in boards if board.panes[0].figures and board.panes[0].figures.tokens == 3][0].panes
    assert middle[0].figures is not None
    assert middle[0].figures.perplexity is not None, "live where it is known"
    assert middle[1].figures is not None
    assert middle[1].figures.perplexity is None, "not before it has been scored"


def test_each_finished_row_is_scored_once(lasting: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    scored: list[tuple[int, Method]] = []
    real = Engine.loglikelihood

    def loglikelihood(self: Engine, texts: Any, method: Method) -> Any:
        scored.append((len(texts), method))
        return real(self, texts, method)

    monkeypatch.setattr(Engine, "loglikelihood", loglikelihood)
    run(lasting, form())
    assert scored == [(2, BASE)], "verse and facts end together; the others have the base's own numbers"


def test_distinct_2_is_the_leaderboards(boards: list[Board]) -> None:
    text = " the cat, the cat: the CAT sat"
    row = Continuation(Request("Hi", BASE), (0,), (1, 2), text, (-1.0, -2.0), "eos", 1.0)
    figures = runs.view(row, None).figures
    assert figures is not None
    assert figures.distinct_2 == distinct([text], 2) == 1.0, "words between whitespace"
    for view in boards[-1].panes.values():
        value = distinct([written(view)], 2)
        assert view.figures is not None
        assert view.figures.distinct_2 == (value if math.isfinite(value) else None)


def test_only_rows_with_a_new_token_are_read_again(lasting: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    made: Counter[str] = Counter()
    real = runs.view

    def view(row: Continuation, *rest: Any) -> PaneView:
        made[row.request.method.name] += 1
        return real(row, *rest)

    monkeypatch.setattr(runs, "view", view)
    run(lasting, form(panes={0: PANES[0], 3: PANES[3]}))
    assert max(made.values()) <= TOKENS + 1, "the steered row takes two steps a token"


def test_attribute_words_of_the_steered_panes_are_counted_everywhere(boards: list[Board]) -> None:
    for view in boards[-1].panes.values():
        marked = [piece for piece, mark in view.spans if mark and mark.startswith(TOPICS[0])]
        assert all(piece.lower() in "aeo" for piece in marked)
        assert view.figures is not None
        assert view.figures.attribute_words == len(marked)


def test_a_weighted_word_is_marked_by_its_word_and_a_discriminator_marks_nothing(lasting: Services) -> None:
    def marked(**values: str) -> set[str]:
        method = runs.read_form(form(panes={0: pane_form(**values)})).requests[0].method
        return set().union(*topic_lists(lasting, [method]).values())

    own = {"attribute": OWN_WORDS, "words": "bridge:2, worth the, :3", "attribute_2": "sentiment:positive"}
    assert marked(**own) - {""} == {"bridge", "worth the"}
    assert marked(attribute="sentiment:positive") == set()
    assert "laboratory" in marked(attribute="science")


def test_lists_have_marks_of_their_own(lasting: Services) -> None:
    names = ("science+pplm:sentiment:positive", "space", "science")
    lists = topic_lists(lasting, [parse_method(f"pplm:{name}") for name in names])
    assert list(lists) == ["science", "space"], "each list once; a discriminator has no words"


def test_whatever_reaches_for_a_topic_is_marked(lasting: Services) -> None:
    for name in ("pplm:science", "best:science", "push:science", "ask:science"):
        assert topic_lists(lasting, [parse_method(name)]).keys() == {"science"}
    own = Method("ask", ask=Ask("science", "A sad poem:"))
    assert topic_lists(lasting, [own, parse_method("experts:verse")]) == {}
    assert topic_lists(lasting, [parse_method("ask:sentiment:positive")]) == {}, "a class has no words"


@pytest.mark.parametrize("part", ["push", "ask", "expert", "best"])
def test_a_pane_with_its_effect_off_writes_what_base_writes(lasting: Services, part: str) -> None:
    settings: dict[str, dict[str, Any]] = {
        "push": {"attribute": OWN_WORDS, "words": "a, e, o", "by": ("push",)},
        "ask": {"ask": OWN_WORDS, "instruction": "A sad poem:", "guidance": 1.5},
        "expert": {"expert": "verse", "against": "facts"},
        "best": {"attribute": OWN_WORDS, "words": "a, e, o", "by": ("best",), "best_of": 3},
    }
    panes = form(panes={0: pane_form(), 1: pane_form(**settings[part])}, max_new_tokens=4)
    *_, written = compare(lasting, panes, Board())
    assert written.record, written.message
    *_, checked = check_parity(lasting, panes, written)
    assert checked.panes[1].note == words.PARITY_EQUAL


def test_the_first_word_that_departs_from_base_is_marked_at_the_end(boards: list[Board]) -> None:
    base = written(boards[-1].panes[0])
    for view in list(boards[-1].panes.values())[1:]:
        ((place, word),) = [(i, piece) for i, (piece, mark) in enumerate(view.spans) if mark and DEPARTS in mark]
        before = "".join(piece for piece, mark in view.spans[:place] if mark != PROMPT)
        assert base.startswith(before)
        assert not base.startswith(before + word)
    assert not any(mark and DEPARTS in mark for view in boards[-2].panes.values() for _, mark in view.spans)
    assert not any(mark and DEPARTS in mark for _, mark in boards[-1].panes[0].spans), "Base departs from nothing"


def test_a_text_equal_to_base_says_what_to_do(lasting: Services) -> None:
    panes = {0: pane_form(), 1: pane_form(lora="verse", lora_scale=0), 3: STEERED | {"step_size": 0}}
    last = run(lasting, form(panes=panes))[-1].panes
    assert [last[place].note for place in panes] == [
        "",
        words.same_as_base(last[1].method),
        words.same_as_base(last[3].method),
    ]
    assert "Raise the scale" in last[1].note
    assert "Raise the strength" in last[3].note


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"lora": "verse", "lora_scale": 0.5},
        {"prefix": "facts", "attribute": OWN_WORDS, "words": "a, b c:2", "strength": 3.0},
        {"attribute": "science", "attribute_2": "space", "weight_2": -1.5, "carry": True, "kl_budget": 2.0},
    ],
)
def test_a_method_fills_the_controls_that_it_was_read_from(values: dict[str, Any]) -> None:
    method = read_method(pane_form(**values))
    assert read_method(form_of(method)) == method


def test_without_attributes_there_is_no_count(lasting: Services) -> None:
    figures = run(lasting, form(panes={0: pane_form()}, max_new_tokens=2))[-1].panes[0].figures
    assert figures is not None
    assert figures.attribute_words is None


def test_a_diverged_pane_says_so_and_the_others_finish(lasting: Services) -> None:
    panes = run(lasting, form(panes={0: pane_form(), 1: pane_form(lora="burst")}))[-1].panes
    assert (panes[1].status, panes[1].note, panes[1].is_error) == ("diverged", words.DIVERGED, True)
    assert panes[0].status == "8-token limit"


def test_closing_a_run_closes_the_engine(lasting: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []

    def watched(steps: Steps) -> Steps:
        try:
            yield from steps
        finally:
            ended.append("ended")

    spied(monkeypatch, watched)
    boards = compare(lasting, form(), Board())
    while not written(next(boards).panes.get(0, PaneView())):
        pass
    assert ended == []
    boards.close()  # type: ignore[attr-defined]
    assert ended == ["ended"]


def test_stop_keeps_what_was_there(boards: list[Board]) -> None:
    middle = next(board for board in boards if not board.panes[0].running and board.panes[3].running)
    stopped = middle.stop()
    assert not stopped.running
    assert [written(view) for view in stopped.panes.values()] == [written(view) for view in middle.panes.values()]
    assert stopped.panes[3].status == words.STOPPED
    assert stopped.panes[0].status == "8-token limit", "a finished text stays finished"


@pytest.mark.parametrize("prompt", ["", "  \n "])
def test_an_empty_prompt_starts_nothing_and_keeps_the_texts(lasting: Services, finished: Board, prompt: str) -> None:
    (board,) = run(lasting, form(prompt), finished)
    assert (board.message, board.is_error) == (NO_PROMPT, True)
    assert board.panes == finished.panes


def test_a_refusal_for_all_stands_under_the_prompt(lasting: Services) -> None:
    board = run(lasting, form(max_new_tokens=200))[-1]
    assert "128" in board.message
    assert board.is_error
    assert board.errors == {}


def test_a_refusal_for_one_pane_stands_in_that_pane(lasting: Services) -> None:
    panes = PANES | {4: pane_form(lora="gone"), 5: pane_form(attribute="science")}
    board = run(lasting, form(panes=panes))[-1]
    assert board.errors.keys() == {4, 5}
    assert "There is no LoRA adapter 'gone'" in board.errors[4]
    assert "No word of 'science' can be begun" in board.errors[5]
    assert board.message == words.MEND_SOME
    assert all(written(view) for view in board.panes.values()), "the others go on"


def test_parity_waits_until_every_pane_can_be_read(lasting: Services) -> None:
    bad = form(panes=PANES | {4: pane_form(attribute="a", weight=99)})
    (board,) = check_parity(lasting, bad, Board())
    assert board.message == MEND_PANES
    assert "weight" in board.errors[4]


@pytest.mark.parametrize("work", [compare, check_parity])
def test_a_broken_engine_is_a_line_and_its_words_are_in_the_log(
    work: Any, lasting: Services, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    spied(monkeypatch, breaking)
    last = list(work(lasting, form(), Board()))[-1]
    assert (last.message, last.is_error, last.running) == (SERVER_ERROR, True, False)
    assert "the engine broke" in caplog.text
    assert all(view.status == words.STOPPED for view in last.panes.values())


def test_parity_runs_every_method_with_its_effect_off_beside_the_base(
    lasting: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = spied(monkeypatch, lambda steps: steps)
    going, *_, last = check_parity(lasting, form(), Board())
    off = [request.method for request in asked[0]]
    assert going.running
    assert off[0] == BASE
    assert [method.lora_scale for method in off[1:]] == [0.0] * 4
    assert [method.prefix for method in off] == [None] * 5
    assert off[4].steering is not None
    assert off[4].steering.step_size == 0
    assert [last.panes[place].note for place in PANES] == [words.PARITY_BASE, *[words.PARITY_EQUAL] * 3]
    assert "4 of 4 panes" in last.message


def test_parity_shows_the_first_token_that_differs(lasting: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    def cheating(steps: Steps) -> Steps:
        """The last row swaps its third token for an `x`."""
        (x,) = lasting.engine.base.tokenizer.encode("x", add_special_tokens=False)
        for step in steps:
            ids = step[-1].token_ids
            yield [*step[:-1], step[-1]._replace(token_ids=(*ids[:2], x, *ids[3:]) if len(ids) > 2 else ids)]

    spied(monkeypatch, cheating)
    last = list(check_parity(lasting, form(), Board()))[-1]
    assert last.panes[2].note == words.PARITY_EQUAL
    assert "token 3 is “x”, Base has “" in last.panes[3].note
    assert "3 of 4 panes" in last.message


def test_parity_keeps_the_texts(lasting: Services, finished: Board) -> None:
    after = list(check_parity(lasting, form(), finished))[-1]
    assert [view.spans for view in after.panes.values()] == [view.spans for view in finished.panes.values()]


def test_json_rows_hold_texts_and_figures(lasting: Services) -> None:
    steered = runs.read_form(form(panes={0: STEERED})).requests[0].method
    answers = list(compare_as_json(lasting, [BASE, steered], Request("Hi", BASE, 5), Sampling(max_new_tokens=4)))
    base, pplm = answers[-1]
    assert (base["method"], base["finish_reason"], base["tokens"]) == ("base", "length", 4)
    assert base["text"]
    assert base["perplexity"] > 1
    assert isinstance(pplm["attribute_words"], int)
    assert answers[0][0]["finish_reason"] is None


def test_json_says_which_method_is_refused(lasting: Services) -> None:
    methods = [BASE, parse_method("lora:gone")]
    with pytest.raises(PaneErrors) as caught:
        next(compare_as_json(lasting, methods, Request("Hi", BASE), Sampling(max_new_tokens=2)))
    assert caught.value.notes.keys() == {1}
    with pytest.raises(UserError, match="128"):
        next(compare_as_json(lasting, methods[:1], Request("Hi " * 99, BASE), Sampling()))


def test_who_waits_sees_the_place_in_line(lasting: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lasting.engine, "shared", Scheduler(most_bytes=1))
    first, second = (compare(lasting, form(seed=seed), Board()) for seed in range(2))
    next(first), next(first), next(second)
    assert next(second).message.startswith("You are next in line: about")
    assert list(first)
    last = list(second)[-1]
    assert last.message == ""
    assert last.record is not None


def test_a_visitor_has_one_comparison_at_a_time(lasting: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    hold = partial(lasting.visitors.hold, patience=0)
    monkeypatch.setattr(lasting.visitors, "hold", hold)
    first = compare(lasting, form(), Board(), "mine")
    next(first)
    (refused,) = compare(lasting, form(), Board(), "mine")
    assert (refused.is_error, refused.message) == (True, ONE_EACH)
    assert list(compare(lasting, form(), Board(), "yours"))[-1].record is not None
    assert list(first)[-1].record is not None
