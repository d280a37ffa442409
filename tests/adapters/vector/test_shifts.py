"""Steering vectors against a hook of one's own on plain transformers."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from adapters.decoding.text import Continuation
from adapters.methods import BASE, Method, Request, Sampling, SteeringVector, UserError
from adapters.store.fingerprint import Fingerprints
from adapters.vector.direction import layer_paths
from adapters.vector.shifts import Shift, Shifts, Vector
from tests.adapters.conftest import Bench
from tests.adapters.discriminators.mood import MOOD, moved

GREEDY = Sampling(temperature=0, max_new_tokens=12)
UP = SteeringVector("mood:up", 0.5)


def write(bench: Bench, *methods: Method) -> list[Continuation]:
    *_, last = bench.engine.generate([Request("Once upon", method, 3) for method in methods], GREEDY)
    return last


@contextmanager
def shifted(bench: Bench, label: str, factor: float, name: str = "") -> Iterator[nn.Module]:
    """The plain model, or PEFT's, whose middle layer adds a vector by a hook of the test's own."""
    push = factor * moved("").vectors[MOOD.classes.index(label)].push.to(bench.base.device)
    model = bench.peft[name] if name else bench.base.model
    path = "base_model.model." * bool(name) + layer_paths(bench.base)[1]

    def add(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        assert output.ndim == 3
        return output + push

    handle = model.get_submodule(path).register_forward_hook(add)
    try:
        yield model
    finally:
        handle.remove()


def greedy(model: nn.Module, ids: list[int], length: int) -> tuple[list[int], list[float]]:
    """Tokens and log-probabilities by whole passes over the text, without a cache."""
    tokens, logprobs = [*ids], []
    for _ in range(length):
        with torch.no_grad():
            device = next(model.parameters()).device
            logits = model(input_ids=torch.tensor([tokens], device=device)).logits[0, -1].log_softmax(-1)
        tokens.append(int(logits.argmax()))
        logprobs.append(float(logits.max()))
    return tokens[len(ids) :], logprobs


@pytest.mark.parametrize("lora", [None, "verse"])
def test_a_row_equals_plain_transformers_with_a_hook(bench: Bench, lora: str | None) -> None:
    (row,) = write(bench, Method("m", lora=lora, vectors=(replace(UP, weight=0.7), SteeringVector("mood:flat", -0.2))))
    with shifted(bench, "up", 0.7, lora or "") as model, shifted(bench, "flat", -0.2, lora or ""):
        tokens, logprobs = greedy(model, list(row.prompt_ids), 12)
        scored = [(row.prompt_ids, row.token_ids)]
    assert list(row.token_ids) == tokens
    assert row.logprobs == pytest.approx(logprobs, abs=1e-4)
    (found,) = bench.engine.loglikelihood(scored, row.request.method)
    assert found.logprobs == pytest.approx(logprobs, abs=1e-4)


def test_the_scale_of_a_lora_leaves_the_vector_alone(bench: Bench) -> None:
    zero, alone, base = write(
        bench, Method("a", lora="verse", lora_scale=0, vectors=(UP,)), Method("b", vectors=(UP,)), BASE
    )
    assert zero.token_ids == alone.token_ids != base.token_ids


def test_strength_0_is_the_base_bit_for_bit(bench: Bench) -> None:
    zero, base, _ = write(bench, Method("m", vectors=(replace(UP, weight=0),)), BASE, Method("x", vectors=(UP,)))
    assert zero.token_ids == base.token_ids
    assert zero.logprobs == base.logprobs


def test_opposite_vectors_cancel(bench: Bench) -> None:
    layer = layer_paths(bench.base)[1]
    up, down = Vector(layer, torch.arange(32.0)), Vector(layer, -torch.arange(32.0))
    shifts = Shifts.of(bench.base.model, [[Shift(up, 0.5)], [], [Shift(up, 0.3), Shift(down, 0.3)]])
    (sums,) = shifts.added.values()
    assert sums.shape == (3, 1, 32)
    assert torch.equal(sums[0, 0].cpu(), 0.5 * torch.arange(32.0))
    assert not sums[1:].any()
    (again,) = shifts.rows([2, 0, 0]).added.values()
    assert torch.equal(again, sums[[2, 0, 0]])


def test_a_layer_may_give_a_tuple() -> None:
    class Layer(nn.Linear):
        def forward(self, x: Tensor) -> tuple[Tensor, str]:  # type: ignore[override]
            return x, "weights"

    model = nn.Sequential(Layer(4, 4))
    vector = Vector("0", torch.ones(4))
    with Shifts.of(model, [[], [Shift(vector, 2.0)]]).applied():
        moved_states, rest = model(torch.zeros(2, 3, 4))
    assert rest == "weights"
    assert torch.equal(moved_states, torch.stack([torch.zeros(3, 4), torch.full((3, 4), 2.0)]))
    assert model(torch.zeros(2, 3, 4))[0].eq(0).all()


def test_names_that_are_not_there_are_refused(bench: Bench) -> None:
    for name, error in (
        ("nobody:up", "no discriminator 'nobody'"),
        ("mood:sad", "no class 'sad'"),
        ("mood", "class ''"),
    ):
        with pytest.raises(UserError, match=error):
            write(bench, Method("m", vectors=(SteeringVector(name),)))


def test_a_hash_names_the_vector_and_its_strength(bench: Bench) -> None:
    hashes = Fingerprints(bench.base, bench.engine.store)
    methods = [BASE, Method("a", vectors=(UP,)), Method("b", vectors=(replace(UP, weight=-0.5),))]
    methods += [Method("c", vectors=(SteeringVector("mood:down"),)), Method("d", vectors=(UP, UP))]
    assert len({hashes.method(method) for method in methods}) == len(methods)
    assert hashes.named(methods).keys() == {"base", "vector:mood:up", "vector:mood:down"}
    assert hashes.vector(UP) == hashes.named(methods)["vector:mood:up"]
