"""Best-of-r: several texts are written, and the one that shows its attribute most is kept."""

from dataclasses import replace

import pytest
import torch

from adapters.decoding.engine import Engine, candidate_seed
from adapters.decoding.text import Continuation
from adapters.methods import PPLM, Attribute, Method, Request, Sampling, UserError, effect_off
from tests.adapters.conftest import Bench

VOWELS = tuple("aeiou")
SAMPLING = Sampling(temperature=1.2, max_new_tokens=12)
PUSHED = PPLM((Attribute("vowels", words=VOWELS),), step_size=0.1, num_iterations=1, kl_budget=1.0, cooldown=0)
RANKED = replace(PUSHED, num_iterations=0)


@pytest.fixture(autouse=True)
def one_byte_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte tokenizer has no word that is one token after a space: here a word is one token without it."""
    monkeypatch.setattr("adapters.pplm.bags.WORD_START", "")


def finish(engine: Engine, settings: PPLM, *seeds: int) -> list[Continuation]:
    requests = [Request("Once upon", Method("m", steering=settings), seed) for seed in seeds]
    *_, last = engine.generate(requests, SAMPLING)
    return last


def vowel_mass(bench: Bench, row: Continuation) -> float:
    """Mean probability of a vowel before each token, by one plain forward pass."""
    ids = torch.tensor([[*row.prompt_ids, *row.token_ids]])
    bag = [bench.base.tokenizer.encode(vowel, add_special_tokens=False)[0] for vowel in VOWELS]
    with torch.no_grad():
        probabilities = bench.base.model(input_ids=ids).logits[0].softmax(-1)
    return float(probabilities[len(row.prompt_ids) - 1 : -1, bag].sum(-1).mean())


@pytest.mark.parametrize("settings", [RANKED, PUSHED], ids=["BR", "BCR"])
@pytest.mark.parametrize("weight", [1.0, -2.0], ids=["towards", "away"])
def test_the_kept_text_is_the_one_of_most_attribute(bench: Bench, settings: PPLM, weight: float) -> None:
    settings = replace(settings, attributes=(Attribute("vowels", weight, VOWELS),))
    candidates = finish(bench.engine, settings, *(candidate_seed(7, number) for number in range(4)))
    assert len({row.token_ids for row in candidates}) == 4
    (kept,) = finish(bench.engine, replace(settings, best_of=4), 7)
    masses = [vowel_mass(bench, row) for row in candidates]
    wanted = candidates[masses.index(max(masses) if weight > 0 else min(masses))]
    assert kept.token_ids == wanted.token_ids
    assert kept.logprobs == pytest.approx(wanted.logprobs, abs=1e-4)
    assert kept.request.seed == 7


def test_without_pushes_the_candidates_are_unsteered_texts(bench: Bench) -> None:
    seeds = [candidate_seed(7, number) for number in range(4)]
    *_, plain = bench.engine.generate([Request("Once upon", Method("base"), seed) for seed in seeds], SAMPLING)
    assert [row.token_ids for row in finish(bench.engine, RANKED, *seeds)] == [row.token_ids for row in plain]
    assert finish(bench.engine, replace(RANKED, best_of=4), 7)[0].token_ids in [row.token_ids for row in plain]


def test_the_first_candidate_is_shown_until_all_have_ended(bench: Bench) -> None:
    request = Request("Once upon", Method("m", steering=replace(PUSHED, best_of=3)), 7)
    *running, last = bench.engine.generate([request], SAMPLING)
    assert all(row.finish_reason is None for (row,) in running)
    assert last[0].finish_reason is not None
    (first,) = finish(bench.engine, PUSHED, 7)
    assert running[-1][0].token_ids == first.token_ids[: len(running[-1][0].token_ids)]


def test_a_text_that_went_wrong_is_not_kept(bench: Bench) -> None:
    """With infinite weights everything diverges, and the request says so; one candidate is enough."""
    method = Method("m", lora="burst", lora_scale=4, steering=replace(RANKED, best_of=2))
    *_, last = bench.engine.generate([Request("Once upon", method, 7)], SAMPLING)
    assert last[0].finish_reason == "diverged"


def test_with_its_effect_off_a_method_writes_one_text() -> None:
    off = effect_off(Method("m", steering=replace(PUSHED, best_of=8))).steering
    assert off is not None
    assert off.best_of == 1


def test_generate_refuses_to_rank(bench: Bench) -> None:
    from adapters.pplm.generate import pplm_generate

    ids = torch.tensor([bench.base.encode("Once upon")])
    with pytest.raises(UserError, match="num_return_sequences"):
        bench.base.model.generate(  # type: ignore[operator]
            ids, custom_generate=pplm_generate, pplm=replace(PUSHED, best_of=2), pplm_tokenizer=bench.base.tokenizer
        )
