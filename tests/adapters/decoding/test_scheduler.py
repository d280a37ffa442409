"""Law 2 for calls that join and leave each other's batches; who is let in, and what everybody gets of the time."""

import random
import time
from collections.abc import Generator, Iterator
from dataclasses import replace

import pytest
import torch

from adapters.decoding import engine as engine_module
from adapters.decoding.batch import Batch
from adapters.decoding.engine import Engine
from adapters.decoding.sampling import Sampler
from adapters.decoding.scheduler import Scheduler
from adapters.decoding.text import Continuation
from adapters.methods import BASE, PPLM, Attribute, Method, Request, Sampling, as_in_paper
from adapters.pplm.past import MOST_TWINS
from adapters.training.order import finish
from tests.adapters.conftest import Bench

VOWELS = Attribute("vowels", words=("a", "e", "o"))
UNSTEERED = [BASE, Method("l", lora="verse"), Method("half", lora="verse", lora_scale=0.5), Method("p", prefix="facts")]
STEERING = [
    PPLM((VOWELS,), num_iterations=2),
    as_in_paper(PPLM((VOWELS,))),
    PPLM((Attribute("mood:up"),), horizon_length=2, window_length=3),
    PPLM((VOWELS,), grad_length=3, cooldown=40, best_of=2),
]
METHODS = [*UNSTEERED, *(Method("pplm", lora="verse" if n % 2 else None, steering=s) for n, s in enumerate(STEERING))]
GREEDY, SAMPLED = Sampling(temperature=0, max_new_tokens=9), Sampling(temperature=0.9, top_p=0.8, max_new_tokens=12)
PROMPTS = ["Once", "It was a dark and stormy night, and", "a" * 60]
Call = Generator[list[Continuation], None, None]


@pytest.fixture(autouse=True)
def one_byte_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.pplm.bags.WORD_START", "")


@pytest.fixture
def engine(bench: Bench) -> Engine:
    return Engine(bench.base, bench.engine.store)


def calls(number: int, seed: int) -> Iterator[tuple[list[Request], Sampling]]:
    """Made-up calls, each of one to four rows."""
    pick = random.Random(seed)
    for _ in range(number):
        methods = pick.sample(METHODS, pick.randint(1, 4))
        requests = [Request(pick.choice(PROMPTS), method, pick.randint(0, 9)) for method in methods]
        yield requests, pick.choice([GREEDY, SAMPLED])


def tokens(rows: list[Continuation]) -> list[tuple[int, ...]]:
    return [row.token_ids for row in rows]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_law_2_a_call_writes_what_it_writes_alone_whoever_joins_and_leaves(engine: Engine, seed: int) -> None:
    asked = [*calls(12, seed)]
    alone = [tokens([*engine.generate(*call, alone=True)][-1]) for call in asked]
    pick, waiting = random.Random(seed), [*enumerate(asked)]
    running: dict[int, Call] = {}
    last: dict[int, list[tuple[int, ...]]] = {}
    left = {3, 7}  # these go away after some steps
    while waiting or running:
        if waiting and (not running or pick.random() < 0.2):
            number, call = waiting.pop(0)
            running[number] = engine.generate(*call)
        number = pick.choice([*running])
        state = next(running[number], None)
        if state is None or (number in left and len(state[0].token_ids) > 3):
            running.pop(number).close()
        else:
            last[number] = tokens(state)
    for number, expected in enumerate(alone):
        if number not in left:
            assert last[number] == expected, [request.method for request in asked[number][0]]
    assert not engine.shared.busy
    assert engine.shared.batches == [None, None]


def passes(engine: Engine, work: Iterator[object]) -> list[int]:
    """The rows of every forward pass of the model."""
    sizes: list[int] = []
    hook = engine.base.model.register_forward_pre_hook(
        lambda module, args, kwargs: sizes.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    for _ in work:
        pass
    hook.remove()
    return sizes


def in_turns(running: list[Call]) -> Iterator[None]:
    """Takes generators further, one after the other, until all have ended."""
    while running:
        running = [call for call in running if next(call, None) is not None]
        yield


def test_calls_together_make_as_many_passes_as_one(engine: Engine) -> None:
    sampling = replace(GREEDY, max_new_tokens=20)
    alone = passes(engine, engine.generate([Request("Once", BASE)], sampling))
    requests = [[Request("Once", BASE, seed)] for seed in range(8)]
    together = passes(engine, in_turns([engine.generate(each, sampling) for each in requests]))
    assert len(together) <= len(alone) + 2 * 8  # each reads its prompt, and is let in between two tokens
    assert max(together) == 8


def test_rows_with_other_settings_of_sampling_share_a_batch(engine: Engine) -> None:
    asked = [([Request("Once", BASE, 1)], sampling) for sampling in (GREEDY, SAMPLED, replace(SAMPLED, top_k=3))]
    alone = [tokens([*engine.generate(*call, alone=True)][-1]) for call in asked]
    running = [engine.generate(*call) for call in asked]
    last: dict[int, list[tuple[int, ...]]] = {}
    sizes = set()
    for _ in range(GREEDY.max_new_tokens + SAMPLED.max_new_tokens):
        for number, call in enumerate(running):
            if state := next(call, None):
                last[number] = tokens(state)
        sizes.add(num_rows(engine.shared.batches[0]))
    assert [last[number] for number in range(3)] == alone
    assert 3 in sizes


def num_rows(batch: Batch | None) -> int:
    return 0 if batch is None else len(batch.rows)


def length(engine: Engine) -> int:
    """Columns in use of the unsteered rows."""
    batch = engine.shared.batches[0]
    assert batch is not None
    return batch.kv.length


def test_a_long_prompt_is_read_between_the_tokens_of_the_others(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In parts, it reads the same; meanwhile the other text grows by a token a part."""
    long = [Request("a" * 90, method, 1) for method in METHODS[:6]]
    alone = tokens([*engine.generate(long, SAMPLED, alone=True)][-1])
    monkeypatch.setattr(engine_module, "PART_TOKENS", 60)
    short = engine.generate([Request("Once", BASE)], replace(GREEDY, max_new_tokens=40))
    next(short), next(short)
    grown, reading = [], engine.generate(long, SAMPLED)
    for state in reading:
        if any(row.token_ids for row in state):
            break
        grown.append(len(next(short)[0].token_ids))
    assert len(grown) >= 5
    assert grown == list(range(grown[0], grown[0] + len(grown)))
    *_, last = reading
    assert tokens(last) == alone


def test_a_prompt_in_parts_has_the_sum_of_all_its_hidden_states(engine: Engine) -> None:
    """The last token is read again with the text, so its state is not among them; discriminators judge the sum."""
    prompts = ["a" * 90, "o" * 70]
    rows = [engine._rows(Request(prompt, BASE), 0, Sampler(SAMPLED), 4, engine._loss)[0] for prompt in prompts]
    whole, parts = (finish(engine._prefill(rows, 5, part), str) for part in (None, 60))
    assert torch.allclose(parts.hidden_sum, whole.hidden_sum, rtol=1e-4, atol=1e-4)
    assert torch.allclose(parts.logits, whole.logits, rtol=1e-4, atol=1e-4)
    assert whole.hidden_sum.abs().max() > 1


@pytest.mark.slow
def test_many_carried_pasts_join_and_part(engine: Engine) -> None:
    """More than are read as twins of a clean and a pushed row; as they end they become few, and twins again."""
    method = Method("pplm", steering=as_in_paper(PPLM((VOWELS,))))
    asked = [Request(PROMPTS[n % 3], method, n) for n in range(MOST_TWINS + 3)]
    lengths = [replace(SAMPLED, max_new_tokens=3 + n) for n in range(len(asked))]
    pairs = [([request], length) for request, length in zip(asked, lengths, strict=True)]
    alone = [tokens([*engine.generate(*pair, alone=True)][-1]) for pair in pairs]
    running = {number: engine.generate(*pair) for number, pair in enumerate(pairs)}
    last: dict[int, list[tuple[int, ...]]] = {}
    while running:
        for number, call in [*running.items()]:
            state = next(call, None)
            if state is None:
                del running[number]
            else:
                last[number] = tokens(state)
    assert [last[number] for number in range(len(asked))] == alone


def test_the_time_in_line_is_not_a_methods(engine: Engine) -> None:
    engine.shared = Scheduler(most_bytes=1)
    first, second = (engine.generate([Request("Once", BASE, seed)], GREEDY) for seed in range(2))
    next(first), next(second)
    time.sleep(0.5)
    assert next(second)[0].wait is not None
    first.close()
    *_, (row,) = second
    assert row.seconds < 0.5


def test_columns_that_no_row_uses_are_given_back(engine: Engine) -> None:
    """A long text goes, and the short one beside it no longer drags its columns along."""
    long = engine.generate([Request("a" * 90, BASE)], replace(GREEDY, max_new_tokens=4))
    short = engine.generate([Request("a", BASE)], replace(GREEDY, max_new_tokens=12))
    next(short), next(short), next(long), next(short)
    assert length(engine) > 80
    assert len([*long]) >= 1
    next(short), next(short)
    assert length(engine) < 20
    short.close()
    assert engine.shared.batches[0] is None


def test_an_error_ends_the_calls_of_its_batch_and_no_others(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    steered = engine.generate([Request("Once", Method("pplm", steering=STEERING[0]), 1)], GREEDY)
    plain = [engine.generate([Request("Once", BASE, seed)], GREEDY) for seed in range(2)]
    for call in (steered, *plain):
        next(call)

    def broken(batch: Batch) -> torch.Tensor:
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patched:
        patched.setattr(Batch, "_read", broken)
        for call in plain:
            with pytest.raises(RuntimeError, match="out of memory"):
                list(call)
    *_, (row,) = steered
    assert row.finish_reason == "length"
    *_, (row,) = engine.generate([Request("Once", BASE)], GREEDY)
    assert row.finish_reason == "length"


def test_nobody_waits_for_rows_that_were_lost_when_batches_were_joined(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = [engine.generate([Request("Once", BASE, seed)], GREEDY) for seed in range(2)]
    next(calls[0]), next(calls[0])
    with monkeypatch.context() as patched:
        patched.setattr("adapters.kv.KV.gathered", lambda *_: [][1])
        for call in reversed(calls):
            with pytest.raises(IndexError):
                next(call)
    *_, (row,) = engine.generate([Request("Once", BASE)], GREEDY)
    assert row.finish_reason == "length"


def test_a_call_that_cannot_begin_ends_alone(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    first = engine.generate([Request("Once", BASE)], GREEDY)
    next(first), next(first)
    with monkeypatch.context() as patched:
        patched.setattr(engine_module, "padded", lambda *_: [][1])
        with pytest.raises(IndexError):
            next(engine.generate([Request("Twice", BASE)], GREEDY))
    *_, (row,) = first
    assert row.finish_reason == "length"


def test_who_does_not_fit_waits_in_line_and_sees_the_place(engine: Engine) -> None:
    """There is room for the memory of one call: the others are let in in the order of asking."""
    engine.shared = Scheduler(most_bytes=1)
    running = [engine.generate([Request("Once", BASE, seed)], GREEDY) for seed in range(3)]
    states = [next(call)[0] for call in running]
    assert [bool(state.token_ids) for state in states] == [True, False, False]
    assert [state.wait and state.wait.ahead for state in states] == [None, 0, 1]
    places = [state.wait for state in states if state.wait is not None]
    assert all(place.seconds >= 0 for place in places)
    ends: list[int] = []
    while len(ends) < 3:
        for number, call in enumerate(running):
            if number not in ends and next(call, None) is None:
                ends.append(number)
    assert ends == [0, 1, 2]


def test_who_leaves_the_line_gives_the_place_up(engine: Engine) -> None:
    engine.shared = Scheduler(most_bytes=1)
    first, second, third = (engine.generate([Request("Once", BASE, seed)], GREEDY) for seed in range(3))
    for call in (first, second, third):
        next(call)
    second.close()
    (state,) = next(third)
    assert state.wait is not None
    assert state.wait.ahead == 0
    first.close()
    assert next(third)[0].token_ids


def test_a_token_of_all_takes_no_longer_than_the_bound(engine: Engine) -> None:
    """Once tokens are measured, who would make them too slow waits."""
    engine.shared = Scheduler(most_seconds=1e-9)
    first = engine.generate([Request("Once", BASE)], GREEDY)
    next(first), next(first)
    second = engine.generate([Request("Once", BASE)], GREEDY)
    assert next(second)[0].wait is not None
    first.close()
    assert next(second)[0].wait is None


def test_calls_alone_get_their_share_of_the_time(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """With pieces of work that take a second each, a call alone makes three of ten while somebody waits."""
    now = 0.0
    monkeypatch.setattr(engine_module.time, "perf_counter", lambda: now)
    order: list[bool] = []
    advance = Scheduler.advance

    def advanced(scheduler: Scheduler) -> None:
        nonlocal now
        now += 1
        order.append(scheduler is engine.shared)
        advance(scheduler)

    monkeypatch.setattr(Scheduler, "advance", advanced)
    sampling = replace(GREEDY, max_new_tokens=60)
    visitor = engine.generate([Request("Once", BASE)], sampling)
    run = engine.generate([Request("Twice", BASE)], sampling, alone=True)
    for _ in range(12):
        next(visitor), next(run)
    while_both = order[:30]
    assert 0.25 <= while_both.count(False) / len(while_both) <= 0.35
    visitor.close()
    order.clear()
    for _ in range(20):
        next(run)
    assert not any(order), "nobody waits: the run has all the time"
