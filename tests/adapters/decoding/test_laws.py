"""The eight laws of the engine, on tiny random Llama (GQA) and GPT-2 models in float32."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter

from adapters.decoding.engine import Engine
from adapters.decoding.text import Continuation
from adapters.methods import (
    BASE,
    PPLM,
    Ask,
    Attribute,
    Experts,
    Method,
    Push,
    Request,
    Sampling,
    SteeringVector,
    as_in_paper,
    effect_off,
)
from adapters.pplm.bags import WeightedLoss
from tests.adapters.conftest import Bench

GREEDY = Sampling(temperature=0, max_new_tokens=16)
SAMPLED = Sampling(temperature=0.9, top_k=40, top_p=0.95, max_new_tokens=16)
VOWELS = Attribute("vowels", words=("a", "e", "o"))
STEERING = as_in_paper(PPLM((VOWELS,), step_size=0.3, num_iterations=2, kl_scale=0.05, gm_scale=0.9))


@pytest.fixture(autouse=True)
def one_byte_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte tokenizer has no word that is one token after a space: here a word is one token without it."""
    monkeypatch.setattr("adapters.pplm.bags.WORD_START", "")
    # No letter is a word by itself, so that words of two letters can be begun.
    monkeypatch.setattr("adapters.pplm.bags.known_words", frozenset)


UP = replace(STEERING, attributes=(Attribute("mood:up"),), step_size=0.1, gamma=1.0)
WORDS = Attribute("words", words=("ab", "cd", "e"))  # of two tokens
PUSH = Push((VOWELS, Attribute("w", -0.5, words=("w",))), nats=2.0, cooldown=4)
ASK = Ask("own", text="Write about tea.")
EXPERTS = Experts("space", "verse", alpha=0.3)
TO_UP, FROM_FLAT = SteeringVector("mood:up", 0.5), SteeringVector("mood:flat", -0.3)
METHODS = [
    BASE,
    Method("lora", lora="verse"),
    Method("weak lora", lora="space", lora_scale=0.4),
    Method("prefix", prefix="facts"),
    Method("pplm", steering=STEERING),
    Method("fresh", steering=replace(STEERING, carry=False, num_iterations=3, window_length=2, gamma=1.0)),
    Method("pplm over lora", lora="verse", steering=replace(STEERING, step_size=0.1)),
    Method("all", lora="space", prefix="facts", steering=replace(STEERING, attributes=(Attribute("z", words=("z",)),))),
    Method("class", steering=UP),
    Method("class to come", prefix="facts", steering=replace(UP, horizon_length=2, carry=False, decay=True)),
    Method("both", lora="verse", steering=replace(UP, attributes=(WORDS, Attribute("mood:down", -0.5)), cooldown=3)),
    Method("at first", steering=replace(STEERING, grad_length=4, attributes=(WORDS,))),
    Method("dora", lora="gain"),
    Method("pplm over weak dora", lora="gain", lora_scale=0.6, steering=replace(STEERING, step_size=0.1)),
    Method("push", push=PUSH),
    Method("push beside pplm", lora="verse", push=replace(PUSH, attributes=(WORDS,)), steering=UP),
    Method("ask", ask=ASK),
    Method("guidance", ask=replace(ASK, gamma=2.5)),
    Method("away", lora="space", ask=replace(ASK, gamma=1.5, negative="Be dull."), push=PUSH),
    Method("experts", experts=Experts("verse", alpha=0.8)),
    Method("experts apart", lora="gain", experts=Experts("facts", "verse", alpha=-0.6)),
    Method("everything", prefix="facts", push=PUSH, ask=replace(ASK, gamma=2), experts=EXPERTS, steering=UP),
    Method("vector", vectors=(TO_UP,)),
    Method("vectors and lora", lora="space", lora_scale=0.4, vectors=(TO_UP, FROM_FLAT)),
    Method("vector beside another", lora="space", lora_scale=0.4, vectors=(FROM_FLAT,)),
    Method("pplm over vector", prefix="facts", vectors=(TO_UP,), steering=replace(UP, carry=False, horizon_length=2)),
]
REQUESTS = [
    Request(prompt, method, seed)
    for seed, (prompt, method) in enumerate(
        (("Once upon", method) if i % 2 else ("The quick brown fox", method)) for i, method in enumerate(METHODS)
    )
]


def finish(engine: Engine, requests: list[Request], sampling: Sampling) -> list[Continuation]:
    *_, last = engine.generate(requests, sampling)
    return last


def direct_logprobs(bench: Bench, continuation: Continuation) -> torch.Tensor:
    """Log-probabilities (T,) of the tokens by one plain forward pass over the whole text."""
    ids = torch.tensor([[*continuation.prompt_ids, *continuation.token_ids]], device=bench.base.device)
    logprobs = bench.base.model(input_ids=ids).logits[0].log_softmax(-1)
    start = len(continuation.prompt_ids)
    return logprobs[start - 1 : -1].gather(-1, ids[0, start:, None])[:, 0].cpu()


@pytest.mark.parametrize("penalty", [1.0, 1.3])
def test_law_1_the_base_row_equals_generate(bench: Bench, penalty: float) -> None:
    sampling = replace(GREEDY, repetition_penalty=penalty)
    (row,) = finish(bench.engine, [Request("Once upon a time", BASE)], sampling)
    ids = torch.tensor([row.prompt_ids], device=bench.base.device)
    model: Any = bench.base.model  # transformers leaves the type of `generate` open
    expected = model.generate(ids, max_new_tokens=16, do_sample=False, repetition_penalty=penalty, pad_token_id=257)
    assert list(row.token_ids) == expected[0, ids.shape[1] :].tolist()
    torch.testing.assert_close(torch.tensor(row.logprobs), direct_logprobs(bench, row), atol=1e-4, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("sampling", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_law_2_a_mixed_batch_equals_each_row_alone(bench: Bench, sampling: Sampling) -> None:
    together = finish(bench.engine, REQUESTS, sampling)
    backwards = finish(bench.engine, REQUESTS[::-1], sampling)[::-1]
    for request, mixed, mirrored in zip(REQUESTS, together, backwards, strict=True):
        (alone,) = finish(bench.engine, [request], sampling)
        assert mixed.token_ids == alone.token_ids == mirrored.token_ids, request.method.name
        assert mixed.logprobs == pytest.approx(alone.logprobs, abs=1e-4)
    assert len({row.token_ids for row in together}) == len(METHODS), "the methods write different texts"


@pytest.mark.slow
@pytest.mark.parametrize("carry", [False, True], ids=["fresh", "carried"])
def test_law_2_holds_when_rows_end_at_different_times(
    bench: Bench, carry: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With many end tokens, so that steered rows end while others go on."""
    monkeypatch.setattr(bench.base.model.generation_config, "eos_token_id", list(range(100, 120)))
    short = replace(STEERING, cooldown=3, kl_budget=0.7, step_size=0.1, carry=carry)
    methods = [Method("a", steering=replace(STEERING, carry=carry)), Method("b", lora="verse", steering=short), BASE]
    requests = [Request("Once upon", methods[seed % 3], seed) for seed in range(18)]
    # Few candidates: of 258 nearly equal ones a draw falls within rounding of a border once in some thousand tokens.
    sampling = Sampling(temperature=1.5, top_k=8, max_new_tokens=24)
    together = finish(bench.engine, requests, sampling)
    assert len({len(row.token_ids) for row in together if row.request.method.steering}) > 3
    for request, mixed in zip(requests, together, strict=True):
        assert finish(bench.engine, [request], sampling)[0].token_ids == mixed.token_ids


@pytest.mark.parametrize("sampling", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
@pytest.mark.parametrize(
    "off", [{"step_size": 0.0}, {"num_iterations": 0}, {"gm_scale": 0.0}, {"kl_budget": 0.0}], ids=str
)
@pytest.mark.parametrize("carry", [False, True], ids=["fresh", "carried"])
def test_law_3_no_steering_equals_the_unsteered_row(
    bench: Bench, sampling: Sampling, off: dict[str, float], carry: bool
) -> None:
    data = TypeAdapter(PPLM).dump_python(replace(STEERING, carry=carry)) | off
    steered = Method("off", lora="verse", prefix="facts", steering=TypeAdapter(PPLM).validate_python(data))
    unsteered = replace(steered, steering=None)
    one, other = finish(bench.engine, [Request("Once", steered, 7), Request("Once", unsteered, 7)], sampling)
    assert one.token_ids == other.token_ids
    assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_law_3_every_method_without_its_effect_equals_base(bench: Bench, method: Method) -> None:
    off, base = finish(bench.engine, [Request("Once", effect_off(method), 3), Request("Once", BASE, 3)], SAMPLED)
    assert off.token_ids == base.token_ids


@pytest.mark.parametrize("name", ["facts", "verse", "space", "gain"])
def test_law_4_an_adapted_row_equals_peft(bench: Bench, name: str) -> None:
    method = Method(name, prefix=name) if name == "facts" else Method(name, lora=name)
    (row,) = finish(bench.engine, [Request("Once upon a time", method)], GREEDY)
    ids = torch.tensor([[*row.prompt_ids, *row.token_ids]], device=bench.base.device)
    with torch.no_grad():
        logits = bench.peft[name](input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    logprobs = logits[0, len(row.prompt_ids) - 1 : -1].log_softmax(-1)
    assert logprobs.argmax(-1).tolist() == list(row.token_ids)
    assert row.logprobs == pytest.approx(logprobs.max(-1).values.tolist(), abs=1e-4)


def test_law_5_the_same_request_and_seed_give_the_same_text(bench: Bench) -> None:
    first = finish(bench.engine, REQUESTS, SAMPLED)
    again = finish(Engine(bench.base, bench.engine.store), REQUESTS[3:] + REQUESTS[:3], SAMPLED)
    assert [row.token_ids for row in first] == [row.token_ids for row in again[-3:] + again[:-3]]
    other_seed = finish(bench.engine, [REQUESTS[0]._replace(seed=99)], SAMPLED)
    assert other_seed[0].token_ids != first[0].token_ids


def test_law_6_no_global_seed_is_read_or_set(bench: Bench) -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = finish(bench.engine, REQUESTS, SAMPLED)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert [row.text for row in finish(bench.engine, REQUESTS, SAMPLED)] == [row.text for row in first]


def test_law_7_nothing_leaks(bench: Bench) -> None:
    def fingerprint() -> torch.Tensor:
        assert not any(module._forward_hooks for module in bench.base.model.modules())
        return bench.base.model(input_ids=torch.arange(20, device=bench.base.device)[None]).logits

    before = fingerprint()
    finish(bench.engine, REQUESTS, SAMPLED)
    assert torch.equal(fingerprint(), before), "after a whole generation"
    for steps in (1, 2, 5, 9):
        states = bench.engine.generate(REQUESTS, SAMPLED)
        for _ in range(steps):
            next(states)
        states.close()
        assert torch.equal(fingerprint(), before), f"cancelled after {steps} pieces of work"
    failing = bench.engine.generate([Request("Once", Method("x", lora="verse", steering=STEERING))], SAMPLED)
    broken = bench.base.model.register_forward_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        next(failing)
    broken.remove()
    assert torch.equal(fingerprint(), before), "after a failure in the model"
    assert not any(parameter.requires_grad for parameter in bench.base.model.parameters())


@pytest.mark.parametrize("method", [BASE, METHODS[1], METHODS[2], METHODS[3]], ids=lambda method: method.name)
def test_law_8_loglikelihood_equals_one_text_without_batch_or_cache(
    bench: Bench, method: Method, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Several batches, one of them a text that is too long.
    monkeypatch.setattr("adapters.decoding.engine.TOKENS_A_PASS", 40)
    encode = bench.base.encode
    pairs = [("The quick", " brown fox"), ("A", "b"), ("Once upon a time there was", " a" * 20), ("Hello", "")]
    texts = [(encode(context), encode(scored)[1:]) for context, scored in pairs]
    for (context, scored), result in zip(texts, bench.engine.loglikelihood(texts, method), strict=True):
        ids = torch.tensor([[*context, *scored]], device=bench.base.device)
        model = bench.peft.get(method.prefix or method.lora or "", bench.base.model)
        if method.lora == "space":
            continue  # PEFT has no strength per call; its law is the one of linearity below
        with torch.no_grad():
            logprobs = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0].log_softmax(-1)
        expected = [logprobs[len(context) + i - 1, token].item() for i, token in enumerate(scored)]
        assert result.logprobs == pytest.approx(expected, abs=1e-4)
        assert result.num_tokens == len(scored)
        assert result.sum_logprob == pytest.approx(sum(expected), abs=1e-3)


def test_generation_and_loglikelihood_agree(bench: Bench) -> None:
    for method, row in zip(METHODS, finish(bench.engine, REQUESTS, SAMPLED), strict=True):
        (scored,) = bench.engine.loglikelihood([(row.prompt_ids, row.token_ids)], method)
        assert row.logprobs == pytest.approx(scored.logprobs, abs=1e-4), method.name


def test_steering_raises_the_probability_of_its_words(bench: Bench) -> None:
    vowels = [bench.base.tokenizer.encode(letter)[0] for letter in "aeo"]

    def share(steering: PPLM | None) -> float:
        method = Method("m", steering=steering)
        rows = finish(bench.engine, [Request("Once upon", method, seed) for seed in range(12)], SAMPLED)
        tokens = [token for row in rows for token in row.token_ids]
        return sum(token in vowels for token in tokens) / len(tokens)

    strong = replace(STEERING, step_size=0.5, num_iterations=3)
    away = replace(strong, attributes=(replace(VOWELS, weight=-1.0),))
    assert share(strong) > 3 * share(None)
    assert share(away) <= share(None)


def test_a_row_that_diverges_stops_and_the_others_finish(bench: Bench) -> None:
    burst = Method("burst", lora="burst")
    requests = [Request("Once", BASE, 1), Request("Once", burst), Request("Once", replace(burst, steering=STEERING))]
    requests.append(Request("Once", Method("pplm", steering=STEERING), 1))
    base, broken, broken_steered, steered = finish(bench.engine, requests, SAMPLED)
    assert broken.finish_reason == broken_steered.finish_reason == "diverged"
    assert (base.finish_reason, steered.finish_reason) == ("length", "length")
    assert base.token_ids == finish(bench.engine, requests[:1], SAMPLED)[0].token_ids
    assert steered.token_ids == finish(bench.engine, requests[3:], SAMPLED)[0].token_ids
    assert all(math.isfinite(logprob) for row in (base, steered) for logprob in row.logprobs)


@pytest.mark.parametrize("limit", [{"kl_budget": 0.5}, {"strength": 20.0}, {}], ids=str)
def test_a_push_that_goes_wrong_stops_its_row_alone(
    bench: Bench, limit: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clean numbers are sound here, and a limit that falls back on them must not hide it."""
    data = TypeAdapter(PPLM).dump_python(STEERING) | limit
    limited = TypeAdapter(PPLM).validate_python(data)
    wrong = Attribute("wrong", words=("x",))

    def attribute_loss(tokenizer: object, attributes: tuple[Attribute, ...], *_: object) -> WeightedLoss:
        factor = math.nan if wrong in attributes else 1.0
        return WeightedLoss(((1.0, lambda evidence: factor * evidence.logprobs[:, 0]),))

    monkeypatch.setattr("adapters.decoding.engine.attribute_loss", attribute_loss)
    good = Method("good", steering=limited)
    bad = Method("bad", steering=replace(limited, attributes=(wrong,)))
    broken, sound = finish(bench.engine, [Request("Once", bad), Request("Once", good)], SAMPLED)
    assert (broken.finish_reason, broken.token_ids) == ("diverged", ())
    assert sound.finish_reason == "length"


def test_rows_stop_at_the_end_token(bench: Bench) -> None:
    rows = finish(
        bench.engine, [Request("Once", BASE, s) for s in range(40)], Sampling(temperature=3, max_new_tokens=60)
    )
    ended = [row for row in rows if row.finish_reason == "eos"]
    assert ended
    for row in rows:
        assert (row.token_ids[-1] == 257) == (row.finish_reason == "eos")
        assert 257 not in row.token_ids[:-1]
        assert "</s>" not in row.text
        assert row.finish_reason == "eos" or len(row.token_ids) == 60
