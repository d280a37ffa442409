"""PPLM's arithmetic by hand, and the whole method against a slow and obvious computation of the paper's algorithm."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from adapters.decoding.sampling import Sampler
from adapters.methods import NO_LIMIT, PPLM, Attribute, Method, Request, Sampling, as_in_paper
from adapters.pplm.arithmetic import (
    SHARES,
    affordable,
    fuse,
    gradient_norms,
    kl_divergence,
    push,
    window_weights,
    without_echoes,
    worthwhile,
)
from adapters.pplm.past import Reading
from adapters.pplm.steering import Knobs
from tests.adapters.conftest import Bench
from tests.adapters.discriminators.mood import MOOD


def test_one_step_by_hand() -> None:
    """A gradient of norm 5, step size .1: gamma 1 moves by .1 along it, gamma 0 by .1 times it, gamma 2 by .02."""
    gradient = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1, 1, 1)  # a key and a value: one norm for both
    assert gradient_norms(gradient).item() == pytest.approx(5)
    for gamma, expected in ((1.0, (-0.06, -0.08)), (0.0, (-0.3, -0.4)), (2.0, (-0.012, -0.016))):
        args = torch.zeros_like(gradient), gradient, torch.tensor([[5.0]]), torch.tensor([0.1]), torch.tensor([gamma])
        assert push(*args).flatten().tolist() == pytest.approx(expected)


def test_a_zero_gradient_pushes_nowhere() -> None:
    zero = torch.zeros(1, 2, 1, 1, 1, 1)
    moved = push(zero, zero, torch.zeros(1, 1), torch.tensor([0.1]), torch.tensor([1.5]))
    assert torch.equal(moved, zero)


def test_norms_are_per_layer_and_per_row() -> None:
    gradient = torch.arange(8.0).view(2, 2, 2, 1, 1, 1)  # layers, keys/values, rows
    expected = [[math.hypot(0, 2), math.hypot(1, 3)], [math.hypot(4, 6), math.hypot(5, 7)]]
    assert gradient_norms(gradient).tolist() == [pytest.approx(row) for row in expected]


def test_the_window_is_the_newest_positions_and_decays_towards_the_oldest() -> None:
    """The last row has padding between a prefix and its prompt."""
    knobs = [
        PPLM((Attribute("x"),), window_length=w, decay=d) for w, d in ((2, False), (0, False), (2, True), (0, True))
    ]
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1], [1, 0, 0, 1]]).bool()
    settings = Knobs(knobs, torch.device("cpu"))
    weights = window_weights(settings.window_length, settings.decay, mask)
    assert weights.tolist() == [[0, 0, 1, 1], [1, 1, 1, 1], [0, 0, 0.5, 1], [0.5, 0, 0, 1]]


def test_fusion_is_the_renormalised_product_of_powers() -> None:
    steered, clean = torch.tensor([[0.7, 0.2, 0.1]]), torch.tensor([[0.1, 0.3, 0.6]])
    product = steered**0.9 * clean**0.1
    fused = fuse(steered.log(), clean.log(), torch.tensor([0.9])).softmax(-1)
    torch.testing.assert_close(fused, product / product.sum())
    assert torch.equal(fuse(steered, clean, torch.tensor([0.0])), clean)


def test_what_was_just_said_gets_no_likelier() -> None:
    steered, clean = torch.tensor([[0.5, 0.3, 0.2]] * 2).log(), torch.tensor([[0.2, 0.6, 0.2]] * 2).log()
    used = torch.tensor([[True, True, False], [False, False, False]])
    kept = without_echoes(steered, clean, used)
    torch.testing.assert_close(kept[0].exp(), torch.tensor([0.2, 0.3, 0.2]))
    assert torch.equal(kept[1], steered[1])
    assert torch.equal(without_echoes(clean, clean, used), clean)


def test_kl_by_hand() -> None:
    steered, clean = torch.tensor([[0.5, 0.25, 0.25]]), torch.tensor([[0.25, 0.25, 0.5]])
    assert kl_divergence(steered.log(), clean.log()).item() == pytest.approx(0.25 * math.log(2))


def test_a_budget_takes_the_share_that_it_affords() -> None:
    """Two even tokens against e : 1 and a share s: KL(p_s || p_0) is known in closed form."""

    def cost(share: float) -> float:
        p = 1 / (1 + math.exp(-share))
        return p * math.log(2 * p) + (1 - p) * math.log(2 * (1 - p))

    steered, clean = torch.tensor([[1.0, 0.0]]).repeat(4, 1), torch.zeros(4, 2)
    full = torch.tensor([0.9, 0.0, 0.9, 0.2])
    budget = torch.tensor([10.0, 10.0, cost(0.5), cost(0.5)])
    share = affordable(steered, clean, full, budget)
    assert share.tolist() == pytest.approx([0.9, 0.0, 0.5, 0.2], abs=0.9 / 128)
    assert cost(share[2].item()) <= budget[2].item()


def test_a_token_is_steered_as_far_as_it_is_worth() -> None:
    """Two even tokens against e^d : 1, of which the first is the attribute: the best of the tried shares, by hand."""
    difference, strengths = 3.0, [0.0, 0.5, 1.0, 2.0, 50.0]
    tried = [0.0, *(0.9 * 0.5 ** (number / 2) for number in range(SHARES))]

    def worth(share: float, strength: float) -> float:
        p = 1 / (1 + math.exp(-share * difference))
        return strength * p - p * math.log(2 * p) - (1 - p) * math.log(2 * (1 - p))

    best = [max(tried, key=lambda share: worth(share, strength)) for strength in strengths]
    assert best[0] == 0.0
    assert best[-1] == 0.9
    assert 0 < best[1] < best[2] < best[3] < 0.9
    steered, clean = torch.tensor([[difference, 0.0]]).repeat(5, 1), torch.zeros(5, 2)
    found = worthwhile(
        steered,
        clean,
        torch.full((5,), 0.9),
        torch.tensor(strengths),
        torch.zeros(5),
        lambda logprobs: logprobs[:, 0].exp(),
    )
    assert found.tolist() == pytest.approx(best)


def test_an_allowance_is_spent_without_a_word() -> None:
    """Two even tokens, of which none is worth anything: the largest of the tried shares that the allowance covers."""

    def cost(share: float) -> float:
        p = 1 / (1 + math.exp(-share))
        return p * math.log(2 * p) + (1 - p) * math.log(2 * (1 - p))

    steered, clean = torch.tensor([[1.0, 0.0]]).repeat(3, 1), torch.zeros(3, 2)
    allowance = torch.tensor([1.0, cost(0.5) + 1e-4, 0.0])
    found = worthwhile(steered, clean, torch.ones(3), torch.ones(3), allowance, lambda logprobs: torch.ones(3))
    assert found.tolist() == pytest.approx([1.0, 0.5, 0.0])


def test_what_a_token_costs_is_never_more_than_it_brings() -> None:
    """strength * (p_s(a) - p(a)) >= KL(p_s || p), so no token costs more nats than `strength`."""
    generator = torch.Generator().manual_seed(3)
    steered, clean = (torch.randn(64, 50, generator=generator) * 4 for _ in range(2))
    strength = torch.full((64,), 0.7)
    share = worthwhile(
        steered, clean, torch.ones(64), strength, torch.zeros(64), lambda logprobs: logprobs[:, :5].exp().sum(-1)
    )
    fused = fuse(steered, clean, share)
    gain = fused.softmax(-1)[:, :5].sum(-1) - clean.softmax(-1)[:, :5].sum(-1)
    assert (kl_divergence(fused, clean) <= strength * gain + 1e-5).all()
    assert 0 < (share > 0).float().mean() < 1


def test_every_setting_becomes_a_column() -> None:
    first = PPLM((Attribute("science"),), step_size=0.5, carry=True)
    second = PPLM((Attribute("science"),), window_length=3)
    knobs = Knobs([first, second], torch.device("cpu"))
    assert knobs.step_size.tolist() == pytest.approx([0.5, second.step_size])
    assert knobs.carry.tolist() == [True, False]
    assert knobs.window_length.tolist() == [0, 3]
    assert knobs.allowance.tolist() == [0.0, 0.0]


class Reference:
    """The paper's algorithm for one row as its published code has it: the text is read again at every token.

    Differs from that code where the project means to: the window holds the newest positions.
    """

    def __init__(self, model: PreTrainedModel, words: list[int], settings: PPLM) -> None:
        """Without words it steers towards the second class of MOOD."""
        self.model, self.words, self.settings = model, words, settings
        self.hidden = torch.empty(0)  # last states (T, C) of what was read last
        self.before: tuple[list[list[Tensor]], Tensor] = [], self.hidden  # the clean past and the sum of its states
        self.past: list[list[Tensor]] = []  # per layer: keys, values (1, H, T, D)
        self.largest = [0.0] * model.config.num_hidden_layers

    def read(self, ids: list[int] | Tensor, past: list[list[Tensor]]) -> tuple[Tensor, list[list[Tensor]]]:
        """Logits after ids, or after embeddings (T, C), and the past with them."""
        cache = DynamicCache()
        for layer, (keys, values) in enumerate(past):
            cache.update(keys, values, layer)
        inputs = {"input_ids": torch.tensor([ids])} if isinstance(ids, list) else {"inputs_embeds": ids[None]}
        states: list[Tensor] = []
        decoder: Any = self.model.base_model
        hook = decoder.register_forward_hook(lambda module, args, output: states.append(output.last_hidden_state[0]))
        logits = self.model(**inputs, past_key_values=cache, use_cache=True).logits[0, -1]
        hook.remove()
        self.hidden = states[0]
        layers: Any = cache.layers
        return logits, [[layer.keys, layer.values] for layer in layers]

    def loss(self, logits: Tensor, clean: Tensor) -> Tensor:
        p, q = logits.softmax(-1), clean.softmax(-1)
        attribute = -p[self.words].sum().log() if self.words else self.class_loss(logits)
        return attribute + self.settings.kl_scale * (p * (p / q).log()).sum()

    def class_loss(self, logits: Tensor) -> Tensor:
        past, total = self.before
        total, count = total + self.hidden[-1], past[0][0].shape[2]
        embedding: Tensor = next(self.model.get_input_embeddings().parameters())
        for _ in range(self.settings.horizon_length):
            logits, past = self.read(logits.softmax(-1)[None] @ embedding, past)
            total, count = total + self.hidden[-1], count + 1
        return -(MOOD.weight @ (total / count) + MOOD.bias).log_softmax(-1)[1]

    def next_logits(self, ids: list[int]) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            clean, everything = self.read(ids, [])
            self.before = everything, self.hidden[:-1].sum(0)
        if not self.past or not self.settings.carry:
            self.past = [[tensor[:, :, :-1] for tensor in layer] for layer in everything]
        nudge = [[torch.zeros_like(tensor) for tensor in layer] for layer in self.past]
        for _ in range(self.settings.num_iterations):
            for tensor in (tensor for pair in nudge for tensor in pair):
                tensor.requires_grad_()
            logits, _ = self.read(ids[-1:], self.add(nudge))
            flat = [tensor for pair in nudge for tensor in pair]
            gradients = list(torch.autograd.grad(self.loss(logits, clean), flat))
            for layer in range(len(nudge)):
                pair = [self.windowed(gradient) for gradient in gradients[2 * layer : 2 * layer + 2]]
                norm = torch.cat([g.flatten() for g in pair]).norm().item()
                self.largest[layer] = max(self.largest[layer], norm) if self.words else norm
                size = self.settings.step_size / self.largest[layer] ** self.settings.gamma
                nudge[layer] = [(n - size * g).detach() for n, g in zip(nudge[layer], pair, strict=True)]
        with torch.no_grad():
            steered, self.past = self.read(ids[-1:], self.add(nudge))
        share = self.settings.gm_scale
        fused = steered.softmax(-1) ** share * clean.softmax(-1) ** (1 - share)
        return (fused / fused.sum()).log(), clean

    def windowed(self, gradient: Tensor) -> Tensor:
        mask = torch.ones_like(gradient)
        if self.settings.window_length:
            mask[:, :, : -self.settings.window_length] = 0
        return gradient * mask

    def add(self, nudge: list[list[Tensor]]) -> list[list[Tensor]]:
        return [[p + n for p, n in zip(*layer, strict=True)] for layer in zip(self.past, nudge, strict=True)]


@pytest.mark.parametrize("carry", [True, False], ids=["carried", "fresh"])
@pytest.mark.parametrize("window_length", [0, 3])
def test_the_engine_computes_the_papers_algorithm(
    bench: Bench, carry: bool, window_length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.pplm.bags.WORD_START", "")
    attribute = Attribute("vowels", words=("a", "e", "o"))
    settings = replace(as_in_paper(PPLM((attribute,), 0.3, 3, window_length, 1.5, 0.05, 0.9)), carry=carry)
    check(bench, settings, [bench.base.tokenizer.encode(letter)[0] for letter in "aeo"])


@pytest.mark.parametrize("carry", [True, False], ids=["carried", "fresh"])
@pytest.mark.parametrize("horizon_length", [0, 1])
def test_the_engine_steers_by_a_discriminator_as_the_paper_does(bench: Bench, carry: bool, horizon_length: int) -> None:
    settings = PPLM(
        (Attribute("mood:up"),), 0.1, 3, 0, 1.0, 0.05, 0.9, horizon_length=horizon_length, strength=NO_LIMIT
    )
    check(bench, replace(as_in_paper(settings), carry=carry), [])


def check(bench: Bench, settings: PPLM, words: list[int]) -> None:
    """Every token and its probability are those of the reference."""
    request = Request("Once upon", Method("pplm", steering=settings))
    *_, (row,) = bench.engine.generate([request], Sampling(temperature=0, max_new_tokens=12))
    reference = Reference(bench.base.model, words, settings)
    ids = list(row.prompt_ids)
    for token, logprob in zip(row.token_ids, row.logprobs, strict=True):
        fused, clean = reference.next_logits(ids)
        assert int(fused.argmax()) == token
        assert clean.log_softmax(-1)[token].item() == pytest.approx(logprob, abs=1e-4)
        ids.append(token)


def test_where_nothing_has_drifted_the_divergence_pulls_nowhere_to_the_last_bit() -> None:
    clean = torch.randn(3, 1000, generator=torch.Generator().manual_seed(0)) * 5
    steered = clean.clone().requires_grad_()
    divergence = kl_divergence(steered, clean)
    (gradient,) = torch.autograd.grad(divergence.sum(), steered)
    assert gradient.count_nonzero() == 0
    assert divergence.detach().abs().max() < 1e-6


class Lifted:
    """Notes by how much each step lifts what the row has said last: by the push, and in what is drawn from."""

    def __init__(self, ids: list[int], cooldown: int) -> None:
        self.ids, self.cooldown = ids, cooldown
        self.by_push: list[float] = []
        self.drawn: list[float] = []

    def on_gradient(self, reading: Reading, loss: Tensor, gradient: Tensor) -> None:
        """What is drawn from is seen later."""

    def on_fused(self, clean: Tensor, steered: Reading, loss: Tensor, share: Tensor, fused: Tensor) -> None:
        used = self.ids[-self.cooldown :]
        shift = steered.logits.logsumexp(-1) - clean.logsumexp(-1)  # between logits of equal probabilities
        self.by_push.append((steered.logits - clean - shift)[0, used].max().item())
        self.drawn.append((fused - clean - share * shift)[0, used].max().item())


def test_no_step_lifts_what_was_just_said(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.pplm.bags.WORD_START", "")
    attribute = Attribute("letters", words=tuple("aeiou"))
    settings = PPLM((attribute,), step_size=1.0, num_iterations=1, cooldown=4, strength=NO_LIMIT)
    batch = bench.engine.batch(Request("Once upon", Method("pplm", steering=settings)), Sampler(Sampling()), 12)
    assert batch.steering is not None
    (row,) = batch.rows
    seen = batch.steering.observer = Lifted(list(row.prompt_ids), settings.cooldown)
    while batch.rows:
        batch.advance()
        seen.ids = [*row.prompt_ids, *row.token_ids]
    assert len(seen.drawn) == len(row.token_ids)
    assert max(seen.by_push) > 0.01
    assert max(seen.drawn) < 1e-4


def test_after_grad_length_tokens_the_text_follows_freely(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.pplm.bags.WORD_START", "")
    steering = PPLM(
        (Attribute("vowels", words=("a", "e", "o")),), 0.5, grad_length=3, kl_budget=5.0, cooldown=0, strength=NO_LIMIT
    )
    request = Request("Once upon", Method("pplm", steering=steering))
    *_, (row,) = bench.engine.generate([request], Sampling(temperature=0, max_new_tokens=10))
    ids = torch.tensor([[*row.prompt_ids, *row.token_ids]])
    free = bench.base.model(input_ids=ids).logits[0].argmax(-1)[len(row.prompt_ids) - 1 : -1].tolist()
    assert free[:3] != list(row.token_ids[:3])
    assert free[3:] == list(row.token_ids[3:])
