"""What the engine refuses, how it shares its time, and how it ends."""

import copy
import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from adapters.decoding.batch import STEERED_SHARE, Batch
from adapters.decoding.engine import Engine
from adapters.decoding.sampling import Sampler
from adapters.decoding.text import Continuation
from adapters.methods import BASE, PPLM, Attribute, Method, Request, Sampling, UserError, as_in_paper, effect_off
from tests.adapters.conftest import Bench

SHORT = Sampling(max_new_tokens=8)
STEERED = Method("pplm", steering=PPLM((Attribute("vowels", words=("a", "e", "o")),), num_iterations=3))


@pytest.fixture(autouse=True)
def one_byte_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.pplm.bags.WORD_START", "")


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Request("", BASE), "The prompt is empty"),
        (Request(" \n\t", BASE), "The prompt is empty"),
        (Request("a\0b", BASE), "a character that is not text"),
        (Request("a\ud800b", BASE), "a character that is not text"),
        (Request("Once", Method("m", lora="nobody")), "There is no LoRA adapter 'nobody': choose one of"),
        (Request("Once", Method("m", prefix="verse")), "There is no prefix adapter 'verse': choose one of facts"),
        (Request("Once", replace(STEERED, steering=PPLM((Attribute("nothing"),)))), "There is no attribute 'nothing'"),
        (Request("Once", BASE, chat=True), "has no chat template: continue the text instead"),
        (Request("x" * 120, BASE), r"0 virtual tokens, 121 of the prompt and 8 new ones make 129, .* room for 128"),
        (
            Request("x" * 115, Method("m", prefix="facts")),
            r"5 virtual tokens, 116 of the prompt and 8 new ones make 129",
        ),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_starts(bench: Bench, request_: Request, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        bench.engine.generate([Request("Once", BASE), request_], SHORT)
    assert "\n" not in str(caught.value)


def test_a_text_may_fill_the_context_to_the_last_position(bench: Bench) -> None:
    *_, (row,) = bench.engine.generate([Request("x" * 114, Method("m", prefix="facts"))], SHORT)
    assert row.finish_reason in ("length", "eos")


def states(engine: Engine, methods: list[Method], sampling: Sampling) -> list[list[Continuation]]:
    return list(engine.generate([Request("Once upon", method, 1) for method in methods], sampling))


def test_texts_only_grow_and_the_last_state_is_complete(bench: Bench) -> None:
    history = states(bench.engine, [BASE, STEERED, Method("l", lora="verse")], SHORT)
    for earlier, later in zip(history, history[1:], strict=False):
        for before, after in zip(earlier, later, strict=True):
            assert after.token_ids[: len(before.token_ids)] == before.token_ids
            assert len(after.token_ids) - len(before.token_ids) in (0, 1)
            assert after.text.startswith(before.text)
            assert after.seconds >= before.seconds
    assert all(row.finish_reason in ("length", "eos") for row in history[-1])


def test_every_iteration_is_a_place_to_stop(bench: Bench) -> None:
    """A steered token of three iterations is four pieces of work, so that cancelling waits for one of them at most."""
    assert len(states(bench.engine, [STEERED], replace(SHORT, max_new_tokens=5, temperature=0))) == 5 * 4


@pytest.mark.slow
def test_every_row_starts_at_once_and_unsteered_rows_do_not_wait(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """With pieces of work that all take the same time, the unsteered rows have their share and the texts stay."""

    def advance(batch: Batch) -> None:
        next(batch._pieces, None)
        batch.seconds += 1

    monkeypatch.setattr(Batch, "advance", advance)
    sampling = Sampling(max_new_tokens=40, temperature=0.8)
    history = states(bench.engine, [BASE, STEERED], sampling)
    unsteered = len(history[-1][0].token_ids)
    assert unsteered > 30
    starts = [next(n for n, rows in enumerate(history) if rows[row].token_ids) for row in (0, 1)]
    assert starts == [0, 4]
    done = next(n for n, rows in enumerate(history) if rows[0].finish_reason) + 1
    assert done <= (1 + STEERED_SHARE) * unsteered + 1
    assert 3 <= len(history[done - 1][1].token_ids) < 10, "the steered row streams meanwhile"
    assert [row.token_ids for row in history[-1]] == [
        states(bench.engine, [method], sampling)[-1][0].token_ids for method in (BASE, STEERED)
    ]


def test_finished_rows_cost_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch that the model reads shrinks as rows end, and prompts that are the same are read once."""
    sizes: list[int] = []
    hook = bench.base.model.register_forward_pre_hook(
        lambda module, args, kwargs: sizes.append(kwargs["input_ids"].shape[0]), with_kwargs=True
    )
    requests = [Request("Once", BASE, seed) for seed in range(30)]
    *_, rows = bench.engine.generate(requests, Sampling(temperature=3, max_new_tokens=60))
    hook.remove()
    lengths = [len(row.token_ids) for row in rows]
    assert min(lengths) < max(lengths)
    assert sizes[0] == 1
    assert sizes[1:] == [sum(length > step for length in lengths) for step in range(1, max(lengths))]


@pytest.mark.slow
def test_memory_is_freed_on_cancelling(bench: Bench) -> None:
    def tensors() -> int:
        gc.collect()
        return sum(isinstance(thing, torch.Tensor) for thing in gc.get_objects())

    before = tensors()
    running = bench.engine.generate([Request("Once", BASE), Request("Once", STEERED)], SHORT)
    for _ in range(4):
        next(running)
    assert tensors() > before
    running.close()  # it is a generator
    del running
    assert tensors() == before


@pytest.mark.slow
def test_threads_take_turns(bench: Bench) -> None:
    """Two generations in two threads, one with a LoRA: each writes what it writes alone."""
    methods = [[BASE], [Method("l", lora="verse")], [STEERED], [Method("p", prefix="facts")]]
    alone = [states(bench.engine, each, SHORT)[-1][0].token_ids for each in methods]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            together = pool.map(lambda each: states(bench.engine, each, SHORT)[-1][0].token_ids, methods)
            assert list(together) == alone


def test_a_bfloat16_model_is_pushed_in_float32(bench: Bench) -> None:
    """Small pushes would vanish in bfloat16: the pushed past is float32, and only what the model reads is rounded."""
    model = copy.deepcopy(bench.base.model).bfloat16()
    engine = Engine(replace(bench.base, model=model), bench.engine.store)
    everything = replace(STEERED, lora="verse", prefix="facts")
    rows = states(engine, [BASE, everything, replace(everything, steering=None)], SHORT)[-1]
    assert all(len(row.token_ids) == SHORT.max_new_tokens or row.finish_reason == "eos" for row in rows)
    # Alone both, since in bfloat16 a batch of another shape rounds so much otherwise that texts part.
    for seed in range(5):
        off, base = (
            [*engine.generate([Request("Once upon", method, seed)], SHORT)][-1][0]
            for method in (effect_off(everything), BASE)
        )
        assert off.token_ids == base.token_ids
    assert STEERED.steering is not None
    carried = replace(STEERED, steering=as_in_paper(STEERED.steering))
    assert states(engine, [carried], SHORT)[-1][0].token_ids
    batch = engine.batch(Request("Once", carried), Sampler(SHORT), SHORT.max_new_tokens)
    batch.advance()
    assert batch.steering is not None
    assert batch.steering.past.kv.data.dtype == torch.float32
    assert batch.kv.data.dtype == torch.bfloat16


def test_a_prompt_of_one_token_has_no_past_to_push(bench: Bench) -> None:
    """Without a bos token the first steered token is the unsteered one; pushing starts with the second."""
    tokenizer = copy.deepcopy(bench.base.tokenizer)
    tokenizer.bos_token = None
    engine = Engine(replace(bench.base, tokenizer=tokenizer), bench.engine.store)
    assert engine.base.encode("a") == tokenizer.encode("a")
    assert STEERED.steering is not None
    carried = replace(STEERED, steering=as_in_paper(STEERED.steering))
    *_, rows = engine.generate([Request("a", method, 1) for method in (BASE, STEERED, carried)], SHORT)
    assert len({row.token_ids[0] for row in rows}) == 1
    assert all(row.finish_reason in ("length", "eos") for row in rows)


def test_a_long_run_lets_others_have_every_other_step(bench: Bench) -> None:
    """Each step is long beside what is between the steps, where an ordinary lock would go to the same thread again."""
    order: list[str] = []
    start = threading.Barrier(2)

    def run(name: str) -> None:
        start.wait()
        for _ in range(10):
            with bench.engine.turn:
                time.sleep(0.01)
                order.append(name)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, "ab"))
    both = order[2:-2]
    assert all(one != other for one, other in pairwise(both)), "".join(order)


def test_a_bag_whose_words_were_all_just_used_steers_nowhere(bench: Bench) -> None:
    """What rounding leaves of a gradient must not be blown up to a push."""
    used = Request("a e o, a e o", STEERED, 1)
    (base, steered) = states(bench.engine, [BASE, STEERED], SHORT)[-1]
    assert steered.text != base.text, "elsewhere it does steer"
    greedy = Sampling(temperature=0, max_new_tokens=1)
    *_, (one, other) = bench.engine.generate([used, used._replace(method=BASE)], greedy)
    assert one.token_ids == other.token_ids
    assert one.logprobs == pytest.approx(other.logprobs, abs=1e-5)
