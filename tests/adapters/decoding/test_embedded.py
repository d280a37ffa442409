"""The real thing once, end to end: the embedded model, the shipped adapters, all four methods.

Slow, because a model of 135 M parameters writes every token here; the laws themselves are checked on tiny models.
"""

import json
import subprocess
import sys
from typing import Any

import pytest
import torch

from adapters.base_model import BaseModel
from adapters.decoding.engine import Engine
from adapters.decoding.text import Continuation
from adapters.methods import BASE, Method, Request, Sampling, effect_off, parse_method
from adapters.pplm.bags import word_lists
from adapters.store.adapter_store import WEIGHTS, AdapterStore
from tests.serving import ROOT, home

CARD = [parse_method(name) for name in ("base", "lora:poetry", "prefix:facts", "pplm:science")]
ALL = parse_method("lora:scifi+prefix:facts+pplm:space")
SAMPLED = Sampling(max_new_tokens=20)

FRESH_PROCESS = """
import json, sys
from pathlib import Path
from adapters.base_model import load_base_model
from adapters.decoding.engine import Engine
from adapters.methods import Request, Sampling, parse_method
from adapters.store.adapter_store import WEIGHTS, AdapterStore
base = load_base_model(None, Path(sys.argv[1]))
engine = Engine(base, AdapterStore([WEIGHTS], base))
*_, (row,) = engine.generate([Request("The old house", parse_method(sys.argv[2]), 5)], Sampling(max_new_tokens=20))
print(json.dumps(row.token_ids))
"""


@pytest.fixture(scope="module")
def engine(embedded: BaseModel) -> Engine:
    store = AdapterStore([WEIGHTS], embedded)
    assert not store.refused
    return Engine(embedded, store)


def finish(engine: Engine, methods: list[Method], sampling: Sampling) -> list[Continuation]:
    *_, rows = engine.generate([Request("The old house", method, 5) for method in methods], sampling)
    return list(rows)


def test_four_methods_write_four_texts_at_once(engine: Engine) -> None:
    rows = finish(engine, CARD, SAMPLED)
    assert len({row.text for row in rows}) == 4
    assert all(row.finish_reason in ("eos", "length") for row in rows)
    off = finish(engine, [effect_off(method) for method in [*CARD, ALL]], SAMPLED)
    assert {row.token_ids for row in off} == {rows[0].token_ids}, "with every effect off all write what the base writes"


def test_the_base_row_equals_generate(engine: Engine) -> None:
    (row,) = finish(engine, [BASE], Sampling(temperature=0, max_new_tokens=40))
    ids = torch.tensor([row.prompt_ids], device=engine.base.device)
    model: Any = engine.base.model  # transformers leaves the type of `generate` open
    expected = model.generate(ids, max_new_tokens=40, do_sample=False)
    assert list(row.token_ids) == expected[0, ids.shape[1] :].tolist()


def test_the_same_seed_writes_the_same_text_after_a_restart(engine: Engine) -> None:
    command = [sys.executable, "-c", FRESH_PROCESS, str(home()), ALL.name]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (row,) = finish(engine, [ALL], SAMPLED)
    assert list(row.token_ids) == json.loads(printed)


def test_steering_uses_more_words_of_its_list_than_the_base(engine: Engine) -> None:
    prompts = ["The potato", "In a distant galaxy", "My neighbour and I", "The issue focused on"]
    words = set(word_lists()["science"])

    def used(method: Method) -> int:
        *_, rows = engine.generate([Request(prompt, method, 1) for prompt in prompts], Sampling(max_new_tokens=30))
        return sum(word.strip(".,").lower() in words for row in rows for word in row.text.split())

    assert used(parse_method("pplm:science")) > used(BASE)


@pytest.mark.gpu
def test_the_engine_runs_in_float32_on_a_gpu(engine: Engine) -> None:
    assert engine.base.model.dtype == torch.float32
    rows = finish(engine, [*CARD, ALL], SAMPLED)
    assert all(row.token_ids for row in rows)
    off = finish(engine, [effect_off(method) for method in CARD], Sampling(temperature=0, max_new_tokens=5))
    assert len({row.token_ids for row in off}) == 1
