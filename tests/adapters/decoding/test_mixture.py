"""Push, guidance and experts against numbers computed by hand and against transformers' own."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import SequenceBiasLogitsProcessor

from adapters.decoding.engine import Engine
from adapters.decoding.mixture import reads
from adapters.decoding.text import Continuation
from adapters.methods import BASE, Ask, Attribute, Experts, Method, Push, Request, Sampling, UserError, effect_off
from adapters.xray.replay import Script, XRays
from adapters.xray.trace import least_cost
from tests.adapters.conftest import Bench

GREEDY = Sampling(temperature=0, max_new_tokens=12)
SAMPLED = Sampling(temperature=0.9, top_k=40, max_new_tokens=12)
VOWELS = Attribute("vowels", words=("a", "e:2", "o"))
ASK = Ask("own", text="Write about tea.")


@pytest.fixture(autouse=True)
def one_byte_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.pplm.bags.WORD_START", "")
    monkeypatch.setattr("adapters.pplm.bags.known_words", frozenset)


def finish(engine: Engine, requests: list[Request], sampling: Sampling = GREEDY) -> list[Continuation]:
    *_, last = engine.generate(requests, sampling)
    return last


def next_logits(bench: Bench, ids: list[int], adapter: str | None = None) -> Tensor:
    """Logits (V,) after some ids, by one forward pass of the base or of PEFT's model."""
    model: Any = bench.base.model if adapter is None else bench.peft[adapter]
    given = torch.tensor([ids], device=bench.base.device)
    with torch.no_grad():
        return model(input_ids=given, attention_mask=torch.ones_like(given)).logits[0, -1].cpu()


def drawn(bench: Bench, method: Method) -> Tensor:
    """Probabilities (10,) of the likeliest tokens of a method after "Thy", in falling order."""
    *_, (found,) = XRays(bench.engine).next_tokens([Request("Thy", method)])
    return torch.tensor([share for _, share in found.tokens])


def likeliest(logits: Tensor) -> Tensor:
    return logits.softmax(-1).topk(10).values


def test_a_push_adds_its_nats_times_both_weights(bench: Bench) -> None:
    ids = bench.base.encode("Thy")  # no vowel rests yet
    expected = next_logits(bench, ids)
    for letter, nats in (("a", 1.5), ("e", 3.0), ("o", 1.5), ("z", -0.75)):
        expected[bench.base.tokenizer.encode(letter)[0]] += nats
    push = Push((VOWELS, Attribute("z", -0.5, words=("z",))), nats=1.5)
    torch.testing.assert_close(drawn(bench, Method("push", push=push)), likeliest(expected), atol=1e-4, rtol=0)


@pytest.mark.parametrize("nats", [0.1, 2.0, 6.0])
def test_law_10_a_push_costs_no_more_nats_than_its_words_need(bench: Bench, nats: float) -> None:
    push = Push((Attribute("vowels", words=("a", "e", "o")),), nats=nats)
    script = Script([0])
    bench.engine.batch(Request("Thy", Method("push", push=push)), script, 1).advance()
    assert script.logits is not None
    clean, pushed = (z.double().log_softmax(-1) for z in (next_logits(bench, bench.base.encode("Thy")), script.logits))
    vowels = [bench.base.tokenizer.encode(letter)[0] for letter in "aeo"]
    before, after = (float(logprobs.flatten().exp()[vowels].sum()) for logprobs in (clean, pushed))
    cost = float((pushed.exp() * (pushed - clean)).sum())
    assert after > before
    assert cost == pytest.approx(least_cost(before, after), rel=1e-3, abs=1e-6)


def test_a_push_without_rest_writes_what_transformers_writes(bench: Bench) -> None:
    push = Push((Attribute("vowels", words=("a", "e", "o")),), nats=2.0, cooldown=0)
    (row,) = finish(bench.engine, [Request("Once upon", Method("push", push=push))])
    bias: list[list[list[int] | float]] = [[[bench.base.tokenizer.encode(letter)[0]], 2.0] for letter in "aeo"]
    ids, model = torch.tensor([row.prompt_ids], device=bench.base.device), bench.base.model
    found: Any = model.generate(  # type: ignore[operator]  # transformers leaves its type open
        ids,
        max_new_tokens=12,
        do_sample=False,
        logits_processor=[SequenceBiasLogitsProcessor(bias)],
        pad_token_id=257,
    )
    assert list(row.token_ids) == found[0, ids.shape[1] :].tolist()


def test_a_word_rests_after_its_use(bench: Bench) -> None:
    """With a push that nothing withstands each word comes once in each cooldown."""
    push = Push((Attribute("vowels", words=("a", "e", "o")),), nats=20.0, cooldown=8)
    (row,) = finish(bench.engine, [Request("Thy", Method("push", push=push))], replace(GREEDY, max_new_tokens=20))
    vowels = [bench.base.tokenizer.encode(letter)[0] for letter in "aeo"]
    assert sorted(row.token_ids[:3]) == sorted(vowels)
    for vowel in vowels:
        places = [place for place, token in enumerate(row.token_ids) if token == vowel]
        assert all(later - earlier > 8 or earlier > 2 for earlier, later in zip(places, places[1:], strict=False))


def test_a_word_of_two_tokens_is_pushed_piece_by_piece(bench: Bench) -> None:
    push = Push((Attribute("words", words=("ab",)),), nats=20.0)
    (row,) = finish(bench.engine, [Request("Thy", Method("push", push=push))])
    assert list(row.token_ids[:2]) == bench.base.tokenizer.encode("ab")


def test_a_pushed_text_is_scored_as_the_base_reads_it(bench: Bench) -> None:
    method = Method("push", push=Push((VOWELS,)))
    *_, (row,) = bench.engine.compare([Request("Once upon", method, 3)], SAMPLED)
    (scored,) = bench.engine.loglikelihood([(row.prompt_ids, row.token_ids)], BASE)
    assert row.logprobs == row.base_logprobs == pytest.approx(scored.logprobs, abs=1e-4)


def test_an_instruction_is_a_line_before_the_prompt(bench: Bench) -> None:
    plain, asked = (
        finish(bench.engine, [Request(prompt, method, 2)], SAMPLED)[0]
        for prompt, method in (("Write about tea.\nOnce upon", BASE), ("Once upon", Method("ask", ask=ASK)))
    )
    assert asked.token_ids == plain.token_ids
    assert list(asked.prompt_ids) == bench.base.encode("Once upon"), "everybody's prompt"
    assert asked.logprobs == pytest.approx(plain.logprobs, abs=1e-4)


def test_an_asked_text_is_scored_without_and_with_its_instruction(bench: Bench) -> None:
    method = Method("ask", ask=replace(ASK, gamma=1.7))
    *_, (row,) = bench.engine.compare([Request("Once upon", method, 3)], SAMPLED)
    pair = [(row.prompt_ids, row.token_ids)]
    assert row.base_logprobs == pytest.approx(bench.engine.loglikelihood(pair, BASE)[0].logprobs, abs=1e-4)
    assert row.logprobs == pytest.approx(bench.engine.loglikelihood(pair, method)[0].logprobs, abs=1e-4)
    assert row.logprobs != pytest.approx(row.base_logprobs, abs=1e-3)


@pytest.mark.parametrize("negative", ["", "Be dull."])
def test_guidance_writes_what_transformers_writes(bench: Bench, negative: str) -> None:
    method = Method("guidance", ask=replace(ASK, gamma=2.5, negative=negative))
    (row,) = finish(bench.engine, [Request("Once upon", method)])
    texts = ("Write about tea.\nOnce upon", f"{negative}\nOnce upon" if negative else "Once upon")
    ids, other = (torch.tensor([bench.base.encode(text)], device=bench.base.device) for text in texts)
    found: Any = bench.base.model.generate(  # type: ignore[operator]
        ids, negative_prompt_ids=other, guidance_scale=2.5, max_new_tokens=12, do_sample=False, pad_token_id=257
    )
    assert list(row.token_ids) == found[0, ids.shape[1] :].tolist()


@pytest.mark.parametrize("alpha", [0.7, -0.7])
def test_experts_add_what_an_adapter_finds_likelier(bench: Bench, alpha: float) -> None:
    ids = bench.base.encode("Thy")
    base, verse, space = (next_logits(bench, ids, name).log_softmax(-1) for name in (None, "verse", "space"))
    one, two = (Method("e", experts=Experts("verse", against, alpha)) for against in (None, "space"))
    torch.testing.assert_close(drawn(bench, one), likeliest(base + alpha * (verse - base)), atol=1e-4, rtol=0)
    torch.testing.assert_close(drawn(bench, two), likeliest(base + alpha * (verse - space)), atol=1e-4, rtol=0)


def test_ways_of_reading_that_are_equal_share_a_row() -> None:
    def shares(method: Method) -> list[tuple[str, float]]:
        return [(way.name, round(share, 6)) for way, share in reads(method, lambda name: "lora").items()]

    assert shares(Method("m", experts=Experts("a", alpha=0.25))) == [("base", 0.75), ("lora:a", 0.25)]
    over = Method("m", lora="a", experts=Experts("a", "b", alpha=0.25))
    assert shares(over) == [("lora:a", 1.25), ("lora:b", -0.25)]
    same = Method("m", ask=Ask("t", "t", gamma=3, negative="t"))
    assert shares(same) == [("ask:t", 1.0)]
    assert shares(Method("m", push=Push((VOWELS,)))) == [("base", 1.0)]


@pytest.mark.parametrize("sampling", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_texts_that_end_and_join_leave_the_others_as_they_are(
    bench: Bench, sampling: Sampling, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With many end tokens, so that texts of one and of several rows end while others go on."""
    monkeypatch.setattr(bench.base.model.generation_config, "eos_token_id", list(range(100, 110)))
    methods = [
        Method("push", push=Push((VOWELS,))),
        Method("guidance", lora="verse", ask=replace(ASK, gamma=1.4)),
        Method("experts", experts=Experts("space", "verse", 0.6)),
        BASE,
    ]
    requests = [Request("Once upon", methods[seed % 4], seed) for seed in range(16)]
    first, second = (bench.engine.generate(some, sampling) for some in (requests[:8], requests[8:]))
    for _ in range(3):
        next(first)
    *_, late = second
    *_, early = first
    for request, row in zip(requests, [*early, *late], strict=True):
        assert finish(bench.engine, [request], sampling)[0].token_ids == row.token_ids, request.method.name
    assert len({len(row.token_ids) for row in [*early, *late]}) > 2 or sampling is GREEDY


def test_a_text_with_a_row_that_diverges_stops_alone(bench: Bench) -> None:
    broken, sound = finish(
        bench.engine, [Request("Once", Method("x", experts=Experts("burst"))), Request("Once", BASE, 1)], SAMPLED
    )
    assert (broken.finish_reason, sound.finish_reason) == ("diverged", "length")


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (Method("m", ask=Ask("nothing")), "There is no instruction for 'nothing': choose one of science"),
        (Method("m", ask=Ask("own", text=" ")), "The instruction is empty"),
        (Method("m", ask=Ask("own", text="a\0")), "a character that is not text"),
        (Method("m", ask=Ask("own", text="x" * 120)), "and this model has room for 128"),
        (Method("m", ask=replace(ASK, gamma=2, negative="x" * 120)), "and this model has room for 128"),
        (Method("m", experts=Experts("nobody")), "There is no adapter 'nobody'"),
        (Method("m", experts=Experts("verse", "nobody")), "There is no adapter 'nobody'"),
        (Method("m", push=Push((Attribute("nothing"),))), "There is no attribute 'nothing'"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_starts(bench: Bench, method: Method, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        bench.engine.generate([Request("Once", method)], GREEDY)
    assert "\n" not in str(caught.value)


def test_the_effect_off_still_runs_every_row() -> None:
    off = effect_off(Method("m", ask=replace(ASK, gamma=2), experts=Experts("a", "b")))
    assert list(reads(off, lambda name: "lora").values()) == [0.0, 1.0, 0.0, 0.0]
