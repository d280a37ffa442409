"""The arithmetic that the bench compares with is the paper's: it writes what the engine writes."""

from dataclasses import replace
from itertools import islice

import pytest

from adapters.base_model import BaseModel
from adapters.decoding.engine import Engine
from adapters.methods import BASE, PPLM, Attribute, Method, Request, Sampling, as_in_paper
from adapters.store.adapter_store import AdapterStore
from benchmarks.costs import published
from benchmarks.costs.timing import decode, generate, prompt_ids, timed

NUM_TOKENS = 12
STEERING = as_in_paper(PPLM((Attribute("vowels", words=("a", "e", "o")),), 0.3, 3, 0, 1.5, 0.05, 0.9))


@pytest.mark.parametrize("num_iterations", [1, 3])
def test_the_published_arithmetic_writes_what_the_engine_writes(
    tiny_base: BaseModel, num_iterations: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.pplm.bags.WORD_START", "")
    settings = replace(STEERING, num_iterations=num_iterations)
    engine = Engine(tiny_base, AdapterStore([], tiny_base))
    request = Request("Once upon", Method("pplm", steering=settings))
    *_, (row,) = engine.generate([request], Sampling(temperature=0, max_new_tokens=NUM_TOKENS))
    words = [tiny_base.encode_bare(letter)[0] for letter in "aeo"]
    written = published.tokens(tiny_base.model, prompt_ids(tiny_base, "Once upon"), words, settings)
    assert list(islice(written, len(row.token_ids))) == list(row.token_ids)
    *_, (free,) = engine.generate([Request("Once upon", BASE)], Sampling(temperature=0, max_new_tokens=NUM_TOKENS))
    assert row.token_ids != free.token_ids


def test_every_run_notes_when_each_token_stood(tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.pplm.bags.WORD_START", "")
    monkeypatch.setattr(tiny_base.model.generation_config, "eos_token_id", None)
    engine = Engine(tiny_base, AdapterStore([], tiny_base))
    words, ids = [tiny_base.encode_bare("a")[0]], prompt_ids(tiny_base, "Once upon")
    for timeline in (
        generate(tiny_base, "Once upon", NUM_TOKENS),
        decode(engine, [Request("Once upon", Method("pplm", steering=STEERING))] * 2, NUM_TOKENS),
        timed(published.tokens(tiny_base.model, ids, words, STEERING), NUM_TOKENS),
    ):
        walls = [stamp.wall for stamp in timeline]
        assert len(walls) == NUM_TOKENS + 1
        assert walls == sorted(walls)
        assert 0 <= walls[0] < walls[1]
