"""A hash changes with everything that changes a text, and with nothing else."""

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch

from adapters.methods import BASE, PPLM, Attribute, Method, Request, Sampling, UserError
from adapters.pplm.bags import word_lists
from adapters.store.adapter_store import AdapterStore
from adapters.store.fingerprint import Fingerprints
from adapters.store.weight_cache import sha256
from tests.adapters.conftest import Bench

STEERING = PPLM((Attribute("own", words=("a", "b")),))
METHOD = Method("all", lora="verse", prefix="facts", steering=STEERING)
REQUEST = Request("Once", METHOD, 3)
SAMPLING = Sampling()


@pytest.fixture
def hashes(bench: Bench) -> Fingerprints:
    return Fingerprints(bench.base, bench.engine.store)


def steered(**settings: object) -> Request:
    return REQUEST._replace(method=replace(METHOD, steering=replace(STEERING, **settings)))  # type: ignore[arg-type]


def test_every_setting_counts(hashes: Fingerprints) -> None:
    requests = [
        REQUEST,
        REQUEST._replace(prompt="Once "),
        REQUEST._replace(seed=4),
        REQUEST._replace(chat=True),
        REQUEST._replace(method=replace(METHOD, lora="space")),
        REQUEST._replace(method=replace(METHOD, lora=None)),
        REQUEST._replace(method=replace(METHOD, lora_scale=0.5)),
        REQUEST._replace(method=replace(METHOD, prefix=None)),
        REQUEST._replace(method=replace(METHOD, steering=None)),
        steered(attributes=(Attribute("own", words=("a", "c")),)),
        steered(attributes=(Attribute("own", 2.0, words=("a", "b")),)),
        steered(attributes=(Attribute("own", words=("a", "b")), Attribute("more", words=("c",)))),
        steered(step_size=0.2),
        steered(num_iterations=2),
        steered(strength=2.0),
        steered(best_of=2),
        steered(horizon_length=1),
        steered(decay=True),
        steered(grad_length=3),
        steered(window_length=5),
        steered(gamma=1.0),
        steered(kl_scale=0.02),
        steered(gm_scale=0.9),
        steered(kl_budget=0.5),
        steered(cooldown=3),
        steered(carry=True),
    ]
    samplings = [replace(SAMPLING, **{name: value}) for name, value in SAMPLINGS.items()]
    found = hashes.requests(requests, SAMPLING)
    found += [hash for sampling in samplings for hash in hashes.requests([REQUEST], sampling)]
    assert len(set(found)) == len(found)


SAMPLINGS: dict[str, Any] = {
    "temperature": 0.1,
    "top_k": 5,
    "top_p": 0.5,
    "repetition_penalty": 1.1,
    "max_new_tokens": 5,
}


def test_names_do_not_count(hashes: Fingerprints) -> None:
    other = replace(METHOD, name="other", steering=PPLM((Attribute("another", words=("a", "b")),)))
    assert hashes.requests([REQUEST._replace(method=other)], SAMPLING) == hashes.requests([REQUEST], SAMPLING)
    assert hashes.method(other) == hashes.method(METHOD)


def test_a_shipped_list_and_its_words_are_the_same(hashes: Fingerprints) -> None:
    named = Method("a", steering=PPLM((Attribute("science"),)))
    spelled = Method("b", steering=PPLM((Attribute("mine", words=word_lists()["science"]),)))
    assert hashes.method(named) == hashes.method(spelled)


def test_weights_count_and_where_they_come_from_does_not(bench: Bench, hashes: Fingerprints) -> None:
    same = replace(bench.base, model=copy.deepcopy(bench.base.model), id="elsewhere")
    assert Fingerprints(same, AdapterStore([], same)).base == hashes.base
    with torch.no_grad():
        next(same.model.parameters()).view(-1)[0] += 1e-3
    assert Fingerprints(same, AdapterStore([], same)).base != hashes.base
    half = replace(bench.base, model=copy.deepcopy(bench.base.model).bfloat16())
    assert Fingerprints(half, AdapterStore([], half)).base != hashes.base


def test_the_base_counts_in_every_request(bench: Bench, hashes: Fingerprints) -> None:
    other = replace(bench.base, model=copy.deepcopy(bench.base.model))
    with torch.no_grad():
        next(other.model.parameters()).view(-1)[0] += 1e-3
    changed = Fingerprints(other, bench.engine.store)
    assert changed.requests([REQUEST], SAMPLING) != hashes.requests([REQUEST], SAMPLING)


def test_what_a_run_uses_is_named(bench: Bench, hashes: Fingerprints) -> None:
    assert set(hashes.named([BASE, METHOD])) == {"base", "lora:verse", "prefix:facts", "words:own"}
    verse, space = (bench.engine.store.find(name).digest for name in ("verse", "space"))
    assert hashes.named([METHOD])["lora:verse"] == verse != space
    with pytest.raises(UserError, match="There is no LoRA adapter 'nobody'"):
        hashes.method(Method("x", lora="nobody"))


def test_parts_are_told_apart() -> None:
    assert len({sha256("ab", "c"), sha256("a", "bc"), sha256("abc"), sha256("abc", "")}) == 4
    assert sha256("é") == sha256("é".encode())
