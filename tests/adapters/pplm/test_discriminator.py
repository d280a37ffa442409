"""Discriminators: loss and gradient by hand, what they read at every token, and their files."""

import copy
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import Tensor

from adapters.adapter_files import WEIGHTS_FILE
from adapters.base_model import BaseModel
from adapters.methods import NO_LIMIT, PPLM, Attribute, Method, Request, Sampling, UserError
from adapters.pplm.bags import MAX_PIECES, AttributeLoss, Evidence
from adapters.pplm.discriminator import (
    DISCRIMINATOR_FILE,
    Discriminator,
    discriminator_loss,
    read_discriminator,
    write_discriminator,
)
from adapters.store.adapter_store import AdapterStore
from tests.adapters.conftest import Bench
from tests.adapters.discriminators.mood import MOOD, moved

CPU = torch.device("cpu")
HEAD = Discriminator(("down", "up"), torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([0.5, 0.0]))


def evidence(hidden_sum: Tensor, num_hidden: Sequence[int]) -> Evidence:
    rows = len(num_hidden)
    none = torch.empty(rows, 0)
    return Evidence(none, hidden_sum, torch.tensor(num_hidden), none.long(), torch.zeros(rows, dtype=torch.long))


def test_the_loss_and_its_gradient_by_hand() -> None:
    """Sums (2, 1) of two states and (3, 6) of three: means (1, .5) and (1, 2), logits (1.5, 1) and (1.5, 4)."""
    hidden_sum = torch.tensor([[2.0, 1.0], [3.0, 6.0]], requires_grad=True)
    loss = discriminator_loss(HEAD, "up", CPU)(evidence(hidden_sum, [2, 3]))
    assert loss.tolist() == pytest.approx([math.log(1 + math.exp(0.5)), math.log(1 + math.exp(-2.5))])
    (gradient,) = torch.autograd.grad(loss.sum(), hidden_sum)
    down = [1 / (1 + math.exp(-0.5)), 1 / (1 + math.exp(2.5))]  # p(down)
    # d loss / d mean = W^T (p - one-hot) = p(down) * (1, -2), and the mean is the sum over the number of states.
    assert gradient.tolist() == [pytest.approx([p / n, -2 * p / n]) for p, n in zip(down, [2, 3], strict=True)]
    with pytest.raises(UserError, match="no class 'left': choose one of down, up"):
        discriminator_loss(HEAD, "left", CPU)


class Recorder:
    """Keeps what it is shown."""

    def __init__(self) -> None:
        self.seen: list[Evidence] = []

    def class_loss(self, name: str, device: torch.device) -> AttributeLoss:
        assert name == "mood:up"
        return self.loss

    def loss(self, evidence: Evidence) -> Tensor:
        self.seen.append(Evidence(*(part.detach().clone() for part in evidence)))
        return evidence.hidden_sum.sum(-1)


def last_states(model: Any, **inputs: Tensor) -> Tensor:
    """The last hidden states (1, T, C); asking transformers for them would leave hooks on the shared model."""
    found: list[Tensor] = []
    plain: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    hook = plain.base_model.register_forward_hook(lambda module, args, output: found.append(output.last_hidden_state))
    with torch.no_grad():
        model(**inputs)
    hook.remove()
    return found[0]


def states(bench: Bench, method: Method, ids: Sequence[int]) -> Tensor:
    """The last hidden states (T, C) of a text in one pass, by PEFT's own model where there is an adapter."""
    model = bench.peft.get(method.prefix or method.lora or "", bench.base.model)
    tokens = torch.tensor([ids])
    return last_states(model, input_ids=tokens, attention_mask=torch.ones_like(tokens))[0]


@pytest.mark.parametrize("carry", [False, True], ids=["fresh", "carried"])
def test_the_sum_of_hidden_states_is_that_of_one_pass_at_every_token(
    bench: Bench, carry: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With LoRA, prefix, padding and rows that end; nothing is pushed, so what was pushed reads as what was not."""
    recorder = Recorder()
    monkeypatch.setattr(bench.engine.store, "class_loss", recorder.class_loss)
    monkeypatch.setattr(bench.base.model.generation_config, "eos_token_id", list(range(100, 130)))
    still = PPLM((Attribute("mood:up"),), step_size=0.0, num_iterations=1, carry=carry, strength=NO_LIMIT, cooldown=0)
    methods = [Method("p", steering=still), Method("l", lora="verse", steering=still)]
    methods.append(Method("f", prefix="facts", steering=still))
    prompts = ["The quick brown fox", "Once", "It was"]
    requests = [Request(prompt, method, seed) for seed in (1, 2) for prompt in prompts for method in methods]
    *_, rows = bench.engine.generate(requests, Sampling(temperature=1.5, max_new_tokens=20))
    assert len({len(row.token_ids) for row in rows}) > 3
    checked = 0
    for row in rows:
        ids = [*row.prompt_ids, *row.token_ids]
        sums = states(bench, row.request.method, ids).cumsum(0)
        for end in range(len(row.prompt_ids), len(ids)):  # the row has read `end` tokens, and goes on
            found = [
                seen.hidden_sum[place]
                for seen in recorder.seen
                for place in range(len(seen.num_hidden))
                if seen.num_hidden[place] == end and seen.recent[place].tolist()[-end:] == ids[:end][-MAX_PIECES:]
            ]
            assert any(torch.allclose(one, sums[end - 1], atol=1e-3) for one in found), (row.request, end)
            checked += 1
    assert checked > 60


def test_the_horizon_is_read_after_the_expected_embeddings(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The two states to come, computed from embeddings in one pass over the whole text without a cache."""
    recorder = Recorder()
    monkeypatch.setattr(bench.engine.store, "class_loss", recorder.class_loss)
    steering = PPLM(
        (Attribute("mood:up"),), step_size=0.0, num_iterations=1, horizon_length=2, carry=False, strength=NO_LIMIT
    )
    request = Request("Once upon", Method("p", steering=steering))
    *_, (row,) = bench.engine.generate([request], Sampling(temperature=0, max_new_tokens=3))
    table: Tensor = next(bench.base.model.get_input_embeddings().parameters())
    for step, seen in enumerate(recorder.seen):
        ids = [*row.prompt_ids, *row.token_ids[:step]]
        inputs = table[torch.tensor([ids])]
        with torch.no_grad():
            for _ in range(2):
                logits = bench.base.model(inputs_embeds=inputs).logits[:, -1]
                inputs = torch.cat([inputs, (logits.softmax(-1) @ table)[:, None]], dim=1)
        summed = last_states(bench.base.model, inputs_embeds=inputs).sum(1)
        torch.testing.assert_close(seen.hidden_sum, summed, atol=1e-3, rtol=1e-4)
        assert seen.num_hidden.tolist() == [len(ids) + 2]


@pytest.mark.parametrize("horizon_length", [0, 1])
@pytest.mark.parametrize("weight", [1.0, -1.0], ids=["towards", "away"])
def test_each_iteration_moves_the_loss_of_the_class(
    bench: Bench, horizon_length: int, weight: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses: list[float] = []

    def class_loss(name: str, device: torch.device) -> AttributeLoss:
        loss = discriminator_loss(MOOD, name.partition(":")[2], CPU)

        def noted(evidence: Evidence) -> Tensor:
            losses.append(loss(evidence).item())
            return loss(evidence)

        return noted

    monkeypatch.setattr(bench.engine.store, "class_loss", class_loss)
    attribute = Attribute("mood:up", weight)
    steering = PPLM((attribute,), 0.02, 4, gamma=1.0, kl_scale=0.0, horizon_length=horizon_length, strength=NO_LIMIT)
    *_, _ = bench.engine.generate([Request("Once upon", Method("m", steering=steering))], Sampling(max_new_tokens=8))
    assert len(losses) == 32
    for token in range(8):
        first, *_, last = losses[4 * token : 4 * token + 4]
        assert weight * (first - last) > 0


@pytest.fixture
def folder(tiny_llama: BaseModel, tmp_path: Path) -> Path:
    (tmp_path / "mood").mkdir()
    write_discriminator(MOOD, tiny_llama, tmp_path / "mood")
    return tmp_path


def test_the_store_finds_what_was_written(folder: Path, tiny_llama: BaseModel) -> None:
    store = AdapterStore([folder], tiny_llama)
    head = store.discriminator("mood")
    assert head.classes == MOOD.classes
    assert torch.equal(head.weight, MOOD.weight)
    assert torch.equal(head.bias, MOOD.bias)
    assert store.adapters == ()
    assert store.refused == {}
    with pytest.raises(UserError, match="There is no discriminator 'nothing': choose one of mood"):
        store.class_loss("nothing:up")
    with pytest.raises(UserError, match="no class '': choose one of down, up, flat"):
        store.class_loss("mood")


def test_that_of_another_base_model_is_refused(folder: Path, tiny_llama: BaseModel, tiny_gpt2: BaseModel) -> None:
    assert (
        "made for the base model 'tiny-llama', not for 'tiny-gpt2'" in AdapterStore([folder], tiny_gpt2).refused["mood"]
    )
    namesake = replace(tiny_gpt2, id=tiny_llama.id)
    store = AdapterStore([folder], namesake)
    with pytest.raises(UserError, match="^The adapter 'mood' cannot be used: It was made for other weights"):
        store.discriminator("mood")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": ["one"]}, "2 to 100 classes"),
        ({"classes": ["a", "a", "b"]}, "2 to 100 classes"),
        ({"classes": ["a", "b", ""]}, "cannot be called"),
        ({"classes": ["a", "b", "c", "d"]}, "has shape"),
        ({"classes": None}, "2 to 100 classes"),
        ({"code": "print()"}, "unknown field: code"),
        ({"layer": "model.layers.9"}, "has no layer 'model.layers.9'"),
        ({"layer": ["model.layers.1"]}, "has no layer"),
        ({"layer": "model.layers.1"}, "lacks a tensor that its config asks for: pushes"),
    ],
)
def test_a_damaged_head_is_refused_in_one_line(
    folder: Path, tiny_llama: BaseModel, change: dict[str, object], message: str
) -> None:
    file = folder / "mood" / DISCRIMINATOR_FILE
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(UserError, match=message) as caught:
        read_discriminator(folder / "mood", tiny_llama)
    assert "\n" not in str(caught.value)


def test_vectors_are_read_as_they_were_written(folder: Path, tiny_llama: BaseModel) -> None:
    head = moved("model.layers.2")
    write_discriminator(head, tiny_llama, folder / "mood")
    found = read_discriminator(folder / "mood", tiny_llama)
    assert [vector.layer for vector in found.vectors] == ["model.layers.2"] * 3
    assert all(torch.equal(a.push, b.push) for a, b in zip(found.vectors, head.vectors, strict=True))
    assert torch.equal(found.weight, MOOD.weight)


def test_weights_that_are_not_finite_are_refused(tiny_llama: BaseModel, folder: Path) -> None:
    write_discriminator(MOOD._replace(bias=torch.tensor([0.0, math.nan, 0.0])), tiny_llama, folder / "mood")
    with pytest.raises(UserError, match=f"{WEIGHTS_FILE}: bias holds numbers that are not finite"):
        read_discriminator(folder / "mood", tiny_llama)


def test_the_hash_of_weights_is_the_same_in_bfloat16(tiny_llama: BaseModel) -> None:
    half = replace(tiny_llama, model=copy.deepcopy(tiny_llama.model).bfloat16())
    assert half.weights_hash == tiny_llama.weights_hash
    other = replace(tiny_llama, model=copy.deepcopy(tiny_llama.model))
    with torch.no_grad():
        next(other.model.parameters()).mul_(1.1)
    assert other.weights_hash != tiny_llama.weights_hash
